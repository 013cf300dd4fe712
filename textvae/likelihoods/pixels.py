"""Densities of numbers, pixels or parts of a vector, from a decoder's outputs."""

import math
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor, nn
from torch.distributions import Beta as BetaDistribution
from torch.distributions import Distribution, Independent, Normal
from torch.nn import functional as F

from textvae.likelihoods.base import HEADS, Likelihood, PixelDistribution
from textvae.registry import Count

SMALL = 0.05
"""Logit below which the continuous Bernoulli's formulas are replaced by their Taylor series."""


class Bernoulli(Likelihood, kind="bernoulli"):
    """Bits; of grey pixels it is the cross-entropy, which is no density: its sum is not one.

    log p(x) = x log l + (1 - x) log(1 - l), from logits.

    Source: Kingma & Welling 2014, appendix C.1, arXiv:1312.6114.
    """

    values: ClassVar[tuple[str, ...]] = ("bits",)

    def forward(self, outputs: Tensor) -> Distribution:
        """p(x | z) of outputs, (K, B, 1, *S): logits."""
        return BernoulliPixels(outputs.squeeze(HEADS).float())


class BernoulliPixels(PixelDistribution):
    """Bernoulli pixels of logits, (K, B, *S)."""

    def __init__(self, logits: Tensor):
        self.logits = logits
        super().__init__(logits)

    @property
    def mean(self) -> Tensor:
        """The probability of each pixel, (K, B, *S)."""
        return self.logits.sigmoid()

    def pixel_log_prob(self, value: Tensor) -> Tensor:
        """x log l + (1 - x) log(1 - l) = x logit - log(1 + exp(logit)), nats."""
        return value * self.logits - F.softplus(self.logits)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Bits, as floats."""
        return torch.bernoulli(self.mean.expand(*sample_shape, *self.mean.shape))


class ContinuousBernoulli(Likelihood, kind="continuous_bernoulli"):
    """The density on [0, 1] that is proportional to l^x (1 - l)^(1 - x).

    With the logit h, log C = log(h / tanh(h / 2)) and the mean is 1/2 + coth(h / 2) / 2 - 1 / h;
    around l = 1/2, h = 0, their Taylor series.

    Source: Loaiza-Ganem & Cunningham 2019, section 3, arXiv:1907.06845. There in l; in h nothing
    saturates in float32.
    """

    values: ClassVar[tuple[str, ...]] = ()

    def forward(self, outputs: Tensor) -> Distribution:
        """p(x | z) of outputs, (K, B, 1, *S): logits."""
        return ContinuousBernoulliPixels(outputs.squeeze(HEADS).float())


class ContinuousBernoulliPixels(BernoulliPixels):
    """Continuous Bernoulli pixels of logits, (K, B, *S)."""

    @property
    def mean(self) -> Tensor:
        """The mean, (K, B, *S), which is not the parameter l."""
        small, safe = self.split_logits()
        large = 0.5 / (0.5 * safe).tanh() - 1 / safe
        series = self.logits / 12 - self.logits**3 / 720
        return 0.5 + torch.where(small, series, large)

    def pixel_log_prob(self, value: Tensor) -> Tensor:
        """log C + x log l + (1 - x) log(1 - l), nats."""
        return self.log_normalizer() + super().pixel_log_prob(value)

    def log_normalizer(self) -> Tensor:
        """log C of each pixel, (K, B, *S)."""
        small, safe = self.split_logits()
        large = safe.abs().log() - (0.5 * safe.abs()).tanh().log()
        square = self.logits**2
        series = math.log(2) + torch.log1p(square / 12 - square**2 / 720)
        return torch.where(small, series, large)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Pixels in [0, 1], by the inverse of the distribution function."""
        u = torch.rand(*sample_shape, *self.logits.shape, device=self.logits.device)
        small, safe = self.split_logits()
        size = safe.abs()
        # For h > 0, F^-1(u) = 1 + log(u + (1 - u) exp(-h)) / h; for h < 0 it is mirrored.
        up = 1 + torch.log(u + (1 - u) * torch.exp(-size)) / size
        drawn = torch.where(safe > 0, up, 1 - up)
        return torch.where(small, u, drawn).clamp(0, 1)

    def split_logits(self) -> tuple[Tensor, Tensor]:
        """Whether each logit is near zero, and the logits with those replaced by one."""
        small = self.logits.abs() < SMALL
        # Gradients of what `where` does not choose must be finite too.
        return small, self.logits.masked_fill(small, 1.0)


class GaussianPixels(Likelihood, kind="gaussian"):
    """N(mean, sigma^2) of each pixel.

    Args:
        variance: "fixed": sigma is `scale`; "shared": one sigma for all pixels, learned from
            `scale` on; "pixel": a sigma for each pixel, from the decoder.
        scale: sigma, in units of the pixels.
        floor: least sigma of those that are learned: without it a pixel that never varies has a
            density without bound.

    Source: Kingma & Welling 2014, appendix C.2, arXiv:1312.6114; one sigma for all: Rybkin et al.
    2021, arXiv:2006.13202.
    """

    bounded: ClassVar[bool] = False

    def __init__(
        self,
        variance: Literal["fixed", "shared", "pixel"] = "fixed",
        scale: PositiveFloat = 1.0,
        floor: PositiveFloat = 0.01,
    ):
        super().__init__()
        self.heads = 2 if variance == "pixel" else 1
        self.variance = variance
        self.scale = scale
        self.floor = floor
        self.log_scale = nn.Parameter(torch.zeros(1)) if variance == "shared" else None

    def forward(self, outputs: Tensor) -> Distribution:
        """p(x | z) of outputs, (K, B, heads, *S): means, and log(sigma / scale)."""
        mean = outputs.select(HEADS, 0).float()
        if self.variance == "fixed":
            scale = torch.full_like(mean, self.scale)
        else:
            log = outputs.select(HEADS, 1) if self.log_scale is None else self.log_scale
            scale = (self.scale * log.float().exp()).clamp(min=self.floor).expand_as(mean)
        return Independent(
            Normal(mean, scale, validate_args=False), mean.ndim - 2, validate_args=False
        )


class Logistic(Likelihood, kind="logistic"):
    """A mixture of discretised logistics: probabilities of the levels that a pixel can take.

    P(x) = sum_m w_m (s((x + d - mu_m) / sigma_m) - s((x - d - mu_m) / sigma_m)) with d half a
    step between levels and s the logistic function; the lowest and highest level take the tails.

    Args:
        mixture: number of components M.
        levels: of a pixel, evenly spaced on [0, 1]; others are rounded to the nearest.

    Source: Salimans et al. 2017, section 2.1, arXiv:1701.05517. Channels are independent here,
    and x is in [0, 1].
    """

    pixels: ClassVar[tuple[str, ...]] = ("grey", "static", "dynamic")
    values: ClassVar[tuple[str, ...]] = ("bits",)

    def __init__(self, mixture: Count = 5, levels: Annotated[int, Field(ge=2)] = 256):
        super().__init__()
        self.heads = 3 * mixture
        self.mixture = mixture
        self.levels = levels

    def forward(self, outputs: Tensor) -> Distribution:
        """p(x | z) of outputs, (K, B, 3 M, *S): weights, means, log scales."""
        weights, means, log_scales = outputs.float().split(self.mixture, dim=HEADS)
        # Components that begin at one place would never part.
        first = torch.linspace(0, 1, self.mixture + 2, device=means.device)[1:-1]
        first = first.view(-1, *[1] * (means.ndim - 3))
        return LogisticPixels(weights, means + first, log_scales - 2, self.levels)


class LogisticPixels(PixelDistribution):
    """Pixels of levels under a mixture; arguments (K, B, M, *S)."""

    LOWEST = -7.0
    """Least log scale: below it, levels are equal in float32."""

    def __init__(self, weights: Tensor, means: Tensor, log_scales: Tensor, levels: int):
        self.log_weights = weights.log_softmax(HEADS)
        self.means = means
        # From the end, so that samples, which have more leading axes, are indexed alike.
        self.axis = HEADS - means.ndim
        self.log_scales = log_scales.clamp(min=self.LOWEST)
        self.levels = levels
        super().__init__(means.select(HEADS, 0))

    def pixel_log_prob(self, value: Tensor) -> Tensor:
        """The log-probability of each pixel's level, (K, B, *S), nats."""
        level = (value * (self.levels - 1)).round().clamp(0, self.levels - 1).unsqueeze(self.axis)
        upper = self.standardized((level + 0.5) / (self.levels - 1))
        lower = self.standardized((level - 0.5) / (self.levels - 1))
        # log(s(u) - s(l)) = log s(u) + log s(-l) + log(1 - exp(l - u)): no difference of near ones.
        gap = (upper - lower).clamp(min=1e-12)
        inner = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(-gap))
        first, last = level == 0, level == self.levels - 1
        each = torch.where(
            first, F.logsigmoid(upper), torch.where(last, F.logsigmoid(-lower), inner)
        )
        return torch.logsumexp(self.log_weights + each, HEADS)

    def standardized(self, value: Tensor) -> Tensor:
        """(x - mu) / sigma, (K, B, M, *S)."""
        return (value - self.means) * torch.exp(-self.log_scales)

    @property
    def mean(self) -> Tensor:
        """The mean over levels, (K, B, *S): sum over levels of P(x >= level) / (L - 1)."""
        weights, total = self.log_weights.exp(), torch.zeros_like(self.means.select(HEADS, 0))
        for level in range(1, self.levels):
            edge = torch.tensor((level - 0.5) / (self.levels - 1), device=total.device)
            total = total + (weights * torch.sigmoid(-self.standardized(edge))).sum(HEADS)
        return total / (self.levels - 1)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Pixels on levels, in [0, 1]."""
        shape = torch.Size((*sample_shape, *self.means.shape))
        rand = torch.rand(shape, device=self.means.device).clamp(1e-7, 1 - 1e-7)
        # The largest weight under Gumbel noise is a draw from the weights.
        chosen = (self.log_weights - (-rand.log()).log()).argmax(self.axis, keepdim=True)
        means, log_scales = (
            value.expand(shape).gather(self.axis, chosen).squeeze(self.axis)
            for value in (self.means, self.log_scales)
        )
        u = torch.rand_like(means).clamp(1e-7, 1 - 1e-7)
        drawn = means + log_scales.exp() * torch.logit(u)
        return (drawn.clamp(0, 1) * (self.levels - 1)).round() / (self.levels - 1)


class Beta(Likelihood, kind="beta"):
    """Beta(a, b) of each pixel, a = m c, b = (1 - m) c with mean m and concentration c.

    It is a density of the open interval: pixels must be dequantised.

    Args:
        floor: least a and b; below 1 the density is unbounded at 0 or 1.
    """

    heads = 2
    pixels: ClassVar[tuple[str, ...]] = ("dequantized",)
    values: ClassVar[tuple[str, ...]] = ()
    EDGE = 1e-6
    """A pixel this near to 0 or 1 counts as this far from it."""

    def __init__(self, floor: PositiveFloat = 0.05):
        super().__init__()
        self.floor = floor

    def forward(self, outputs: Tensor) -> Distribution:
        """p(x | z) of outputs, (K, B, 2, *S): logit of the mean, log of the concentration."""
        mean, concentration = outputs.select(HEADS, 0).float().sigmoid(), outputs.select(HEADS, 1)
        size = 2 * F.softplus(concentration.float() + 1)
        return BetaPixels(mean * size + self.floor, (1 - mean) * size + self.floor)


class BetaPixels(PixelDistribution):
    """Beta pixels of a and b, (K, B, *S) each."""

    def __init__(self, a: Tensor, b: Tensor):
        self.base = BetaDistribution(a, b, validate_args=False)
        super().__init__(a)

    @property
    def mean(self) -> Tensor:
        """a / (a + b), (K, B, *S)."""
        return self.base.mean

    def pixel_log_prob(self, value: Tensor) -> Tensor:
        """The log-density of each pixel, (K, B, *S), nats."""
        return self.base.log_prob(value.clamp(Beta.EDGE, 1 - Beta.EDGE))

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Pixels in (0, 1)."""
        return self.base.sample(sample_shape)
