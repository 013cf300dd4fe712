"""Texts from files, folders and the data set hub; every call reads anew, nothing is cached."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from textvae.data.errors import DataError, nearest_name
from textvae.data.formats import Row, read_rows
from textvae.data.formats.base import known_format
from textvae.data.held_out import PURPOSE, ByContent, HoldOut, Sketch, SplitBy
from textvae.data.python_texts import MAX_CHARS, SURROGATE, text_list
from textvae.data.sources import (
    Part,
    blank_rows,
    label_of,
    label_table,
    note_blank,
    path_of,
    split_parts,
    text_of,
)
from textvae.data.splits import SPLITS, split_files
from textvae.data.texts import Reader, Texts, checked, content_of, hold_out, sampled_rows

__all__ = [
    "MAX_CHARS",
    "SPLITS",
    "SURROGATE",
    "Corpus",
    "DataError",
    "Labelled",
    "Rows",
    "nearest_name",
    "read_corpus",
    "read_labelled",
    "read_split",
    "read_texts",
]


@dataclass(frozen=True)
class Corpus:
    """The texts of each split, stripped and never empty; `valid` and `test` may have none.

    Args:
        train: the training texts, read anew in every pass unless there are labels.
        valid: the validation texts.
        test: the test texts.
        source: the folder, file or hub name.
        notes: sentences for the user: how many blank lines were skipped, which part of train was
            held out.
        labels: of the texts of each split, empty strings where they are missing; None where no
            column of labels was named.
        held_out: which texts of train are held out, the facts of a `Division`; None for none.

    Raises:
        TypeError: the texts of a split are no strings, see `text_list`.
        ValueError: as there.
    """

    train: Texts | list[str]
    valid: list[str]
    test: list[str]
    source: str
    notes: list[str]
    labels: dict[str, list[str]] | None = None
    held_out: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        """Check texts that were given in Python; those of files are checked as they are read."""
        for split in SPLITS:
            if not isinstance(texts := getattr(self, split), Texts):
                object.__setattr__(self, split, text_list(texts, split, empty=True, most=None))


class Rows(NamedTuple):
    """Texts and the notes on reading them."""

    texts: list[str]
    notes: list[str]


class Labelled(NamedTuple):
    """Texts with the label of each, (N,) both."""

    texts: list[str]
    labels: list[str]


def read_corpus(
    source: str,
    *,
    text_column: str = "text",
    label_column: str | None = None,
    valid_fraction: float | None = None,
    test_fraction: float | None = None,
    split_by: SplitBy = "content",
    held_out: ByContent | None = None,
    seed: int = 0,
    max_chars: int = MAX_CHARS,
) -> Corpus:
    """The corpus at a folder, a file or a hub name; a split without data is held out of train.

    All texts are read and checked; those of train are not kept in memory.

    Args:
        source: a folder of files named by split (`train.txt`, `ptb.valid.txt.gz`, `dev.csv`, or
            shards as `train-00000-of-00008.jsonl`), one file (all of it is train), or the name of
            a hub data set, `name` or `name:config`.
        text_column: column of the text in csv, tsv, json, parquet and hub data. Such a text keeps
            the line ends inside it.
        label_column: column of the label; then all texts are kept in memory.
        valid_fraction: the share of train that is held out where there is no validation data;
            None for `default_size`, 0 for none.
        test_fraction: the same, where there is no test data.
        split_by: `content`: equal texts go to one split; `row`: each row is drawn on its own.
        held_out: the texts that a run has held out, in place of the three arguments above.
        seed: chooses the texts held out.
        max_chars: a longer text is an error.

    Raises:
        DataError: anything that cannot be read as given; the message names the file and the line.
    """
    rule = HoldOut(valid_fraction, test_fraction, split_by, seed, held_out)
    if label_column is not None:
        return labelled_corpus(source, text_column, label_column, rule)
    notes: list[str] = []
    readers = split_readers(source, text_column, max_chars, notes)
    if "train" not in readers:
        raise DataError(f"{source}: has no train split (found: {', '.join(readers)})")
    sketch = Sketch(rule.fractions(readers), seed)
    observe = sketch.add if sketch.fractions and rule.needs_sketch else None
    train = checked(str(source), readers["train"], notes, observe)
    splits = {split: list(readers[split](notes)) for split in readers if split != "train"}
    facts = None
    if sketch.fractions:
        check_divisible(str(source), sketch, len(train))
        given = (content_of(text) for texts in splits.values() for text in texts)
        rows = len(train)
        division = rule.divide(sketch, rows, given, sampled_rows)
        train, parts = hold_out(train, division)
        notes += hold_out_notes(str(source), rule, sketch, parts, rows)
        splits, facts = splits | parts, division.facts
    return Corpus(
        train, splits.get("valid", []), splits.get("test", []), str(source), notes, None, facts
    )


def check_divisible(source: str, sketch: Sketch, rows: int) -> None:
    """Refuse to hold out validation texts of a single text.

    Raises:
        DataError: naming the source.
    """
    if rows < 2 and "valid" in sketch.fractions:
        raise DataError(
            f"{source}: one sentence cannot be split into train and valid; give at least 2, "
            "or a validation file"
        )


def hold_out_notes(
    source: str,
    rule: HoldOut,
    sketch: Sketch,
    parts: Mapping[str, Sized],
    rows: int,
    unit: str = "texts",
) -> Iterator[str]:
    """The notes on the texts that are held out.

    Raises:
        DataError: all texts are equal, so that none can validate.
    """
    if "valid" in sketch.fractions and not parts.get("valid"):
        none = (
            f"all {rows:,} sentences are equal or in another split: none can validate"
            if rule.chosen is None
            else "holds none of the texts that the run has held out for validation"
        )
        raise DataError(f"{source}: {none}")
    if missing := [PURPOSE[split] for split in sketch.fractions if not parts.get(split)]:
        yield f"{source}: too few different texts for {' and '.join(missing)} data"
    counts = {split: len(parts[split]) for split in sketch.fractions if parts.get(split)}
    if counts:
        yield rule.note(counts, rows, unit)


def labelled_corpus(source: str, text_column: str, label_column: str, rule: HoldOut) -> Corpus:
    """`read_corpus` with the label of each text, an empty string where it is missing.

    Raises:
        DataError: as `read_corpus`, and `read_labelled`.
    """
    notes: list[str] = []
    splits = labelled_splits(source, text_column, label_column, True, notes)
    if "train" not in splits:
        raise DataError(f"{source}: has no train split (found: {', '.join(splits)})")
    keys = {split: rows.texts for split, rows in splits.items()}
    parts, facts = divided(source, keys, rule, notes, "texts")
    train = splits["train"]
    splits |= {
        split: Labelled(*([column[row] for row in rows] for column in train))
        for split, rows in parts.items()
    }
    texts = {split: splits[split].texts if split in splits else [] for split in SPLITS}
    labels = {split: rows.labels for split, rows in splits.items()}
    return Corpus(**texts, source=str(source), notes=notes, labels=labels, held_out=facts)


def divided(
    source: str, keys: Mapping[str, Sequence[str]], rule: HoldOut, notes: list[str], unit: str
) -> tuple[dict[str, list[int]], dict[str, Any] | None]:
    """The rows of train that each split gets, and the facts of that division; none if all are here.

    Args:
        source: of the rows, for messages.
        keys: of the rows of each split that has some: rows of equal keys go to one split.
        rule: how many are held out, and how.
        notes: sentences for the user are added to it.
        unit: of a row, in the plural.

    Raises:
        DataError: all keys are equal, or there is one row.
    """
    sketch = Sketch(rule.fractions(keys), rule.seed)
    if not sketch.fractions:
        return {}, None
    contents = [content_of(key) for key in keys["train"]]
    check_divisible(source, sketch, len(contents))
    for content in contents:
        sketch.add(content)
    given = (content_of(key) for split in keys if split != "train" for key in keys[split])
    division = rule.divide(sketch, len(contents), given, sampled_rows)
    parts: dict[str, list[int]] = {split: [] for split in ("train", *sketch.fractions)}
    for place, content in enumerate(contents):
        parts[division.split_of(place, content)].append(place)
    held_out = {split: parts[split] for split in sketch.fractions}
    notes += hold_out_notes(source, rule, sketch, held_out, len(contents), unit)
    return parts, division.facts


def read_texts(path: str, *, text_column: str = "text", split: str | None = None) -> list[str]:
    """The texts of one file, or of one split of a folder or hub data set.

    Args:
        path: as the `source` of `read_corpus`.
        text_column: column of the text.
        split: `train`, `valid` or `test`; None is the first there is of test, valid, train.

    Raises:
        DataError: as `read_corpus`, or a split that does not exist.
    """
    return read_split(path, text_column=text_column, split=split).texts


def read_split(path: str, *, text_column: str = "text", split: str | None = None) -> Rows:
    """`read_texts` with notes; where there are splits the first note names the one that was read.

    Raises:
        DataError: as `read_texts`.
    """
    read, notes = split_reader(path, text_column, split)
    return Rows(list(read(notes)), notes)


def stream_split(path: str, *, text_column: str = "text") -> tuple[Texts, list[str]]:
    """The texts and notes of `read_split`, read once to check them and not kept in memory.

    Raises:
        DataError: as `read_texts`.
    """
    read, notes = split_reader(path, text_column, None)
    return checked(path, read, notes), notes


def split_reader(path: str, text_column: str, split: str | None) -> tuple[Reader, list[str]]:
    """The reader of a split, see `read_split`, and the notes to begin with.

    Raises:
        DataError: there is no such split.
    """
    if split is not None and split not in SPLITS:
        raise DataError(f"split: unknown {split!r} (known: {', '.join(SPLITS)})")
    notes: list[str] = []
    readers = split_readers(path, text_column, MAX_CHARS, notes)
    if path_of(path).is_file():
        if split is not None:
            raise DataError(f"{path}: one file has no splits (split {split!r} was asked for)")
        return readers["train"], notes
    chosen = split or next(name for name in ("test", "valid", "train") if name in readers)
    if chosen not in readers:
        raise DataError(f"{path}: has no {chosen} split (found: {', '.join(readers)})")
    notes.insert(0, f"{path}: read the {chosen} split")
    return readers[chosen], notes


def read_labelled(
    source: str,
    *,
    text_column: str = "text",
    label_column: str = "label",
    partly: bool = False,
    notes: list[str] | None = None,
) -> dict[str, Labelled]:
    """The labelled texts of each split of a folder; one file is `train`.

    Args:
        source: as that of `read_corpus`, but no hub name; the labels of `train.txt` are in
            `train.labels.tsv` in the same folder.
        text_column: column of the text.
        label_column: column of its label: text, a whole number or a truth value.
        partly: whether a text may be without a label, which is then an empty string.
        notes: sentences for the user are added to it: rows without a text, unused columns.

    Raises:
        DataError: it cannot be read, or a label is missing; the message names the line.
    """
    notes = [] if notes is None else notes
    return labelled_splits(source, text_column, label_column, partly, notes)


def labelled_splits(
    source: str, text_column: str, label_column: str, partly: bool, notes: list[str]
) -> dict[str, Labelled]:
    """`read_labelled`, with notes of the readers added to a list."""
    path = path_of(source)
    if not path.exists():
        raise DataError(f"{source}: no such file or folder{nearest_name(path)}")
    files = split_files(path, notes, labels=True) if path.is_dir() else {"train": [path]}
    splits = {}
    for split, paths in files.items():
        rows = [
            row
            for path in paths
            for row in labelled_rows(path, text_column, label_column, partly, notes)
        ]
        if not rows:
            raise DataError(f"{', '.join(map(str, paths))}: holds no labelled text")
        splits[split] = Labelled([text for text, _ in rows], [label for _, label in rows])
    return splits


def labelled_rows(
    path: Path, text_column: str, label_column: str, partly: bool, notes: list[str]
) -> Iterator[tuple[str, str]]:
    """The texts and labels of a file; rows without a text are skipped, and counted in a note."""
    unit = known_format(path).unit
    blank = 0
    for number, (text, label) in paired_cells(path, text_column, label_column, notes):
        where = f"{path}: {unit} {number}"
        text, name = text_of(text, where, MAX_CHARS), label_of(label, where)
        if not text:
            blank += 1
        elif not name and not partly:
            raise DataError(f"{where}: the label is missing (got {label!r})")
        else:
            yield text, name
    note_blank(notes, str(path), blank, unit)


def paired_cells(
    path: Path, text_column: str, label_column: str, notes: list[str]
) -> Iterator[Row]:
    """The text and the label of each row: of one table, or of a file and its table of labels.

    Raises:
        DataError: the table of labels is missing, or is longer or shorter than the file.
    """
    if known_format(path).labelled:
        yield from read_rows(path, (text_column, label_column), notes)
        return
    table = label_table(path)
    texts = read_rows(path, (text_column,), notes)
    labels = read_rows(table, (label_column,), notes)
    for text_row, label_row in itertools.zip_longest(texts, labels):
        if text_row is None or label_row is None:
            raise DataError(f"{table}: must have a label for each text of {path.name}")
        yield text_row[0], (*text_row[1], *label_row[1])


def split_readers(
    source: str, text_column: str, max_chars: int, notes: list[str]
) -> dict[str, Reader]:
    """The reader of the texts of each split that the source has, see `split_parts`."""

    def read(parts: list[Part], notes: list[str]) -> Iterator[str]:
        for part in parts:
            rows = part.rows((text_column,), notes)
            yield from stripped(part.name, rows, max_chars, part.unit, notes)

    return {split: partial(read, parts) for split, parts in split_parts(source, notes).items()}


def stripped(
    name: str, rows: Iterable[Row], max_chars: int, unit: str, notes: list[str]
) -> Iterator[str]:
    """The stripped texts of rows of one cell; blank ones are skipped, and counted in a note.

    Raises:
        DataError: a cell is no string or too long, or every text is blank.
    """
    empty, blank = True, 0
    for number, (cell,) in rows:
        text = text_of(cell, f"{name}: {unit} {number}", max_chars)
        if text:
            empty = False
            yield text
        else:
            blank += 1
    if empty:
        content = blank_rows(blank, unit) if blank else "empty"
        raise DataError(f"{name}: holds no text ({content})")
    note_blank(notes, name, blank, unit)
