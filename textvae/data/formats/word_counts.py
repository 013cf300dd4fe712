"""Bags of words, `label id:count id:count ...` on each line of a .feat file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from textvae.data.errors import DataError, column_name, note_unused
from textvae.data.formats.base import Format, Row, check_pointer, register
from textvae.data.formats.txt import iter_lines
from textvae.data.python_texts import MAX_CHARS

COLUMNS = ("text", "label")
VOCABULARIES = ("vocab.new", "vocab.txt")
"""Names of the file of the words, in the same folder; the first of them that exists is read."""

MOST_DIGITS = 18
"""Digits of the largest number."""


def read_word_counts(path: Path, columns: Sequence[str], notes: list[str]) -> Iterator[Row]:
    """The texts or labels of bags of words.

    A text is each of its words as often as it is counted, in the order of the line.

    Raises:
        DataError: there is no file of words, a pair is not `id:count`, an id is unknown, or the
            counts are those of a text that is too long.
    """
    for column in columns:
        column_name(str(path), COLUMNS, column)
    words = words_of(path)
    note_unused(notes, COLUMNS, columns)
    for number, line in iter_lines(path, notes):
        label, *pairs = line.split() or [""]
        cells = {"label": label}
        if "text" in columns:
            cells["text"] = " ".join(bag_of(f"{path}: line {number}", pairs, words))
        yield number, tuple(cells[column] for column in columns)


def vocabularies(path: Path) -> list[Path]:
    """The file of the words of a .feat file, if there is one in its folder."""
    files = [path.with_name(name) for name in VOCABULARIES]
    return [file for file in files if file.is_file()][:1]


def words_of(path: Path) -> list[str]:
    """The words of a .feat file: the first on each line, the first line with id 1.

    Raises:
        DataError: there is no file of them.
    """
    files = vocabularies(path)
    if not files:
        raise DataError(f"{path}: its words must stand beside it in {' or '.join(VOCABULARIES)}")
    check_pointer(files[0])
    return [line.split()[0] if line.strip() else "" for _, line in iter_lines(files[0])]


def bag_of(where: str, pairs: Sequence[str], words: Sequence[str]) -> list[str]:
    """The words of one bag, each as often as it is counted.

    Raises:
        DataError: a pair is none, or the text would have over `MAX_CHARS` characters.
    """
    bag: list[str] = []
    characters = -1  # no blank stands before the first word
    for pair in pairs:
        index, _, count = pair.partition(":")
        if not (is_number(index) and is_number(count) and 1 <= int(index) <= len(words)):
            raise DataError(
                f"{where}: must be id:count with ids from 1 to {len(words)} (got {pair[:40]!r})"
            )
        word = words[int(index) - 1]
        characters += int(count) * (len(word) + 1)
        if characters > MAX_CHARS:
            raise DataError(
                f"{where}: counts of {characters:,} characters or more, at most {MAX_CHARS:,} are "
                f"allowed (at {pair[:40]!r})"
            )
        bag += [word] * int(count)
    return bag


def is_number(digits: str) -> bool:
    """Whether a string is a whole number that is not negative and not beyond any count."""
    return digits.isdecimal() and len(digits) <= MOST_DIGITS


register(Format("feat", (".feat",), "line", read_word_counts, beside=vocabularies))
