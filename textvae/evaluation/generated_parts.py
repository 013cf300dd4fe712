"""Metrics of rows with parts that were written by a model, beside those of real rows."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from textvae.data.words import Unit
from textvae.evaluation.text import distinct, in_units

Columns = Mapping[str, Sequence[Any]]
"""Cells by field; of a field with parts, a tuple of them."""


@dataclass(frozen=True)
class PartsStyle:
    """Metrics of rows with parts.

    Args:
        parts: mean number of parts of a row, by plate.
        distinct_1: different words / words of all texts with parts.
        distinct_2: the same for pairs of words inside a part.
        distinct_4: the same for four words.
        entropy_words: entropy of the words of all parts, nats.
        entropy_labels: entropy of each field of labels or of sets of labels with parts, nats.
        given_words: share of the different words of the conditions of a row that stand in its
            texts, mean over the rows; None without conditions that are texts.
        rows: number of rows.
    """

    parts: dict[str, float]
    distinct_1: float
    distinct_2: float
    distinct_4: float
    entropy_words: float
    entropy_labels: dict[str, float]
    given_words: float | None
    rows: int


@dataclass(frozen=True)
class GeneratedParts:
    """`PartsStyle` of rows from the prior, and of as many held-out ones.

    Args:
        samples: written by the model; under conditions, one row for those of each held-out row.
        real: held out.
        relative: metrics of the samples / the same of the real rows, by name; of each field of
            labels by the name of the field. One that is 0 for real rows is left out.
    """

    samples: PartsStyle
    real: PartsStyle
    relative: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        samples, real = flat(self.samples), flat(self.real)
        relative = {name: samples[name] / real[name] for name in samples if real[name]}
        object.__setattr__(self, "relative", relative)


def flat(style: PartsStyle) -> dict[str, float]:
    """The metrics of a style that may be divided by another's, by name."""
    names = ("distinct_1", "distinct_2", "distinct_4", "entropy_words")
    return {name: getattr(style, name) for name in names} | style.entropy_labels


def parts_style(
    columns: Columns,
    texts: Mapping[str, str],
    labels: Iterable[str],
    given: Sequence[Sequence[str]] | None = None,
    unit: Unit = "word",
) -> PartsStyle:
    """The metrics of rows.

    Args:
        columns: of the rows.
        texts: names of the fields of texts with parts, and their plates.
        labels: names of the fields of labels and of sets of labels with parts.
        given: texts of the conditions of each row.
        unit: that is counted as a word.

    >>> columns = {"text": [("a b", "a"), ("c",)], "act": [("x", "y"), ("x",)]}
    >>> found = parts_style(columns, {"text": "turn"}, ["act"])
    >>> found.parts, found.distinct_1, found.distinct_2
    ({'turn': 1.5}, 0.75, 1.0)
    >>> round(found.entropy_words, 3)  # of a, b, a, c
    1.04

    Raises:
        ValueError: there is no row.
    """
    count = len(next(iter(columns.values())))
    if not count:
        raise ValueError("there is no row with parts to measure")
    of_rows = [
        in_units([part for name in texts for part in columns[name][row]], unit)
        for row in range(count)
    ]
    every = [text for row in of_rows for text in row]
    found = None
    if given is not None and any(given):
        shares = []
        for conditions, written in zip(given, of_rows, strict=True):
            wanted = {word for text in in_units(conditions, unit) for word in text.split()}
            there = {word for text in written for word in text.split()}
            shares.append(len(wanted & there) / max(1, len(wanted)))
        found = sum(shares) / count
    return PartsStyle(
        parts={plate: mean_count(columns[name]) for name, plate in texts.items()},
        distinct_1=distinct(every, 1),
        distinct_2=distinct(every, 2),
        distinct_4=distinct(every, 4),
        entropy_words=entropy(word for text in every for word in text.split()),
        entropy_labels={
            name: entropy(unordered(part) for cell in columns[name] for part in cell)
            for name in labels
        },
        given_words=found,
        rows=count,
    )


def unordered(part: Any) -> Hashable:
    """A label, or a set of labels whatever their order."""
    return part if part is None or isinstance(part, str) else frozenset(part)


def mean_count(cells: Sequence[Sequence[Any]]) -> float:
    """The mean number of parts."""
    return sum(map(len, cells)) / len(cells)


def entropy(values: Iterable[Hashable]) -> float:
    """The entropy of the frequencies of values, nats; 0 for none.

    >>> round(entropy("aabb") / math.log(2), 3)
    1.0
    """
    counts = Counter(values)
    total = sum(counts.values())
    return -sum(n / total * math.log(n / total) for n in counts.values())
