"""JSON objects: one on each line, one after the other, in a list, or in a list under a key."""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from textvae.data.errors import DataError, column_name, listed, note_once, note_unused, shown
from textvae.data.formats.base import Format, Row, register
from textvae.data.formats.txt import iter_lines
from textvae.data.python_texts import SURROGATE

MAX_JSON = 2**28
"""Bytes of the largest JSON value, 256 MiB: it is read as a whole and takes a multiple of that."""

MOST_KEYS = 1000
"""Different keys that are counted for the note on those that are not used."""

LAYOUTS = "an object per line, or a list of them"

BLANKS = re.compile(r"\s*")

Lines = Iterator[tuple[int, str]]


class RepeatedKeyError(ValueError):
    """One object has a key twice, of which Python would keep the last."""


def read_objects(path: Path, columns: Sequence[str], notes: list[str], unit: str) -> Iterator[Row]:
    """The values of the keys of each object; None for a key that only earlier objects have.

    Raises:
        DataError: the JSON is malformed, an entry is no object, the first one lacks a key, or any
            the first of the keys, a key stands twice, or a string has half of a surrogate pair.
    """
    keys, seen = dict[str, None](), set[str]()
    for number, entry in numbered_entries(path, columns, notes):
        where = f"{path}: {unit} {number}"
        if not isinstance(entry, dict):
            raise DataError(
                f"{where}: must be an object with the key {columns[0]!r} (got {shown(entry)})"
            )
        # A key that earlier entries have may be left out, as if it were null; not that of the text.
        seen.update(column for column in columns[1:] if column in entry)
        for column in columns:
            if column not in seen:
                column_name(where, entry, column)
        cells = [entry.get(column) for column in columns]
        for cell in cells:
            if isinstance(cell, str) and SURROGATE.search(cell):
                raise DataError(f"{where}: half of a surrogate pair is no character")
        if len(entry) > len(columns) and len(keys) < MOST_KEYS:
            keys.update(dict.fromkeys(itertools.islice(entry, MOST_KEYS)))
        yield number, tuple(cells)
    note_unused(notes, keys, columns)


def numbered_entries(
    path: Path, columns: Sequence[str], notes: list[str]
) -> Iterator[tuple[int, Any]]:
    """The values on each line, or the entries of a file in another layout, from 1.

    A blank line among values on lines has empty strings.
    """
    lines: Lines = iter_lines(path, notes, MAX_JSON)
    number, line = first_with_text(lines)
    alone, value = value_of_line(path, number, line)
    if not alone:
        values = list(values_of(path, number, text_of(path, line, lines)))
        yield from enumerate(entries_of(path, values, columns, notes), start=1)
        return
    if isinstance(value, dict) and any(isinstance(each, list) for each in value.values()):
        last, following = first_with_text(lines)
        if not following:
            yield from enumerate(entries_of(path, [value], columns, notes), start=1)
            return
        skipped = ((blank, "") for blank in range(number + 1, last))
        lines = itertools.chain(skipped, [(last, following)], lines)
    before = ((blank, "") for blank in range(1, number + (not line)))
    blank = dict.fromkeys(columns, "")
    for place, text in itertools.chain(before, [(number, line)] if line else [], lines):
        yield place, parse_json(path, place, text) if text.strip() else blank


def first_with_text(lines: Lines) -> tuple[int, str]:
    """The first line that is not blank; the number of the last one and no text if all are."""
    number = 0
    for number, line in lines:
        if line.strip():
            return number, line
    return number, ""


def value_of_line(path: Path, number: int, line: str) -> tuple[bool, Any]:
    """Whether the values of a file are one on each line, as its first line is, and the first one.

    Raises:
        DataError: the line is no beginning of JSON.
    """
    if line.lstrip().startswith("["):
        return False, None
    try:
        return True, parse_json(path, number, line) if line else None
    except DataError as error:
        cause = error.__cause__
        if isinstance(cause, json.JSONDecodeError) and (
            cause.pos >= len(line.rstrip()) or cause.msg == "Extra data"
        ):
            return False, None
        raise


def text_of(path: Path, line: str, lines: Lines) -> str:
    """The rest of a file from a line on.

    Raises:
        DataError: it is longer than what is read at once.
    """
    text = io.StringIO()
    for part in itertools.chain([line], (each for _, each in lines)):
        text.write(part)
        if text.tell() > MAX_JSON:
            raise DataError(
                f"{path}: over {MAX_JSON:,} bytes that are no lines; allowed: {LAYOUTS}"
            )
    return text.getvalue()


def values_of(path: Path, number: int, text: str) -> Iterator[Any]:
    """The JSON values of a text that begins on a line, with blanks or nothing between them."""
    place = 0
    while (place := BLANKS.match(text, place).end()) < len(text):  # type: ignore[union-attr]
        with json_errors(path, number):
            value, place = DECODER.raw_decode(text, place)
        yield value


def entries_of(
    path: Path, values: Sequence[Any], columns: Sequence[str], notes: list[str]
) -> Iterable[Any]:
    """The entries of the values of a file: of lists, or of one object with lists, or they alone."""
    if len(values) > 1 or not isinstance(values[0], dict):
        return itertools.chain.from_iterable(
            value if isinstance(value, list) else [value] for value in values
        )
    return entries_inside(path, values[0], columns, notes)


def entries_inside(
    path: Path, value: dict[str, Any], columns: Sequence[str], notes: list[str]
) -> Iterable[Any]:
    """The entries of the one object of a file: a list under a key, a list for each column, or it.

    Raises:
        DataError: several lists could be the data, or the columns have different lengths.
    """
    if any(column in value for column in columns):
        lists = [value[column] for column in columns if isinstance(value.get(column), list)]
        # A list of objects under a wanted key is of the parts of one row.
        if len(lists) < len(columns) or any(isinstance(c, dict) for each in lists for c in each):
            return [value]
        if len({len(each) for each in lists}) > 1:
            sizes = ", ".join(f"{len(each):,}" for each in lists)
            raise DataError(f"{path}: lists of different lengths under {listed(columns)} ({sizes})")
        used = list(columns)
        entries: Iterable[Any] = [
            dict(zip(columns, cells, strict=True)) for cells in zip(*lists, strict=True)
        ]
    else:
        tables = {
            key: each[0].keys()
            for key, each in value.items()
            if isinstance(each, list) and each and isinstance(each[0], dict)
        }
        used = [key for key, keys in tables.items() if keys >= set(columns)]
        used = used or (list(tables) if len(tables) == 1 else [])
        if not used:
            return [value]
        if len(used) > 1:
            raise DataError(f"{path}: several lists of objects ({listed(used)}); keep one of them")
        entries = value[used[0]]
    s = "s" if len(used) > 1 else ""
    note_once(notes, f"{path}: read the list{s} under the key{s} {listed(used)}")
    note_unused(notes, value, used)
    return entries


def parse_json(path: Path, number: int, text: str) -> Any:
    """The JSON value that begins on a line.

    Raises:
        DataError: the text is no JSON, too deep, has a number of too many digits, or a key twice.
    """
    with json_errors(path, number):
        return DECODER.decode(text)


@contextmanager
def json_errors(path: Path, number: int) -> Iterator[None]:
    """Make a `DataError` of what the parser raises for JSON that begins on a line."""
    try:
        yield
    except json.JSONDecodeError as error:
        line = number + error.lineno - 1
        problem = f"malformed JSON ({error.msg}); allowed: {LAYOUTS}"
        raise DataError(f"{path}: line {line}: {problem}") from error
    except RepeatedKeyError as error:
        raise DataError(f"{path}: from line {number}: {error}") from None
    except (ValueError, RecursionError):
        problem = "JSON nested too deeply, or a number of too many digits"
        raise DataError(f"{path}: line {number}: {problem}") from None


def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object with these keys and values.

    Raises:
        RepeatedKeyError: a key stands twice.
    """
    entry = dict(pairs)
    if len(entry) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise RepeatedKeyError(f"the key {key[:40]!r} stands twice in one object")
            seen.add(key)
    return entry


def object_keys(path: Path) -> list[str]:
    """The keys of the first object."""
    first = next((entry for _, entry in numbered_entries(path, (), [])), {})
    return list(first) if isinstance(first, dict) else []


DECODER = json.JSONDecoder(object_pairs_hook=object_of)

for name, unit in (("json", "entry"), ("jsonl", "line")):
    register(
        Format(name, (f".{name}",), unit, partial(read_objects, unit=unit), header=object_keys)
    )
