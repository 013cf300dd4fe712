"""Checks of what a request contains; each error is one line with what is allowed."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

MOST_BYTES = 65536
"""Of a body."""
LARGEST = 50.0
"""Largest value of z."""
LONGEST = 2000
"""Characters of a text that is written on the page."""


class BadRequestError(ValueError):
    """A request that cannot be answered; its message is one line."""


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        BadRequestError: there is something else.
    """
    try:
        value = json.loads(body, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        raise BadRequestError("the body must be a JSON object of finite numbers") from None
    if not isinstance(value, dict):
        raise BadRequestError(f"the body must be a JSON object (got {type(value).__name__})")
    return value


def refuse_constant(name: str) -> None:
    """Refuse NaN and infinities, which JSON lacks and Python reads.

    Raises:
        ValueError: always.
    """
    raise ValueError(name)


def only(body: Mapping[str, Any], *names: str) -> None:
    """Refuse unknown keys.

    Raises:
        BadRequestError: naming them.
    """
    if unknown := sorted(body.keys() - {*names}):
        raise BadRequestError(f"unknown key {unknown[0][:40]!r} (known: {', '.join(names)})")


def vector(body: Mapping[str, Any], name: str, dim: int) -> np.ndarray:
    """A latent, (D,), float32.

    Raises:
        BadRequestError: another length, or a value that is no number from -50 to 50.
    """
    values = body.get(name)
    if not isinstance(values, list) or len(values) != dim:
        got = f"{len(values)} values" if isinstance(values, list) else type(values).__name__
        raise BadRequestError(f"{name}: must be a list of {dim} numbers (got {got})")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadRequestError(f"{name}: must be numbers (got {type(value).__name__})")
        if not abs(value) <= LARGEST:
            raise BadRequestError(f"{name}: numbers must be from -{LARGEST:g} to {LARGEST:g}")
    return np.array(values, np.float32)


def whole(body: Mapping[str, Any], name: str, low: int, high: int, default: int | None) -> int:
    """A whole number in a range; `default` where it is missing, if there is one.

    Raises:
        BadRequestError: something else.
    """
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BadRequestError(f"{name}: must be a whole number from {low} to {high}")
    return value


def number(body: Mapping[str, Any], name: str, low: float, high: float, default: float) -> float:
    """A number in a range.

    Raises:
        BadRequestError: something else.
    """
    value = body.get(name, default)
    fine = isinstance(value, int | float) and not isinstance(value, bool)
    if not fine or not math.isfinite(value) or not low <= value <= high:
        raise BadRequestError(f"{name}: must be a number from {low:g} to {high:g}")
    return float(value)


def truth(body: Mapping[str, Any], name: str) -> bool:
    """A truth value; False where it is missing.

    Raises:
        BadRequestError: something else.
    """
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise BadRequestError(f"{name}: must be true or false")
    return value


def name_of(body: Mapping[str, Any], name: str) -> str:
    """A string of at most `LONGEST` characters.

    Raises:
        BadRequestError: something else.
    """
    value = body.get(name)
    if not isinstance(value, str) or len(value) > LONGEST:
        raise BadRequestError(f"{name}: must be a string of at most {LONGEST:,} characters")
    return value


def sentence(body: Mapping[str, Any], name: str) -> str:
    """A text that is not blank, stripped.

    Raises:
        BadRequestError: something else.
    """
    return checked_sentence(body.get(name), name)


def checked_sentence(value: Any, name: str, longest: int = LONGEST) -> str:
    """A text of 1 to `longest` characters that UTF-8 has, stripped.

    Raises:
        BadRequestError: something else.
    """
    if not isinstance(value, str) or not value.strip():
        raise BadRequestError(f"{name}: write at least one word")
    if len(value) > longest:
        allowed = f"at most {longest:,} characters"
        raise BadRequestError(f"{name}: {allowed} are read (got {len(value):,})")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise BadRequestError(f"{name}: contains half of a surrogate pair, which is no character")
    return value.strip()


def sentences(body: Mapping[str, Any], name: str, most: int) -> list[str]:
    """A list of texts.

    Raises:
        BadRequestError: something else.
    """
    values = body.get(name, [])
    if not isinstance(values, list) or len(values) > most:
        raise BadRequestError(f"{name}: must be a list of at most {most} texts")
    return [checked_sentence(value, name) for value in values]
