"""Labels of texts: names in a table, class indices in a batch, -1 where there is none."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from textvae.data.errors import shown
from textvae.data.fields import Column, Fields, Labels
from textvae.data.file_trees import listed, natural_key
from textvae.data.texts import DataError
from textvae.registry import suggest
from textvae.vocabulary import MISSING

SHOWN_CLASSES = 10
"""Number of classes that a note lists."""

NUMBER = re.compile(r"[+-]?[0-9]+([.][0-9]+)?")


def class_order(names: Iterable[str]) -> list[str]:
    """The names of classes in their order, in which numbers have that of their values.

    >>> class_order(["10", "2", "-1"]), class_order(["b", "a10", "a9"])
    (['-1', '2', '10'], ['a9', 'a10', 'b'])
    """
    known = list(names)
    if all(NUMBER.fullmatch(name) for name in known):
        return sorted(known, key=lambda name: (float(name), name))
    return sorted(known, key=natural_key)


def class_names(labels: Sequence[str]) -> list[str]:
    """The distinct labels, in `class_order`, without the empty string, which is a missing label.

    Raises:
        DataError: there are fewer than two.
    """
    names = class_order({label for label in labels if label})
    if len(names) < 2:
        raise DataError(f"at least two different labels are needed (got {names or 'none'})")
    return names


def numbered(labels: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """The index of each label among the names, (N,), int64; -1 for the empty string.

    Raises:
        DataError: a label that is not among them, or is no string.
    """
    indices = {"": MISSING} | {name: index for index, name in enumerate(names)}
    for number, label in enumerate(labels):
        if not isinstance(label, str):
            allowed = "must be a string, empty where there is no label"
            raise DataError(f"labels[{number}]: {allowed} (got {shown(label)})")
        if label not in indices:
            raise DataError(f"row {number + 1}: unknown label {label!r} {suggest(label, names)}")
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
        raise DataError(
            f"data.labelled is {count}, and {len(order)} rows have a label; null keeps them all"
        )
    # Round-robin: the first of each class, then the second of each class, and so on.
    rounds = np.empty(len(order), np.int64)
    for label in np.unique(values):
        in_class = values[order] == label
        rounds[in_class] = np.arange(in_class.sum())
    chosen = order[np.argsort(rounds, kind="stable")[:count]]
    labels = np.full_like(values, MISSING)
    labels[chosen] = values[chosen]
    return labels


def labels_note(
    values: np.ndarray, given: np.ndarray, names: Sequence[str], unit: str = "texts"
) -> str:
    """A sentence on the labels that training uses, of each class.

    Args:
        values: labels that are left, (N,); -1 for none.
        given: all labels, (N,).
        names: of the classes.
        unit: what the rows are, in the plural.
    """
    left, all_of_them = ((part >= 0).sum() for part in (values, given))
    few = left < all_of_them
    classes = []
    for number, name in enumerate(names[:SHOWN_CLASSES]):
        total = f" of {(given == number).sum():,}" if few else ""
        classes.append(f"{name} {(values == number).sum():,}{total}")
    more = f", ... ({len(names)} classes)" if len(names) > SHOWN_CLASSES else ""
    start = (
        f"{left:,} of {all_of_them:,} labels are kept" if few else f"{left:,} {unit} have a label"
    )
    return f"{start}: {', '.join(classes)}{more}"


def counts_text(values: np.ndarray, names: Sequence[str]) -> str:
    """The number of rows of each class, in words, and which classes have none.

    Args:
        values: labels, (N,); -1 for none.
        names: of the classes.

    >>> counts_text(np.array([0, 2, 2, -1]), ["cat", "dog", "fox"])
    '3 classes: cat (1), fox (2); none of dog'
    """
    counts = np.bincount(values[values != MISSING], minlength=len(names)).tolist()
    rows = [f"{name} ({count:,})" for name, count in zip(names, counts, strict=True) if count]
    more = ", ..." if len(rows) > SHOWN_CLASSES else ""
    classes = "class" if len(names) == 1 else "classes"
    text = f"{len(names):,} {classes}: {', '.join(rows[:SHOWN_CLASSES])}{more}"
    absent = [name for name, count in zip(names, counts, strict=True) if not count]
    return f"{text}; none of {listed(absent)}" if absent else text


def with_labels(texts: Column, values: np.ndarray, names: Sequence[str]) -> Fields:
    """Encoded texts and their labels, (N,), as rows of the fields `text` and `label`."""
    return Fields({"text": texts, "label": Labels(values, len(names), tuple(names))})
