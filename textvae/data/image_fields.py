"""Images as fields of rows: arrays of an npz file, or picture files of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textvae.config import FieldConfig
from textvae.data.errors import DataError
from textvae.data.fields import Images, binarized
from textvae.data.picture_files import PictureSet, opened_picture
from textvae.data.pixels import (
    View,
    as_bytes,
    checked_split,
    resized,
    size_text,
    value_range,
)

VALUES = "pixels"
"""The kind of values of an image among the fields of a row, beside `bits`, `counts` and `real`."""


def view_of(field: FieldConfig) -> View:
    """How the images of a field are read."""
    size = field.size
    return View(size=None if size is None else (size[0], size[1]))


def picture_cells(
    names: Sequence[str], table: str, key: str, field: FieldConfig, notes: list[str]
) -> list[np.ndarray]:
    """The picture files of a column, (C, H, W) each, uint8, by their paths from the table's folder.

    Args:
        names: paths, one for each row.
        table: the file that has them.
        key: of the field, `data.fields.NAME`, for messages.
        field: that is read.
        notes: sentences for the user: what was done to the pictures.

    Raises:
        DataError: a file is missing, damaged, no picture, or of another size.
    """
    folder, view = Path(table).expanduser().parent, view_of(field)
    pictures = PictureSet(table, view, key=f"{key}.size")
    for name in names:
        path = folder / Path(name).expanduser()
        pictures.add(str(path), opened_picture(path, view))
    return list(pictures.images(notes)[0]) if names else []


def array_images(
    splits: Mapping[str, np.ndarray], where: str, field: FieldConfig, notes: list[str]
) -> dict[str, list[np.ndarray]]:
    """The images of the arrays of a field, by split, (C, H, W) each: bytes, or floats in [0, 1].

    Args:
        splits: (N, H, W), (N, C, H, W) or (N, H, W, C) each.
        where: file and name of the arrays, for messages.
        field: that is read.
        notes: sentences for the user: a range that is not that of bytes.

    Raises:
        DataError: an array has another shape or type, or floats outside [0, 1].
    """
    arrays = images_given([*splits.values()], where, notes)
    if (size := view_of(field).size) is not None:
        arrays = [resized(array, size) for array in arrays]
    return {split: list(array) for split, array in zip(splits, arrays, strict=True)}


def images_given(arrays: Sequence[np.ndarray], where: str, notes: list[str]) -> list[np.ndarray]:
    """Arrays of images of one source, (N, C, H, W) each: bytes, or floats in [0, 1].

    Raises:
        DataError: an array has another shape or type, or floats outside [0, 1].
    """
    checked = [checked_split(where, array, None)[0] for array in arrays]
    read, _ = as_bytes(where, checked, notes)
    for array in read:
        if array.dtype != np.uint8 and (array.min() < 0 or array.max() > 1):
            low, high = value_range(read)
            raise DataError(
                f"{where}: images of floats must be in [0, 1] (got {low:g} to {high:g})"
            )
    return read


def image_facts(field: FieldConfig, cells: Sequence[np.ndarray]) -> dict[str, Any]:
    """The facts of images of training rows: shape, and how a model sees their pixels."""
    facts = {"shape": list(cells[0].shape), "values": VALUES, "pixels": field.pixels or "grey"}
    return facts | ({} if field.size is None else {"size": list(field.size)})


def image_column(facts: Mapping[str, Any], cells: Sequence[Any], name: str) -> Images:
    """Images of one field as a model reads them.

    Args:
        facts: of the field.
        cells: one image each, (C, H, W): bytes, or floats in [0, 1].
        name: of the field, for messages.

    Raises:
        DataError: they are of another size than the training images.
    """
    wanted = tuple(facts["shape"])
    for cell in cells:
        if cell.shape != wanted:
            given = size_text(cell.shape)
            raise DataError(f"{name}: the model reads images of {size_text(wanted)} (got {given})")
    values = np.stack(cells) if len(cells) else np.zeros((0, *wanted), np.uint8)
    if facts["pixels"] == "static":
        values = binarized(values, 0)
    more = {key: facts[key] for key in ("values", "size") if key in facts}
    return Images(values, facts["pixels"], more)
