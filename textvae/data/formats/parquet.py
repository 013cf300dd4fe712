"""Parquet tables; they need pyarrow, which is imported when one is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from textvae.data.errors import DataError, column_name, first_line, note_unused
from textvae.data.formats.base import Format, Row, register

ROWS = 1024
"""Rows in memory at a time."""


def read_parquet(path: Path, columns: Sequence[str], notes: list[str]) -> Iterator[Row]:
    """The cells of the columns, one batch of rows in memory at a time.

    Raises:
        DataError: pyarrow is not installed, the file is damaged, or a column is missing or stands
            twice.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(f"{path}: reading parquet needs pyarrow (pip install pyarrow)") from error
    try:
        schema = pyarrow.parquet.read_schema(path)
        names = [column_name(str(path), schema.names, column) for column in columns]
        note_unused(notes, schema.names, columns)
        types = pyarrow.types
        # A dictionary keeps a value once: one of a megabyte may stand in a million rows.
        texts = [
            name
            for name in dict.fromkeys(names)
            if types.is_string(kind := schema.field(name).type) or types.is_large_string(kind)
        ]
        with pyarrow.parquet.ParquetFile(path, read_dictionary=texts) as file:
            batches = file.iter_batches(ROWS, columns=list(dict.fromkeys(names)))
            parts = ([cells_of(batch.column(name)) for name in names] for batch in batches)
            rows = (cells for part in parts for cells in zip(*part, strict=True))
            yield from enumerate(rows, start=1)
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: is no readable parquet file ({first_line(error)})") from error


def parquet_header(path: Path) -> list[str]:
    """The names of the columns.

    Raises:
        DataError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(f"{path}: reading parquet needs pyarrow (pip install pyarrow)") from error
    return list(pyarrow.parquet.read_schema(path).names)


def cells_of(column: Any) -> list[Any]:
    """The values of a column of pyarrow; those of a dictionary are shared by the rows."""
    if not hasattr(column, "dictionary"):
        return column.to_pylist()
    indices = column.indices.to_pylist()
    values = {index: column.dictionary[index].as_py() for index in set(indices) - {None}}
    return [values.get(index) for index in indices]


register(
    Format("parquet", (".parquet",), "row", read_parquet, compressed=False, header=parquet_header)
)
