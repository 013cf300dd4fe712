"""Images of a hub data set, with the names of its classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from textvae.data.errors import DataError, nearest_name
from textvae.data.file_trees import SPLIT_WORDS, listed
from textvae.data.hub import load_hub
from textvae.data.picture_files import PictureSet, as_shown
from textvae.data.pixels import Split, View, checked_split


def read_hub(
    source: str, image_column: str, label_column: str, view: View, notes: list[str]
) -> tuple[dict[str, Split], int | None]:
    """The images of each split of a hub data set, given as `name` or `name:config`.

    Returns:
        The splits, and the bits of a pixel where they are not 8.

    Raises:
        DataError: the hub does not give it, it has no such column, or images differ in size.
    """
    path = Path(source).expanduser()
    missing = f"{source}: no such file or folder{nearest_name(path)}"
    if path.suffix or ("/" in source and path.parent.is_dir()):
        raise DataError(missing)
    loaded = load_hub(source, missing)
    keys: dict[str, str] = {}
    for key in loaded:
        split = SPLIT_WORDS.get(str(key).lower())
        if split is not None and split not in keys:
            keys[split] = key
    names = ", ".join(map(str, loaded))
    if not keys:
        raise DataError(f"{source}: no split named train, validation or test (found: {names})")
    if left_out := [str(key) for key in loaded if key not in keys.values()]:
        notes.append(f"{source}: splits left out: {listed(left_out)}")
    rows = {split: loaded[key] for split, key in keys.items()}
    note_columns(source, next(iter(rows.values())).column_names, image_column, label_column, notes)
    labels = {split: hub_labels(part, label_column) for split, part in rows.items()}
    return hub_splits(source, rows, image_column, labels, view, notes)


def note_columns(
    source: str, columns: list[str], image_column: str, label_column: str, notes: list[str]
) -> None:
    """Add notes on the columns that are left out, and on missing labels.

    Raises:
        DataError: there is no column of images.
    """
    if image_column not in columns:
        raise DataError(
            f"{source}: no column {image_column!r} (known: {', '.join(columns)}); "
            "name it: --set data.image_column=NAME"
        )
    others = [column for column in columns if column not in (image_column, label_column)]
    if label_column not in columns:
        notes.append(
            f"{source}: no column {label_column!r}: the images have no labels (data.label_column)"
        )
    if others:
        notes.append(f"{source}: columns left out: {listed(others)}")


def hub_labels(rows: Any, column: str) -> np.ndarray | None:
    """The labels of a split: names of classes, where the column has them, else its values.

    A missing label is an empty string among names, else -1.
    """
    if column not in rows.column_names:
        return None
    values = list(rows[column])
    known = getattr(rows.features[column], "names", None)
    if known is not None:
        named = ("" if value is None or value < 0 else known[value] for value in values)
        return np.array(list(named), dtype=str)
    blank = "" if any(isinstance(value, str) for value in values) else -1
    return np.asarray([blank if value is None else value for value in values])


def hub_splits(
    source: str,
    rows: dict[str, Any],
    column: str,
    labels: dict[str, np.ndarray | None],
    view: View,
    notes: list[str],
) -> tuple[dict[str, Split], int | None]:
    """The images of each split, pictures or arrays, with their labels."""
    read, arrays = PictureSet(source, view), dict[str, list[np.ndarray]]()
    for split, part in rows.items():
        for number, image in enumerate(part[column]):
            if hasattr(image, "getextrema"):
                where = f"{source}: {split}: row {number}"
                try:
                    picture = as_shown(image, view.background)
                except (OSError, ValueError, SyntaxError):
                    raise DataError(f"{where}: is damaged or no image") from None
                read.add(where, picture)
            else:
                arrays.setdefault(split, []).append(np.asarray(image))
    if not read.names:
        splits = {}
        for split, images in arrays.items():
            sizes = {image.shape for image in images}
            if len(sizes) != 1:
                raise DataError(
                    f"{source}: {split}: all images must be of one size (got {len(sizes)})"
                )
            splits[split] = checked_split(f"{source}: {split}", np.stack(images), labels[split])
        return splits, None
    if arrays:
        raise DataError(f"{source}: some images of {', '.join(arrays)} are missing")
    images, bits = read.images(notes)
    ends = np.cumsum([len(part) for part in rows.values()])[:-1]
    return {
        split: checked_split(f"{source}: {split}", part, labels[split])
        for split, part in zip(rows, np.split(images, ends), strict=True)
    }, bits
