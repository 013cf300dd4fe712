"""Independent labels, each there or not; their prior is one half each."""

from typing import ClassVar

import torch
from pydantic import PositiveFloat
from torch import Size, Tensor, nn
from torch.distributions import Distribution, register_kl
from torch.nn import functional as F

from textvae.families.base import Family, in_float32
from textvae.families.categorical import IMPOSSIBLE
from textvae.registry import Count


class LabelSet(Family, kind="label_set"):
    """prod_c Bernoulli(sigmoid(W_c h + b_c)) over vectors of 0 and 1, (C,).

    Samples are bits. Their gradient is that of relaxed ones, as of `gumbel`.

    Args:
        features: size H of the context.
        dim: number of labels C; that of the set where the node has a `field`.
        temperature: of the relaxed samples.
        label_set: number of labels of the field, if there is one.

    >>> family = LabelSet(features=3, dim=4)
    >>> family(torch.zeros(2, 5, 3)).event_shape
    torch.Size([4])

    Raises:
        ValueError: no number of labels, or two that differ.

    Source: Zhou et al. 2020, section 3, ACL (q(y | x) of M2 for sets of labels); Maddison et al.
    2017, appendix B, arXiv:1611.00712 (the relaxed Bernoulli).
    """

    prior_scale = 0.5

    def __init__(
        self,
        features: int,
        dim: Count | None = None,
        temperature: PositiveFloat = 1.0,
        label_set: int | None = None,
    ):
        super().__init__()
        if dim is not None and label_set is not None and dim != label_set:
            raise ValueError(f"dim is {dim}, and the set has {label_set} labels")
        self.dim = dim or label_set or 0
        if not self.dim:
            raise ValueError("the number of labels is missing: give dim, or a field of label sets")
        self.temperature = temperature
        self.head = nn.Linear(features, self.dim)

    def variational_parameters(self, context: Tensor) -> Tensor:
        """The logits of each context, (..., C)."""
        return in_float32(self.head, context)

    def distribution(self, variational_parameters: Tensor) -> Distribution:
        """The bits of logits, (..., C); a NaN reaches the loss."""
        return Bits(variational_parameters, self.temperature)

    def default_prior(self, batch_shape: Size, like: Tensor) -> Distribution:
        """Each label there with probability one half."""
        return self.distribution(torch.zeros(*batch_shape, self.dim, device=like.device))

    def point_estimate(self, posterior: Distribution) -> Tensor:
        """The labels that are more probable than not, (..., C)."""
        return self.project(posterior.mean)

    def project(self, value: Tensor) -> Tensor:
        """The nearest vectors of 0 and 1, (..., C)."""
        return (value > 0.5).to(value.dtype)

    def observed(self, variational_parameters: Tensor, labels: Tensor) -> Tensor:
        """Logits, (B, C), that leave no doubt where the labels, (B, C), are not missing (-1)."""
        certain = torch.where(labels > 0, -IMPOSSIBLE, IMPOSSIBLE)
        return torch.where(labels >= 0, certain, variational_parameters)

    def label_log_prob(self, variational_parameters: Tensor, labels: Tensor) -> Tensor:
        """log q(labels | x), (B,): the binary cross-entropy of the known labels, negated."""
        known = labels.clamp(min=0)
        loss = F.binary_cross_entropy_with_logits(variational_parameters, known, reduction="none")
        return -(loss * (labels >= 0)).sum(-1)


class Bits(Distribution):
    """Independent bits, event (C,).

    Args:
        logits: of 1, (..., C).
        temperature: of the relaxed samples, whose gradient `rsample` has.
    """

    arg_constraints: ClassVar[dict] = {}
    has_rsample = True

    def __init__(self, logits: Tensor, temperature: float = 1.0):
        self.logits = logits
        self.temperature = temperature
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Size | tuple[int, ...], _instance: None = None) -> "Bits":
        """The same distribution for a larger batch."""
        return Bits(self.logits.expand(*batch_shape, -1), self.temperature)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p of bits, (..., C): (...), nats."""
        return (value * self.logits - F.softplus(self.logits)).sum(-1)

    @property
    def mean(self) -> Tensor:
        """The probability of each 1, (..., C)."""
        return self.logits.sigmoid()

    @property
    def variance(self) -> Tensor:
        """p (1 - p) of each bit, (..., C)."""
        return self.mean * (1 - self.mean)

    def rsample(self, sample_shape: Size | tuple[int, ...] = ()) -> Tensor:
        """Bits, (*sample_shape, ..., C), with the gradient of the relaxed ones."""
        tiny = torch.finfo(torch.float32).tiny
        uniform = torch.rand(*sample_shape, *self.logits.shape, device=self.logits.device)
        uniform = uniform.clamp(tiny, 1 - torch.finfo(torch.float32).eps)
        relaxed = ((self.logits + uniform.log() - (-uniform).log1p()) / self.temperature).sigmoid()
        bits = (relaxed.detach() > 0.5).to(relaxed.dtype)
        # The difference is exactly zero; a NaN stays one.
        return bits + (relaxed - relaxed.detach())

    def sample(self, sample_shape: Size | tuple[int, ...] = ()) -> Tensor:
        """Bits, (*sample_shape, ..., C), without gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape)


@register_kl(Bits, Bits)
def kl_of_bits(q: Bits, p: Bits) -> Tensor:
    """sum_c q_c log(q_c / p_c) + (1 - q_c) log((1 - q_c) / (1 - p_c)), (...), nats."""
    # By the logarithms of both sides: a difference of logits that leave no doubt would be rounded.
    here = q.mean * (F.logsigmoid(q.logits) - F.logsigmoid(p.logits))
    absent = (-q.logits).sigmoid() * (F.logsigmoid(-q.logits) - F.logsigmoid(-p.logits))
    return (here + absent).sum(-1)
