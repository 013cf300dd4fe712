"""The error of data that cannot be used, and the hints in its message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class DataError(ValueError):
    """Data that cannot be used; the message is one line: what was given and what is allowed."""


def first_line(error: Exception) -> str:
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


def column_name(where: str, columns: Iterable[str], wanted: str) -> str:
    """The wanted column.

    Args:
        where: the file, for the message.
        columns: all columns of the file.
        wanted: the column that must be one of them.

    Raises:
        DataError: there is no such column.
    """
    names = list(columns)
    if wanted not in names:
        known = ", ".join(name[:30] for name in names[:20]) + (", ..." if len(names) > 20 else "")
        raise DataError(f"{where}: no column {wanted!r} (known: {known or 'none'})")
    return wanted
