"""Plates: the parts of a batch's rows, such as the turns of dialogues, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Plate:
    """R parts that belong to B rows: those of the first row come first, and each row has some.

    Args:
        owner: the row of each part, (R,), int64, never falling.
        size: number of rows B.

    >>> plate = Plate.of(torch.tensor([2, 1]), 3)
    >>> plate.sum_parts(torch.tensor([[1.0, 2.0, 5.0]]))
    tensor([[3., 5.]])
    """

    owner: Tensor
    size: int

    @classmethod
    def of(cls, counts: Tensor, parts: int | None = None) -> Plate:
        """The plate of rows with so many parts each.

        Args:
            counts: (B,), int64, each at least 1.
            parts: their sum R; a GPU then need not wait for it.
        """
        rows = torch.arange(len(counts), device=counts.device)
        owner = torch.repeat_interleave(rows, counts, output_size=parts)
        return cls(owner, len(counts))

    @property
    def parts(self) -> int:
        """Number of parts R."""
        return len(self.owner)

    @cached_property
    def counts(self) -> Tensor:
        """Number of parts of each row, (B,), int64."""
        ones = torch.ones_like(self.owner)
        return torch.zeros(self.size, dtype=ones.dtype, device=ones.device).index_add(
            0, self.owner, ones
        )

    @cached_property
    def places(self) -> Tensor:
        """The number of each part in its row, from 0, (R,), int64."""
        first = self.counts.cumsum(0) - self.counts
        return torch.arange(self.parts, device=self.owner.device) - first[self.owner]

    @cached_property
    def last(self) -> Tensor:
        """The index of the last part of each row, (B,), int64."""
        return self.counts.cumsum(0) - 1

    def repeat_rows(self, values: Tensor, dim: int = 0) -> Tensor:
        """What belongs to the rows, (..., B, ...), for each part, (..., R, ...)."""
        return values.index_select(dim, self.owner)

    def sum_parts(self, values: Tensor, dim: int = 1) -> Tensor:
        """The sum of each row's parts, (..., B, ...), of values, (..., R, ...)."""
        shape = list(values.shape)
        shape[dim] = self.size
        return values.new_zeros(shape).index_add(dim, self.owner, values)

    def padded(self, values: Tensor) -> Tensor:
        """Values of parts, (R, H), by row, (B, S, H); S is the largest count, padding is 0."""
        longest = int(self.counts.max())
        empty = values.new_zeros(self.size, longest, *values.shape[1:])
        return empty.index_put((self.owner, self.places), values)

    def packed(self, values: Tensor) -> Tensor:
        """Values by row, (B, S, H), one after the other without padding, (R, H)."""
        return values[self.owner, self.places]
