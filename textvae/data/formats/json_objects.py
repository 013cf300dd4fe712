"""JSON objects, one on each line or all in one list."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from textvae.data.errors import DataError, column_name
from textvae.data.formats.base import Format, Row, register
from textvae.data.formats.txt import iter_lines

SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which JSON can spell and UTF-8 cannot."""


def read_objects(path: Path, columns: Sequence[str], notes: list[str], unit: str) -> Iterator[Row]:
    """The values of the keys of each object.

    Raises:
        DataError: the JSON is malformed, an entry is no object, a key is missing, or a string has
            half of a surrogate pair.
    """
    for number, entry in numbered_entries(path, columns):
        where = f"{path}: {unit} {number}"
        if not isinstance(entry, dict):
            raise DataError(
                f"{where}: must be an object with the key {columns[0]!r} "
                f"(got {json.dumps(entry)[:40]})"
            )
        cells = [entry[column_name(where, entry, column)] for column in columns]
        for cell in cells:
            if isinstance(cell, str) and SURROGATE.search(cell):
                raise DataError(f"{where}: half of a surrogate pair is no character")
        yield number, tuple(cells)


def numbered_entries(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Any]]:
    """The values of a list, or those on each line; a blank line has empty strings."""
    lines = iter_lines(path)
    first = next(lines, None)
    if first is None:
        return
    numbered: Iterable[tuple[int, str]] = itertools.chain([first], lines)
    if first[1].lstrip().startswith("["):
        whole = "".join(line for _, line in numbered)
        yield from enumerate(parse_json(path, 1, whole), start=1)
        return
    for number, line in numbered:
        blank = not line.strip()
        yield number, dict.fromkeys(columns, "") if blank else parse_json(path, number, line)


def parse_json(path: Path, number: int, text: str) -> Any:
    """The JSON value that begins on a line.

    Raises:
        DataError: the text is no JSON, too deep, or has a number of too many digits.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = number + error.lineno - 1
        problem = f"malformed JSON ({error.msg}); allowed: an object per line, or a list of them"
        raise DataError(f"{path}: line {line}: {problem}") from error
    except (ValueError, RecursionError):
        problem = "JSON nested too deeply, or a number of too many digits"
        raise DataError(f"{path}: line {number}: {problem}") from None


register(Format("json", (".json",), "entry", partial(read_objects, unit="entry")))
register(Format("jsonl", (".jsonl",), "line", partial(read_objects, unit="line")))
