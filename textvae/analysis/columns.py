"""Columns by which points are coloured: labels, length, first word."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from textvae.data.labels import NUMBER, class_order
from textvae.data.words import unit_of
from textvae.evaluation.space import explained_variance
from textvae.vocabulary import MISSING

CLASSES = 10
"""Most classes of a column; of more, the nine most frequent have one each and the rest is one."""

FIRST_WORD, NONE = "first word", "none"
OTHER = 254
MISSING_BYTE = 255
"""The classes `other` and none of a column, as bytes."""


@dataclass(frozen=True)
class Column:
    """A class of each row.

    Args:
        name: of the column.
        names: of the classes.
        numbers: (N,), int64; -1 for rows without a class, `len(names)` for any other class.
        others: how many further classes there are.
        ordered: whether the classes have an order, as lengths do.
        computed: whether it is computed from the rows, and no label.
    """

    name: str
    names: tuple[str, ...]
    numbers: np.ndarray
    others: int = 0
    ordered: bool = False
    computed: bool = False

    @property
    def counts(self) -> list[int]:
        """Rows of each class, then of the others, then those without."""
        counted = np.bincount(self.numbers + 1, minlength=len(self.names) + 2).tolist()
        return [*counted[1:], counted[0]]

    @property
    def bytes(self) -> np.ndarray:
        """The classes, (N,), uint8: `OTHER` for any other class, `MISSING_BYTE` for none."""
        numbers = np.where(self.numbers == len(self.names), OTHER, self.numbers)
        return np.where(numbers < 0, MISSING_BYTE, numbers).astype(np.uint8)

    def explained(self, points: np.ndarray) -> float:
        """Share of the variance of points, (N, 2), between the classes."""
        return explained_variance(points, self.numbers)


def class_column(name: str, values: Sequence[str], computed: bool = False) -> Column:
    """A column of labels, blank where there is none; many different numbers become ranges."""
    counts = Counter(value for value in values if value)
    if len(counts) > CLASSES and not computed and all(map(NUMBER.fullmatch, counts)):
        return number_column(name, [float(value) if value else None for value in values])
    # Of equally frequent ones the first in the alphabet, so that the order of rows plays no part.
    frequent = sorted(counts, key=lambda value: (-counts[value], value))
    few = len(counts) <= CLASSES
    names = frequent if few else frequent[: CLASSES - 1]
    names = names if computed else class_order(names)
    places = {value: number for number, value in enumerate(names)}
    numbers = [places.get(value, len(names)) if value else MISSING for value in values]
    others = len(counts) - len(names)
    return Column(name, tuple(names), np.array(numbers, np.int64), others, computed=computed)


def number_column(name: str, values: Sequence[float | None], computed: bool = False) -> Column:
    """A column of numbers in at most nine ranges with about as many rows each."""
    known = np.array([value for value in values if value is not None], np.float64)
    if not len(known):
        return Column(name, (), np.full(len(values), MISSING), ordered=True, computed=computed)
    distinct = np.unique(known)
    if len(distinct) < CLASSES:
        starts = distinct
    else:
        shares = np.arange(CLASSES - 1) / (CLASSES - 1)
        starts = np.unique(np.quantile(known, shares, method="higher"))
    numbers = np.full(len(values), MISSING, np.int64)
    given = np.array([value is not None for value in values])
    numbers[given] = np.searchsorted(starts, known, side="right") - 1
    ends = [distinct[distinct < start][-1] for start in starts[1:]] + [distinct[-1]]
    names = (
        f"{low:g}" if low == high else f"{low:g} to {high:g}"
        for low, high in zip(starts, ends, strict=True)
    )
    return Column(name, tuple(names), numbers, ordered=True, computed=computed)


def length_column(texts: Sequence[str]) -> Column:
    """The length of texts, in words, or in characters where blanks separate none."""
    unit = unit_of(texts)
    lengths = (len(text) if unit == "character" else len(text.split()) for text in texts)
    return number_column(f"length in {unit}s", [float(n) for n in lengths], computed=True)


def first_word_column(texts: Sequence[str]) -> Column:
    """The first word of texts; the first character where blanks separate none."""
    if unit_of(texts) == "character":
        return class_column(FIRST_WORD, [text.strip()[:1] for text in texts], computed=True)
    return class_column(FIRST_WORD, [(text.split() or [""])[0] for text in texts], computed=True)


def most_explaining(columns: Sequence[Column], points: np.ndarray) -> str:
    """The name of the column that explains most of the variance of points, (N, 2); none without."""
    shares = {column.name: column.explained(points) for column in columns}
    return max(shares, key=lambda name: shares[name], default=NONE)
