"""How well a model that was taught labels tells them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from textvae.evaluation.probes import judged
from textvae.graph.model import VAE


@dataclass(frozen=True)
class Classification:
    """Labels that a model gives, beside the true ones.

    Args:
        accuracy: share of rows that are given their label.
        macro_f1: F1 of each class, mean over all of them.
        labelled: number of rows with a label.
    """

    accuracy: float
    macro_f1: float
    labelled: int


def labelled_latent(model: VAE) -> tuple[str, str] | None:
    """The name of the latent that a label says, and of the label's field; None without one."""
    nodes = model.config.nodes("latents")
    return next(((node["name"], node["field"]) for node in nodes if "field" in node), None)


@torch.no_grad()
def class_probabilities(model: VAE, batches: Iterable[Mapping[str, Tensor]]) -> Tensor:
    """q(label | x) of each row, (N, C), float32, in the order of the batches.

    Args:
        model: is left in evaluation mode, in which it reads no label.
        batches: fields on any device.

    Raises:
        ValueError: the model was taught no label.
    """
    found = labelled_latent(model)
    if found is None:
        raise ValueError("the model was taught no label: no latent has a field")
    model.eval()
    parts = []
    for batch in batches:
        fields = {field: value.to(model.device) for field, value in batch.items()}
        parts.append(model.encode(**fields)[found[0]].mean.float().cpu())
    return torch.cat(parts)


def classification(probabilities: Tensor, labels: Tensor) -> Classification:
    """How often the most probable class, of (N, C), is the label, (N,); -1 counts for nothing.

    Raises:
        ValueError: no row has a label.
    """
    known = labels >= 0
    if not known.any():
        raise ValueError("no text has a label: accuracy needs some")
    truth, said = labels[known].numpy(), probabilities[known].argmax(-1).numpy()
    accuracy, macro_f1 = judged(truth, said)
    return Classification(accuracy, macro_f1, len(truth))


def label_accuracy(model: VAE, batches: Sequence[Mapping[str, Tensor]]) -> float | None:
    """Share of rows that are given their label; None for a model or rows without labels."""
    found = labelled_latent(model)
    if found is None or found[1] not in batches[0]:
        return None
    labels = torch.cat([batch[found[1]].cpu() for batch in batches])
    if not (labels >= 0).any():
        return None
    return classification(class_probabilities(model, batches), labels).accuracy
