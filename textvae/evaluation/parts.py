"""Metrics of rows with parts: the KL of each latent, the number of parts."""

from collections.abc import Sequence
from typing import Any

import torch

from textvae.data.batching import Batch
from textvae.evaluation.latent import ACTIVE, added_kls, posterior_moments
from textvae.graph.model import VAE
from textvae.graph.plates import batch_size
from textvae.randomness import seeded


@torch.no_grad()
def part_metrics(model: VAE, batches: Sequence[Batch], seed: int = 0) -> dict[str, Any]:
    """Metrics of a model of rows with parts; see `Metrics`, whose values they take the place of.

    Args:
        model: is left in evaluation mode.
        batches: held-out rows.
        seed: of the samples.
    """
    model.eval()
    variances: list[float] = []
    for name, (means, _) in posterior_moments(model, batches).items():
        scaled = (means / torch.as_tensor(model.prior_scale(name)).cpu()).double()
        # A single part has no variance.
        variances += (scaled.var(0) if len(scaled) > 1 else torch.zeros(scaled.shape[1])).tolist()
    counts = {
        plate: torch.cat([batch[plate] for batch in batches]).double().mean().item()
        for plate in model.config.plate_fields
    }
    kls = latent_kls(model, batches, seed)
    whole = [kls[name] for name in model.row_latents]
    found: dict[str, Any] = {
        "variances": tuple(variances),
        "active_units": sum(variance > ACTIVE for variance in variances),
        "kls": None,
        "latent_kls": kls,
        "whole_kl": sum(whole) if whole else None,
        "parts": counts,
    }
    if not model.row_latents:
        found |= {"mutual_information": None, "marginal_kl": None}
        found |= {"mutual_information_standard_error": None}
    return found


@torch.no_grad()
def latent_kls(model: VAE, batches: Sequence[Batch], seed: int = 0) -> dict[str, float]:
    """The KL of each latent, one sample, nats per row: of parts, the sum over those of a row."""
    total, rows = dict.fromkeys(model.latents, 0.0), 0
    with seeded(seed):
        for batch in batches:
            fields = {name: value.to(model.device) for name, value in batch.items()}
            out = model.infer(1, **fields)
            rows += batch_size(model.config, fields)
            for name, latent in out.latents.items():
                total[name] += out.expected(latent.kl().double()).sum().item()
    return {name: value / max(1, rows) for name, value in total.items()}


@torch.no_grad()
def row_kls(model: VAE, batches: Sequence[Batch], seed: int = 0) -> tuple[float, ...] | None:
    """The mean KL of each dimension of the latents of whole rows, one sample, nats.

    None where a posterior does not factorise.
    """
    total: torch.Tensor | None = torch.zeros((), dtype=torch.float64)
    rows = 0
    with seeded(seed):
        for batch in batches:
            fields = {name: value.to(model.device) for name, value in batch.items()}
            size = batch_size(model.config, fields)
            latents = model.draw(model.read(fields), 1, size, whole=True)
            total = None if total is None else added_kls(total, latents)
            rows += size
    return None if total is None else tuple((total / max(1, rows)).tolist())
