"""A normalising flow: affine couplings over a standard normal."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from textvae.families import Family
from textvae.families.base import in_float32
from textvae.priors.base import Prior
from textvae.randomness import draws, seeded
from textvae.registry import Count, Depth

BOUND = 2.0
"""Most that a coupling stretches a dimension, as a logarithm."""

DRAWS = 4096
"""Samples of the estimates of mean and variance, which are not known in closed form."""


class Coupling(nn.Module):
    """One half of a vector is scaled and moved by what a network makes of the other half.

        a, b = halves of z,  b' = b exp(s(a, c)) + t(a, c)

    Args:
        dim: size D of a vector; at least 2.
        features: size of the context c.
        hidden: size of the network's two hidden layers.
        first: whether the first half is moved.
    """

    def __init__(self, dim: int, features: int, hidden: int, first: bool):
        super().__init__()
        self.first = first
        self.sizes = (dim // 2, dim - dim // 2)
        read, moved = self.sizes[::-1] if first else self.sizes
        self.network = nn.Sequential(
            nn.Linear(read + features, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 2 * moved),
        )

    def forward(self, z: Tensor, context: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        """The vectors moved, (..., D), and the log determinant of the way taken, (...)."""
        halves = z.split(self.sizes, dim=-1)
        read, moved = halves[::-1] if self.first else halves
        shape = torch.broadcast_shapes(read.shape[:-1], context.shape[:-1])
        given = torch.cat([read.expand(*shape, -1), context.expand(*shape, -1)], -1)
        log_scale, shift = in_float32(self.network, given).chunk(2, -1)
        log_scale = BOUND * torch.tanh(log_scale / BOUND)
        if inverse:
            moved, change = (moved - shift) * (-log_scale).exp(), -log_scale.sum(-1)
        else:
            moved, change = moved * log_scale.exp() + shift, log_scale.sum(-1)
        parts = (moved, read.expand_as(read)) if self.first else (read, moved)
        return torch.cat([part.expand(*shape, -1) for part in parts], -1), change


class Flow(Distribution):
    """Standard normal samples that passed couplings; its density is exact.

    Args:
        couplings: the first of them takes the normal samples.
        context: of the couplings, (..., H).
        dim: size D of an event.
    """

    has_rsample = True
    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector  # type: ignore[assignment]

    def __init__(self, couplings: nn.ModuleList, context: Tensor, dim: int):
        self.couplings, self.context = couplings, context
        super().__init__(context.shape[:-1], torch.Size((dim,)), validate_args=False)

    def expand(self, batch_shape: torch.Size, _instance: None = None) -> "Flow":
        """The same with another batch shape."""
        context = self.context.expand(*batch_shape, self.context.shape[-1])
        return Flow(self.couplings, context, self.event_shape[0])

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Samples with gradients in the couplings, (*sample_shape, *batch_shape, D)."""
        shape = self._extended_shape(torch.Size(sample_shape))
        z = torch.randn(shape, device=self.context.device)
        for coupling in self.couplings:
            z, _ = coupling(z, self.context, inverse=False)
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(z), nats: that of the normal sample behind z, and the log determinant."""
        z, total = value, torch.zeros((), device=value.device)
        for coupling in reversed(self.couplings):
            z, change = coupling(z, self.context, inverse=True)
            total = total + change
        normal = -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)
        return normal + total

    def drawn(self) -> Tensor:
        """`DRAWS` samples, the same each time."""
        with seeded(0), draws():
            return self.sample(torch.Size((DRAWS,)))

    @property
    def mean(self) -> Tensor:
        """An estimate of the mean from samples, (..., D)."""
        return self.drawn().mean(0)

    @property
    def variance(self) -> Tensor:
        """An estimate of the variance from samples, (..., D)."""
        return self.drawn().var(0)


class FlowPrior(Prior, kind="flow"):
    """p(z) = N(f^-1(z); 0, I) |det df^-1 / dz|, f a chain of affine couplings.

    Neighbouring couplings move different halves of z. The KL to it is log q(z | x) - log p(z); mean
    and variance are estimates from samples.

    Args:
        features: size H of the context that every coupling reads; 0 when it is given nothing.
        family: of the latent; any with a density everywhere in R^D, D at least 2.
        layers: couplings.
        width: size of their networks' two hidden layers.

    Raises:
        ValueError: latents of the family do not lie anywhere in R^D, or have one dimension.

    Source: Dinh et al. 2017, eq. 7 and 8, arXiv:1605.08803 (real NVP); as a prior, Chen et al.
    2017, section 3.2, arXiv:1611.02731.
    """

    def __init__(self, features: int, family: Family, layers: Depth = 6, width: Count = 64):
        super().__init__()
        if not family.fittable:
            raise ValueError(f"the prior of a {family.kind} latent is no flow")
        if family.dim < 2:
            raise ValueError("a flow couples dimensions: it needs at least two")
        self.refer(family)
        self.couplings = nn.ModuleList(
            Coupling(family.dim, features, width, first=bool(layer % 2)) for layer in range(layers)
        )

    def forward(self, context: Tensor) -> Distribution:
        """The flow for each context, (..., H): batch shape (...), event (D,)."""
        return Flow(self.couplings, context, self.family.dim)
