"""Bags of words, `label id:count id:count ...` on each line of a .feat file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from textvae.data.errors import DataError, column_name
from textvae.data.formats.base import Format, Row, register
from textvae.data.formats.txt import iter_lines

COLUMNS = ("text", "label")
VOCABULARIES = ("vocab.new", "vocab.txt")
"""Names of the file of the words, in the same folder; the first of them that exists is read."""


def read_word_counts(path: Path, columns: Sequence[str], notes: list[str]) -> Iterator[Row]:
    """The texts or labels of bags of words.

    A text is each of its words as often as it is counted, in the order of the line.

    Raises:
        DataError: there is no file of words, a pair is not `id:count`, or an id is unknown.
    """
    for column in columns:
        column_name(str(path), COLUMNS, column)
    words = vocabulary_of(path)
    for number, line in iter_lines(path):
        label, *pairs = line.split() or [""]
        cells = {"label": label}
        if "text" in columns:
            cells["text"] = " ".join(bag_of(f"{path}: line {number}", pairs, words))
        yield number, tuple(cells[column] for column in columns)


def vocabulary_of(path: Path) -> list[str]:
    """The words of a .feat file: the first on each line, the first line with id 1."""
    files = [path.with_name(name) for name in VOCABULARIES]
    vocabulary = next((file for file in files if file.is_file()), None)
    if vocabulary is None:
        raise DataError(f"{path}: its words must stand beside it in {' or '.join(VOCABULARIES)}")
    return [line.split()[0] if line.strip() else "" for _, line in iter_lines(vocabulary)]


def bag_of(where: str, pairs: Sequence[str], words: Sequence[str]) -> list[str]:
    """The words of one bag, each as often as it is counted."""
    bag: list[str] = []
    for pair in pairs:
        index, _, count = pair.partition(":")
        if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= len(words)):
            raise DataError(
                f"{where}: must be id:count with ids from 1 to {len(words)} (got {pair[:40]!r})"
            )
        bag += [words[int(index) - 1]] * int(count)
    return bag


register(Format("feat", (".feat",), "line", read_word_counts))
