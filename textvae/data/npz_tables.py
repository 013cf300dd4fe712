"""Rows of several fields in the arrays of an npz file, `<field>_<split>`."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from textvae.config import FieldConfig
from textvae.data.cells import ALLOWED
from textvae.data.errors import DataError, first_line, listed
from textvae.data.image_fields import array_images
from textvae.data.sources import label_of, text_of
from textvae.data.splits import SPLITS

Arrays = Mapping[str, np.ndarray]


def npz_columns(
    path: Path, fields: Mapping[str, FieldConfig], notes: list[str]
) -> dict[str, dict[str, list[Any]]]:
    """The cells of each field, by split: of the arrays `x_train`, `x_valid` and `x_test` for x.

    An array `x` alone is train. A vector is (N, D); images are as `array_images` reads them; a
    label (N,), whole numbers or texts; a set of labels (N, C), 0 and 1, whose names are in
    `x_names`, without `s` at the end of x, else numbers. Vectors of S parts of each row are
    (N, S, D).

    Args:
        path: of the file.
        fields: of the rows, by name.
        notes: sentences for the user: which arrays are left out.

    Raises:
        DataError: an array is missing or does not fit.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise DataError(f"{path}: is no readable .npz file ({first_line(error)})") from None
    used: set[str] = set()
    splits: dict[str, dict[str, list[Any]]] = {}
    for name, field in fields.items():
        base = (field.columns or [field.column or name])[0]
        found = {
            split: key
            for split, words in SPLITS.items()
            for key in (f"{base}_{word}" for word in words)
            if key in arrays
        }
        found = found or ({"train": base} if base in arrays else {})
        if "train" not in found:
            raise DataError(f"{path}: no array {base}_train (found: {listed(arrays) or 'none'})")
        names = next((n for n in (f"{base}_names", f"{base.rstrip('s')}_names") if n in arrays), "")
        used |= {*found.values(), names}
        if field.kind == "image":
            given = {split: arrays[key] for split, key in found.items()}
            pictures = array_images(given, f"{path}: {base}", field, notes)
            for split, cells in pictures.items():
                splits.setdefault(split, {})[name] = cells
            continue
        for split, key in found.items():
            where = f"{path}: {key}"
            cells = array_cells(field, arrays[key], arrays.get(names), where)
            splits.setdefault(split, {})[name] = cells
    for split, columns in splits.items():
        sizes = {name: len(columns.get(name, ())) for name in fields}
        if len(set(sizes.values())) > 1:
            counts = ", ".join(f"{size:,} of {name}" for name, size in sizes.items())
            raise DataError(f"{path}: every field needs as many {split} rows (got {counts})")
    if left_out := [name for name in arrays if name not in used]:
        notes.append(f"{path}: arrays left out: {listed(left_out)}")
    return splits


def array_cells(
    field: FieldConfig, values: np.ndarray, names: np.ndarray | None, where: str
) -> list[Any]:
    """The cells of an array, as those of a table."""
    if field.plate is not None:
        if field.kind != "vector":
            raise DataError(f"{where}: of fields with a plate, an npz file has vectors alone")
        parts = checked(values, 3, "biuf", where)
        count, size = parts.shape[1:]
        if not count or np.isnan(parts).any():
            raise DataError(f"{where}: each row needs parts, and no number of them may be missing")
        flat = parts.reshape(-1, size).astype(np.float64)
        cells = vector_cells(flat, field.values or "real", where)
        return [tuple(cells[start : start + count]) for start in range(0, len(cells), count)]
    if field.kind == "vector":
        rows = checked(values, 2, "biuf", where).astype(np.float64)
        return vector_cells(rows, field.values or "real", where)
    if field.kind == "labels":
        rows = checked(values, 2, "biuf", where)
        if not np.isin(rows, (-1, 0, 1)).all():
            raise DataError(f"{where}: must be 0 and 1, or -1 in rows without a set")
        known = [str(name) for name in (range(rows.shape[1]) if names is None else names.tolist())]
        if len(known) != rows.shape[1]:
            raise DataError(f"{where}: has {rows.shape[1]} labels, and {len(known)} have a name")
        return [
            None if (row < 0).any() else tuple(known[label] for label in np.flatnonzero(row))
            for row in rows
        ]
    cells = checked(values, 1, "U" if field.kind == "text" else "biufU", where).tolist()
    if field.kind == "text":
        return [text_of(cell, where, 10**9) for cell in cells]
    known = None if names is None else [str(name) for name in names.tolist()]
    return [label_cell(cell, known, where) for cell in cells]


def vector_cells(rows: np.ndarray, values: str, where: str) -> list[array | None]:
    """Numbers, (N, D), as cells; None for a row with a missing one, NaN.

    Raises:
        DataError: a number that is not one of these values; the message names the row, from 1.
    """
    missing = np.asarray(np.isnan(rows).any(1))
    if values == "bits":
        allowed = (rows == 0) | (rows == 1)
    elif values == "counts":
        allowed = (rows >= 0) & (rows == np.floor(rows))
    else:
        allowed = np.isfinite(rows)
    wrong = np.argwhere(~allowed & ~np.isnan(rows))
    if len(wrong):
        row, column = wrong[0].tolist()
        text = f"must be {ALLOWED[values][0]} (got {rows[row, column]:g})"
        raise DataError(f"{where}: row {row + 1}, column {column + 1}: {text}")
    return [
        None if lacks else array("d", row.tobytes())
        for row, lacks in zip(rows, missing, strict=True)
    ]


def label_cell(cell: Any, names: list[str] | None, where: str) -> str:
    """The label of a cell; a negative number is a missing one."""
    if isinstance(cell, str):
        return label_of(cell, where)
    if cell < 0:
        return ""
    number = label_of(cell, where)
    if names is None:
        return number
    if int(number) >= len(names):
        raise DataError(f"{where}: label {number}, and {len(names)} have a name")
    return names[int(number)]


def checked(values: np.ndarray, axes: int, kinds: str, where: str) -> np.ndarray:
    """An array of rows.

    Raises:
        DataError: it has another number of axes, or values of another type.
    """
    if values.ndim != axes or values.dtype.kind not in kinds:
        shape = ("(N,)", "(N, D)", "(N, S, D)")[axes - 1]
        what = "texts" if kinds == "U" else "numbers" if "U" not in kinds else "numbers or texts"
        raise DataError(
            f"{where}: must be {shape} of {what} (got {values.shape} of {values.dtype})"
        )
    return values
