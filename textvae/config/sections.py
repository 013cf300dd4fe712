"""The base of all sections of a recipe: their keys, and the mistakes in them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, WrapValidator, model_validator

from textvae.console import quoted
from textvae.registry import suggest


class Section(BaseModel):
    """A part of a recipe: unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    OLD_KEYS: ClassVar[dict[str, str]] = {}
    """Current names of keys that were renamed in version 0.2, by their old name."""

    @model_validator(mode="before")
    @classmethod
    def _keys_have_their_current_name(cls, values: Any) -> Any:
        return cls.current_keys(values) if isinstance(values, Mapping) else values

    @classmethod
    def current_keys(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a section under their current keys.

        Raises:
            ValueError: a value is given under its old and its current key.
        """
        for old, new in cls.OLD_KEYS.items():
            if old in values and new in values:
                raise ValueError(f"{old} is the old name of {new}: only one of them can be given")
        return {cls.OLD_KEYS.get(key, key): value for key, value in values.items()}


S = TypeVar("S", bound=Section)


def number(value: int | Literal["auto"], key: str) -> int:
    """A size that is not left open.

    Raises:
        ValueError: it is "auto", and no corpus has been read yet.
    """
    if value == "auto":
        raise ValueError(f"{key} is 'auto': it follows from the training texts")
    return value


def least_or_auto(least: int) -> WrapValidator:
    """A whole number of at least `least`, or "auto", with one message for both."""

    def validated(value: Any, validate: Callable[[Any], Any]) -> Any:
        try:
            return validate(value)
        except ValidationError:
            raise ValueError(
                f"must be a whole number from {least} to 1,000,000, or 'auto'"
            ) from None

    return WrapValidator(validated)


def section_problems(error: ValidationError, path: str, fields: Iterable[str]) -> list[str]:
    """The mistakes that pydantic found in a section, one line each, beginning with `path`."""
    lines = []
    for mistake in error.errors():
        where = ".".join([path, *map(str, mistake["loc"])]).strip(".")
        if mistake["type"] == "extra_forbidden":
            lines.append(f"{where}: unknown key {suggest(str(mistake['loc'][-1]), fields)}")
        elif mistake["type"] == "missing":
            lines.append(f"{where}: missing")
        else:
            message = mistake["msg"].removeprefix("Value error, ")
            lines.append(f"{where}: {message} (got {quoted(mistake['input'])})")
    return lines


def read_section(section: type[S], values: Any, path: str) -> tuple[S | None, list[str]]:
    """A section from its values, or the mistakes in them, one line each."""
    if not isinstance(values, Mapping):
        return None, [f"{path}: must be a mapping (got {quoted(values)})"]
    try:
        return section.model_validate(dict(values)), []
    except ValidationError as error:
        return None, section_problems(error, path, section.model_fields)
