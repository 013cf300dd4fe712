"""Gaussian with a diagonal covariance; its prior is standard normal."""

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from textvae.families.base import Family, in_float32


class Gaussian(Family, kind="gaussian"):
    """N(mu, diag(sigma^2)) with mu and log sigma^2 linear in the context.

    >>> family = Gaussian(dim=2, features=3)
    >>> family(torch.zeros(4, 5, 3)).batch_shape
    torch.Size([4, 5])

    Source: Kingma & Welling 2014, appendix B, arXiv:1312.6114.
    """

    def __init__(self, features: int, dim: PositiveInt = 32):
        super().__init__()
        self.dim = dim
        self.head = nn.Linear(features, 2 * dim)

    def forward(self, context: Tensor) -> Distribution:
        """The distribution for each context, (..., H): batch shape (...), event (D,)."""
        mean, log_variance = in_float32(self.head, context).chunk(2, dim=-1)
        return diagonal_normal(mean, (0.5 * log_variance).exp())

    def default_prior(self, batch_shape: torch.Size, like: Tensor) -> Distribution:
        """N(0, I) on the device of `like`."""
        zero = torch.zeros(*batch_shape, self.dim, device=like.device)
        return diagonal_normal(zero, torch.ones_like(zero))


def diagonal_normal(mean: Tensor, scale: Tensor) -> Distribution:
    """N(mean, diag(scale^2)), event (D,); unchecked, so that a NaN reaches the loss."""
    return Independent(Normal(mean, scale, validate_args=False), 1, validate_args=False)
