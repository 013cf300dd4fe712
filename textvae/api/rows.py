"""Rows of several fields that are given in Python: checked, and as a model reads them."""

from array import array
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from textvae.data.batching import Sentences
from textvae.data.cells import SEPARATOR, label_set_of, vector_of
from textvae.data.field_kinds import column_of_facts
from textvae.data.fields import Column, Fields, as_in_table
from textvae.data.image_fields import VALUES, images_given
from textvae.data.packed import Packed
from textvae.data.parts import flat
from textvae.data.python_texts import text_list
from textvae.data.spans import encoded_within
from textvae.data.tokenizers import TextTokenizer
from textvae.graph.config import VAEConfig
from textvae.graph.folders import is_of_table
from textvae.registry import suggest

DIGITS = 6
"""Significant digits of real numbers that are written: float32 has no more than seven."""

Given = Mapping[str, Any]
"""Values by field: one string for each row, or a single one for all of them. Of a field with parts,
a list of them for each row, or a single list."""


def model_fields(config: VAEConfig) -> list[str]:
    """The fields that nodes of a model read, write or are fixed by, in that order."""
    groups = ("encoders", "latents", "decoders")
    named = (node.get("field") for group in groups for node in config.nodes(group))
    return list(dict.fromkeys(field for field in named if field is not None))


def class_names_of(config: VAEConfig, field: str) -> list[str] | None:
    """The names of the classes of a field; None where it is no label."""
    facts = (config.observed or {}).get(field, {})
    if "classes" not in facts:
        return None
    return list(facts.get("names") or map(str, range(facts["classes"])))


def set_names_of(config: VAEConfig, field: str) -> list[str]:
    """The names of the labels of a field that is a set of them."""
    facts = facts_of(config, field)
    return list(facts.get("names") or map(str, range(facts["label_set"])))


def facts_of(config: VAEConfig, field: str) -> dict[str, Any]:
    """The facts of a field of a model; none of a text."""
    return (config.observed or {}).get(field, {})


def may_be_missing(config: VAEConfig, field: str) -> bool:
    """Whether a row may be without a value of a field: a label, or a set of labels."""
    return not {"classes", "label_set"}.isdisjoint(facts_of(config, field))


def needed_fields(
    config: VAEConfig, fields: Sequence[str], given: Container[str], latents: bool
) -> list[str]:
    """The fields that must be given of rows.

    Args:
        config: of the model.
        fields: that it reads.
        given: fields that are there.
        latents: whether only latents are wanted: then the fields of one of them are enough.
    """
    every = [config.fields_read(node["name"]) for node in config.nodes("latents")]
    if not latents or not every:
        return [field for field in fields if not may_be_missing(config, field)]
    return min(every, key=lambda read: sum(field not in given for field in read))


def is_single(value: Any) -> bool:
    """Whether a value is one for all rows: a string, or the numbers of one vector."""
    one_vector = isinstance(value, array) or (isinstance(value, np.ndarray) and value.ndim == 1)
    return isinstance(value, str) or one_vector


def cells_given(value: Any, field: str, facts: Mapping[str, Any]) -> list[Any]:
    """The cells of a field of which values are given, as those of a table.

    Args:
        value: a list of texts, of labels, of sets of labels, of vectors, also as an array, (N, D),
            or of images, also as an array, (N, H, W) or (N, C, H, W); or a single one, see
            `is_single`.
        field: its name.
        facts: of the field.

    Raises:
        TypeError: a value is of another type.
        ValueError: a set or a vector is malformed.
    """
    if facts.get("values") == VALUES:
        return images_of(value, field)
    values = [value] if is_single(value) else value
    if "label_set" in facts:
        cells = list(values)
        return [label_set_of(cell, f"{field}[{i}]", SEPARATOR) for i, cell in enumerate(cells)]
    if "values" in facts:
        names, kind = facts.get("columns") or [field], facts["values"]
        cells = [cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in values]
        return [
            cell if isinstance(cell, array) else vector_given(cell, names, f"{field}[{i}]", kind)
            for i, cell in enumerate(cells)
        ]
    return [value] if isinstance(value, str) else text_list(value, field)


def images_of(value: Any, field: str) -> list[np.ndarray]:
    """The images of a field that are given in Python, (C, H, W) each: an array, or a list of them.

    Raises:
        ValueError: they are of another shape or range, or differ in size.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{field}: images must be of one size") from None
    return list(images_given([array], field, [])[0])


def vector_given(cell: Any, names: Sequence[str], where: str, kind: str) -> array:
    """The numbers of a vector that is given in Python.

    Raises:
        ValueError: it is no list of such numbers.
    """
    numbers = vector_of([cell], [names[0]], where, kind)
    if numbers is None:
        raise ValueError(f"{where}: a number is missing")
    return numbers


def given_rows(
    config: VAEConfig,
    tokenizer: TextTokenizer | None,
    values: Given,
    needed: Sequence[str],
    allowed: Sequence[str] | None = None,
) -> Fields:
    """Values by field as rows of a model.

    A label or a set of labels may be left out: it is then missing. So is an empty string.

    Args:
        config: of the model.
        tokenizer: of its texts.
        values: by field.
        needed: fields of texts and labels that must be there.
        allowed: fields that may be there; `needed` by default.

    Raises:
        TypeError: a value is no string, or no list of strings.
        ValueError: a field is unknown, missing, blank, or has another number of values.
    """
    allowed = needed if allowed is None else allowed
    if hasattr(values, "columns") and hasattr(values, "to_dict"):  # a DataFrame
        values = {str(name): list(values[name]) for name in values.columns}  # type: ignore[attr-defined]
    if not isinstance(values, Mapping):
        raise TypeError(f"give a mapping of fields: {', '.join(allowed)} (got {given_as(values)})")
    for field in values:
        if field not in allowed:
            raise ValueError(f"unknown field {field!r} {suggest(str(field), allowed)}")
    if missing := [field for field in needed if field not in values]:
        raise ValueError(f"the model must be given {', '.join(needed)} (missing: {missing[0]})")
    lists: dict[str, list[Any]] = {}
    for field, value in values.items():
        if field in config.plates:
            lists[field] = row_lists(value, field, facts_of(config, field))
        else:
            lists[field] = cells_given(value, field, facts_of(config, field))
    check_parts(config, lists)
    count = max(map(len, lists.values()), default=0)
    columns = dict[str, Column]()
    for field, cells in lists.items():
        single = is_single(values[field]) or (field in config.plates and len(cells) == 1)
        if len(cells) != count and not single:
            raise ValueError(f"every field must have as many values (got {counts_of(lists)})")
        column: Column
        if (plate := config.plates.get(field)) is None:
            column = column_of(config, tokenizer, field, cells)
        else:
            column = Packed.of(column_of(config, tokenizer, field, flat(cells)), cells, plate)
        columns[field] = column if len(cells) == count else column.select(np.zeros(count, np.int64))
    for field, cells in lists.items():
        whole = facts_of(config, field).get("within")
        if whole in lists:
            assert tokenizer is not None, "a model of texts has one"
            part = cells * (count // len(cells))
            others = lists[whole] * (count // len(lists[whole]))
            columns[field] = encoded_within(tokenizer, part, others, field)[0]
    return Fields(columns)


def row_lists(value: Any, field: str, facts: Mapping[str, Any]) -> list[list[Any]]:
    """The parts of each row of a field: of one row where the value is a list of parts.

    Raises:
        TypeError: it is no list, or a part is of another type.
        ValueError: a row has no part.
    """
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise TypeError(f"{field}: give a list of parts for each row (got {given_as(value)})")
    rows = [value] if value and is_part(value[0], facts) else list(value)
    return [cells_given(row, f"{field}[{number}]", facts) for number, row in enumerate(rows)]


def is_part(value: Any, facts: Mapping[str, Any]) -> bool:
    """Whether a value is one part, a string or a vector, and not all parts of a row."""
    if "values" not in facts:
        return isinstance(value, str)
    return isinstance(value, array) or (bool(len(value)) and np.isscalar(value[0]))


def vector_cells(values: np.ndarray, facts: Mapping[str, Any]) -> list[list[float]]:
    """Vectors that a model has written, (N, D), as cells of a table: `DIGITS` of real numbers."""
    rows = as_in_table(values, facts).tolist()
    if facts["values"] != "real":
        return rows
    return [[float(f"{value:.{DIGITS}g}") for value in row] for row in rows]


def check_parts(config: VAEConfig, lists: Mapping[str, Sequence[Any]]) -> None:
    """Refuse rows whose fields of one plate have different numbers of parts.

    Raises:
        ValueError: naming two fields.
    """
    for plate, fields in config.plate_fields.items():
        first, *others = [field for field in fields if field in lists] or [""]
        for other in others:
            if [len(cell) for cell in lists[other]] != [len(cell) for cell in lists[first]]:
                raise ValueError(
                    f"{first!r} and {other!r} must have one value for each {plate} of each row"
                )


def column_of(
    config: VAEConfig, tokenizer: TextTokenizer | None, field: str, cells: list[Any]
) -> Column:
    """The values of one field as a model reads them.

    Raises:
        ValueError: a text is blank, a label is unknown, or a vector is of another size.
    """
    facts = facts_of(config, field)
    if is_of_table(facts):
        return column_of_facts(facts, cells, field)
    for number, cell in enumerate(cells):
        if not cell.strip():
            raise ValueError(f"{field}[{number}] is blank: a text is needed")
    assert tokenizer is not None, "a model of texts has one"
    encoded = Sentences.encoded(tokenizer, cells)
    return Sentences(encoded.ids, encoded.offsets, encoded.words, field)


def given_as(values: object) -> str:
    """What was given in place of a mapping, in words."""
    return "one string" if isinstance(values, str) else type(values).__name__


def counts_of(lists: Mapping[str, Sequence[str]]) -> str:
    """The number of values of each field, in words."""
    return ", ".join(f"{len(cells):,} of {field}" for field, cells in lists.items())
