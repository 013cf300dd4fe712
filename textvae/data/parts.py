"""Cells of fields whose rows have several parts, such as the turns of a dialogue."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from textvae.config import FieldConfig
from textvae.data.errors import DataError, shown


def part_cells(cell: Any, key: str | None, field: FieldConfig, where: str) -> list[Any]:
    """The cells of the parts of a row.

    Args:
        cell: a list, or a text that is one in JSON or that the field's separator splits.
        key: of each part, where parts are objects; None where they are the cells themselves.
        field: with a plate.
        where: of the cell, for messages.

    Raises:
        DataError: it is neither, it has no part, or a part is no object with the key.
    """
    # That of a set of labels stands between labels.
    separator = None if field.kind == "labels" or key is not None else field.separator
    if hasattr(cell, "tolist"):  # an array of a parquet table
        cell = cell.tolist()
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        cell = listed_in(cell, where)
    elif isinstance(cell, str) and separator is not None:
        cell = cell.split(field.separator) if cell.strip() else []
    if not isinstance(cell, list | tuple):
        other = ", or a text with a 'separator' in data.fields" if separator is None else ""
        raise DataError(f"{where}: must be a list of parts{other} (got {shown(cell)})")
    if not cell:
        raise DataError(f"{where}: has no part; a row needs at least one {field.plate}")
    if key is None:
        return list(cell)
    labels = field.kind in ("label", "labels")  # may be missing
    for number, part in enumerate(cell, start=1):
        if not isinstance(part, Mapping) or (key not in part and not labels):
            raise DataError(
                f"{where}: part {number} must be an object with the key {key!r} (got {shown(part)})"
            )
    return [part.get(key) for part in cell]


def listed_in(text: str, where: str) -> Any:
    """The value of a cell that begins as a JSON list does.

    Raises:
        DataError: it is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise DataError(f'{where}: begins with "[" and is no JSON (got {shown(text)})') from None


def check_counts(row: Mapping[str, Any], fields: Mapping[str, FieldConfig], where: str) -> None:
    """Refuse a row whose fields of one plate have different numbers of parts.

    Raises:
        DataError: naming two of them.
    """
    first: dict[str, str] = {}
    for name, field in fields.items():
        if field.plate is None:
            continue
        other = first.setdefault(field.plate, name)
        if len(row[name]) != len(row[other]):
            raise DataError(
                f"{where}: {other!r} has {len(row[other])} parts and {name!r} has "
                f"{len(row[name])}: one of each {field.plate} is needed"
            )


def joined_parts(cell: Any, join: str, where: str) -> Any:
    """A list of texts as one text; what is no list stays as it is.

    Raises:
        DataError: a part is no string.
    """
    if hasattr(cell, "tolist"):  # an array of a parquet table
        cell = cell.tolist()
    if not isinstance(cell, list | tuple):
        return cell
    for number, part in enumerate(cell, start=1):
        if not isinstance(part, str):
            raise DataError(f"{where}: part {number} must be a string (got {shown(part)})")
    return join.join(part.strip() for part in cell)


def flat(cells: Sequence[Sequence[Any]]) -> list[Any]:
    """The parts of all rows, one after the other."""
    return list(chain.from_iterable(cells))
