"""The first rows of a data set, read before anything slow: most mistakes show there."""

import itertools
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from textvae.config import DataConfig
from textvae.data.errors import ColumnError, DataError
from textvae.data.formats.base import suffix_of
from textvae.data.readers import MAX_CHARS, stripped
from textvae.data.sources import Part, path_of, split_parts
from textvae.data.splits import format_of
from textvae.data.tables import part_rows, table_parts
from textvae.data.vectors import is_open

FIRST = 1000
"""Rows that are read of each file."""


OPTIONS = ("--text-column", "--label-column", "--field")
"""Options of a command that name a column."""


def check_first_rows(
    config: DataConfig, labels: Collection[str] = (), options: Collection[str] = OPTIONS
) -> None:
    """Read the first rows of the files that a data section names; a hub data set is left alone.

    Args:
        config: the data section.
        labels: columns of labels to read beside those that it names.
        options: of `OPTIONS`, those that the command has.

    Raises:
        DataError: they cannot be read; of a missing column, with the option that names another.
    """
    source = config.source
    if source is None or not path_of(source).exists():
        return
    columns = [config.text_column, *filter(None, [config.label_column, *labels])]
    try:
        for part in every_part(source, config):
            if config.fields is None:
                check_texts(part, columns)
            else:
                # The columns of an open field are those of numbers: all rows are read for them.
                known = {n: f for n, f in config.fields.items() if not is_open(f)}
                exhaust(part_rows(part, known, []) if known else ())
    except ColumnError as error:
        option = how_to_name(error.column, config)
        hint = f"; {option} names another" if option.split()[0] in options else ""
        raise DataError(f"{error}{hint}") from None


def every_part(source: str, config: DataConfig) -> list[Part]:
    """The files of a source; none of an archive of arrays, which has no first rows."""
    if config.fields is None:
        parts = split_parts(source, [])
    elif suffix_of(source) == ".npz":
        return []
    else:
        parts = table_parts(source, config.fields, [])
    return [part for each in parts.values() for part in each]


def check_texts(part: Part, columns: Sequence[str]) -> None:
    """Read the first texts of a file, and the labels beside them where it has columns.

    Args:
        part: the file.
        columns: of the texts, then of labels.
    """
    format = format_of(part.name)
    if format is not None and not format.labelled:
        columns = columns[:1]
    texts = ((number, cells[:1]) for number, cells in part.rows(columns, []))
    exhaust(stripped(part.name, texts, MAX_CHARS, part.unit, []))


def exhaust(rows: Iterable[Any]) -> None:
    """Read the first rows."""
    for _ in itertools.islice(rows, FIRST):
        pass


def how_to_name(column: str, config: DataConfig) -> str:
    """The option of the command line that names another column."""
    if config.fields is not None:
        fields = config.fields.items()
        name = next(name for name, field in fields if column in field.columns_read(name))
        return f"--field {name}=COLUMN"
    return "--text-column" if column == config.text_column else "--label-column"
