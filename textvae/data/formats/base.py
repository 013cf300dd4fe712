"""The table of formats, and the rows of a file in any of them."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textvae.data.errors import DataError, first_line

Row = tuple[int, tuple[Any, ...]]
"""The number of a row, from 1, and its cells in the order of the columns that were read."""

RowReader = Callable[[Path, Sequence[str], list[str]], Iterator[Row]]
"""Reads the named columns of a file, and adds notes for the user to the list.

A note is a sentence, such as what the reader skipped or did not use. A blank line is a row of
empty strings. A `DataError` names the file; `read_rows` makes one of every other error.
"""

POINTERS = {b"version https://git-lfs.github.com/": "Git LFS", b"/annex/objects/": "git-annex"}
"""Beginnings of the small files that stand for a large one in a checkout without its content."""

LONGEST_POINTER = 1024
"""Bytes of such a file."""


@dataclass(frozen=True)
class Format:
    """A format of text files.

    Args:
        name: of the format.
        suffixes: of its files, lower-case, with the dot.
        unit: counted by the number of a row, such as line, for messages.
        read: reads the rows of a file.
        labelled: whether its rows have a label column; without one it has texts only.
        compressed: whether its files may be gzipped, with `.gz` after the suffix.
        beside: the files that are read with one, such as that of its words.
        header: the names of the columns of a file; None of a format without.
    """

    name: str
    suffixes: tuple[str, ...]
    unit: str
    read: RowReader
    labelled: bool = True
    compressed: bool = True
    beside: Callable[[Path], Sequence[Path]] = lambda path: ()
    header: Callable[[Path], Sequence[str]] | None = None


FORMATS: dict[str, Format] = {}
"""Formats by name, in the order of their registration."""


def register(format: Format) -> Format:
    """Enter a format in the table.

    Raises:
        TypeError: another format has its name or one of its suffixes.
    """
    others = [other for name, other in FORMATS.items() if name != format.name]
    taken = {suffix for other in others for suffix in other.suffixes}
    if not taken.isdisjoint(format.suffixes):
        raise TypeError(f"format {format.name!r}: another format has one of {format.suffixes}")
    FORMATS[format.name] = format
    return format


def suffix_of(name: str) -> str:
    """The suffix of a file name that determines the format, lower-case, without `.gz`."""
    return Path(name.lower().removesuffix(".gz")).suffix


def format_of(name: str) -> Format | None:
    """The format of a file by its name; None for an unknown suffix.

    >>> format_of("News-train.CSV.gz").name
    'csv'
    """
    suffix = suffix_of(name)
    return next((format for format in FORMATS.values() if suffix in format.suffixes), None)


def allowed_suffixes() -> str:
    """All suffixes, for messages."""
    plain, compressed = (
        [s for f in FORMATS.values() if f.compressed is flag for s in f.suffixes]
        for flag in (False, True)
    )
    return f"{', '.join(compressed)} (each also .gz) or {', '.join(plain)}"


OF_OTHER_RECIPES = re.compile(
    r".*(\.npz|idx\d-ubyte(\.gz)?|\.(png|jpe?g|webp|bmp|tiff?|gif|zip))", re.IGNORECASE
)
"""Names of files with images, or with arrays of numbers."""


def other_recipes(names: Iterable[str]) -> str:
    """What to add to a message on files of these names where they hold no texts."""
    if not any(map(OF_OTHER_RECIPES.fullmatch, names)):
        return ""
    return "; for images see: textvae recipes images, for tables of numbers: textvae recipes tables"


def known_format(path: Path) -> Format:
    """The format of a file.

    Raises:
        DataError: the suffix is unknown, or the format is not read gzipped.
    """
    format = format_of(path.name)
    if format is None:
        allowed = allowed_suffixes()
        raise DataError(
            f"{path}: unknown file type {suffix_of(path.name)!r} (allowed: {allowed})"
            f"{other_recipes([path.name])}"
        )
    if path.name.lower().endswith(".gz") and not format.compressed:
        raise DataError(f"{path}: a {suffix_of(path.name)} file is not read gzipped; unpack it")
    return format


def check_pointer(path: Path) -> None:
    """Refuse a small file that stands for the data and is not the data.

    Raises:
        DataError: it is one of `POINTERS`.
    """
    with path.open("rb") as file:
        start = file.read(LONGEST_POINTER + 1)
    for beginning, owner in POINTERS.items():
        if start.startswith(beginning) and len(start) <= LONGEST_POINTER:
            raise DataError(f"{path}: is a pointer of {owner} and no data; fetch the file itself")


def column_names(path: Path) -> list[str]:
    """The names of the columns of a file, each once.

    Raises:
        DataError: its format has none, or it cannot be read.
    """
    format = known_format(path)
    if format.header is None:
        raise DataError(f"{path}: has no columns")
    with errors_named(path, format):
        return list(dict.fromkeys(format.header(path)))


def read_rows(path: Path, columns: Sequence[str], notes: list[str]) -> Iterator[Row]:
    """The rows of a file in any of the formats.

    Args:
        path: of the file.
        columns: read from it, one or more.
        notes: sentences for the user, to which the reader adds.

    Raises:
        DataError: the file cannot be read, or it has no such column.
    """
    format = known_format(path)
    with errors_named(path, format):
        check_pointer(path)
        yield from format.read(path, columns, notes)


@contextmanager
def errors_named(path: Path, format: Format) -> Iterator[None]:
    """Make a `DataError` that names the file of whatever reading it raises."""
    try:
        yield
    except DataError:
        raise
    except gzip.BadGzipFile as error:
        raise DataError(f"{path}: is not a gzip file, though its name ends in .gz") from error
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: the gzip file is damaged or cut short ({error})") from error
    except MemoryError as error:
        raise DataError(f"{path}: does not fit in memory; split it into shards") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or first_line(error)}") from error
    except Exception as error:  # whatever a parser raises on a file of someone else
        problem = f"{type(error).__name__}: {first_line(error)}"
        raise DataError(f"{path}: is no readable {format.name} file ({problem})") from error
