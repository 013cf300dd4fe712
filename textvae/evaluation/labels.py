"""Accuracy of the labels that a model predicts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from textvae.data.batching import Examples
from textvae.data.fields import Fields, Labels
from textvae.evaluation.probes import accuracy_and_f1
from textvae.families import Family
from textvae.graph.model import VAE


@dataclass(frozen=True)
class Classification:
    """Metrics of predicted labels.

    Args:
        accuracy: share of rows whose predicted label is the true one.
        macro_f1: F1 of each class, mean over all of them.
        labelled: number of rows with a label.
    """

    accuracy: float
    macro_f1: float
    labelled: int


def labelled_latent(model: VAE) -> tuple[str, str] | None:
    """The name of the latent that is a label, and of the label's field; None without one."""
    nodes = model.config.nodes("latents")
    return next(((node["name"], node["field"]) for node in nodes if "field" in node), None)


def taught_label(model: VAE) -> tuple[str, str]:
    """`labelled_latent` of a model that has one.

    Raises:
        ValueError: it has none.
    """
    label = labelled_latent(model)
    if label is None:
        raise ValueError("the model was taught no label: no latent has a field")
    return label


@torch.no_grad()
def class_probabilities(model: VAE, batches: Iterable[Mapping[str, Tensor]]) -> Tensor:
    """q(label | x) of each row, (N, C), float32, in the order of the batches.

    Of a latent whose prior takes the label it is p(label | z) at the posterior's point estimate.

    Args:
        model: left in evaluation mode, in which it reads no label.
        batches: fields on any device.

    Raises:
        ValueError: no latent of the model is a label.
    """
    name, _ = taught_label(model)
    model.eval()
    parts = []
    for batch in batches:
        fields = {field: value.to(model.device) for field, value in batch.items()}
        posterior = model.encode(**fields)[name]
        parts.append(label_probabilities(model, name, posterior).float().cpu())
    return torch.cat(parts)


def classified(model: VAE, rows: Examples) -> np.ndarray:
    """`class_probabilities` of rows in their order, (N, C)."""
    order, batches = zip(*rows.in_length_order(), strict=True)
    return class_probabilities(model, batches).numpy()[np.argsort(np.concatenate(order))]


def label_probabilities(model: VAE, latent: str, posterior: Distribution) -> Tensor:
    """The probability of each class, (B, C), by the latent that is a label.

    Args:
        model: the model.
        latent: name of the latent.
        posterior: of the latent, batch shape (B,).
    """
    prior = model.class_prior(latent)
    if prior is None:
        return posterior.mean
    family = cast(Family, model.latents[latent])
    return prior.class_logits(family.point_estimate(posterior)).softmax(-1)


def classification(probabilities: Tensor, labels: Tensor) -> Classification:
    """Metrics of the most probable class, of (N, C), given labels, (N,); rows of -1 are left out.

    Raises:
        ValueError: no row has a label.
    """
    labelled = labels >= 0
    if not labelled.any():
        raise ValueError("no text has a label: accuracy needs some")
    truth, predicted = labels[labelled].numpy(), probabilities[labelled].argmax(-1).numpy()
    accuracy, macro_f1 = accuracy_and_f1(truth, predicted)
    return Classification(accuracy, macro_f1, len(truth))


def label_metrics(model: VAE, rows: Fields) -> dict[str, Any]:
    """The metrics of the label that a model predicts, see `Classification`.

    Empty where it predicts none, or sets of labels, and where no row has a label.
    """
    label = labelled_latent(model)
    column = None if label is None else rows.columns.get(label[1])
    if not isinstance(column, Labels) or not (column.values >= 0).any():
        return {}
    probabilities = torch.from_numpy(classified(model, rows))
    return asdict(classification(probabilities, torch.from_numpy(column.values)))


def label_accuracy(model: VAE, batches: Sequence[Mapping[str, Tensor]]) -> float | None:
    """Share of rows whose predicted label is true; None for a model or rows without labels.

    None also for sets of labels, see `label_sets.py`.
    """
    label = labelled_latent(model)
    if label is None or label[1] not in batches[0]:
        return None
    labels = torch.cat([batch[label[1]].cpu() for batch in batches])
    if labels.ndim > 1 or not (labels >= 0).any():
        return None
    return classification(class_probabilities(model, batches), labels).accuracy
