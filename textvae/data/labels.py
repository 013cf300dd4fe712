"""Labels of texts: names in a table, class indices in a batch, -1 where there is none."""

from collections.abc import Sequence

import numpy as np

from textvae.data.fields import Column, Fields, Labels
from textvae.data.texts import DataError
from textvae.registry import suggest
from textvae.vocabulary import MISSING


def class_names(labels: Sequence[str]) -> list[str]:
    """The distinct labels, sorted, without the empty string, which is a missing label.

    Raises:
        DataError: there are fewer than two.
    """
    names = sorted({label for label in labels if label})
    if len(names) < 2:
        raise DataError(f"at least two different labels are needed (got {names or 'none'})")
    return names


def numbered(labels: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """The index of each label among the names, (N,), int64; -1 for the empty string.

    Raises:
        DataError: a label that is not among them.
    """
    indices = {"": MISSING} | {name: index for index, name in enumerate(names)}
    for label in labels:
        if label not in indices:
            raise DataError(f"unknown label {label!r} {suggest(label, names)}")
    return np.array([indices[label] for label in labels], np.int64)


def kept(values: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Labels, (N,), of which `count` are left, evenly among classes; the others become -1.

    Raises:
        DataError: there are fewer.
    """
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(values))
    order = order[values[order] != MISSING]
    if count > len(order):
        raise DataError(f"data.labelled is {count}, and {len(order)} texts have a label")
    # Round-robin: the first of each class, then the second of each class, and so on.
    rounds = np.empty(len(order), np.int64)
    for label in np.unique(values):
        in_class = values[order] == label
        rounds[in_class] = np.arange(in_class.sum())
    chosen = order[np.argsort(rounds, kind="stable")[:count]]
    labels = np.full_like(values, MISSING)
    labels[chosen] = values[chosen]
    return labels


def with_labels(texts: Column, values: np.ndarray, names: Sequence[str]) -> Fields:
    """Encoded texts and their labels, (N,), as rows of the fields `text` and `label`."""
    return Fields({"text": texts, "label": Labels(values, len(names), tuple(names))})
