"""Class labels -> features."""

from torch import Tensor, nn
from torch.nn import functional as F

from textvae.encoders.base import Encoder, Features, pooled_only
from textvae.registry import Count


class LabelEncoder(Encoder, kind="label"):
    """One vector per class; a missing label, -1, is the zero vector.

    Args:
        classes: number of classes.
        dim: size of a learned vector; None for the class as a one-hot vector.

    >>> import torch
    >>> LabelEncoder(classes=3)(torch.tensor([2, -1])).pooled
    tensor([[0., 0., 1.],
            [0., 0., 0.]])
    """

    def __init__(self, classes: int, dim: Count | None = None):
        super().__init__()
        self.classes = classes
        self.features = classes if dim is None else dim
        self.embedding = None if dim is None else nn.Linear(classes, dim, bias=False)

    def forward(self, observed: Tensor) -> Features:
        """The features of labels, (B,), int64."""
        known = F.one_hot(observed.clamp(min=0), self.classes) * (observed >= 0)[:, None]
        if self.embedding is None:
            return pooled_only(known.float())
        return pooled_only(self.embedding(known.to(self.embedding.weight.dtype)))
