"""Drift inside rows with parts: whether posteriors of later parts differ from earlier ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from textvae.data.fields import Fields, Vectors
from textvae.data.labels import class_order
from textvae.data.packed import Packed
from textvae.evaluation.latent import posterior_moments
from textvae.families import Family
from textvae.graph.model import VAE

QUIET = 0.98
"""Share of the validation rows without a change that the threshold of an alarm lets pass."""


@dataclass(frozen=True)
class Drift:
    """Metrics of the drift from the first half of a row's parts to the second.

    The classes of a label that no node reads say which rows have changed; the first one, such as 0,
    stands for no change. Drift is the mean symmetric KL between the posteriors of a part of the
    first half and of one of the second.

    Args:
        auc: probability that a row of a class has more drift than one without a change, by class.
        raw_auc: the same of the mean distance between the vectors of the parts, as in the table.
        gain: the difference of these, by class.
        threshold: `QUIET` of the validation rows without a change have less drift.
        false_alarms: share of held-out rows without a change that have more; None, as the
            threshold, where there are no validation rows.
        alarms: share of the rows of each other class that have more; likewise.
        rows: number of rows of each class.
    """

    auc: dict[str, float]
    raw_auc: dict[str, float]
    gain: dict[str, float]
    threshold: float | None
    false_alarms: float | None
    alarms: dict[str, float] | None
    rows: dict[str, int]


def symmetric_kl(
    means: np.ndarray, scales: np.ndarray, others: np.ndarray, of_others: np.ndarray
) -> np.ndarray:
    """KL(p || q) + KL(q || p) of diagonal Gaussians, (A, B), nats.

    Args:
        means: of A Gaussians p, (A, D).
        scales: their standard deviations, (A, D).
        others: means of B Gaussians q, (B, D).
        of_others: their standard deviations, (B, D).

    >>> one, zero = np.ones((1, 1)), np.zeros((1, 1))
    >>> float(symmetric_kl(zero, one, 2 * one, one)[0, 0])
    4.0
    """
    first, second = scales[:, None] ** 2, of_others[None] ** 2
    apart = (means[:, None] - others[None]) ** 2
    return (((first + apart) / second + (second + apart) / first) / 2 - 1).sum(-1)


def drift_of(means: np.ndarray, scales: np.ndarray) -> float:
    """The mean symmetric KL between parts of the first half and of the second, of (S, D)."""
    half = len(means) // 2
    return float(symmetric_kl(means[:half], scales[:half], means[half:], scales[half:]).mean())


def distance_of(vectors: np.ndarray) -> float:
    """The mean distance between vectors of the first half and of the second, of (S, D)."""
    half = len(vectors) // 2
    return float(np.linalg.norm(vectors[:half, None] - vectors[None, half:], axis=-1).mean())


def area(quiet: np.ndarray, changed: np.ndarray) -> float:
    """The area under the ROC curve: P(changed > quiet) + P(equal) / 2.

    >>> area(np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    0.875
    """
    apart = changed[:, None] - quiet[None]
    return float((apart > 0).mean() + (apart == 0).mean() / 2)


def drift_fields(model: VAE) -> tuple[str, str] | None:
    """A Gaussian latent of parts and the vectors of these parts; None for a model without."""
    latents, plates = model.node_plates.latents, model.config.plates
    for name, plate in latents.items():
        family = model.latents[name]
        if plate is None or not isinstance(family, Family) or not family.fittable:
            continue
        for field in plates:
            facts = (model.config.observed or {})[field]
            if plates[field] == plate and "values" in facts:
                return name, field
    return None


def drifts(model: VAE, rows: Fields) -> tuple[np.ndarray, np.ndarray]:
    """Drift and raw distance of each row, (N,) each; NaN for a row of a single part."""
    named = drift_fields(model)
    assert named is not None, "see `drift_fields`"
    order, batches = zip(*rows.in_length_order(), strict=True)
    means, scales = (part.numpy() for part in posterior_moments(model, batches)[named[0]])
    column = rows.columns[named[1]]
    assert isinstance(column, Packed) and isinstance(column.column, Vectors), "vectors of parts"
    scale = np.asarray(column.column.facts.get("scale", 1.0))
    found = np.full((2, len(rows)), np.nan)
    start = 0
    for row in np.concatenate(order).tolist():
        part = slice(start, start := start + int(column.counts[row]))
        if column.counts[row] > 1:
            vectors = np.stack(column[row]) * scale
            found[:, row] = drift_of(means[part], scales[part]), distance_of(vectors)
    return found[0], found[1]


def drift_metrics(
    model: VAE,
    rows: Fields,
    labels: Sequence[str],
    validation: tuple[Fields, Sequence[str]] | None = None,
) -> Drift | None:
    """`Drift` of held-out rows; None without a second class, or rows of one part.

    Args:
        model: with `drift_fields`.
        rows: held out.
        labels: the class of each row, blank where it is not known.
        validation: rows for the threshold, and their classes.
    """
    classes = class_order(set(labels) - {""})
    found, raw = drifts(model, rows)
    known = ~np.isnan(found)
    of = {name: known & (np.asarray(labels) == name) for name in classes}
    if len(classes) < 2 or not all(chosen.any() for chosen in of.values()):
        return None
    quiet, *changed = classes
    threshold = None
    if validation is not None:
        calm = np.asarray(validation[1]) == quiet
        calm_drifts = drifts(model, validation[0])[0][calm]
        calm_drifts = calm_drifts[~np.isnan(calm_drifts)]
        threshold = float(np.quantile(calm_drifts, QUIET)) if len(calm_drifts) else None
    alarms = (
        None
        if threshold is None
        else {name: float((found[chosen] > threshold).mean()) for name, chosen in of.items()}
    )
    auc, raw_auc = (
        {name: area(each[of[quiet]], each[of[name]]) for name in changed} for each in (found, raw)
    )
    return Drift(
        auc=auc,
        raw_auc=raw_auc,
        gain={name: auc[name] - raw_auc[name] for name in changed},
        threshold=threshold,
        false_alarms=None if alarms is None else alarms.pop(quiet),
        alarms=alarms,
        rows={name: int(chosen.sum()) for name, chosen in of.items()},
    )
