"""Base classes of likelihoods and of their distributions."""

from typing import ClassVar

from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.registry import Component

HEADS = 2
"""Axis of a decoder's outputs, (K, B, heads, *S), that holds the numbers for each value."""


class Likelihood(Component, nn.Module):
    """A decoder's outputs, `heads` numbers for each value -> p(x | z) of values of any shape S.

    S is [C, H, W] for images and [D] for vectors.
    """

    heads: int = 1
    """Outputs of the decoder for each value."""

    bounded: ClassVar[bool] = True
    """Whether it is a density of values in [0, 1] only."""

    pixels: ClassVar[tuple[str, ...]] = ("grey", "dequantized", "static", "dynamic")
    """The pixels that it has a density for, see `ImageDataConfig`."""

    values: ClassVar[tuple[str, ...]] = ("bits", "counts", "real")
    """The values of a vector that it has a density for, see `FieldConfig`."""

    def __init__(self) -> None:
        """Without arguments of its own: torch's constructor takes any."""
        super().__init__()

    def forward(self, outputs: Tensor) -> Distribution:
        """p(x | z), batch shape (K, B), event S, of outputs, (K, B, heads, *S)."""
        raise NotImplementedError


class PixelDistribution(Distribution):
    """A density of independent values; batch shape (K, B), event S.

    Subclasses define the log-density of each value.
    """

    arg_constraints: ClassVar[dict] = {}

    def __init__(self, like: Tensor):
        super().__init__(like.shape[:2], like.shape[2:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x | z), (K, B), nats, of values, (B, *S): the sum over S."""
        each = self.pixel_log_prob(value)
        return each.sum(tuple(range(2, each.ndim)))

    def pixel_log_prob(self, value: Tensor) -> Tensor:
        """The log-density of each value, (K, B, *S), nats."""
        raise NotImplementedError
