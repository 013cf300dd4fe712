"""The maximum mean discrepancy between what the encoder gives and the prior."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from textvae.objectives.base import Objective, parts, prior_like, reparameterized
from textvae.objectives.outputs import Loss, VAEOutput, scalar
from textvae.objectives.schedules import Constant, Schedule
from textvae.registry import Count

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class MMD(Objective, kind="mmd"):
    """-E_q log p(x | z) + w KL(q(z | x) || p(z)) + v MMD^2(q(z), p(z)).

    q(z) is the posterior of all texts together, here of the batch. Zhao et al. write w = 1 - alpha
    and v = alpha + lambda - 1: w = 1, v = 0 is the ELBO, w = 0 their MMD-VAE.

    Args:
        kl_weight: w as a function of the optimizer step.
        mmd_weight: v as a function of the optimizer step.
        kernel: `imq` (inverse multiquadratic) or `rbf` (Gaussian), each a mean over scales.
        latent: name of the latent z.
        samples: samples K of each latent.

    Source: Zhao et al. 2019, eq. 6, arXiv:1706.02262; scales of Tolstikhin et al. 2018,
    arXiv:1711.01558, who add them up.
    """

    matches_prior = True

    kl_weight: Schedule = Constant(0.0)
    mmd_weight: Schedule = Constant(10.0)
    kernel: Literal["imq", "rbf"] = "imq"
    latent: str = "z"
    samples: Count = 1

    def __call__(self, out: VAEOutput, step: int) -> Loss:
        """The loss of a batch at an optimizer step."""
        reconstruction_loss, kl, terms = parts(out)
        latent = reparameterized(out, self.latent)
        drawn, prior = latent.value.flatten(0, 1), prior_like(latent).flatten(0, 1)
        distance = squared_mmd(drawn, prior, KERNELS[self.kernel])
        kl_weight = self.kl_weight(step)
        value = reconstruction_loss + kl_weight * kl + self.mmd_weight(step) * distance
        own = {"mmd": distance.detach(), "kl_weight": scalar(kl_weight, kl)}
        return Loss(value, terms | own)


def squared_mmd(x: Tensor, y: Tensor, kernel: Callable[[Tensor, int], Tensor]) -> Tensor:
    """E k(x, x') + E k(y, y') - 2 E k(x, y) over all pairs, a point with itself included, ().

    This V-statistic is 0 for equal samples and never negative; for N samples each of one
    distribution its mean is 2 / N (k(x, x) - E k(x, x')).

    Args:
        x: samples, (N, D).
        y: samples, (M, D).
        kernel: k as a function of |x - y|^2 and D.

    Source: Gretton et al. 2012, eq. 5, JMLR 13.
    """

    def mean(a: Tensor, b: Tensor) -> Tensor:
        return kernel((a[:, None] - b).square().sum(-1), a.shape[-1]).mean()

    return mean(x, x) + mean(y, y) - 2 * mean(x, y)


def inverse_multiquadratic(squared: Tensor, dim: int) -> Tensor:
    """The mean over scales s of c / (c + |x - y|^2), c = 2 D s.

    2 D is the mean of |x - y|^2 for x and y from N(0, I).
    """
    return torch.stack([2 * dim * s / (2 * dim * s + squared) for s in SCALES]).mean(0)


def gaussian(squared: Tensor, dim: int) -> Tensor:
    """The mean over scales s of exp(-|x - y|^2 / c), c = 2 D s."""
    return torch.stack([(-squared / (2 * dim * s)).exp() for s in SCALES]).mean(0)


KERNELS = {"imq": inverse_multiquadratic, "rbf": gaussian}
