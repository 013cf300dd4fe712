"""Files and hub data sets by split, and the cells of their rows."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from textvae.data.errors import DataError, shown
from textvae.data.formats import Row, read_rows
from textvae.data.formats.base import column_names, known_format, suffix_of
from textvae.data.hub import UNIT, hub_rows, hub_splits
from textvae.data.python_texts import MAX_CHARS
from textvae.data.splits import label_tables, split_files


def is_missing(cell: Any) -> bool:
    """Whether a cell of a table is empty: null or NaN."""
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def text_of(cell: Any, where: str, max_chars: int) -> str:
    """The stripped text of a cell; null and NaN are a blank text.

    Raises:
        DataError: it is no string, or too long.
    """
    if is_missing(cell):
        return ""
    if not isinstance(cell, str):
        raise DataError(f"{where}: the text must be a string (got {shown(cell)})")
    text = cell.strip()
    if len(text) > max_chars:
        raise DataError(f"{where}: {len(text)} characters, at most {max_chars} are allowed")
    return text


def label_of(cell: Any, where: str) -> str:
    """The label of a cell; null, NaN and blanks are a missing one.

    Raises:
        DataError: it is no text, whole number or truth value.
    """
    if is_missing(cell):
        return ""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # a column of whole numbers with blanks, as pandas writes it
    if not isinstance(cell, str | int):
        raise DataError(f"{where}: a label is text or a whole number (got {shown(cell)})")
    if isinstance(cell, str) and len(cell) > MAX_CHARS:
        raise DataError(f"{where}: a label of {len(cell)} characters, at most {MAX_CHARS}")
    return str(cell).strip()


def note_blank(notes: list[str], name: str, blank: int, unit: str) -> None:
    """Add a note on the rows without a text, if there are some."""
    if blank:
        notes.append(f"{name}: skipped {blank_rows(blank, unit)}")


def blank_rows(blank: int, unit: str) -> str:
    """A number of blank rows in words.

    >>> blank_rows(1, "line"), blank_rows(2000, "entry")
    ('1 blank line', '2,000 blank entries')
    """
    plural = unit if blank == 1 else f"{unit}s".replace("ys", "ies")
    return f"{blank:,} blank {plural}"


def path_of(source: str | os.PathLike[str]) -> Path:
    """The path of a source, which may not exist.

    Raises:
        DataError: it is no path and no name, or an empty one.
    """
    allowed = "a folder, a file or the name of a hub data set"
    if not isinstance(source, str | os.PathLike):
        raise DataError(f"data must be {allowed} (got {type(source).__name__})")
    if not str(source).strip():
        raise DataError(f"no data given: {allowed}")
    try:
        return Path(source).expanduser()
    except RuntimeError as error:  # the home of an unknown user
        raise DataError(f"{source}: {error}") from None


def label_table(path: Path) -> Path:
    """The table with the labels of a file without columns, `train.labels.tsv` for `train.txt`.

    Raises:
        DataError: there is none in its folder.
    """
    names = label_tables(path)
    table = next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)
    if table is None:
        suffix = suffix_of(path.name)
        raise DataError(
            f"{path}: a {suffix} file holds no labels (allowed: a table, or {names[0]})"
        )
    return table


class Part(NamedTuple):
    """Rows that are read together: a file, or a split of a hub data set.

    Args:
        name: for messages.
        unit: counted by the number of a row.
        rows: reads the cells of some columns, and adds notes to a list.
        header: the names of the columns; None where they are not known before rows are read.
    """

    name: str
    unit: str
    rows: Callable[[Sequence[str], list[str]], Iterator[Row]]
    header: Callable[[], list[str]] | None = None


def split_parts(source: str, notes: list[str]) -> dict[str, list[Part]]:
    """What each split that the source has is read from; one file is `train`.

    Notes on unused files are added to the list.

    Raises:
        DataError: there is no such source, or its files are not named by split.
    """
    path = path_of(source)
    try:
        if path.is_file():
            files = {"train": [path]}
        elif path.is_dir():
            files = split_files(path, notes)
        elif path.exists():
            raise DataError(f"{source}: is no regular file and no folder")
        else:
            return {
                name: [Part(split.name, UNIT, partial(hub_rows, split))]
                for name, split in hub_splits(str(source), notes).items()
            }
    except OSError as error:
        raise DataError(f"{source}: {error.strerror or error}") from error
    return {
        split: [
            Part(
                str(path),
                known_format(path).unit,
                partial(read_rows, path),
                partial(column_names, path),
            )
            for path in paths
        ]
        for split, paths in files.items()
    }
