"""Fields whose rows have several parts, such as the turns of a dialogue: cells and columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from textvae.config import FieldConfig
from textvae.data.errors import DataError, shown

if TYPE_CHECKING:
    from textvae.data.fields import Column


def part_cells(cell: Any, key: str | None, field: FieldConfig, where: str) -> list[Any]:
    """The cells of the parts of a row.

    Args:
        cell: a list, or a text that is one in JSON or that the field's separator splits.
        key: of each part, where parts are objects; None where they are the cells themselves.
        field: with a plate.
        where: of the cell, for messages.

    Raises:
        DataError: it is neither, it has no part, or a part is no object with the key.
    """
    # That of a set of labels stands between labels.
    separator = None if field.kind == "labels" or key is not None else field.separator
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        cell = listed_in(cell, where)
    elif isinstance(cell, str) and separator is not None:
        cell = cell.split(field.separator) if cell.strip() else []
    if not isinstance(cell, list | tuple):
        other = ", or a text with a 'separator' in data.fields" if separator is None else ""
        raise DataError(f"{where}: must be a list of parts{other} (got {shown(cell)})")
    if not cell:
        raise DataError(f"{where}: has no part; a row needs at least one {field.plate}")
    if key is None:
        return list(cell)
    for number, part in enumerate(cell, start=1):
        if not isinstance(part, Mapping) or key not in part:
            raise DataError(
                f"{where}: part {number} must be an object with the key {key!r} (got {shown(part)})"
            )
    return [part[key] for part in cell]


def listed_in(text: str, where: str) -> Any:
    """The value of a cell that begins as a JSON list does.

    Raises:
        DataError: it is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise DataError(f'{where}: begins with "[" and is no JSON (got {shown(text)})') from None


def check_counts(row: Mapping[str, Any], fields: Mapping[str, FieldConfig], where: str) -> None:
    """Refuse a row whose fields of one plate have different numbers of parts.

    Raises:
        DataError: naming two of them.
    """
    first: dict[str, str] = {}
    for name, field in fields.items():
        if field.plate is None:
            continue
        other = first.setdefault(field.plate, name)
        if len(row[name]) != len(row[other]):
            raise DataError(
                f"{where}: {other!r} has {len(row[other])} parts and {name!r} has "
                f"{len(row[name])}: one of each {field.plate} is needed"
            )


def joined_parts(cell: Any, join: str, where: str) -> Any:
    """A list of texts as one text; what is no list stays as it is.

    Raises:
        DataError: a part is no string.
    """
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    if not isinstance(cell, list | tuple):
        return cell
    for number, part in enumerate(cell, start=1):
        if not isinstance(part, str):
            raise DataError(f"{where}: part {number} must be a string (got {shown(part)})")
    return join.join(part.strip() for part in cell)


def flat(cells: Sequence[Sequence[Any]]) -> list[Any]:
    """The parts of all rows, one after the other."""
    return list(chain.from_iterable(cells))


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
