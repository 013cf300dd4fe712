"""Plain text: one text on each line."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

from textvae.data.errors import DataError
from textvae.data.formats.base import Format, Row, register


def iter_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""The numbered lines of a UTF-8 file, split at \n only, each with its end.

    Raises:
        DataError: a line has a NUL byte or is not UTF-8.
    """
    zipped = path.name.lower().endswith(".gz")
    with gzip.open(path, "rb") if zipped else path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if b"\0" in raw:
                raise DataError(
                    f"{path}: line {number}: NUL byte; a binary or UTF-16 file? UTF-8 is allowed"
                )
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                byte = f"byte 0x{error.object[error.start]:02x} at position {error.start}"
                raise DataError(f"{path}: line {number}: invalid UTF-8, {byte}") from error


def read_lines(path: Path, columns: Sequence[str], notes: list[str]) -> Iterator[Row]:
    """The lines of a file without their ends: the one column, under any name."""
    for number, line in iter_lines(path):
        yield number, (line.strip("\r\n"),)


register(Format("txt", (".txt",), "line", read_lines, labelled=False))
