"""Von Mises-Fisher on the unit sphere; its prior is uniform."""

import math
from functools import lru_cache
from typing import ClassVar

import torch
from pydantic import PositiveFloat
from torch import Size, Tensor, nn
from torch.distributions import Beta, Distribution, register_kl

from textvae.families.base import Family, in_float32
from textvae.registry import Count


class Spherical(Family, kind="vmf"):
    """vMF(mu, kappa) on the unit sphere of R^D, mu the direction of a linear map of the context.

    kappa is fixed, so the KL from the uniform prior is the same number for every text. The
    posterior's mean lies inside the sphere, at A(kappa) mu; its mode is mu, on it.

    Args:
        features: size H of the context.
        dim: D.
        kappa: concentration.

    >>> family = Spherical(dim=32, features=3, kappa=30.0)
    >>> round(family.rate, 3)
    7.213

    Raises:
        ValueError: fewer than two dimensions.

    Source: Xu & Durrett 2018, arXiv:1808.10805.
    """

    spherical = True
    learnable = False
    prevents_collapse = True

    def __init__(self, features: int, dim: Count = 32, kappa: PositiveFloat = 30.0):
        super().__init__()
        if dim < 2:
            raise ValueError(f"a sphere needs a dim of at least 2 (got {dim})")
        self.dim = dim
        self.prior_scale = dim**-0.5
        self.kappa = float(kappa)
        self.head = nn.Linear(features, dim)

    @property
    def rate(self) -> float:
        """KL from the uniform prior, nats per text."""
        return (
            log_normalizer(self.dim, self.kappa)
            - log_normalizer(self.dim, 0.0)
            + self.kappa * mean_length(self.dim, self.kappa)
        )

    def variational_parameters(self, context: Tensor) -> Tensor:
        """A vector in the direction of mu for each context, (..., H): (..., D)."""
        return in_float32(self.head, context)

    def distribution(self, variational_parameters: Tensor) -> Distribution:
        """The distribution around the directions of vectors, (..., D)."""
        return VonMisesFisher(unit(variational_parameters), self.kappa)

    def point_estimate(self, posterior: Distribution) -> Tensor:
        """mu, (..., D): the mean lies inside the sphere, where there are no latents."""
        return posterior.mode

    def project(self, value: Tensor) -> Tensor:
        """The point in the same direction on the sphere, (..., D)."""
        return nn.functional.normalize(value, dim=-1)

    def default_prior(self, batch_shape: Size, like: Tensor) -> Distribution:
        """The uniform distribution on the sphere, kappa = 0, on the device of `like`."""
        anywhere = torch.zeros(*batch_shape, self.dim, device=like.device)
        anywhere[..., 0] = 1.0
        return VonMisesFisher(anywhere, 0.0)


class VonMisesFisher(Distribution):
    """C(kappa) exp(kappa mu^T z) over the area of the unit sphere of R^D; uniform if kappa is 0.

    Args:
        direction: mu, unit vectors, (..., D).
        kappa: concentration, at least 0, the same for all.

    Source: Davidson et al. 2018, arXiv:1804.00891.
    """

    arg_constraints: ClassVar[dict] = {}
    has_rsample = True

    def __init__(self, direction: Tensor, kappa: float):
        super().__init__(direction.shape[:-1], direction.shape[-1:], validate_args=False)
        self.direction = direction
        self.kappa = kappa

    @property
    def size(self) -> int:
        """D."""
        return self.event_shape[0]

    @property
    def mean(self) -> Tensor:
        """E z = A(kappa) mu, (..., D), inside the sphere."""
        return mean_length(self.size, self.kappa) * self.direction

    @property
    def mode(self) -> Tensor:
        """mu, (..., D), on the sphere."""
        return self.direction

    @property
    def variance(self) -> Tensor:
        """Of each coordinate, (..., D)."""
        length = mean_length(self.size, self.kappa)
        across = across_variance(self.size, self.kappa)
        along = max(0.0, 1 - (self.size - 1) * across - length**2)
        squared = self.direction.square()
        return across * (1 - squared) + along * squared

    def expand(self, batch_shape: Size, _instance: None = None) -> "VonMisesFisher":
        """The same distributions for a larger batch."""
        return VonMisesFisher(self.direction.expand(*batch_shape, -1), self.kappa)

    def rsample(self, sample_shape: Size | tuple[int, ...] = ()) -> Tensor:
        """Samples, (*sample_shape, ..., D), with gradients to mu.

        A sample around the first axis, reflected to lie around mu.

        Source: Davidson et al. 2018, arXiv:1804.00891.
        """
        shape = self._extended_shape(Size(sample_shape))
        cosine, sine = sample_angle(shape[:-1].numel(), self.size, self.kappa, self.direction)
        axis = torch.zeros(shape, dtype=cosine.dtype, device=cosine.device)
        axis[..., 0] = 1.0
        noise = torch.randn_like(axis[..., 1:])
        # Not even once in 2^24 may it be zero, which has no direction.
        noise = noise.masked_fill(noise == 0, torch.finfo(noise.dtype).eps)
        tangent = sine.view(*shape[:-1], 1) * unit(noise)
        around_axis = torch.cat([cosine.view(*shape[:-1], 1), tangent], -1)
        mirror = axis - self.direction
        # Where mu is the first axis there is nothing to reflect: 0 / tiny.
        square = mirror.square().sum(-1, keepdim=True).clamp(min=torch.finfo(mirror.dtype).tiny)
        return around_axis - 2 * mirror * ((mirror * around_axis).sum(-1, keepdim=True) / square)

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(z) of points on the sphere, (...)."""
        cosine = (self.direction * value).sum(-1)
        return self.kappa * cosine + log_normalizer(self.size, self.kappa)


@register_kl(VonMisesFisher, VonMisesFisher)
def kl_von_mises_fisher(q: VonMisesFisher, p: VonMisesFisher) -> Tensor:
    """KL, exact, (...), nats: log C_q - log C_p + A_q (kappa_q - kappa_p mu_q^T mu_p).

    Source: Xu & Durrett 2018 (p uniform), arXiv:1808.10805.
    """
    apart = 0.5 * (q.direction - p.direction).square().sum(-1)  # 1 - mu_q^T mu_p
    length = mean_length(q.size, q.kappa)
    fixed = log_normalizer(q.size, q.kappa) - log_normalizer(p.size, p.kappa)
    return fixed + length * (q.kappa - p.kappa) + length * p.kappa * apart


def unit(vectors: Tensor) -> Tensor:
    """Unit vectors, (..., D); NaN for zero, which has none.

    In units of the largest coordinate no square underflows, however small the encoder's scale.
    """
    scaled = vectors / vectors.detach().abs().amax(-1, keepdim=True)
    return scaled / scaled.norm(dim=-1, keepdim=True)


@lru_cache
def log_bessel_series(order: float, kappa: float) -> float:
    """log of I_v(kappa) (2 / kappa)^v = sum_k (kappa^2 / 4)^k / (k! Gamma(v + k + 1)).

    All terms are positive and the largest has k < kappa / 2, so the sum is exact to float64 for
    any order and kappa, zero included.

    Source: NIST Digital Library of Mathematical Functions, 10.25.2.
    """
    k = torch.arange(int(kappa) + 50, dtype=torch.float64)
    power = torch.xlogy(k, torch.tensor(kappa**2 / 4, dtype=torch.float64))
    return torch.logsumexp(power - torch.lgamma(k + 1) - torch.lgamma(k + order + 1), 0).item()


def log_normalizer(dim: int, kappa: float) -> float:
    """log C(kappa) = v log kappa - (v + 1) log(2 pi) - log I_v(kappa) with v = D / 2 - 1.

    At kappa = 0, minus the log of the sphere's area.
    """
    order = dim / 2 - 1
    return (
        order * math.log(2) - (order + 1) * math.log(2 * math.pi) - log_bessel_series(order, kappa)
    )


def across_variance(dim: int, kappa: float) -> float:
    """A(kappa) / kappa, the variance of a coordinate at a right angle to mu; 1 / D at 0."""
    order = dim / 2 - 1
    return 0.5 * math.exp(log_bessel_series(order + 1, kappa) - log_bessel_series(order, kappa))


def mean_length(dim: int, kappa: float) -> float:
    """A(kappa) = I_{D/2}(kappa) / I_{D/2-1}(kappa), the length of E z."""
    return kappa * across_variance(dim, kappa)


@torch.no_grad()
def sample_angle(count: int, dim: int, kappa: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angle between samples and mu, (count,) each, by rejection.

    Its density is proportional to exp(kappa w) (1 - w^2)^((D - 3) / 2), with no parameter to
    learn.

    Source: Wood 1994, algorithm VM*; Davidson et al. 2018, arXiv:1804.00891.
    """
    b = (dim - 1) / (2 * kappa + math.sqrt(4 * kappa**2 + (dim - 1) ** 2))
    centre = (1 - b) / (1 + b)
    log_top = math.log(4 * b) - 2 * math.log1p(b)  # log(1 - centre^2)
    half = torch.tensor(0.5 * (dim - 1), dtype=like.dtype, device=like.device)
    variational_parameters = Beta(half, half, validate_args=False)
    cosine = torch.empty(count, dtype=like.dtype, device=like.device)
    sine = torch.empty_like(cosine)
    missing = torch.arange(count, device=like.device)
    while len(missing):
        z = variational_parameters.sample((len(missing),))
        below = 1 - (1 - b) * z
        w = 1 - 2 * b * z / below
        log_ratio = kappa * (w - centre) + (dim - 1) * ((1 - centre * w).log() - log_top)
        accepted = log_ratio >= torch.rand_like(z).log()
        chosen = missing[accepted]
        cosine[chosen] = w[accepted]
        # sqrt(1 - w^2) without the difference of equals that a large kappa makes.
        sine[chosen] = (2 * (b * z * (1 - z)).sqrt() / below)[accepted]
        missing = missing[~accepted]
    return cosine, sine
