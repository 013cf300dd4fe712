"""Gaussian marginals joined by a Gaussian copula of rank one; its prior is standard normal."""

import math
from typing import ClassVar

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, register_kl

from textvae.families.base import Family, in_float32
from textvae.registry import Count


class Copula(Family, kind="copula"):
    """Marginals N(mu_d, sigma_d^2) with the correlations of I + a a^T.

    The paper's w I + a a^T has the correlations of I + (a / sqrt w)(a / sqrt w)^T, so w is left
    out. With Gaussian marginals the copula's density is a Gaussian's with a full covariance; it is
    exact for two dimensions, and one factor of the correlations for more.

    Args:
        features: size H of the context.
        dim: D.

    >>> Copula(dim=2, features=3)(torch.zeros(4, 3)).event_shape
    torch.Size([2])

    Source: Wang & Wang 2019, arXiv:1909.03569. Their code gives the decoder a sample
    without the correlations and rewards the copula's log density; we sample from the copula
    itself and leave the reward out, so that the ELBO is a bound.
    """

    def __init__(self, features: int, dim: Count = 32):
        super().__init__()
        self.dim = dim
        self.head = nn.Linear(features, 3 * dim)

    def variational_parameters(self, context: Tensor) -> Tensor:
        """mu, log sigma^2 and a of each context, (..., H), side by side: (..., 3 D)."""
        return in_float32(self.head, context)

    def distribution(self, variational_parameters: Tensor) -> Distribution:
        """The distribution of mu, log sigma^2 and a, (..., 3 D)."""
        mean, log_variance, factor = variational_parameters.chunk(3, dim=-1)
        return CopulaNormal(mean, (0.5 * log_variance).exp(), factor)

    def default_prior(self, batch_shape: Size, like: Tensor) -> Distribution:
        """N(0, I) on the device of `like`."""
        zero = torch.zeros(*batch_shape, self.dim, device=like.device)
        return CopulaNormal(zero, torch.ones_like(zero), zero)


class CopulaNormal(Distribution):
    """N(mu, S (I + a a^T) S) with S = diag(sigma / sqrt(1 + a^2)).

    torch's LowRankMultivariateNormal is the same, but its Cholesky factor raises on a NaN, which
    must reach the loss.

    Args:
        mean: mu, (..., D).
        stddev: sigma of each marginal, (..., D).
        factor: a, (..., D).
    """

    arg_constraints: ClassVar[dict] = {}
    has_rsample = True

    def __init__(self, mean: Tensor, stddev: Tensor, factor: Tensor):
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=False)
        self.loc, self.marginal, self.factor = mean, stddev, factor

    @property
    def mean(self) -> Tensor:
        """mu, (..., D)."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """mu, (..., D)."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """Of each marginal, (..., D)."""
        return self.marginal.square()

    @property
    def scale(self) -> Tensor:
        """The diagonal of S, (..., D)."""
        return self.marginal / (1 + self.factor.square()).sqrt()

    @property
    def stretch(self) -> Tensor:
        """det(I + a a^T) = 1 + |a|^2, (...)."""
        return 1 + self.factor.square().sum(-1)

    @property
    def covariance_matrix(self) -> Tensor:
        """S (I + a a^T) S, (..., D, D)."""
        loading = self.scale * self.factor
        return self.scale.square().diag_embed() + loading[..., :, None] * loading[..., None, :]

    @property
    def log_determinant(self) -> Tensor:
        """Of the covariance, (...)."""
        return 2 * self.scale.log().sum(-1) + self.stretch.log()

    def expand(self, batch_shape: Size, _instance: None = None) -> "CopulaNormal":
        """The same distributions for a larger batch."""
        parts = (self.loc, self.marginal, self.factor)
        return CopulaNormal(*(part.expand(*batch_shape, -1) for part in parts))

    def rsample(self, sample_shape: Size | tuple[int, ...] = ()) -> Tensor:
        """Samples, (*sample_shape, ..., D)."""
        shape = self._extended_shape(Size(sample_shape))
        own = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        common = torch.randn_like(own[..., :1])
        return self.loc + self.scale * (own + self.factor * common)

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(z), (...)."""
        whitened = (value - self.loc) / self.scale
        # (I + a a^T)^-1 = I - a a^T / (1 + |a|^2)
        along = (self.factor * whitened).sum(-1)
        distance = whitened.square().sum(-1) - along.square() / self.stretch
        constant = self.event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (distance + self.log_determinant + constant)


@register_kl(CopulaNormal, CopulaNormal)
def kl_copulas(q: CopulaNormal, p: CopulaNormal) -> Tensor:
    """KL of two Gaussians, exact, (...), nats; with a = 0 in p, the marginals' and the copula's.

    1/2 (tr(C_p^-1 C_q) + (mu_p - mu_q)^T C_p^-1 (mu_p - mu_q) - D + log det C_p - log det C_q)
    """
    scale, moved = q.scale / p.scale, (q.loc - p.loc) / p.scale
    trace = (scale.square() * (1 + q.factor.square())).sum(-1) - (
        (p.factor * scale).square().sum(-1) + (p.factor * scale * q.factor).sum(-1).square()
    ) / p.stretch
    distance = moved.square().sum(-1) - (p.factor * moved).sum(-1).square() / p.stretch
    size = q.event_shape[0]
    return 0.5 * (trace + distance - size + p.log_determinant - q.log_determinant)
