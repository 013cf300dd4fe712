"""Priors of a categorical latent, whole and sparsified, against its aggregate posterior."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from textvae.families import Family
from textvae.graph.model import VAE
from textvae.layers.sparsification import SPARSIFIERS
from textvae.registry import suggest

MODE = 0.01
"""Share of the rows of a condition from which a class counts as one of its modes."""


@dataclass(frozen=True)
class Codes:
    """Classes of a categorical latent: those in use, and those of its prior under each rule.

    Figures of a prior are means over the conditions, the values of what the prior is given, of
    which each counts alike. A mode is a class with at least 1 % of the aggregate posterior.

    Args:
        used: modes of all rows together.
        modes: of each condition.
        softmax_kept, evidential_kept, sparsemax_kept, top_p_kept: classes above 0 in the prior.
        softmax_missed, evidential_missed, sparsemax_missed, top_p_missed: modes that are not.
        softmax_variation, evidential_variation, sparsemax_variation, top_p_variation: total
            variation between the prior and the aggregate posterior, 0 to 1.
        evidential_gain: that of sparsemax less that of the evidential rule.

    Source: Itkina et al. 2020, section 6, arXiv:2010.09164.
    """

    used: int
    modes: float
    softmax_kept: float
    evidential_kept: float
    sparsemax_kept: float
    top_p_kept: float
    softmax_missed: float
    evidential_missed: float
    sparsemax_missed: float
    top_p_missed: float
    softmax_variation: float
    evidential_variation: float
    sparsemax_variation: float
    top_p_variation: float
    evidential_gain: float


def categorical_latent(model: VAE) -> str | None:
    """The latent that is one categorical without a label, with a prior of its own; None without."""
    for node in model.config.nodes("latents"):
        family = cast(Family, model.latents[node["name"]])
        if family.enumerated and "field" not in node and "prior" in node:
            return node["name"]
    return None


@torch.no_grad()
def code_metrics(model: VAE, batches: Iterable[Mapping[str, Tensor]]) -> Codes | None:
    """The classes of a model's categorical latent; None for a model or a prior without.

    A prior that is given more than labels has as many conditions as rows, and no such figures.

    Args:
        model: left in evaluation mode.
        batches: fields on any device.
    """
    name = categorical_latent(model)
    if name is None:
        return None
    node = next(node for node in model.config.nodes("latents") if node["name"] == name)
    fields = model.config.fields_behind(node["prior"].get("given") or [], posterior=False)
    if any("classes" not in (model.config.observed or {}).get(field, {}) for field in fields):
        return None
    model.eval()
    conditions, posteriors, priors = [], [], []
    for batch in batches:
        on_device = {field: value.to(model.device) for field, value in batch.items()}
        count = len(next(iter(on_device.values())))
        latent = model.draw(model.read(on_device), 1, count, use_mean=True)[name]
        posteriors.append(latent.posterior.mean[0].float().cpu())
        priors.append(latent.prior.expand((1, count)).logits[0].float().cpu())  # type: ignore[attr-defined]
        keys = [on_device[field].cpu() for field in fields] or [torch.zeros(count)]
        conditions.append(torch.stack(keys, -1))
    posterior, prior = torch.cat(posteriors), torch.cat(priors)
    _, groups = torch.cat(conditions).unique(dim=0, return_inverse=True)
    members = [groups == group for group in range(int(groups.max()) + 1)]
    aggregate = torch.stack([posterior[rows].mean(0) for rows in members])
    logits = torch.stack([prior[rows][0] for rows in members])
    return codes_of(posterior.mean(0), aggregate, logits)


def codes_of(whole: Tensor, aggregate: Tensor, logits: Tensor) -> Codes:
    """The metrics of aggregate posteriors and priors.

    Args:
        whole: aggregate posterior of all rows, (K,).
        aggregate: of each condition, (G, K).
        logits: of the prior of each condition, (G, K).
    """
    modes = aggregate >= MODE
    metrics: dict[str, float] = {}
    for rule, sparsify in SPARSIFIERS.items():
        prior = sparsify(logits)
        kept = prior > 0
        metrics[f"{rule}_kept"] = kept.sum(-1).float().mean().item()
        metrics[f"{rule}_missed"] = (modes & ~kept).sum(-1).float().mean().item()
        metrics[f"{rule}_variation"] = (prior - aggregate).abs().sum(-1).mean().item() / 2
    gain = metrics["sparsemax_variation"] - metrics["evidential_variation"]
    return Codes(
        used=int((whole >= MODE).sum()),
        modes=modes.sum(-1).float().mean().item(),
        evidential_gain=gain,
        **metrics,
    )


@torch.no_grad()
def sparse_prior_samples(
    model: VAE, count: int, rule: str = "evidential", **fields: Tensor
) -> dict[str, Tensor]:
    """`VAE.sample_prior` with a categorical latent drawn from its sparsified prior.

    Args:
        model: with one categorical latent, the first of its latents.
        count: of each latent, (1, count, D).
        rule: a name of `SPARSIFIERS`.
        **fields: for priors that are given encoders.

    Raises:
        ValueError: an unknown rule, or the first latent is not categorical.
    """
    if rule not in SPARSIFIERS:
        raise ValueError(f"rule: unknown {rule!r} {suggest(rule, SPARSIFIERS)}")
    nodes = model.config.nodes("latents")
    if not nodes or not cast(Family, model.latents[nodes[0]["name"]]).enumerated:
        raise ValueError("the first latent must be categorical for a sparse prior")
    features, shape = model.encoder_features(fields), torch.Size((1, count))
    prior = model.prior(nodes[0], features, {}, shape, next(model.parameters())).expand(shape)
    probabilities = SPARSIFIERS[rule](prior.logits[0])  # type: ignore[attr-defined]
    chosen = torch.multinomial(probabilities, 1)[:, 0]
    values = torch.nn.functional.one_hot(chosen, probabilities.shape[-1]).float()[None]
    return model.prior_values(features, count, {nodes[0]["name"]: values})
