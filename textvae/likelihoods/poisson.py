"""Poisson counts, from a decoder's outputs."""

from typing import ClassVar

from torch import Tensor
from torch.distributions import Distribution, Independent, Poisson

from textvae.likelihoods.base import HEADS, Likelihood

MOST_LOG_RATE = 20.0
"""Largest log rate: above it, a count of float32 has no neighbours."""


class PoissonValues(Likelihood, kind="poisson"):
    """log p(x) = x log r - r - log x! of each count x, with log r the decoder's output."""

    bounded: ClassVar[bool] = False
    values: ClassVar[tuple[str, ...]] = ("counts", "bits")
    pixels: ClassVar[tuple[str, ...]] = ()

    def forward(self, outputs: Tensor) -> Distribution:
        """p(x | z) of outputs, (K, B, 1, *S): log rates."""
        rate = outputs.squeeze(HEADS).float().clamp(max=MOST_LOG_RATE).exp()
        each = Poisson(rate, validate_args=False)
        return Independent(each, rate.ndim - 2, validate_args=False)
