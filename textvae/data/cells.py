"""Cells of tables that are no text: sets of labels, and vectors of numbers."""

from __future__ import annotations

import ast
import json
import math
from array import array
from collections.abc import Sequence
from typing import Any

from textvae.data.errors import DataError, shown
from textvae.data.sources import is_missing, label_of

SEPARATOR = ","
"""Between the labels of a set in a text, unless a field names another."""

LabelSet = tuple[str, ...]
"""The labels of a row, each once, in the order in which they were given; () for no label."""


def cell_text(cell: Any) -> str:
    """A cell as a text that no other cell of its field has, for fingerprints and for splits."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, array):
        return cell.tobytes().hex()
    if hasattr(cell, "tobytes"):  # an image
        return f"{cell.shape} {cell.dtype} {cell.tobytes().hex()}"
    return "" if cell is None else json.dumps(cell, ensure_ascii=False, default=cell_text)


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
        raise DataError(f'{where}: begins with "[" and is no list (got {shown(text)})')
    return value


NO_NUMBER = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))
"""Texts, in lower case, that stand for a missing number."""


def number_of(cell: Any, where: str) -> float | None:
    """The number of a cell; None where it is missing: null, NaN, or one of `NO_NUMBER`.

    >>> number_of(" 1.5 ", "row 1"), number_of(True, "row 2"), number_of("NA", "row 3")
    (1.5, 1.0, None)

    Raises:
        DataError: it is none, or infinite.
    """
    if is_missing(cell) or (isinstance(cell, str) and cell.strip().lower() in NO_NUMBER):
        return None
    value = math.inf
    if isinstance(cell, bool | int | float) or (isinstance(cell, str) and "_" not in cell):
        try:
            value = float(cell)
        except (ValueError, OverflowError):
            value = math.inf
    if not math.isfinite(value):
        raise DataError(f"{where} must be a finite number (got {shown(cell)})")
    return value


ALLOWED = {
    "bits": ("0 or 1", lambda value: value in (0.0, 1.0)),
    "counts": ("a whole number from 0 on", lambda value: value >= 0 and value.is_integer()),
    "real": ("a number", lambda value: True),
}
"""What each kind of values allows, in words, and whether a number is one."""


def vector_of(cells: Sequence[Any], names: Sequence[str], where: str, values: str) -> array | None:
    """The numbers of a row, (D,); None where one of them is missing.

    Args:
        cells: of the columns, one number each; or one list of numbers, also as a JSON text.
        names: of the columns.
        where: of the row, for messages.
        values: `bits`, `counts` or `real`.

    Raises:
        DataError: a cell is no number, or not one of these values.
    """
    first = cells[0]
    if len(cells) == 1 and isinstance(first, str) and first.strip().startswith("["):
        first = listed_labels(first.strip(), where)
    if len(cells) == 1 and isinstance(first, list | tuple):
        cells, names = first, [f"{names[0]}[{place}]" for place in range(len(first))]
    allowed, is_allowed = ALLOWED[values]
    numbers = array("d")
    for name, cell in zip(names, cells, strict=True):
        value = number_of(cell, f"{where}: {name!r}")
        if value is None:
            return None
        if not is_allowed(value):
            raise DataError(
                f"{where}: {name!r} must be {allowed}, as values: {values} has it (got {value:g}; "
                f"known values: {', '.join(ALLOWED)}; set data.fields.FIELD.values)"
            )
        numbers.append(value)
    return numbers


def strings(cell: str | Sequence[str]) -> Sequence[str]:
    """The texts of a cell: its parts, the labels of a set, or it alone."""
    return (cell,) if isinstance(cell, str) else cell
