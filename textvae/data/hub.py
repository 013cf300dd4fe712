"""Data sets of the hub; they need `datasets`, which is imported when one is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from textvae.data.errors import (
    DataError,
    column_name,
    first_line,
    listed,
    nearest_name,
    note_once,
    note_unused,
)
from textvae.data.formats import Row, format_of
from textvae.data.splits import SPLITS

HUB_NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?(:[\w.-]+)?")
UNIT = "row"
"""Counted by the numbers of `hub_rows`."""


class HubSplit(NamedTuple):
    """A split of a hub data set.

    Args:
        name: of the data set and of the split on the hub, for messages.
        rows: a `datasets.Dataset`.
    """

    name: str
    rows: Any


def load_hub(source: str, missing: str) -> Any:
    """The splits of a hub data set by their names on the hub.

    Args:
        source: its name, `name` or `name:config`.
        missing: that there is no such file either, for the message.

    Raises:
        DataError: the hub does not give it, or `datasets` is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise DataError(f"{missing}; hub data needs datasets (pip install datasets)") from error
    name, _, config = source.partition(":")
    try:
        loaded = datasets.load_dataset(name, config or None)
    except Exception as error:  # whatever datasets, the hub client or the network raises
        raise DataError(
            f"{missing}, and no data set that the hub gives now "
            f"({type(error).__name__}: {first_line(error)})"
        ) from error
    return loaded


def check_source(source: str) -> None:
    """Refuse the name of a missing file; one that the hub may know is left to it.

    Raises:
        DataError: there is no such file or folder, and no data set can have this name.
    """
    path = Path(source).expanduser()
    in_a_folder = "/" in source and path.parent.is_dir()
    if not path.exists() and (in_a_folder or not HUB_NAME.fullmatch(source) or format_of(source)):
        raise DataError(missing_text(source))


def missing_text(source: str) -> str:
    """That there is no such file, with the nearest name."""
    return f"{source}: no such file or folder{nearest_name(Path(source).expanduser())}"


def hub_splits(source: str, notes: list[str]) -> dict[str, HubSplit]:
    """The train, valid and test splits that a hub data set has.

    Args:
        source: its name, `name` or `name:config`.
        notes: sentences for the user: which splits are not used.

    Raises:
        DataError: the name is that of a missing file, the hub does not give the data set, or it
            has none of these splits.
    """
    check_source(source)
    loaded = load_hub(source, missing_text(source))
    keys = {
        split: next(word for word in words if word in loaded)
        for split, words in SPLITS.items()
        if not loaded.keys().isdisjoint(words)
    }
    if not keys:
        names = ", ".join(map(str, loaded))
        raise DataError(f"{source}: no split named train, validation or test (found: {names})")
    if unused := [str(key) for key in loaded if key not in keys.values()]:
        s = "s" if len(unused) > 1 else ""
        note_once(notes, f"{source}: {len(unused):,} split{s} not used: {listed(unused)}")
    return {split: HubSplit(f"{source}: {key}", loaded[key]) for split, key in keys.items()}


def hub_rows(split: HubSplit, columns: Sequence[str], notes: list[str]) -> Iterator[Row]:
    """The cells of the columns of a split, as `read_rows` gives those of a file.

    Raises:
        DataError: a column is missing, or the data set cannot be read.
    """
    known = split.rows.column_names
    names = [column_name(split.name, known, column) for column in columns]
    note_unused(notes, known, names)
    try:
        yield from enumerate(zip(*(split.rows[name] for name in names), strict=True), start=1)
    except Exception as error:  # whatever datasets raises on a file of someone else
        problem = f"{type(error).__name__}: {first_line(error)}"
        raise DataError(f"{split.name}: cannot be read ({problem})") from error
