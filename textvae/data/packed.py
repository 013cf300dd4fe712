"""Columns whose rows have several parts, such as the turns of a dialogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from textvae.data.parts import flat

if TYPE_CHECKING:
    from textvae.data.fields import Column


@dataclass(frozen=True)
class Packed:
    """A column whose rows have one or more parts each.

    Args:
        column: of all parts, those of the first row first.
        offsets: index of the first part of each row, and the end of the last, (N + 1,), int64.
        plate: name of the parts.
    """

    column: Column
    offsets: np.ndarray
    plate: str

    @classmethod
    def of(cls, column: Column, cells: Sequence[Sequence[Any]], plate: str) -> Packed:
        """The column of parts of rows whose cells have so many."""
        return cls(column, np.cumsum([0, *map(len, cells)], dtype=np.int64), plate)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> list[Any]:
        """The values of the parts of one row."""
        return [self.column[part] for part in range(*self.offsets[[index, index + 1]])]

    @property
    def counts(self) -> np.ndarray:
        """Number of parts of each row, (N,), int64."""
        return np.diff(self.offsets)

    def select(self, indices: np.ndarray) -> Packed:
        """The rows at these indices."""
        starts, ends = self.offsets[:-1][indices], self.offsets[1:][indices]
        parts = [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]
        chosen = np.concatenate([np.zeros(0, np.int64), *parts])
        offsets = np.concatenate([[0], np.cumsum(ends - starts)])
        return Packed(self.column.select(chosen), offsets, self.plate)

    def stack(self, rows: Sequence[Sequence[Any]]) -> Tensor:
        """The values of the parts of several rows as one tensor, (R, ...)."""
        return self.column.stack(flat(rows))

    def of_rows(self, values: np.ndarray, how: np.ufunc) -> np.ndarray:
        """The sum or the largest of the values of each row's parts, (N,), of values, (R,)."""
        return how.reduceat(values, self.offsets[:-1])

    @property
    def facts(self) -> dict[str, Any]:
        """Sizes and names of the field, from which a model is built."""
        return {**getattr(self.column, "facts", {}), "plate": self.plate}
