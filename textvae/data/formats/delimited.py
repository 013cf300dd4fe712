"""Tables with a header, their cells separated by commas (csv) or tabs (tsv)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from textvae.data.errors import DataError, column_name
from textvae.data.formats.base import Format, Row, register
from textvae.data.formats.txt import iter_lines


def read_delimited(
    path: Path, columns: Sequence[str], notes: list[str], delimiter: str
) -> Iterator[Row]:
    """The cells of the columns, each row with the number of the line on which it ends.

    The csv module keeps `NA`, `null` and the empty string as they are.

    Raises:
        DataError: a column is missing, a row has too few or too many cells, or a quote is wrong.
    """
    rows = csv.reader((line for _, line in iter_lines(path)), delimiter=delimiter, strict=True)
    try:
        header = next(filter(None, rows), None)
        if header is None:
            return
        indices = [header.index(column_name(str(path), header, column)) for column in columns]
        for row in rows:
            if not row:  # a blank line
                yield rows.line_num, ("",) * len(indices)
            elif len(row) != len(header):
                cells = f"{len(row)} cells where the header has {len(header)}"
                raise DataError(f"{path}: line {rows.line_num}: {cells}")
            else:
                yield rows.line_num, tuple([row[index] for index in indices])
    except csv.Error as error:
        raise DataError(f"{path}: line {rows.line_num}: malformed csv ({error})") from error


register(Format("csv", (".csv",), "line", partial(read_delimited, delimiter=",")))
register(Format("tsv", (".tsv",), "line", partial(read_delimited, delimiter="\t")))
