"""Diagonal Gaussian posterior under an autoregressive prior that it can never equal."""

import math
from typing import ClassVar, cast

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Size, Tensor, nn
from torch.distributions import Distribution, Independent, Normal, register_kl

from textvae.families.base import Family, in_float32
from textvae.families.gaussian import diagonal_normal
from textvae.registry import Count

SHARPEST = math.log(1e6)
"""Largest log precision of a step given the one before it: float32 samples keep three digits."""


class Delta(Family, kind="delta"):
    """q(z | x) = N(mu, diag(sigma^2)) under an AR(1) prior: KL(q || p) >= rate for every q.

    z is a sequence of `steps` vectors of D / steps channels each. Independent dimensions cannot
    match a prior that correlates them, so every text has a KL of at least `rate` nats; alpha, the
    correlation of neighbours, is what makes the least KL equal to it. The rate is paid, not
    used: a posterior that is the same for every text can have it too, so look at the mutual
    information beside the KL. With a learned prior in a recipe there is no AR(1) prior and no
    rate.

    Args:
        features: size H of the context.
        dim: D.
        rate: delta, the least KL, nats.
        steps: length of the sequence; D when not given, so that each step is one number.

    >>> family = Delta(dim=4, features=3, rate=2.0)
    >>> round(family.alpha, 4)
    0.9652

    Raises:
        ValueError: D is no multiple of `steps`, there are fewer than two, or the rate is more
            than float32 can hold.

    Source: Razavi et al. 2019, arXiv:1901.03416. They choose alpha; the anti-causal encoder and the
    auxiliary prior are left out.
    """

    prevents_collapse = True

    def __init__(
        self,
        features: int,
        dim: Count = 32,
        rate: PositiveFloat = 6.0,
        steps: PositiveInt | None = None,
    ):
        super().__init__()
        self.dim = dim
        self.steps = dim if steps is None else steps
        if self.steps < 2 or dim % self.steps:
            raise ValueError(
                f"delta needs at least 2 steps and dim a multiple of them "
                f"(got dim {dim}, steps {self.steps})"
            )
        self.log_precision = log_precision_of(rate, self.steps, dim // self.steps)
        self.head = nn.Linear(features, 2 * dim)

    @property
    def alpha(self) -> float:
        """Correlation of a step with the one before it."""
        return math.sqrt(-math.expm1(-self.log_precision))

    def variational_parameters(self, context: Tensor) -> Tensor:
        """mu and log sigma^2 of each context, (..., H), side by side: (..., 2 D)."""
        return in_float32(self.head, context)

    def distribution(self, variational_parameters: Tensor) -> Distribution:
        """N(mu, diag(sigma^2)) of mu and log sigma^2, (..., 2 D)."""
        mean, log_variance = variational_parameters.chunk(2, dim=-1)
        return diagonal_normal(mean, (0.5 * log_variance).exp())

    def default_prior(self, batch_shape: Size, like: Tensor) -> Distribution:
        """The AR(1) prior on the device of `like`."""
        zero = torch.zeros(*batch_shape, self.dim, device=like.device)
        return AutoregressiveNormal(zero, self.log_precision, self.steps)


class AutoregressiveNormal(Distribution):
    """z_1 ~ N(0, I), z_t = alpha z_{t-1} + sqrt(1 - alpha^2) e_t with e_t ~ N(0, I).

    Every z_t is N(0, I) by itself.

    Args:
        mean: zero, (..., D); D = steps times channels, the channels of a step side by side.
        log_precision: -log(1 - alpha^2).
        steps: length of the sequence.
    """

    arg_constraints: ClassVar[dict] = {}
    has_rsample = True

    def __init__(self, mean: Tensor, log_precision: float, steps: int):
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=False)
        self.zero = mean
        self.log_precision = log_precision
        self.alpha = math.sqrt(-math.expm1(-log_precision))
        self.steps = steps

    @property
    def mean(self) -> Tensor:
        """Zero, (..., D)."""
        return self.zero

    @property
    def mode(self) -> Tensor:
        """The mean."""
        return self.zero

    @property
    def variance(self) -> Tensor:
        """Of each dimension: one, (..., D)."""
        return torch.ones_like(self.zero)

    def expand(self, batch_shape: Size, _instance: None = None) -> "AutoregressiveNormal":
        """The same distribution for a larger batch."""
        zero = self.zero.expand(*batch_shape, -1)
        return AutoregressiveNormal(zero, self.log_precision, self.steps)

    def sequence(self, values: Tensor) -> Tensor:
        """Values of the dimensions, (..., D), as (..., steps, channels)."""
        return values.unflatten(-1, (self.steps, -1))

    def rsample(self, sample_shape: Size | tuple[int, ...] = ()) -> Tensor:
        """Samples, (*sample_shape, ..., D)."""
        zero = self.zero.expand(self._extended_shape(Size(sample_shape)))
        noise = self.sequence(torch.randn_like(zero))
        values = [noise[..., 0, :]]
        for step in range(1, self.steps):
            fresh = math.exp(-0.5 * self.log_precision) * noise[..., step, :]
            values.append(self.alpha * values[-1] + fresh)
        return torch.cat(values, -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(z), (...)."""
        moved = value - self.zero
        return -self.energy(moved, torch.zeros_like(moved)) - self.log_normalizer

    @property
    def log_normalizer(self) -> float:
        """-log of the density at zero."""
        dim = self.event_shape[0]
        correlated = dim - dim // self.steps
        return 0.5 * (dim * math.log(2 * math.pi) - correlated * self.log_precision)

    def energy(self, mean: Tensor, variance: Tensor) -> Tensor:
        """E[z^T precision z] / 2 over z of a mean and of independent variances, (..., D): (...)."""
        first, second = self.sequence(mean), self.sequence(variance)
        innovation = first[..., 1:, :] - self.alpha * first[..., :-1, :]
        spread = second[..., 1:, :] + self.alpha**2 * second[..., :-1, :]
        later = math.exp(self.log_precision) * (innovation.square() + spread).sum((-2, -1))
        begin = (first[..., 0, :].square() + second[..., 0, :]).sum(-1)
        return 0.5 * (begin + later)


@register_kl(Independent, AutoregressiveNormal)
def kl_diagonal_autoregressive(q: Independent, p: AutoregressiveNormal) -> Tensor:
    """KL of independent Gaussians from AR(1), exact, (...), nats."""
    if not isinstance(q.base_dist, Normal) or q.reinterpreted_batch_ndims != 1:
        raise NotImplementedError
    base = cast(Normal, q.base_dist)
    return p.energy(base.mean, base.variance) + p.log_normalizer - q.entropy()


def least_rate(log_precision: float, steps: int, channels: int) -> float:
    """The least KL of any diagonal Gaussian from AR(1), nats; sigma^2 = 1 / diag(precision) has it.

    channels / 2 ((steps - 2) log(1 + alpha^2) - log(1 - alpha^2))

    Source: Razavi et al. 2019, arXiv:1901.03416: there a lower bound; it is reached.
    """
    squared = -math.expm1(-log_precision)
    return 0.5 * channels * ((steps - 2) * math.log1p(squared) + log_precision)


def log_precision_of(rate: float, steps: int, channels: int) -> float:
    """-log(1 - alpha^2) of the AR(1) prior whose least KL is `rate`, by bisection.

    Raises:
        ValueError: the rate is more than float32 can hold.
    """
    most = least_rate(SHARPEST, steps, channels)
    if rate > most:
        raise ValueError(
            f"a rate of {rate:g} nats is too much for {steps} steps of {channels}: at most "
            f"{most:.3g}; a larger dim or fewer steps hold more"
        )
    low, high = 0.0, SHARPEST
    while low < (middle := 0.5 * (low + high)) < high:
        below = least_rate(middle, steps, channels) < rate
        low, high = (middle, high) if below else (low, middle)
    return high
