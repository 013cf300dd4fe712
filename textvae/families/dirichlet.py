"""Dirichlet: topic proportions themselves are the latent."""

from typing import ClassVar, Literal

import torch
from pydantic import PositiveFloat
from torch import Size, Tensor, nn
from torch.distributions import Dirichlet as TorchDirichlet
from torch.distributions import Distribution
from torch.nn import functional as F

from textvae.families.base import Family, in_float32
from textvae.registry import Count

SMALLEST = 0.01
"""Least concentration: below it float32 samples are zero more often than not."""


class Dirichlet(Family, kind="dirichlet"):
    """q(theta | x) = Dir(alpha), alpha = softplus(W h + b) + 0.01; the prior is Dir(c, ..., c).

    The KL is exact:

        log G(sum a) - sum log G(a) - log G(D c) + D log G(c) + sum (a - c)(psi(a) - psi(sum a)).

    Args:
        features: size H of the context.
        dim: number of topics D, 2 or more.
        concentration: c of the prior.
        gradient: of samples: `implicit` differentiates the distribution function; `rounded` is
            what the rounded reparameterisation amounts to in floating point, see `Rounded`.
        gain: lambda of `rounded`.

    Source: Figurnov et al. 2018, arXiv:1805.08498 (implicit), by torch; Tian et al. 2020
    (rounded). Both papers' models differ in how alpha comes from the encoder.
    """

    proportions: ClassVar[bool] = True

    def __init__(
        self,
        features: int,
        dim: Count = 50,
        concentration: PositiveFloat = 1.0,
        gradient: Literal["implicit", "rounded"] = "implicit",
        gain: PositiveFloat = 0.01,
    ):
        super().__init__()
        if dim < 2:
            raise ValueError(f"a Dirichlet needs dim 2 or more (got {dim})")
        self.dim = dim
        self.concentration = concentration
        total = dim * concentration
        self.prior_scale = ((dim - 1) / dim**2 / (total + 1)) ** 0.5
        self.gain = None if gradient == "implicit" else gain
        self.head = nn.Linear(features, dim)

    def variational_parameters(self, context: Tensor) -> Tensor:
        """W h + b of each context, (..., H): (..., D), float32."""
        return in_float32(self.head, context)

    def distribution(self, variational_parameters: Tensor) -> Distribution:
        """The distribution of the head's output, (..., D): batch shape (...), event (D,)."""
        alpha = F.softplus(variational_parameters) + SMALLEST
        return Proportions(alpha) if self.gain is None else Rounded(alpha, self.gain)

    def project(self, value: Tensor) -> Tensor:
        """Proportions, (..., D), of what is above zero."""
        positive = value.clamp(min=SMALLEST)
        return positive / positive.sum(-1, keepdim=True)

    def default_prior(self, batch_shape: Size, like: Tensor) -> Distribution:
        """Dir(c, ..., c) on the device of `like`."""
        return Proportions(torch.full((*batch_shape, self.dim), self.concentration).to(like.device))


class Proportions(TorchDirichlet):
    """Dirichlet of concentrations, (..., D), unchecked, so that a NaN reaches the loss.

    Its samples are never zero, where the density of concentrations below one is infinite.
    """

    def __init__(self, concentration: Tensor):
        super().__init__(concentration, validate_args=False)

    def expand(self, batch_shape: Size, _instance: None = None) -> "Proportions":
        """The same distribution for a larger batch."""
        return Proportions(self.concentration.expand(*batch_shape, -1))

    def rsample(self, sample_shape: Size | tuple[int, ...] = ()) -> Tensor:
        """Samples, (*sample_shape, ..., D), with implicit gradients."""
        missing = self.concentration.isnan()
        # The rejection sampler of a NaN need not end.
        sound = TorchDirichlet(self.concentration.masked_fill(missing, 1.0), validate_args=False)
        value = sound.rsample(Size(sample_shape)).clamp(min=torch.finfo(torch.float32).tiny)
        return value.masked_fill(missing.any(-1, keepdim=True), torch.nan)


class Rounded(Proportions):
    """Dirichlet whose samples have the gradient of theta + lambda alpha, normalised.

    The rounded reparameterisation draws s ~ Dir(floor(delta alpha) / delta) and returns s +
    lambda (alpha - floor(delta alpha) / delta), normalised, with a constant delta of 1e10: in
    floating point the sample is s, and its gradient passes straight through with gain lambda. It
    is biased: of the right direction and far too small.

    Source: Tian et al. 2020, Learning VAE-LDA models with rounded reparameterization trick.
    """

    def __init__(self, concentration: Tensor, gain: float):
        super().__init__(concentration)
        self.gain = gain

    def expand(self, batch_shape: Size, _instance: None = None) -> "Rounded":
        """The same distribution for a larger batch."""
        return Rounded(self.concentration.expand(*batch_shape, -1), self.gain)

    def rsample(self, sample_shape: Size | tuple[int, ...] = ()) -> Tensor:
        """Samples, (*sample_shape, ..., D), with the gradient above."""
        with torch.no_grad():
            drawn = super().rsample(sample_shape)
        moved = drawn + self.gain * (self.concentration - self.concentration.detach())
        return moved / moved.sum(-1, keepdim=True)
