"""Fields that are no text: what their training rows fix, and the columns that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from textvae.config import FieldConfig
from textvae.data.cells import LabelSet
from textvae.data.errors import DataError
from textvae.data.fields import Column, Labels, LabelSets, Vectors
from textvae.data.image_fields import VALUES, image_column, image_facts
from textvae.data.labels import class_names, class_order, numbered
from textvae.registry import suggest


def label_set_names(cells: Sequence[LabelSet | None], field: str) -> list[str]:
    """The distinct labels of the sets of training rows, in `class_order`.

    Raises:
        DataError: there is none.
    """
    names = class_order({label for labels in cells for label in labels or ()})
    if not names:
        raise DataError(f"{field}: no training row has a label")
    return names


def label_bits(cells: Sequence[LabelSet | None], names: Sequence[str], field: str) -> np.ndarray:
    """Which of the names each set has, (N, C), int8: 1, or 0; -1 in a row whose set is missing.

    Raises:
        DataError: a label that is not among the names, with the first row that has it, from 1.
    """
    indices = {name: index for index, name in enumerate(names)}
    bits = np.zeros((len(cells), len(names)), np.int8)
    for row, labels in enumerate(cells):
        if labels is None:
            bits[row] = -1
            continue
        for label in labels:
            if label not in indices:
                near = suggest(label, names)
                raise DataError(f"{field}: row {row + 1}: unknown label {label!r} {near}")
            bits[row, indices[label]] = 1
    return bits


def learned_facts(field: FieldConfig, cells: Sequence[Any], name: str) -> dict[str, Any]:
    """What the training rows fix of a field that is no text; the facts of its column.

    Args:
        field: of the rows.
        cells: of the training rows.
        name: of the field, for messages.

    Raises:
        DataError: a label has fewer than two classes, or a set of labels is always empty.
    """
    if field.kind == "image":
        return image_facts(field, cells)
    if field.kind == "vector":
        return vector_facts(field, np.array(cells, np.float64))
    if field.kind == "label":
        names = class_names(cells)
        return {"classes": len(names), "names": names}
    names = label_set_names(cells, name)
    return {"label_set": len(names), "names": names}


def vector_facts(field: FieldConfig, values: np.ndarray) -> dict[str, Any]:
    """The facts of vectors, (N, D), of training rows.

    They are the shape, the kind of values, the names of the columns where each number has one, and
    the mean and standard deviation of each real number; the latter is 1 where it never varies.
    """
    facts: dict[str, Any] = {"shape": [values.shape[1]], "values": field.values or "real"}
    if field.columns and len(field.columns) == values.shape[1]:
        facts["columns"] = list(field.columns)
    if facts["values"] == "real":
        scale = values.std(0)
        facts["centre"] = values.mean(0).tolist()
        facts["scale"] = np.where(scale > 0, scale, 1.0).tolist()
    return facts


def column_of_facts(facts: Mapping[str, Any], cells: Sequence[Any], name: str) -> Column:
    """The cells of a field that is no text as a column, under the facts of the training rows.

    Args:
        facts: of the field, as `learned_facts` has them.
        cells: of the rows.
        name: of the field, for messages.

    Raises:
        DataError: an unknown label, or vectors or images of another size.
    """
    if facts.get("values") == VALUES:
        return image_column(facts, cells, name)
    if "shape" in facts:
        values = np.array(list(cells), np.float64)
        (size,) = facts["shape"]
        if values.ndim != 2 or values.shape[1] != size:
            raise DataError(f"{name}: must be (N, {size}) (got {values.shape})")
        return Vectors.standardised(values, facts)
    size = facts.get("label_set", facts.get("classes", 0))
    names = tuple(facts.get("names") or map(str, range(size)))
    if "label_set" in facts:
        return LabelSets(label_bits(cells, names, name), names)
    try:
        return Labels(numbered(cells, names), size, names)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
