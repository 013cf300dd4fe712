"""Tables with a header, their cells separated by commas (csv) or tabs (tsv)."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from textvae.data.errors import DataError, column_name, note_unused
from textvae.data.formats.base import Format, Row, register
from textvae.data.formats.txt import iter_lines

CellReader = Callable[[Path, list[str]], Iterator[tuple[int, list[str]]]]
"""Reads the cells of each row with the number of the line on which it ends; none if blank."""

QUOTED = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"')
"""A cell that is quoted whole: each quotation mark inside is doubled."""

CELL = re.compile(rf"(?:^|\t)({QUOTED.pattern}(?=\t|$)|[^\t]*)")
"""A cell of a line in which cells that are quoted whole have tabs."""


def read_table(
    path: Path, columns: Sequence[str], notes: list[str], read_cells: CellReader
) -> Iterator[Row]:
    """The cells of the columns, each row with the number of the line on which it ends.

    `NA`, `null` and the empty string stay as they are.

    Raises:
        DataError: a column is missing or stands twice, a row has too few or too many cells, or a
            quote is wrong.
    """
    rows = read_cells(path, notes)
    header = next((cells for _, cells in rows if cells), None)
    if header is None:
        return
    indices = [header.index(column_name(str(path), header, column)) for column in columns]
    note_unused(notes, header, columns)
    for number, cells in rows:
        if not cells:  # a blank line
            yield number, ("",) * len(indices)
        elif len(cells) != len(header):
            problem = f"{len(cells)} cells where the header has {len(header)}"
            raise DataError(f"{path}: line {number}: {problem}")
        else:
            yield number, tuple([cells[index] for index in indices])


def table_header(path: Path, read_cells: CellReader) -> list[str]:
    """The names of the columns; none of an empty file."""
    return next((cells for _, cells in read_cells(path, []) if cells), [])


def comma_cells(path: Path, notes: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row of a csv file, in which a quoted cell may have commas and line ends."""
    rows = csv.reader((line for _, line in iter_lines(path, notes)), strict=True)
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise DataError(f"{path}: line {rows.line_num}: malformed csv ({error})") from error


def tab_cells(path: Path, notes: list[str]) -> Iterator[tuple[int, list[str]]]:
    r"""The cells of each line of a tsv file, in which quotation marks are characters like others.

    Only a cell that is quoted whole loses them. Such a cell may have tabs, where the line would
    otherwise have more cells than the first one, and no line ends.

    >>> [unquoted(cell) for cell in ('"quoted whole"', '"quoted" at first', 'a "word"')]
    ['quoted whole', '"quoted" at first', 'a "word"']
    """
    width = 0
    for number, line in iter_lines(path, notes):
        line = line.rstrip("\n").removesuffix("\r")
        cells = line.split("\t") if line else []
        width = width or len(cells)
        if len(cells) > width:
            cells = [cell for cell, _ in CELL.findall(line)]
        yield number, list(map(unquoted, cells))


def unquoted(cell: str) -> str:
    """A cell without the quotation marks around the whole of it."""
    match = QUOTED.fullmatch(cell) if cell.startswith('"') else None
    return cell if match is None else match[1].replace('""', '"')


for name, cells in (("csv", comma_cells), ("tsv", tab_cells)):
    register(
        Format(
            name,
            (f".{name}",),
            "line",
            partial(read_table, read_cells=cells),
            header=partial(table_header, read_cells=cells),
        )
    )
