"""Several categoricals, drawn with straight-through Gumbel-softmax; their prior is uniform."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field, PositiveFloat
from torch import Size, Tensor, nn
from torch.distributions import Distribution, register_kl
from torch.nn import functional as F

from textvae.families.base import CodeDistribution, Family, in_float32
from textvae.families.categorical import class_log_prob, with_known_class
from textvae.layers.codes import best_sequences
from textvae.registry import Count


class Gumbel(Family, kind="gumbel"):
    """prod_m softmax(W_m h + b_m) over M codes of C classes, as M one-hot vectors, (M C,).

    Samples are one-hot. Their gradient is that of the relaxed ones, so it is biased, and the less
    noisy the higher the temperature is. A few classes of one code are better summed over, as
    `categorical` does.

    Args:
        features: size H of the context.
        codes: number of codes M; 1 where the node has a `field`, the label that fixes it.
        size: classes C of each code; those of the label where there is one.
        temperature: of the relaxed samples.
        embedding: size of the vector that other nodes see of each code; None for one-hot vectors.
        classes: of the label, if there is one.

    >>> family = Gumbel(features=3, codes=2, size=4)
    >>> family(torch.zeros(2, 5, 3)).event_shape
    torch.Size([8])

    Raises:
        ValueError: no number of classes, two that differ, or several codes for one label.

    Source: Jang et al. 2017, section 2.2, arXiv:1611.01144; Maddison et al. 2017, arXiv:1611.00712.
    """

    prior_omits: ClassVar[frozenset[str]] = frozenset({"embedding"})
    has_codes: ClassVar[bool] = True

    def __init__(
        self,
        features: int,
        codes: Count = 1,
        size: Annotated[int, Field(ge=2, le=1_000_000)] | None = None,
        temperature: PositiveFloat = 1.0,
        embedding: Count | None = None,
        classes: int | None = None,
    ):
        super().__init__()
        if size is not None and classes is not None and size != classes:
            raise ValueError(f"size is {size}, and the label has {classes} classes")
        if classes is not None and codes > 1:
            raise ValueError(f"a label fixes one code (got codes: {codes})")
        if (size or classes or 0) < 2:
            raise ValueError(f"at least 2 classes are needed (got size: {size or classes})")
        self.codes, self.size = codes, size or classes or 0
        self.dim = self.codes * self.size
        self.temperature = temperature
        share = 1 / self.size
        self.prior_scale = (share * (1 - share)) ** 0.5
        self.head = nn.Linear(features, self.dim)
        vectors = None if embedding is None else torch.randn(codes, self.size, embedding)
        self.vectors = None if vectors is None else nn.Parameter(vectors)

    @property
    def embedding_size(self) -> int:
        """Size of all codes' vectors, side by side."""
        return self.dim if self.vectors is None else self.codes * self.vectors.shape[-1]

    def variational_parameters(self, context: Tensor) -> Tensor:
        """The logits of each context, (..., M C)."""
        return in_float32(self.head, context)

    def distribution(self, variational_parameters: Tensor) -> Distribution:
        """The codes as one-hot vectors, of logits, (..., M C); a NaN reaches the loss."""
        return Codes(variational_parameters, self.size, self.temperature)

    def default_prior(self, batch_shape: Size, like: Tensor) -> Distribution:
        """Every class of each code alike."""
        return self.distribution(torch.zeros(*batch_shape, self.dim, device=like.device))

    def point_estimate(self, posterior: Distribution) -> Tensor:
        """The most probable class of each code, (..., M C), one-hot."""
        return self.project(posterior.mean)

    def project(self, value: Tensor) -> Tensor:
        """The codes whose class has the largest value, (..., M C), one-hot."""
        return largest(value.unflatten(-1, (self.codes, self.size))).flatten(-2)

    def code_numbers(self, value: Tensor) -> Tensor:
        """The class of each code, (..., M), int64, of latents, (..., M C)."""
        return value.unflatten(-1, (self.codes, self.size)).argmax(-1)

    def observed(self, variational_parameters: Tensor, labels: Tensor) -> Tensor:
        """Logits, (B, C), that leave no doubt where the label, (B,), is not missing (-1)."""
        return with_known_class(variational_parameters, labels)

    def label_log_prob(
        self, variational_parameters: Tensor, labels: Tensor, smoothing: float = 0.0
    ) -> Tensor:
        """log q(label | x), (B,), of labels, (B,): the cross-entropy, negated."""
        return class_log_prob(variational_parameters, labels, smoothing)

    def embed(self, value: Tensor) -> Tensor:
        """The vector of each code's class, side by side, (..., M E), or the one-hot vectors."""
        if self.vectors is None:
            return value
        codes = value.unflatten(-1, (self.codes, self.size))
        return torch.einsum("...mc,mce->...me", codes, self.vectors.to(value.dtype)).flatten(-2)


class Codes(CodeDistribution):
    """M independent categoricals of C classes over one-hot vectors side by side, event (M C,).

    Args:
        logits: (..., M C), unnormalised.
        size: classes C of each.
        temperature: of the relaxed samples, whose gradient `rsample` has.
    """

    arg_constraints: ClassVar[dict] = {}
    has_rsample = True

    def __init__(self, logits: Tensor, size: int, temperature: float = 1.0):
        self.logits = logits
        self.size = size
        self.temperature = temperature
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Size | tuple[int, ...], _instance: None = None) -> "Codes":
        """The same distribution for a larger batch."""
        return Codes(self.logits.expand(*batch_shape, -1), self.size, self.temperature)

    @property
    def log_probs(self) -> Tensor:
        """Log-probabilities of each code's classes, (..., M, C)."""
        return self.logits.unflatten(-1, (-1, self.size)).log_softmax(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p of one-hot vectors, (..., M C): (...), nats."""
        return (value.unflatten(-1, (-1, self.size)) * self.log_probs).sum((-2, -1))

    @property
    def mean(self) -> Tensor:
        """The probability of each class, (..., M C)."""
        return self.log_probs.exp().flatten(-2)

    @property
    def variance(self) -> Tensor:
        """p (1 - p) of each class, (..., M C)."""
        return self.mean * (1 - self.mean)

    def rsample(self, sample_shape: Size | tuple[int, ...] = ()) -> Tensor:
        """One-hot samples, (*sample_shape, ..., M C), with the gradient of the relaxed ones."""
        log_probs = self.log_probs
        uniform = torch.rand(*sample_shape, *log_probs.shape, device=log_probs.device)
        noise = -(-uniform.clamp(min=torch.finfo(torch.float32).tiny).log()).log()
        relaxed = ((log_probs + noise) / self.temperature).softmax(-1)
        # The difference is exactly zero; a NaN stays one.
        return (largest(relaxed.detach()) + (relaxed - relaxed.detach())).flatten(-2)

    def sample(self, sample_shape: Size | tuple[int, ...] = ()) -> Tensor:
        """One-hot samples, (*sample_shape, ..., M C), without gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def likeliest(self, count: int) -> tuple[Tensor, Tensor]:
        """The most probable classes; see `CodeDistribution.likeliest` and `best_sequences`."""
        each = self.log_probs.reshape(-1, *self.log_probs.shape[-2:])

        def after(prefixes: Tensor) -> Tensor:
            return each[:, None, prefixes.shape[-1]].expand(-1, prefixes.shape[1], -1)

        start = torch.zeros(len(each), 1, 0, dtype=torch.int64, device=each.device)
        numbers, log_probs = best_sequences(after, start, each.shape[1], count)
        shape = (*self.batch_shape, numbers.shape[1])
        value = F.one_hot(numbers, self.size).to(each.dtype)
        return value.view(*shape, -1), log_probs.view(shape)


def largest(values: Tensor) -> Tensor:
    """One-hot vectors, (..., C), of the largest value of each row."""
    return torch.zeros_like(values).scatter(-1, values.argmax(-1, keepdim=True), 1.0)


@register_kl(Codes, Codes)
def kl_of_codes(q: Codes, p: Codes) -> Tensor:
    """sum_m sum_c q_mc (log q_mc - log p_mc), (...), nats."""
    return (q.log_probs.exp() * (q.log_probs - p.log_probs)).sum((-2, -1))
