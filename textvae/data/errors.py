"""The error of data that cannot be used, its hints, and notes on what was not used."""

from __future__ import annotations

import difflib
import itertools
import reprlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

MOST_NAMED = 20
"""Names that a message lists."""

LONGEST_NAME = 40
"""Characters of a name or a value in a message."""


class DataError(ValueError):
    """Data that cannot be used; the message is one line: what was given and what is allowed."""


class ColumnError(DataError):
    """A column that data do not have.

    Args:
        message: one line.
        column: that is missing.
    """

    def __init__(self, message: str, column: str) -> None:
        super().__init__(message)
        self.column = column


def first_line(error: BaseException) -> str:
    """The message of an error as one line of at most 200 characters."""
    return " ".join(str(error).split())[:200]


def nearest_name(path: Path) -> str:
    """A hint with the most similar name in the folder of a missing path; empty without one."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=1)
    return f" (did you mean {str(path.parent / near[0])!r}?)" if near else ""


def shown(value: Any) -> str:
    """The type of a value and its beginning, of a value of any size and depth."""
    if value is None:
        return "null"
    if isinstance(value, str | float | bool):
        return f"{type(value).__name__} {str(value)[:LONGEST_NAME]!r}"
    try:
        text = reprlib.repr(value)[:LONGEST_NAME]
    except Exception:  # the repr of a foreign type may raise anything
        return type(value).__name__
    return f"{type(value).__name__} {text!r}"


def listed(names: Iterable[str]) -> str:
    """At most `MOST_NAMED` names, each cut to `LONGEST_NAME` characters.

    >>> listed(["id", "", "label"])
    "id, '', label"
    """
    every = list(map(str, names))
    plain = (name if name.strip() and name.isprintable() else repr(name) for name in every)
    first = ", ".join(name[:LONGEST_NAME] for name in itertools.islice(plain, MOST_NAMED))
    return first + (", ..." if len(every) > MOST_NAMED else "")


def column_name(where: str, columns: Collection[str] | Iterable[str], wanted: str) -> str:
    """The wanted column.

    Args:
        where: the file, for the message.
        columns: all columns of the file.
        wanted: the column that must be one of them.

    Raises:
        ColumnError: there is no such column.
        DataError: there are several of that name.
    """
    names = columns if isinstance(columns, dict) else list(columns)
    if wanted not in names:
        known = listed(names) or "none"
        raise ColumnError(f"{where}: no column {wanted!r} (known: {known})", wanted)
    if isinstance(names, list) and (times := names.count(wanted)) > 1:
        many = "twice" if times == 2 else f"{times} times"
        raise DataError(f"{where}: the column {wanted!r} stands {many}; rename or remove one")
    return wanted


def note_once(notes: list[str], text: str) -> None:
    """Add a note that is not there yet: the files of a folder share their notes."""
    if text not in notes:
        notes.append(text)


def note_unused(notes: list[str], columns: Iterable[str], used: Sequence[str]) -> None:
    """Add a note with the columns of a table that were not used, if there are some."""
    unused = [str(name) for name in columns if name not in used]
    if unused:
        s = "s" if len(unused) > 1 else ""
        note_once(notes, f"{len(unused):,} column{s} not used: {listed(unused)}")
