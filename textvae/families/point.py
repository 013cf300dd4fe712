"""A single point: the code of an autoencoder, which has no density."""

from typing import ClassVar

import torch
from pydantic import PositiveFloat
from torch import Size, Tensor, nn
from torch.distributions import Distribution, Independent, Normal, Uniform

from textvae.families.base import Family, in_float32
from textvae.families.gaussian import BatchNormalizer
from textvae.registry import Count


class Point(Family, kind="point"):
    """z = f(x), nothing random: with it a VAE is an autoencoder, and its loss reconstruction alone.

    A point has no density, so its KL and its log ratio count as zero: what is called ELBO is then
    the reconstruction, and no bound of log p(x). It has no prior either; what stands for one, to
    draw pictures from, is N(0, I), or the uniform distribution on the box.

    Args:
        features: size H of the context.
        dim: D.
        box: R, codes lie in (-R, R)^D: R tanh of the batch-normalised head, see `BatchNormalizer`;
            without it, anywhere. A small box without the normalisation saturates the tanh, and
            training stalls at the mean image.
    """

    deterministic: ClassVar[bool] = True
    learnable: ClassVar[bool] = False

    def __init__(self, features: int, dim: Count = 32, box: PositiveFloat | None = None):
        super().__init__()
        self.dim = dim
        self.head = nn.Linear(features, dim)
        self.box = box
        self.normalizer = BatchNormalizer(dim, 1.0) if box else None

    def variational_parameters(self, context: Tensor) -> Tensor:
        """The code of each context, (..., H), before it is bounded: (..., D), float32."""
        code = in_float32(self.head, context)
        return code if self.normalizer is None else self.normalizer(code)

    def distribution(self, variational_parameters: Tensor) -> Distribution:
        """The point of a code, (..., D): batch shape (...), event (D,)."""
        return PointMass(
            self.box * variational_parameters.tanh() if self.box else variational_parameters
        )

    def default_prior(self, batch_shape: Size, like: Tensor) -> Distribution:
        """What stands for a prior, on the device of `like`."""
        zero = torch.zeros(*batch_shape, self.dim, device=like.device)
        box = self.box
        return Unscored(Uniform(zero - box, zero + box) if box else Normal(zero, zero + 1))


class PointMass(Distribution):
    """All probability at one place; its log-density counts as zero.

    Args:
        place: (..., D).
    """

    arg_constraints: ClassVar[dict] = {}
    has_rsample = True

    def __init__(self, place: Tensor):
        self.place = place
        super().__init__(place.shape[:-1], place.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The place, (..., D)."""
        return self.place

    @property
    def stddev(self) -> Tensor:
        """Zero, (..., D)."""
        return torch.zeros_like(self.place)

    def expand(self, batch_shape: Size, _instance: object = None) -> "PointMass":
        """The same place for a larger batch."""
        return PointMass(self.place.expand(*batch_shape, self.place.shape[-1]))

    def rsample(self, sample_shape: Size = torch.Size()) -> Tensor:  # noqa: B008
        """The place."""
        return self.place.expand(*sample_shape, *self.place.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Zero, (...)."""
        return value.new_zeros(torch.broadcast_shapes(value.shape[:-1], self.batch_shape))


class Unscored(Distribution):
    """A distribution to draw from whose log-density counts as zero.

    Args:
        base: where samples come from, batch shape (..., D).
    """

    arg_constraints: ClassVar[dict] = {}

    def __init__(self, base: Distribution):
        self.coordinates = base
        self.base = Independent(base, 1)
        super().__init__(self.base.batch_shape, self.base.event_shape, validate_args=False)

    def expand(self, batch_shape: Size, _instance: object = None) -> "Unscored":
        """The same for a larger batch."""
        return Unscored(self.coordinates.expand(torch.Size((*batch_shape, *self.event_shape))))

    def sample(self, sample_shape: Size = torch.Size()) -> Tensor:  # noqa: B008
        """Samples, (..., D)."""
        return self.base.sample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Zero, (...)."""
        return value.new_zeros(torch.broadcast_shapes(value.shape[:-1], self.batch_shape))
