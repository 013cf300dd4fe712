"""Codes: each part of a latent is one of K vectors; their prior is uniform."""

import math
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, NonNegativeFloat
from torch import Size, Tensor, nn
from torch.distributions import Distribution

from textvae.families.base import AlikeError, CodeDistribution, Family, in_float32
from textvae.families.gaussian import BatchNormalizer
from textvae.layers.codes import SAME, nearest
from textvae.registry import Count, Probability

LEAST = 1e-6
"""Average use of a code below which its place is not computed anew."""


class VQ(Family, kind="vq"):
    """z = (e_k1, ..., e_kM): the code nearest to each of M parts of h, side by side, (M E,).

        k_m = argmin_k |h_m - e_k|^2

    The posterior is certain: its log-density is 0 at its codes and -inf elsewhere, so that
    KL = -log p(z), M ln K nats under the uniform prior. The gradient of z is that of h (straight
    through). The codebook follows the inputs that choose each code, by moving averages; the family
    adds `commitment` |h - z|^2 to the training loss. One codebook serves all M codes.

    Args:
        features: size H of the context.
        codes: number of codes M; None for one, or where the head is shared for one at each place.
        size: number of vectors K of the codebook.
        code_dim: size E of a vector.
        commitment: weight of the squared distance of inputs to their codes.
        decay: share of the moving averages that each batch keeps.
        shared: one head for M places of equal size that stand side by side in the context, as the
            places of a grid do; else one head of the whole context for each code.
        batch_norm: whether inputs h are batch-normalised, without scale and shift that are learned.
        start: the codebook's first vectors: inputs of the first batch, or `random`.
        replace_after: batches without use after which a code is put on an input; 0 for never.
        places: number of places of the encoder that the latent is given.

    >>> family = VQ(features=3, codes=2, size=8, code_dim=4)
    >>> family(torch.zeros(2, 5, 3)).event_shape
    torch.Size([8])

    Raises:
        ValueError: a shared head, and a context that is not M equal places.

    Source: van den Oord et al. 2017, section 3 and appendix A.1, arXiv:1711.00937; Lancucki et al.
    2020, arXiv:2005.08520 (batch normalisation, a start from data, codes that are placed anew).
    """

    certain: ClassVar[bool] = True
    learnable: ClassVar[bool] = False
    has_codes: ClassVar[bool] = True

    codebook: Tensor
    sums: Tensor
    counts: Tensor
    unused: Tensor
    begun: Tensor

    def __init__(
        self,
        features: int,
        codes: Count | None = None,
        size: Annotated[int, Field(ge=2, le=1_000_000)] = 64,
        code_dim: Count = 16,
        commitment: NonNegativeFloat = 0.25,
        decay: Probability = 0.99,
        shared: bool = False,
        batch_norm: bool = True,
        start: Literal["data", "random"] = "data",
        replace_after: Annotated[int, Field(ge=0, le=1_000_000)] = 50,
        places: int = 1,
    ):
        super().__init__()
        codes = codes or (places if shared else 1)
        if shared and features % codes:
            raise ValueError(
                f"shared: a context of {features} is not {codes} places of equal size: give the "
                f"latent one encoder of places, such as conv with hidden: null"
            )
        self.codes, self.size, self.code_dim = codes, size, code_dim
        self.dim = codes * code_dim
        self.commitment, self.decay, self.shared = commitment, decay, shared
        self.start, self.replace_after = start, replace_after
        inputs, outputs = (features // codes, code_dim) if shared else (features, self.dim)
        self.head = nn.Linear(inputs, outputs)
        self.normalizer = BatchNormalizer(outputs, 1.0, shift=False) if batch_norm else None
        self.register_buffer("codebook", torch.randn(size, code_dim))
        self.register_buffer("sums", self.codebook.clone())
        self.register_buffer("counts", torch.ones(size))
        self.register_buffer("unused", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("begun", torch.tensor(False))

    def variational_parameters(self, context: Tensor) -> Tensor:
        """The inputs h of each context, (..., M E), float32, before codes take their place."""
        if self.shared:
            context = context.unflatten(-1, (self.codes, -1))
        inputs = in_float32(self.head, context)
        if self.normalizer is not None:
            inputs = self.normalizer(inputs)
        return inputs.flatten(-2) if self.shared else inputs

    def distribution(self, variational_parameters: Tensor) -> Distribution:
        """The codes nearest to inputs, (..., M E); the first in training begin the codebook."""
        if self.training:
            self.begin(self.parts(variational_parameters))
        # The averages move the codebook in place before the objective reads the distributions.
        return Quantized(variational_parameters, self.codebook.clone().float())

    def default_prior(self, batch_shape: Size, like: Tensor) -> Distribution:
        """Every code alike."""
        return UniformCodes(batch_shape, self.codebook.clone().float(), self.codes)

    def point_estimate(self, posterior: Distribution) -> Tensor:
        """The codes of a posterior, (..., M E), or the most probable ones of a prior.

        Of a uniform prior, those nearest to the mean of the codebook.
        """
        if isinstance(posterior, UniformCodes):
            return self.project(posterior.mean)
        if isinstance(posterior, CodebookDistribution):
            return posterior.likeliest(1)[0].squeeze(-2)
        return posterior.mean

    def project(self, value: Tensor) -> Tensor:
        """The codes nearest to points, (..., M E)."""
        return self.vectors(self.code_numbers(value).to(self.codebook.device)).to(value.device)

    def code_numbers(self, value: Tensor) -> Tensor:
        """The number of the code nearest to each part, (..., M), int64, of points, (..., M E)."""
        parts = value.unflatten(-1, (self.codes, self.code_dim))
        return nearest(parts, self.codebook.to(value.device))[0]

    def vectors(self, numbers: Tensor) -> Tensor:
        """The vectors of codes by number, (..., M), side by side: (..., M E)."""
        return self.codebook.float()[numbers].flatten(-2)

    def training_term(self, posterior: Distribution) -> Tensor:
        """commitment |h - z|^2 of each row, (K or 1, B); moves the averages, unless frozen."""
        assert isinstance(posterior, Quantized), "a posterior of this family"
        if self.training:
            self.follow(self.parts(posterior.inputs), posterior.numbers.flatten())
        distance = (posterior.inputs - posterior.mean.detach()).square().sum(-1)
        return self.commitment * distance

    def parts(self, inputs: Tensor) -> Tensor:
        """The parts of all inputs, (..., M E), one below the other: (N, E), without gradient."""
        return inputs.detach().reshape(-1, self.code_dim)

    @torch.no_grad()
    def begin(self, points: Tensor) -> None:
        """Put the codebook on some of the points, (N, E), unless it has begun or is random.

        Codes that are more than the points are placed on those of the next batches.
        """
        if self.start == "data":
            chosen, count = self.some_of(points)
            self.codebook.copy_(torch.where(self.begun, self.codebook, chosen))
            self.sums.copy_(torch.where(self.begun, self.sums, chosen))
            late = ~self.begun & (torch.arange(self.size, device=count.device) >= count)
            self.unused.masked_fill_(late, self.replace_after)
        self.begun.fill_(True)

    @torch.no_grad()
    def follow(self, points: Tensor, numbers: Tensor) -> None:
        """Take points, (N, E), of the codes, (N,), into the moving averages.

        n_k = decay n_k + (1 - decay) #k, m_k = decay m_k + (1 - decay) sum of its points, and
        e_k = m_k / n_k. Of several processes all points count.
        """
        used = torch.zeros_like(self.counts, dtype=torch.float32)
        used.index_add_(0, numbers, torch.ones_like(points[:, 0]))
        total = torch.zeros_like(self.sums, dtype=torch.float32).index_add_(0, numbers, points)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(used)
            torch.distributed.all_reduce(total)
        share = 1 - self.decay
        self.counts += share * (used - self.counts)
        self.sums += share * (total - self.sums)
        self.unused.copy_(torch.where(used > 0, 0, self.unused + 1))
        if self.replace_after:
            self.replace(points)
        # A code that is not used keeps its place: both averages shrink alike, and at last vanish.
        moved = self.sums / self.counts.clamp(min=LEAST)[:, None]
        self.codebook.copy_(torch.where(self.counts[:, None] > LEAST, moved, self.codebook))

    def replace(self, points: Tensor) -> None:
        """Place codes that are long without use on points, (N, E): each on one of its own."""
        chosen, count = self.some_of(points)
        stale = self.unused >= self.replace_after
        rank = stale.cumsum(0) - 1
        stale &= rank < count
        placed = chosen[rank.clamp(min=0)]
        self.sums.copy_(torch.where(stale[:, None], placed, self.sums))
        self.counts.masked_fill_(stale, 1.0)
        self.unused.masked_fill_(stale, 0)

    def some_of(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """K of the points, (N, E), in random order, and the number of different ones among them.

        Of several processes those of the first.
        """
        order = torch.randperm(len(points), device=points.device)
        rows = torch.arange(self.size, device=points.device) % len(points)
        chosen = points[order[rows]].to(self.codebook.dtype)
        count = torch.full((), min(len(points), self.size), device=points.device)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.broadcast(chosen, 0)
            torch.distributed.broadcast(count, 0)
        return chosen, count


class Quantized(Distribution):
    """All probability at the codes nearest to inputs: log-density 0 there, -inf elsewhere.

    Args:
        inputs: h, (..., M E).
        codebook: (K, E).
        numbers: of the codes, (..., M), int64; None to find them.
    """

    arg_constraints: ClassVar[dict] = {}
    has_rsample = True

    def __init__(self, inputs: Tensor, codebook: Tensor, numbers: Tensor | None = None):
        self.inputs = inputs
        self.codebook = codebook
        parts = inputs.unflatten(-1, (-1, codebook.shape[-1]))
        self.numbers = nearest(parts, codebook)[0] if numbers is None else numbers
        super().__init__(inputs.shape[:-1], inputs.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Size | tuple[int, ...], _instance: None = None) -> "Quantized":
        """The same codes for a larger batch."""
        numbers = self.numbers.expand(*batch_shape, -1)
        return Quantized(self.inputs.expand(*batch_shape, -1), self.codebook, numbers)

    @property
    def mean(self) -> Tensor:
        """The codes, (..., M E), with the gradient of the inputs; a NaN among these stays one."""
        codes = self.codebook[self.numbers].flatten(-2)
        # The difference is exactly zero, so that a value is its code to the last bit.
        return codes + (self.inputs - self.inputs.detach())

    @property
    def stddev(self) -> Tensor:
        """Zero, (..., M E)."""
        return torch.zeros_like(self.inputs)

    def rsample(self, sample_shape: Size | tuple[int, ...] = ()) -> Tensor:
        """The codes, (*sample_shape, ..., M E)."""
        return self.mean.expand(*sample_shape, *self.inputs.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """0 where a value, (..., M E), is at the codes, else -inf: (...)."""
        apart = value.detach() - self.codebook[self.numbers].flatten(-2)
        distance = apart.unflatten(-1, (-1, self.codebook.shape[-1])).norm(dim=-1)
        same = (distance < SAME).all(-1)
        return torch.where(same, 0.0, -torch.inf) + 0.0 * self.inputs.detach().sum(-1)


class CodebookDistribution(CodeDistribution):
    """A distribution over M codes of a codebook, event (M E,): their vectors side by side.

    Args:
        batch_shape: of the distribution.
        codebook: (K, E).
        codes: M.
    """

    arg_constraints: ClassVar[dict] = {}

    def __init__(self, batch_shape: Size | tuple[int, ...], codebook: Tensor, codes: int):
        self.codebook = codebook
        self.codes = codes
        size = torch.Size((codes * codebook.shape[-1],))
        super().__init__(torch.Size(batch_shape), size, validate_args=False)

    def log_prob_of(self, numbers: Tensor) -> Tensor:
        """log p of codes by number, (..., M), int64: (...), nats."""
        raise NotImplementedError

    def sample_numbers(self, sample_shape: Size | tuple[int, ...]) -> Tensor:
        """Codes by number, (*sample_shape, ..., M), int64."""
        raise NotImplementedError

    def log_prob(self, value: Tensor) -> Tensor:
        """log p of vectors side by side, (..., M E): (...), nats; -inf where they are no codes."""
        parts = value.unflatten(-1, (self.codes, -1))
        numbers, distance = nearest(parts, self.codebook)
        return self.log_prob_of(numbers).masked_fill((distance > SAME).any(-1), -torch.inf)

    def sample(self, sample_shape: Size | tuple[int, ...] = ()) -> Tensor:
        """Vectors of codes, (*sample_shape, ..., M E)."""
        with torch.no_grad():
            return self.vectors(self.sample_numbers(sample_shape))

    def vectors(self, numbers: Tensor) -> Tensor:
        """The vectors of codes by number, (..., M), side by side: (..., M E)."""
        return self.codebook[numbers].flatten(-2)


class UniformCodes(CodebookDistribution):
    """p(z) = K^-M: every code alike."""

    def expand(self, batch_shape: Size | tuple[int, ...], _instance: None = None) -> "UniformCodes":
        """The same for a larger batch."""
        return UniformCodes(batch_shape, self.codebook, self.codes)

    @property
    def mean(self) -> Tensor:
        """The mean of the codebook for each code, (..., M E)."""
        return self.codebook.mean(0).repeat(self.codes).expand(*self.batch_shape, -1)

    @property
    def variance(self) -> Tensor:
        """The variance of the codebook for each code, (..., M E)."""
        each = self.codebook.var(0, correction=0)
        return each.repeat(self.codes).expand(*self.batch_shape, -1)

    def log_prob_of(self, numbers: Tensor) -> Tensor:
        """-M ln K, (...), nats."""
        shape = torch.broadcast_shapes(numbers.shape[:-1], self.batch_shape)
        return self.codebook.new_full(shape, -self.codes * math.log(len(self.codebook)))

    def sample_numbers(self, sample_shape: Size | tuple[int, ...]) -> Tensor:
        """Codes by number, (*sample_shape, ..., M), int64."""
        shape = (*sample_shape, *self.batch_shape, self.codes)
        return torch.randint(len(self.codebook), shape, device=self.codebook.device)

    def likeliest(self, count: int) -> tuple[Tensor, Tensor]:
        """Refused: no code is more probable than another.

        Raises:
            AlikeError: always.
        """
        raise AlikeError
