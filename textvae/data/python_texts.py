"""Texts that are given in Python: one check for every function that takes some."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which JSON and Python can spell and UTF-8 cannot."""

MAX_CHARS = 100_000
"""Characters of the longest text that is allowed."""


def text_list(
    texts: Any, name: str = "texts", empty: bool = False, most: int | None = MAX_CHARS
) -> list[str]:
    """Texts as a list: of a list, a tuple, a column of a table, an array or a generator.

    >>> text_list(text.lower() for text in ("One", "Two"))
    ['one', 'two']

    Args:
        texts: each a string.
        name: of the argument, for messages.
        empty: whether there may be none.
        most: characters of a text; None for any number.

    Raises:
        TypeError: one string, a table, or an element that is no string.
        ValueError: no text, one that is not valid Unicode, or one that is too long.
    """
    checked = list(each_text(texts, name, most))
    if not checked and not empty:
        raise ValueError(f"at least one text is needed (got none for {name})")
    return checked


def each_text(texts: Any, name: str = "texts", most: int | None = MAX_CHARS) -> Iterator[str]:
    """`text_list` one at a time, for texts that are too many for a list.

    Raises:
        TypeError: as there.
        ValueError: as there, but for no text.
    """
    if given := not_a_list(texts):
        raise TypeError(f"{name} must be a list of strings (got {given})")
    for number, text in enumerate(texts):
        yield checked_text(text, f"{name}[{number}]", most)


def not_a_list(texts: Any) -> str | None:
    """What texts are if not a list of some kind, such as a table, which has its columns' names."""
    if isinstance(texts, str):
        return "one string"
    if isinstance(texts, Mapping):
        return "a dict: choose the value of one key"
    if isinstance(texts, bytes | bytearray) or not isinstance(texts, Iterable):
        return type(texts).__name__
    if hasattr(texts, "columns") or hasattr(texts, "column_names"):
        return "a table: choose one column"
    dimensions = getattr(texts, "ndim", 1)
    return None if dimensions == 1 else f"a table: {dimensions} dimensions, not 1"


def checked_text(text: Any, name: str, most: int | None = MAX_CHARS) -> str:
    """One text.

    Args:
        text: a string.
        name: of the argument, for messages.
        most: characters; None for any number.

    Raises:
        TypeError: it is none.
        ValueError: it is not valid Unicode, or too long.
    """
    if not isinstance(text, str):
        value = f" {text}" if isinstance(text, float) else ""
        raise TypeError(f"{name}: must be a string (got {type(text).__name__}{value})")
    if SURROGATE.search(text):
        raise ValueError(f"{name}: a text must be valid Unicode (got {text[:40]!r})")
    if most is not None and len(text) > most:
        raise ValueError(f"{name}: {len(text)} characters, at most {most} are allowed")
    return str(text)
