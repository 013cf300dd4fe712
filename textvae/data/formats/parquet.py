"""Parquet tables; they need pyarrow, which is imported when one is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from textvae.data.errors import DataError, column_name, first_line
from textvae.data.formats.base import Format, Row, register


def read_parquet(path: Path, columns: Sequence[str], notes: list[str]) -> Iterator[Row]:
    """The cells of the columns, one batch of rows in memory at a time.

    Raises:
        DataError: pyarrow is not installed, the file is damaged, or a column is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(f"{path}: reading parquet needs pyarrow (pip install pyarrow)") from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            known = file.schema_arrow.names
            names = [column_name(str(path), known, column) for column in columns]
            batches = file.iter_batches(columns=list(dict.fromkeys(names)))
            parts = ([batch.column(name).to_pylist() for name in names] for batch in batches)
            rows = (cells for part in parts for cells in zip(*part, strict=True))
            yield from enumerate(rows, start=1)
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: is no readable parquet file ({first_line(error)})") from error


register(Format("parquet", (".parquet",), "row", read_parquet, compressed=False))
