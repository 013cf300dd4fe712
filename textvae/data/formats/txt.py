"""Plain text: one text on each line."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from textvae.data.errors import DataError, note_once
from textvae.data.formats.base import Format, Row, register

MAX_LINE = 2**26
"""Bytes of the longest line that is read, 64 MiB: an endless line takes no more memory."""

BOM = "\ufeff"
"""The byte order mark, which begins some files, and the second of two that were joined."""


CARRIAGE_RETURN = re.compile(r"\r(?!\n)")
"""The end of a line on old Macs: one that no line feed follows."""


def iter_lines(
    path: Path, notes: list[str] | None = None, most: int = MAX_LINE
) -> Iterator[tuple[int, str]]:
    r"""The numbered lines of a UTF-8 file, split at \n, \r\n and \r, each with its end.

    A file that begins with a byte order mark of UTF-16 is read as UTF-16. Byte order marks at the
    beginning of lines are dropped.

    Args:
        path: of the file.
        notes: sentences for the user: that there are byte order marks after the first line, or
            carriage returns that end lines.
        most: bytes of the longest line; characters in UTF-16.

    Raises:
        DataError: a line has a NUL byte, has another encoding, or is too long.
    """
    dropped = inside = returns = more = 0
    zipped = path.name.lower().endswith(".gz")
    with gzip.open(path, "rb") if zipped else path.open("rb") as file:
        wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        file.seek(0)
        for number, line in (utf16_lines if wide else utf8_lines)(path, file, most):
            if BOM in line:
                plain = line.lstrip(BOM)
                dropped += number > 1 and plain != line
                inside += BOM in plain
                line = plain
            if "\r" in line and len(parts := CARRIAGE_RETURN.split(line)) > 1:
                returns += len(parts) - 1
                *ended, line = parts
                for place, part in enumerate(ended):
                    yield number + more + place, f"{part}\n"
                more += len(ended)
                if not line:  # the file ends with a carriage return
                    continue
            yield number + more, line
    if notes is not None and returns:
        note_once(notes, f"{path}: {returns:,} carriage returns alone are read as line ends")
    if notes is not None and (dropped or inside):
        parts = [f"{dropped:,} dropped at the beginning of lines"] if dropped else []
        parts += [f"{inside:,} lines with one inside; is a line end missing?"] if inside else []
        note_once(notes, f"{path}: byte order marks of joined files: {', '.join(parts)}")


def utf8_lines(path: Path, file: Any, most: int) -> Iterator[tuple[int, str]]:
    """The numbered lines of an open file in UTF-8."""
    for number, raw in enumerate(iter(partial(file.readline, most + 1), b""), start=1):
        check_line(path, number, raw, b"\0", most)
        try:
            yield number, raw.decode()
        except UnicodeDecodeError as error:
            byte = f"byte 0x{error.object[error.start]:02x} at position {error.start}"
            raise DataError(
                f"{path}: line {number}: invalid UTF-8, {byte}{conversion(path, raw, error.start)}"
            ) from error


def conversion(path: Path, line: bytes, position: int) -> str:
    """How to convert a file that may be in Windows-1252, by the word that has an invalid byte.

    The word shows whether it is: another encoding of one byte makes other letters of it.
    """
    before, after = line[:position].split(), line[position:].split()
    joined = position and not line[position - 1 : position].isspace()
    word = (before[-1] if joined and before else b"")[-20:] + after[0][:20]
    if path.name.lower().endswith(".gz"):
        return ""
    try:
        text = word.decode("cp1252")
    except UnicodeDecodeError:
        return ""
    name = shlex.quote(str(path))
    return f"; if {text!r} is right, convert it: iconv -f WINDOWS-1252 -t UTF-8 {name} > NEW"


def utf16_lines(path: Path, file: Any, most: int) -> Iterator[tuple[int, str]]:
    """The numbered lines of an open file in UTF-16, whose byte order mark is not given."""
    lines, number = io.TextIOWrapper(file, "utf-16", newline="\n"), 0
    try:
        for number, line in enumerate(iter(partial(lines.readline, most + 1), ""), start=1):
            check_line(path, number, line, "\0", most)
            yield number, line
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: line {number + 1}: invalid UTF-16, {error.reason}") from error


def check_line(path: Path, number: int, line: Any, nul: Any, most: int) -> None:
    """Refuse a line that is too long, or of a binary file.

    Raises:
        DataError: with the number of the line.
    """
    if len(line) > most:
        raise DataError(f"{path}: line {number}: longer than the {most:,} bytes that are allowed")
    if nul in line:
        allowed = "UTF-8 is allowed, or UTF-16 that begins with a byte order mark"
        raise DataError(f"{path}: line {number}: NUL byte; a binary file? {allowed}")


def read_lines(path: Path, columns: Sequence[str], notes: list[str]) -> Iterator[Row]:
    """The lines of a file without their ends: the one column, under any name."""
    for number, line in iter_lines(path, notes):
        yield number, (line.strip("\r\n"),)


register(Format("txt", (".txt",), "line", read_lines, labelled=False))
