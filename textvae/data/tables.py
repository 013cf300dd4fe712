"""Tables whose rows have several fields, from files, folders and the hub."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textvae.config import DataConfig, FieldConfig
from textvae.data.cells import SEPARATOR, LabelSet, cell_text, label_set_of, vector_of
from textvae.data.errors import DataError, note_once
from textvae.data.formats.base import suffix_of
from textvae.data.held_out import ByContent, HoldOut
from textvae.data.parts import check_counts, flat, joined_parts, part_cells
from textvae.data.readers import MAX_CHARS, SPLITS, divided
from textvae.data.sources import Part, blank_rows, label_of, path_of, split_parts, text_of
from textvae.data.splits import format_of
from textvae.data.texts import add_text
from textvae.data.vectors import with_columns

Columns = dict[str, list[Any]]
"""Cells by field, one for each row: strings; tuples of labels for sets of them; arrays of numbers.
An image is a numpy array, (C, H, W), bytes or float32. A missing label is an empty string, a
missing set None. A cell of a plate is a tuple of the cells of
its parts."""


@dataclass(frozen=True)
class Table:
    """Rows of several fields, in memory.

    Args:
        columns: the cells of each field, all of one length.
    """

    columns: Columns

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())))

    def select(self, rows: Iterable[int]) -> Table:
        """The rows at these indices."""
        chosen = list(rows)
        return Table({name: [cells[row] for row in chosen] for name, cells in self.columns.items()})


@dataclass(frozen=True)
class TableCorpus:
    """The rows of each split; `valid` and `test` may have none.

    Args:
        train: the training rows.
        valid: the validation rows.
        test: the test rows.
        fields: of the rows, by name.
        source: the folder, file or hub name.
        notes: sentences for the user: what was skipped or not used, what was held out.
        held_out: which rows of train are held out, as in `Corpus`.
    """

    train: Table
    valid: Table
    test: Table
    fields: Mapping[str, FieldConfig]
    source: str
    notes: list[str]
    held_out: dict[str, Any] | None = None

    @property
    def texts(self) -> list[str]:
        """Names of the fields that are texts."""
        return [name for name, field in self.fields.items() if field.kind == "text"]

    def values(self, name: str) -> list[Any]:
        """The training cells of a field; of a plate, those of all parts."""
        cells = self.train.columns[name]
        return cells if self.fields[name].plate is None else flat(cells)

    def fingerprint(self) -> str:
        """A SHA-256 of the training and validation rows."""
        return sha_of_tables([self.train, self.valid])

    def test_fingerprint(self) -> str:
        """A SHA-256 of the test rows."""
        return sha_of_tables([self.test])


def sha_of_tables(tables: Iterable[Table]) -> str:
    """A SHA-256 of the cells of tables, with the names of their fields."""
    sha = hashlib.sha256()
    for table in tables:
        for name, cells in table.columns.items():
            add_text(sha, f"{name} {len(cells)}")
            for cell in cells:
                add_text(sha, cell_text(cell))
    return sha.hexdigest()


def read_table_corpus(config: DataConfig, held_out: ByContent | None = None) -> TableCorpus:
    """The rows that a data section with `fields` names; a split without data is held out of train.

    Rows whose first field is equal go to one split: a condition is then new in the test rows. See
    `first_field`.

    Args:
        config: with a source.
        held_out: the rows that a run has held out, in place of those that the config asks for.

    Raises:
        DataError: anything that cannot be read as given; the message names the file and the line.
    """
    fields = config.fields
    assert fields is not None, "asked for rows of several fields"
    if config.source is None:
        raise DataError(f"name the data: --data, a table with {columns_text(fields)}")
    notes: list[str] = []
    fields, splits = read_tables(config.source, fields, notes)
    if "train" not in splits:
        raise DataError(f"{config.source}: has no train split (found: {', '.join(splits)})")
    rule = HoldOut(config.valid_fraction, config.test_fraction, config.split_by, 0, held_out)
    first = first_field(fields)
    keys = {split: [*map(cell_text, table.columns[first])] for split, table in splits.items()}
    rows, facts = divided(config.source, keys, rule, notes, "rows")
    train = splits["train"]
    splits |= {split: train.select(chosen) for split, chosen in rows.items()}
    if rows and config.split_by == "content":
        notes.append(f"rows of equal {first!r} are in one split")
    empty = Table({name: [] for name in fields})
    tables = {split: splits.get(split, empty) for split in SPLITS}
    return TableCorpus(**tables, fields=fields, source=config.source, notes=notes, held_out=facts)


def columns_text(fields: Mapping[str, FieldConfig]) -> str:
    """The columns that a table must have for the fields, in words."""
    named = [
        column
        for name, field in fields.items()
        if field.kind != "vector" or field.columns or field.column or field.plate
        for column in field.columns_read(name)
    ]
    numbers = any(
        field.kind == "vector" and not field.columns and not field.plate
        for field in fields.values()
    )
    parts = [f"the columns {', '.join(named)}"] if named else []
    return " and ".join([*parts, *(["columns of numbers"] if numbers else [])])


def first_field(fields: Mapping[str, FieldConfig]) -> str:
    """The field whose equal rows go to one split: the first one; with plates, the first text.

    Dialogues often begin with a label, and so few different ones cannot be divided.
    """
    texts = [name for name, field in fields.items() if field.kind == "text"]
    plated = any(field.plate for field in fields.values())
    return texts[0] if plated and texts else next(iter(fields))


def read_tables(
    source: str, fields: Mapping[str, FieldConfig], notes: list[str]
) -> tuple[Mapping[str, FieldConfig], dict[str, Table]]:
    """The fields, with the columns of each vector, and the rows of each split of a source.

    Raises:
        DataError: as `read_table_corpus`.
    """
    if suffix_of(source) == ".npz" and path_of(source).is_file():
        from textvae.data.npz_tables import npz_columns

        columns = npz_columns(path_of(source), fields, notes)
        return fields, {
            split: complete_rows(cells, fields, f"{source}: {split}", notes)
            for split, cells in columns.items()
        }
    parts = table_parts(source, fields, notes)
    known = parts.get("train") or next(iter(parts.values()))
    fields = with_columns(fields, known, notes)
    return fields, {split: read_table(each, fields, notes) for split, each in parts.items()}


def complete_rows(
    columns: Columns, fields: Mapping[str, FieldConfig], where: str, notes: list[str]
) -> Table:
    """Rows as a table, without those that lack a text or a number; a note has their number."""
    table = Table(columns)
    rows = [
        row
        for row in range(len(table))
        if not any(is_blank(columns[name][row], field) for name, field in fields.items())
    ]
    if not rows:
        raise DataError(f"{where}: holds no row with all of {', '.join(fields)}")
    check_sizes({n: [columns[n][row] for row in rows] for n in columns}, fields, where)
    if skipped := len(table) - len(rows):
        notes.append(f"{where}: skipped {blank_rows(skipped, 'row')}")
        return table.select(rows)
    return table


def is_blank(cell: Any, field: FieldConfig) -> bool:
    """Whether a cell lacks what a row cannot be without: a text, or a number."""
    missing = cell is None or (isinstance(cell, str) and not cell)  # a blank line
    needed = field.kind in ("vector", "image") and missing
    return needed or (field.kind == "text" and not cell)


def check_sizes(columns: Columns, fields: Mapping[str, FieldConfig], where: str) -> None:
    """Refuse vectors or images of one field that differ in size.

    Raises:
        DataError: naming the sizes.
    """
    for name, field in fields.items():
        cells = columns[name] if field.plate is None else flat(columns[name])
        sizes = sorted({len(cell) for cell in cells}) if field.kind == "vector" else []
        if len(sizes) > 1:
            what = "rows" if field.plate is None else "parts"
            raise DataError(
                f"{where}: {name!r} has {what} of {sizes[0]} and of {sizes[-1]} numbers"
            )
        shapes = sorted({cell.shape for cell in cells}) if field.kind == "image" else []
        if len(shapes) > 1:
            given = " and of ".join(" x ".join(map(str, shape)) for shape in shapes[:2])
            raise DataError(f"{where}: {name!r} has images of {given}: they must be of one size")


def read_table_split(
    source: str, fields: Mapping[str, FieldConfig], split: str | None = None
) -> tuple[Table, list[str]]:
    """The rows of one file, or of one split of a folder or hub data set, and the notes on them.

    Args:
        source: as that of `read_table_corpus`.
        fields: to read.
        split: None is the first there is of test, valid, train.

    Raises:
        DataError: as there, or a split that does not exist.
    """
    notes: list[str] = []
    _, splits = read_tables(source, fields, notes)
    chosen = split or next(name for name in ("test", "valid", "train") if name in splits)
    if chosen not in splits:
        raise DataError(f"{source}: has no {chosen} split (found: {', '.join(splits)})")
    if len(splits) > 1 or not Path(source).is_file():
        notes.insert(0, f"{source}: read the {chosen} split")
    return splits[chosen], notes


def table_parts(
    source: str, fields: Mapping[str, FieldConfig], notes: list[str]
) -> dict[str, list[Part]]:
    """`split_parts` of a source whose files all have columns.

    Raises:
        DataError: a file has none.
    """
    parts = split_parts(source, notes)
    for part in (part for each in parts.values() for part in each):
        format = format_of(part.name)
        if format is not None and not format.labelled:
            wanted = ", ".join(c for name, f in fields.items() for c in f.columns_read(name))
            raise DataError(
                f"{part.name}: a {format.name} file has no columns (needed: {wanted}; allowed: a "
                "csv, tsv, json, jsonl or parquet table)"
            )
    return parts


def read_table(parts: Sequence[Part], fields: Mapping[str, FieldConfig], notes: list[str]) -> Table:
    """The rows of the fields; rows without one of their texts are skipped, and counted in a note.

    Raises:
        DataError: a column is missing, a cell is no text, or every row is skipped.
    """
    columns: Columns = {name: [] for name in fields}
    for part in parts:
        skipped, begin = dict[str, int](), len(next(iter(columns.values())))
        for cells in part_rows(part, fields, notes):
            blank = next((n for n, cell in cells.items() if is_blank(cell, fields[n])), None)
            if blank is not None:
                skipped[blank] = skipped.get(blank, 0) + 1
                continue
            for name, cell in cells.items():
                columns[name].append(cell)
        for name, count in skipped.items():
            note_once(notes, f"{part.name}: skipped {skipped_rows(count, part.unit, name, fields)}")
        for name, field in fields.items():
            if field.kind == "image":
                from textvae.data.image_fields import picture_cells

                names = columns[name][begin:]
                key = f"data.fields.{name}"
                columns[name][begin:] = picture_cells(names, part.name, key, field, notes)
    if not any(columns.values()):
        names = ", ".join(part.name for part in parts)
        raise DataError(f"{names}: holds no row with all of {', '.join(fields)}")
    check_sizes(columns, fields, parts[0].name)
    return Table(columns)


def skipped_rows(count: int, unit: str, name: str, fields: Mapping[str, FieldConfig]) -> str:
    """A number of rows that lack a field, in words."""
    if fields[name].kind == "image":
        return f"{blank_rows(count, unit)}: no image of {name!r}"
    if fields[name].kind == "vector":
        return f"{blank_rows(count, unit).replace('blank ', '')}: a number of {name!r} is missing"
    return f"{blank_rows(count, unit)}: no {name!r}"


def is_text(field: FieldConfig) -> bool:
    """Whether a field is a text, which must not be blank."""
    return field.kind == "text"


def part_rows(
    part: Part, fields: Mapping[str, FieldConfig], notes: list[str]
) -> Iterator[dict[str, Any]]:
    """The cell of each field of each row, stripped."""
    every = (column for name, field in fields.items() for column in field.columns_read(name))
    wanted = list(dict.fromkeys(every))
    for number, cells in part.rows(wanted, notes):
        where = f"{part.name}: {part.unit} {number}"
        row = dict(zip(wanted, cells, strict=True))
        blank = all(isinstance(cell, str) and not cell for cell in cells)
        if blank and any(field.plate for field in fields.values()):
            yield dict.fromkeys(fields, "")  # a blank line
            continue
        found = {
            name: cell_of(row, name, field, where, whole_of(row, field, fields))
            if field.plate is None
            else parts_of(row, name, field, where)
            for name, field in fields.items()
        }
        check_counts(found, fields, where)
        yield found


def parts_of(row: Mapping[str, Any], name: str, field: FieldConfig, where: str) -> tuple[Any, ...]:
    """The stripped cells of the parts of a field in a row of cells by column; see `cell_of`.

    Raises:
        DataError: there is none, or one is blank, where it is a text.
    """
    column, key = field.source_column(name)
    shown = f"{where}: {field.column or name!r}"
    found = []
    for number, cell in enumerate(part_cells(row[column], key, field, shown), start=1):
        alone = field.model_copy(update={"column": None, "plate": None})
        part = cell_of({column: cell}, column, alone, f"{where}: part {number}")
        if is_text(field) and not part:
            raise DataError(f"{shown}: part {number} is blank: a text is needed")
        if field.kind == "vector" and part is None:
            raise DataError(f"{shown}: part {number}: a number is missing")
        found.append(part)
    return tuple(found)


def whole_of(row: Mapping[str, Any], field: FieldConfig, fields: Mapping[str, FieldConfig]) -> Any:
    """The cell of the text that a field is within; None of a field that is within none."""
    whole = field.within
    return None if whole is None else row[fields[whole].columns_read(whole)[0]]


def cell_of(
    row: Mapping[str, Any], name: str, field: FieldConfig, where: str, whole: Any = None
) -> str | LabelSet | array | None:
    """The cell of a field in a row of cells by column; a text or a label is stripped.

    Args:
        row: cells by column.
        name: of the field.
        field: to read.
        where: of the row, for messages.
        whole: cell of the text that this one is within.

    Raises:
        DataError: it is no string, no label or set of labels, no number, or no part of the whole.
    """
    columns = field.columns_read(name)
    if field.kind == "vector":
        cells = [row[column] for column in columns]
        return vector_of(cells, columns, where, field.values or "real")
    column = columns[0]
    cell = row[column]
    if field.kind == "image":  # a path, whose picture `read_table` reads
        return text_of(cell, f"{where}: {column!r}", MAX_CHARS) or None
    if field.kind == "labels":
        separator = field.separator or SEPARATOR
        return label_set_of(cell, f"{where}: {column!r}", separator)
    if not is_text(field):
        return label_of(cell, f"{where}: {column!r}")
    if field.join is not None:
        cell = joined_parts(cell, field.join, f"{where}: {column!r}")
    if field.within is not None and isinstance(cell, list | tuple):
        cell = text_inside(whole, cell, f"{where}: {column!r}")
    text = text_of(cell, f"{where}: {column!r}", MAX_CHARS)
    if not text and field.otherwise is not None:
        text = text_of(row[field.otherwise], f"{where}: {field.otherwise!r}", MAX_CHARS)
    return text


def text_inside(whole: Any, span: Sequence[Any], where: str) -> str:
    """The text between two characters of another text.

    Args:
        whole: cell of the text that it stands in.
        span: the first character, and the one after the last.
        where: of the row, for the message.

    Raises:
        DataError: they are no characters of the text.
    """
    count = len(whole) if isinstance(whole, str) else 0
    whole_numbers = all(type(end) is int for end in span)
    if len(span) != 2 or not whole_numbers or not 0 <= span[0] < span[1] <= count:
        raise DataError(
            f"{where}: a span must be its text, or [start, end) in the {count:,} characters of the "
            f"text that it is within (got {list(span)})"
        )
    return str(whole)[span[0] : span[1]]
