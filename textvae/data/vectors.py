"""Columns of numbers in a table: which of them a vector is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textvae.config import FieldConfig
from textvae.data.cells import number_of
from textvae.data.errors import DataError, listed
from textvae.data.sources import Part


def is_open(field: FieldConfig) -> bool:
    """Whether a field has the columns of numbers that no other field has."""
    return field.kind == "vector" and not (field.columns or field.column or field.plate)


def with_columns(
    fields: Mapping[str, FieldConfig], parts: Sequence[Part], notes: list[str]
) -> dict[str, FieldConfig]:
    """The fields, with the columns of a vector that names none.

    They are the column of its name, where there is one, else all columns of numbers that no other
    field reads, in their order; a note lists these.

    Args:
        fields: of the rows, by name.
        parts: of the training rows.
        notes: sentences for the user are added to it.

    Raises:
        DataError: there is no such column, or the columns of the data are not known.
    """
    open_ones = [name for name, field in fields.items() if is_open(field)]
    if not open_ones:
        return dict(fields)
    (name,) = open_ones  # the recipe is checked for more
    where, header = parts[0].name, parts[0].header
    if header is None:
        raise DataError(f"{where}: name the columns: data.fields.{name}.columns")
    columns = header()
    chosen = [name]
    if name not in columns:
        others = (field.columns_read(other) for other, field in fields.items() if other != name)
        taken = {column for each in others for column in each}
        free = [column for column in columns if column not in taken]
        chosen = number_columns(parts, free, notes)
        if not chosen:
            found = listed(columns) or "none"
            raise DataError(f"{where}: {name}: no column of numbers is left (columns: {found})")
        s = "" if len(chosen) == 1 else "s"
        notes.append(f"{name}: the {len(chosen):,} column{s} of numbers {listed(chosen)}")
    return {**fields, name: fields[name].model_copy(update={"columns": chosen})}


def number_columns(parts: Sequence[Part], columns: Sequence[str], notes: list[str]) -> list[str]:
    """The columns whose cells are numbers or missing, and not all of them missing.

    A note says why a column is none whose first cells are numbers.
    """
    seen = dict.fromkeys(columns, False)
    for part in parts:
        for row, cells in part.rows(columns, []) if columns else ():
            for column, cell in zip(columns, cells, strict=True):
                if column in seen:
                    try:
                        seen[column] |= number_of(cell, repr(column)) is not None
                    except DataError as error:
                        if seen.pop(column):
                            where = f"{part.name}: {part.unit} {row}"
                            notes.append(f"{where}: {error}: the column is not one of numbers")
    return [column for column, has_numbers in seen.items() if has_numbers]
