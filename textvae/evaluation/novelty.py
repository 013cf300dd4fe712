"""Novelty: rows of unknown classes, distinguished by the scores of a model."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from textvae.data.batching import Examples
from textvae.evaluation.labels import label_probabilities, labelled_latent, taught_label
from textvae.evaluation.probes import accuracy_and_f1
from textvae.families import Family
from textvae.graph.model import VAE
from textvae.vocabulary import MISSING, STRANGE

ACCEPTED = 0.95
"""Share of the validation rows, all of known classes, that the threshold accepts."""


@dataclass(frozen=True)
class Novelty:
    """How well a model that predicts a label tells rows of other classes apart.

    A row is unknown where its score is above the threshold, which accepts 95 % of the validation
    rows of known classes; else its class is the most probable one. No unknown row chooses anything.
    An AUROC is the probability that an unknown row has a higher score than a known one.

    Args:
        macro_f1: mean F1 of the known classes and of the unknown one.
        auroc: of the score that decides: `ratio` where there are distances, else `confidence`.
        accuracy: share of known rows whose class is the most probable one, before any threshold.
        rejected: share of unknown rows above the threshold.
        accepted: share of known rows that are not.
        threshold: of the score.
        confidence_auroc: of 1 - max_y p(y | x).
        reconstruction_auroc: of -log p(x | z), at the posterior's point estimate.
        ratio_auroc: of the distance to the nearest class over the mean distance to the others;
            None where classes have no places in the latent space.
        nearest_auroc: of the distance to the nearest class; None likewise.
        gain: `auroc` less the larger of `nearest_auroc` and `reconstruction_auroc`.
        known: rows of known classes.
        unknown: rows of others.
        validated: validation rows of known classes.

    Source: Cao et al. 2021, AAAI (distances in a latent space with class means; the ratio and the
    threshold are ours); Hendrycks & Gimpel 2017, arXiv:1610.02136 (confidence, AUROC).
    """

    macro_f1: float
    auroc: float
    accuracy: float
    rejected: float
    accepted: float
    threshold: float
    confidence_auroc: float
    reconstruction_auroc: float
    known: int
    unknown: int
    validated: int
    ratio_auroc: float | None = None
    nearest_auroc: float | None = None
    gain: float | None = None


@torch.no_grad()
def novelty_scores(model: VAE, rows: Examples) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The probability of each class, (N, C), and scores of rows, (N,) each, by name.

    A higher score is a stranger row. The rows' own labels are not read.

    Args:
        model: that predicts a label; left in evaluation mode.
        rows: N of them.

    Raises:
        ValueError: no latent of the model is a label.
    """
    latent, _ = taught_label(model)
    model.eval()
    order, probabilities, parts = [], [], list[dict[str, Tensor]]()
    for indices, batch in rows.in_length_order():
        fields = {name: value.to(model.device) for name, value in batch.items()}
        posterior = model.encode(**fields)[latent]
        shares = label_probabilities(model, latent, posterior)
        scores = {"confidence": 1 - shares.amax(-1), "reconstruction": surprise(model, fields)}
        if (prior := model.class_prior(latent)) is not None:
            value = cast(Family, model.latents[latent]).point_estimate(posterior)
            scores |= distance_scores(prior.distances(value))
        order.append(indices)
        probabilities.append(shares.float().cpu())
        parts.append({name: score.double().cpu() for name, score in scores.items()})
    places = np.argsort(np.concatenate(order))
    joined = {name: torch.cat([part[name] for part in parts]).numpy()[places] for name in parts[0]}
    return torch.cat(probabilities).numpy()[places], joined


def distance_scores(distances: Tensor) -> dict[str, Tensor]:
    """The scores, (B,), of distances to each class, (B, C)."""
    ordered = distances.sort(-1).values
    nearest = ordered[:, 0]
    return {"ratio": nearest / ordered[:, 1:].mean(-1), "nearest": nearest}


def surprise(model: VAE, fields: dict[str, Tensor]) -> Tensor:
    """-log p(x | z) of all fields at the point estimates of the posteriors, (B,), nats."""
    features = model.read(fields)
    batch = len(next(iter(fields.values())))
    latents = model.draw(features, 1, batch, use_mean=True)
    values = {name: latent.value for name, latent in latents.items()}
    likelihoods = model.likelihoods(values, features, batch)
    return -torch.stack([*model.log_probs(likelihoods, features, fields).values()]).sum(0)[0]


def novelty(
    model: VAE, rows: Examples, validation: Examples, strangers: Examples | None = None
) -> Novelty | None:
    """How well a model tells rows of other classes apart; None where there is nothing to tell.

    Args:
        model: left in evaluation mode.
        rows: held out; the labels of those of other classes are `STRANGE`.
        validation: that choose the threshold; only those of known classes do.
        strangers: of no known class, in place of those among `rows`; their labels are not read.
    """
    labels, own = (labels_of(model, each) for each in (rows, validation))
    if labels is None or own is None:
        return None
    if strangers is not None:
        told = np.where(labels >= 0, labels, MISSING)
        labels = np.concatenate([told, np.full(len(strangers), STRANGE)])
    known, strange = labels >= 0, labels == STRANGE
    if not known.any() or not strange.any() or not (own >= 0).any():
        return None
    probabilities, scores = novelty_scores(model, rows)
    if strangers is not None:
        more, others = novelty_scores(model, strangers)
        probabilities = np.concatenate([probabilities, more])
        scores = {each: np.concatenate([scores[each], others[each]]) for each in scores}
    _, accepted = novelty_scores(model, validation)
    name = "ratio" if "ratio" in scores else "confidence"
    threshold = float(np.quantile(accepted[name][own >= 0], ACCEPTED))
    areas = {each: area_under_curve(s[known], s[strange]) for each, s in scores.items()}
    refused, best = scores[name] > threshold, probabilities.argmax(-1)
    # The number after the last class stands for all others; rows without a label are left out.
    unknown = probabilities.shape[1]
    truth, predicted = np.where(strange, unknown, labels), np.where(refused, unknown, best)
    _, macro_f1 = accuracy_and_f1(truth[known | strange], predicted[known | strange])
    others = [areas[each] for each in ("nearest", "reconstruction") if each in areas]
    return Novelty(
        macro_f1=macro_f1,
        auroc=areas[name],
        accuracy=float((best == labels)[known].mean()),
        rejected=float(refused[strange].mean()),
        accepted=float((~refused)[known].mean()),
        threshold=threshold,
        known=int(known.sum()),
        unknown=int(strange.sum()),
        validated=int((own >= 0).sum()),
        gain=areas[name] - max(others),
        **{f"{each}_auroc": area for each, area in areas.items()},
    )


def labels_of(model: VAE, rows: Examples) -> np.ndarray | None:
    """The label of each row that a model predicts, (N,); None where rows have none."""
    label = labelled_latent(model)
    column = None if label is None else getattr(rows, "columns", {}).get(label[1])
    values = getattr(column, "values", None)
    return values if isinstance(values, np.ndarray) and values.ndim == 1 else None


def area_under_curve(known: np.ndarray, unknown: np.ndarray) -> float:
    """P(unknown > known) + P(unknown = known) / 2 of scores of two groups, (N,) and (M,).

    >>> area_under_curve(np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    0.875
    """
    ordered = np.sort(known)
    below = np.searchsorted(ordered, unknown, "left") + np.searchsorted(ordered, unknown, "right")
    return float(below.mean() / (2 * len(known)))
