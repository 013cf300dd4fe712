"""Sets of labels -> features."""

import torch
from torch import Tensor, nn

from textvae.encoders.base import Encoder, Features, pooled_only
from textvae.registry import Count


class LabelsEncoder(Encoder, kind="labels"):
    """2 y - 1 of a set's labels y in {0, 1}^C, or W (2 y - 1); a missing set is the zero vector.

    So a set without labels, all -1, is not a missing one.

    Args:
        label_set: number of labels C.
        dim: size of W (2 y - 1); None for 2 y - 1 itself.

    >>> LabelsEncoder(label_set=2)(torch.tensor([[1.0, 0.0], [-1.0, -1.0]])).pooled
    tensor([[ 1., -1.],
            [ 0.,  0.]])
    """

    def __init__(self, label_set: int, dim: Count | None = None):
        super().__init__()
        self.label_set = label_set
        self.features = label_set if dim is None else dim
        self.embedding = None if dim is None else nn.Linear(label_set, dim, bias=False)

    def forward(self, observed: Tensor) -> Features:
        """The features of sets, (B, C), -1 in the rows without one."""
        known = observed.float()
        signs = torch.where(known >= 0, 2 * known - 1, 0.0)
        if self.embedding is None:
            return pooled_only(signs)
        return pooled_only(self.embedding(signs.to(self.embedding.weight.dtype)))
