"""What the latents hold: posterior moments over a data set, active units, collapse."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from textvae.model import VAE

ACTIVE = 0.01
"""Variance of a posterior mean over the data above which its dimension counts as active."""


@torch.no_grad()
def posterior_moments(
    model: VAE, batches: Iterable[Mapping[str, Tensor]]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Posterior means and standard deviations of each latent, (N, D) each, on the CPU.

    Rows are in the order of the batches; the model is left in evaluation mode.
    """
    model.eval()
    parts: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in model.latents}
    for fields in batches:
        on_device = {name: value.to(model.device) for name, value in fields.items()}
        for name, posterior in model.encode(**on_device).items():
            parts[name].append((posterior.mean.cpu(), posterior.stddev.cpu()))
    return {
        name: (torch.cat([p[0] for p in rows]), torch.cat([p[1] for p in rows]))
        for name, rows in parts.items()
        if rows
    }


def active_units(means: Tensor, threshold: float = ACTIVE) -> int:
    """Number of dimensions whose posterior mean, (N, D), varies over the data.

    #{d : Var_x(E_q[z_d | x]) > threshold}; 0 for a single text.

    Source: Burda et al. 2016, section 5.2, arXiv:1509.00519.
    """
    if len(means) < 2:
        return 0
    return int((means.var(0) > threshold).sum())


def is_collapsed(kl: float, active: int | None = None) -> bool:
    """Whether the posterior equals the prior for all that matters: KL below 0.1 nats or no unit."""
    return kl < 0.1 or active == 0
