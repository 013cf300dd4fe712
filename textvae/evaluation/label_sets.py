"""Metrics of predicted sets of labels."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from textvae.data.batching import Examples
from textvae.decoders.labels import LabelsDecoder
from textvae.graph.model import VAE
from textvae.randomness import seeded

THRESHOLDS = np.arange(2, 99) / 100
"""Thresholds that are tried on validation rows."""
PRIOR_SAMPLES = 100
"""Samples of the prior under which probabilities are averaged."""


@dataclass(frozen=True)
class LabelSetMetrics:
    """Metrics of the labels whose probability is above a threshold.

    Args:
        micro_f1: 2 TP / (2 TP + FP + FN) over all labels of all rows.
        macro_f1: F1 of each label, mean over the labels that some row has or is given.
        example_f1: F1 of each row's set, mean over rows; 1 where both sets are empty.
        exact_match: share of rows whose set is the true one.
        threshold: of the probability.
        validated: number of validation rows that it was chosen on, by micro-F1; 0 for 0.5.
        labels: number of labels C.
        rows: number of rows with a set.
        draws: of the noise of a probit behind each log p(y | z); 0 where that is exact.
    """

    micro_f1: float
    macro_f1: float
    example_f1: float
    exact_match: float
    threshold: float
    validated: int
    labels: int
    rows: int
    draws: int = 0


def predicted_set(model: VAE) -> tuple[str, str, bool] | None:
    """What predicts a set of labels: its name, its field, whether it is a latent; None without.

    A latent that labels fix comes before a decoder. A decoder predicts where the model is given
    something; else every row would have the same labels. Sets of parts of rows do not count.
    """
    observed = model.config.observed or {}
    for group in ("latents", "decoders") if model.config.conditions() else ("latents",):
        for node in model.config.nodes(group):
            field, auxiliary = node.get("field"), node.get("auxiliary")
            if field in model.config.plates:
                continue
            if auxiliary is None and "label_set" in observed.get(field, {}):
                return node["name"], str(field), group == "latents"
    return None


def draws_of(model: VAE) -> int:
    """The draws of the noise of a probit decoder in evaluation; 0 for a model without one."""
    decoders = (each for each in model.decoders.values() if isinstance(each, LabelsDecoder))
    return max((decoder.noise_draws for decoder in decoders), default=0)


@torch.no_grad()
def label_probabilities(
    model: VAE,
    batches: Iterable[Mapping[str, Tensor]],
    samples: int = PRIOR_SAMPLES,
    seed: int = 0,
) -> Tensor:
    """The probability of each label of each row, (N, C), float32, on the CPU.

    Of a latent that is the set it is q(y | x). Of a decoder it is the mean of p(y_c = 1 | x, z)
    over samples of the prior, which reads no labels. The model is left in evaluation mode.

    Args:
        model: that predicts a set of labels.
        batches: fields on any device; the labels are not read.
        samples: of the prior.
        seed: of them.

    Raises:
        ValueError: the model predicts no set of labels.
    """
    predicts = predicted_set(model)
    if predicts is None:
        raise ValueError("the model predicts no set of labels")
    name, field, latent = predicts
    model.eval()
    parts = []
    with seeded(seed):
        for batch in batches:
            fields = {key: value.to(model.device) for key, value in batch.items() if key != field}
            if latent:
                parts.append(model.encode(**fields)[name].mean.float().cpu())
                continue
            features = model.encoder_features(fields)
            count = len(next(iter(batch.values())))
            total = torch.zeros(())
            rounds = samples if len(model.latents) else 1
            for _ in range(rounds):
                values = model.prior_values(features, count)
                mean = model.likelihoods(values, features, count, [name])[name].mean[0]
                total = total + mean.float().cpu() / rounds
            parts.append(total)
    return torch.cat(parts)


def best_threshold(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The threshold of `THRESHOLDS` with the highest micro-F1 of (N, C); the lowest of several."""
    scores = [micro_f1(probabilities > threshold, truth > 0) for threshold in THRESHOLDS]
    return float(THRESHOLDS[int(np.argmax(scores))])


def micro_f1(predicted: np.ndarray, truth: np.ndarray) -> float:
    """2 TP / (2 TP + FP + FN) of sets, (N, C), bool; 0 where nothing is there or predicted."""
    total = predicted.sum() + truth.sum()
    return float(2 * (predicted & truth).sum() / total) if total else 0.0


def label_set_metrics(
    probabilities: np.ndarray, truth: np.ndarray, threshold: float, validated: int, draws: int = 0
) -> LabelSetMetrics:
    """The metrics of predicted sets.

    Args:
        probabilities: of each label, (N, C).
        truth: (N, C), 1 and 0; -1 in rows without a set, which are left out.
        threshold: above which a label is predicted.
        validated: number of rows that it was chosen on.
        draws: see `LabelSetMetrics`.

    Raises:
        ValueError: no row has a set.
    """
    known = (truth >= 0).all(1)
    if not known.any():
        raise ValueError("no row has a set of labels")
    there, predicted = truth[known] > 0, probabilities[known] > threshold
    right = there & predicted
    by_label, by_row = there.sum(0) + predicted.sum(0), there.sum(1) + predicted.sum(1)
    used = by_label > 0
    return LabelSetMetrics(
        micro_f1=micro_f1(predicted, there),
        macro_f1=float((2 * right.sum(0)[used] / by_label[used]).mean()) if used.any() else 0.0,
        example_f1=float(np.where(by_row, 2 * right.sum(1) / np.maximum(by_row, 1), 1.0).mean()),
        exact_match=float((there == predicted).all(1).mean()),
        threshold=threshold,
        validated=validated,
        labels=truth.shape[1],
        rows=int(known.sum()),
        draws=draws,
    )


def probabilities_of(model: VAE, rows: Examples, seed: int = 0) -> np.ndarray:
    """`label_probabilities` of rows in their order, (N, C)."""
    order, batches = zip(*rows.in_length_order(), strict=True)
    found = label_probabilities(model, batches, seed=seed).numpy()
    return found[np.argsort(np.concatenate(order))]


def label_set_evaluation(
    model: VAE, rows: Examples, validation: Examples | None, seed: int = 0
) -> dict[str, Any]:
    """The metrics of predicted sets of labels, as `label_sets`; empty for a model without.

    Args:
        model: any.
        rows: held out; those without a set do not count.
        validation: rows that the threshold is chosen on; None for the threshold 0.5.
        seed: of the samples of the prior.
    """
    predicts = predicted_set(model)
    column = getattr(rows, "columns", {}).get(predicts[1]) if predicts else None
    if column is None or not (column.values >= 0).any():
        return {}
    threshold, validated = 0.5, 0
    given = None if validation is None else validation.columns[predicts[1]].values  # type: ignore[attr-defined,index]
    if given is not None and (known := (given >= 0).all(1)).any():
        probabilities = probabilities_of(model, validation, seed)  # type: ignore[arg-type]
        threshold = best_threshold(probabilities[known], given[known])
        validated = int(known.sum())
    metrics = label_set_metrics(
        probabilities_of(model, rows, seed), column.values, threshold, validated, draws_of(model)
    )
    return {"label_sets": asdict(metrics)}
