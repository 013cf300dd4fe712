"""Labels of texts: names in a table, numbers in a batch, -1 where there is none."""

from collections.abc import Sequence

import numpy as np

from textvae.data.fields import Column, Fields, Labels
from textvae.data.texts import DataError
from textvae.registry import suggest
from textvae.vocabulary import MISSING


def class_names(labels: Sequence[str]) -> list[str]:
    """The different labels, in order; the blank ones, of texts without a label, are none.

    Raises:
        DataError: there are fewer than two.
    """
    names = sorted({label for label in labels if label})
    if len(names) < 2:
        raise DataError(f"at least two different labels are needed (got {names or 'none'})")
    return names


def numbered(labels: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """The place of each label among the names, (N,), int64; -1 for a blank one.

    Raises:
        DataError: a label that is not among them.
    """
    places = {"": MISSING} | {name: place for place, name in enumerate(names)}
    for label in labels:
        if label not in places:
            raise DataError(f"unknown label {label!r} {suggest(label, names)}")
    return np.array([places[label] for label in labels], np.int64)


def kept(values: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Labels, (N,), of which so many are left, shared out evenly among classes; the others are -1.

    Raises:
        DataError: there are fewer.
    """
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(values))
    order = order[values[order] != MISSING]
    if count > len(order):
        raise DataError(f"data.labelled is {count}, and {len(order)} texts have a label")
    # In turns: first each class's first, then each one's second, and so on.
    turns = np.empty(len(order), np.int64)
    for label in np.unique(values):
        own = values[order] == label
        turns[own] = np.arange(own.sum())
    chosen = order[np.argsort(turns, kind="stable")[:count]]
    left = np.full_like(values, MISSING)
    left[chosen] = values[chosen]
    return left


def with_labels(texts: Column, values: np.ndarray, names: Sequence[str]) -> Fields:
    """Encoded texts and their labels, (N,), side by side."""
    return Fields({"text": texts, "label": Labels(values, len(names), tuple(names))})
