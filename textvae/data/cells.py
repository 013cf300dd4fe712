"""Cells of tables that are no text: sets of labels."""

from __future__ import annotations

import ast
import json
from typing import Any

from textvae.data.errors import DataError, shown
from textvae.data.readers import is_missing, label_of

SEPARATOR = ","
"""Between the labels of a set in a text, unless a field names another."""

LabelSet = tuple[str, ...]
"""The labels of a row, each once, in the order in which they were given; () for no label."""


def cell_text(cell: Any) -> str:
    """A cell as a text that no other cell of its field has, for fingerprints and for splits."""
    if isinstance(cell, str):
        return cell
    return "" if cell is None else json.dumps(cell, ensure_ascii=False)


def label_set_of(cell: Any, where: str, separator: str) -> LabelSet | None:
    """The labels of a cell: of a list, or of a text that is a JSON list or split at `separator`.

    A blank cell, null or NaN is a missing set, None. An empty list, also as the text `[]`, is a set
    without labels. Blank labels inside a set are left out.

    >>> label_set_of("date, time", "row 1", ","), label_set_of("[]", "row 2", ",")
    (('date', 'time'), ())

    Raises:
        DataError: it is no list and no text, or a label is no text, whole number or truth value.
    """
    if is_missing(cell):
        return None
    if isinstance(cell, str):
        text = cell.strip()
        if not text:
            return None
        cell = listed_labels(text, where) if text.startswith("[") else text.split(separator)
    elif isinstance(cell, int | float):
        cell = [cell]
    if not isinstance(cell, list | tuple):
        raise DataError(
            f"{where}: a set of labels is a list, or text split at {separator!r} (got "
            f"{shown(cell)})"
        )
    labels = (label_of(label, where) for label in cell)
    return tuple(dict.fromkeys(label for label in labels if label))


def listed_labels(text: str, where: str) -> list[Any]:
    """The list that a text is, as JSON or as Python writes it, which is how pandas does.

    Raises:
        DataError: it is none.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            value = None
    if not isinstance(value, list):
        raise DataError(f'{where}: begins with "[" and is no list of labels (got {shown(text)})')
    return value
