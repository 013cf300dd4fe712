"""One of C classes; its prior is uniform."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, OneHotCategorical
from torch.nn import functional as F

from textvae.families.base import Family, in_float32
from textvae.registry import Count
from textvae.vocabulary import MISSING

IMPOSSIBLE = -1e4
"""Logit of a class that a label rules out: its probability is exactly zero in float32."""


class Categorical(Family, kind="categorical"):
    """softmax(W h + b) over one-hot vectors, (C,). Expectations are sums over all classes.

    Args:
        features: size H of the context.
        dim: number of classes C; that of the label where the node has a `field`.
        classes: of the label, if there is one.

    >>> family = Categorical(features=3, dim=4)
    >>> family(torch.zeros(2, 5, 3)).event_shape
    torch.Size([4])

    Raises:
        ValueError: no number of classes, one below two, or two that differ.

    Source: Kingma et al. 2014, section 3 (M2), arXiv:1406.5298.
    """

    enumerated: ClassVar[bool] = True

    def __init__(self, features: int, dim: Count | None = None, classes: int | None = None):
        super().__init__()
        if dim is not None and classes is not None and dim != classes:
            raise ValueError(f"dim is {dim}, and the label has {classes} classes")
        self.dim = dim or classes or 0
        if self.dim < 2:
            raise ValueError(f"at least 2 classes are needed (got dim: {self.dim or None})")
        self.head = nn.Linear(features, self.dim)

    def variational_parameters(self, context: Tensor) -> Tensor:
        """The logits of each context, (..., C)."""
        return in_float32(self.head, context)

    def distribution(self, variational_parameters: Tensor) -> Distribution:
        """The classes as one-hot vectors, of logits, (..., C); a NaN reaches the loss."""
        return OneHotCategorical(logits=variational_parameters, validate_args=False)

    def default_prior(self, batch_shape: torch.Size, like: Tensor) -> Distribution:
        """Every class alike."""
        return self.distribution(torch.zeros(*batch_shape, self.dim, device=like.device))

    def observed(self, variational_parameters: Tensor, labels: Tensor) -> Tensor:
        """Logits, (B, C), that leave no doubt where the label, (B,), is not missing (-1)."""
        return with_known_class(variational_parameters, labels)

    def label_log_prob(
        self, variational_parameters: Tensor, labels: Tensor, smoothing: float = 0.0
    ) -> Tensor:
        """log q(label | x), (B,), of labels, (B,): the cross-entropy, negated."""
        return class_log_prob(variational_parameters, labels, smoothing)

    def enumerate_support(self, samples: int, batch: int, like: Tensor) -> Tensor:
        """The classes in turn, (K, B, C); K is a multiple of C."""
        one_hot = torch.eye(self.dim, device=like.device)
        return one_hot[torch.arange(samples) % self.dim, None].expand(-1, batch, -1)


def with_known_class(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits, (B, C), that leave no doubt where a label, (B,), is not missing (-1)."""
    classes = torch.arange(logits.shape[-1], device=labels.device)
    certain = torch.where(classes == labels[:, None], 0.0, IMPOSSIBLE)
    return torch.where(labels[:, None] >= 0, certain, logits)


def class_log_prob(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """The log-probability of a class, (B,), under logits, (B, C); 0 where it is missing (-1)."""
    return -F.cross_entropy(
        logits, labels, ignore_index=MISSING, reduction="none", label_smoothing=smoothing
    )
