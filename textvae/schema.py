"""The JSON Schema of recipes, from the sections and the registered kinds, for editors."""

import inspect
import re
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from textvae.config import Claim, ImageDataConfig, PretrainingConfig, Section
from textvae.graph.config import BASES, SUPPLIED
from textvae.graph.refinement import Refinement
from textvae.objectives import Objective
from textvae.objectives.schedules import Schedule
from textvae.objectives.terms import Term
from textvae.priors import Prior
from textvae.recipes import PURPOSES, SECTIONS
from textvae.registry import Component, arguments, is_component
from textvae.sizing import AUTO

Json = dict[str, Any]

FILE = "recipe.schema.json"
"""The schema beside the shipped recipes, whose first line names it for editors."""

TEXT: Json = {"type": "string"}
NAMES: Json = {"type": "array", "items": TEXT}
SIZES: Json = {"type": ["array", "null"], "items": {"type": "integer", "minimum": 1}}
WEIGHT: Json = {"type": ["number", "null"], "exclusiveMinimum": 0}
PRIOR_KEYS: Json = {"given": NAMES, "hidden": SIZES}
NODE_KEYS: dict[str, Json] = {
    "encoders": {"field": {"type": ["string", "null"]}, "given": NAMES},
    "latents": {
        "field": TEXT,
        "fixed": {"type": "boolean"},
        "given": {**NAMES, "minItems": 1},
        "hidden": SIZES,
        "label_smoothing": {"type": ["number", "null"], "minimum": 0, "exclusiveMaximum": 1},
        "label_weight": WEIGHT,
        "relative": {"type": "boolean"},
    },
    "decoders": {
        "field": TEXT,
        "given": NAMES,
        "auxiliary": WEIGHT,
        "attend": {"type": ["string", "null"]},
        "prior_weight": WEIGHT,
    },
}
"""The keys of a node that are the graph's and no argument of its kind; `name` and `prior` apart."""


def recipe_schema() -> Json:
    """The schema of a recipe file, JSON Schema 2020-12.

    It has what a single value decides. What depends on several values, such as the names of nodes,
    is checked by `check_model` alone.
    """
    definitions: Json = {}
    sections = {name: section_schema(section, definitions) for name, section in SECTIONS.items()}
    sections["data"] = either(sections["data"], section_schema(ImageDataConfig, definitions))
    model = model_schema(definitions)
    terms = {"type": "array", "items": component(Term, definitions)}
    objective = component(Objective, definitions, {*Objective.CONTEXT}, {"terms": terms})
    # A number stands for a constant schedule.
    definitions[Schedule.__name__]["anyOf"].append({"type": "number", "minimum": 0})
    pretraining = section_schema(PretrainingConfig, definitions)
    stage = {"model": model, "objective": nullable(objective), "train": sections["train"]}
    definitions[PretrainingConfig.__name__]["properties"] |= stage
    properties = {
        "paper": TEXT,
        "summary": TEXT,
        "purpose": {"enum": [*PURPOSES, None]},
        "baseline": {"type": "boolean"},
        "model": model,
        "pretrain": nullable(pretraining),
        "objective": objective,
        **sections,
        "claim": nullable({"type": "array", "items": section_schema(Claim, definitions)}),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A recipe of textvae",
        **mapping(properties, ["model", "objective"]),
        "$defs": dict(sorted(definitions.items())),
    }


def model_schema(definitions: Json) -> Json:
    """The schema of the section `model`."""
    kinds = component(Prior, definitions, SUPPLIED["priors"], PRIOR_KEYS)
    fitted = mapping({"fitted": {"const": True}}, ["fitted"])
    prior = either(kinds, mapping(PRIOR_KEYS, ["given"]), fitted)
    groups = {}
    for group, base in BASES.items():
        latents = group == "latents"
        keys = {"name": TEXT, **NODE_KEYS[group], **({"prior": prior} if latents else {})}
        required = ["name", "given"] if latents else ["name"]
        node = component(base, definitions, SUPPLIED[group], keys, required)
        groups[group] = nullable({"type": "array", "items": node})
        for kind in definitions[base.__name__]["anyOf"]:
            if not latents and "dropout" in kind["properties"]:
                rate = kind["properties"]["dropout"]
                kind["properties"]["dropout"] = either(rate, {"const": AUTO})
    refinement = nullable(section_schema(Refinement, definitions))
    return mapping({**groups, "init_range": WEIGHT, "refinement": refinement})


def component(
    base: type[Component],
    definitions: Json,
    supplied: Collection[str] = (),
    keys: Mapping[str, Json] | None = None,
    required: Collection[str] = (),
) -> Json:
    """A reference to the schema of an abstraction: one of its kinds, with the kind's arguments.

    Args:
        base: the abstraction.
        definitions: schemas by name, to which this one is added.
        supplied: arguments that are no keys of a recipe.
        keys: schemas of further keys.
        required: which of them are needed.
    """
    if base.__name__ not in definitions:
        definitions[base.__name__] = {}  # of kinds that have a component of the same abstraction
        kinds = []
        for kind, cls in sorted(base.kinds.items()):
            parameters, hints = arguments(cls)
            own = {name: each for name, each in parameters.items() if name not in supplied}
            needed = [name for name, each in own.items() if each.default is each.empty]
            notes = argument_notes(cls)
            values = {
                name: argument_schema(hints.get(name, Any), each.default, notes.get(name))
                if not is_component(hints.get(name))
                else component(hints[name], definitions)
                for name, each in own.items()
            }
            properties = {"kind": {"const": kind}, **(keys or {}), **values}
            described = {"description": first_line(cls)}
            kinds.append(described | mapping(properties, ["kind", *required, *needed]))
        definitions[base.__name__] = {"description": first_line(base), "anyOf": kinds}
    return {"$ref": f"#/$defs/{base.__name__}"}


def argument_schema(hint: Any, default: Any, note: str | None) -> Json:
    """The schema of an argument, with its default and the line on it."""
    config = ConfigDict(arbitrary_types_allowed=True)
    schema = TypeAdapter(hint, config=config).json_schema()
    if default is None or isinstance(default, bool | int | float | str):
        schema["default"] = default
    return schema | ({"description": note} if note else {})


def section_schema(section: type[Section], definitions: Json) -> Json:
    """A reference to the schema of a section, with the line on each key."""
    if section.__name__ not in definitions:
        schema = section.model_json_schema(ref_template="#/$defs/{model}")
        parts = {section.__name__: (section, schema)}
        nested = {cls.__name__: cls for cls in Section.__subclasses__()}
        parts |= {name: (nested[name], part) for name, part in schema.pop("$defs", {}).items()}
        for name, (cls, part) in parts.items():
            for value in (part, *part["properties"].values()):
                value.pop("title", None)
            for key, note in argument_notes(cls).items():
                part["properties"][key]["description"] = note
            for old, new in cls.OLD_KEYS.items():
                former = {"description": f"former name of {new}", "deprecated": True}
                part["properties"][old] = part["properties"][new] | former
            definitions[name] = part | {"description": first_line(cls)}
    return {"$ref": f"#/$defs/{section.__name__}"}


def mapping(properties: Mapping[str, Json], required: Collection[str] = ()) -> Json:
    """The schema of a mapping without other keys."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def either(*schemas: Json) -> Json:
    """The schema of what one of several allows."""
    return {"anyOf": list(schemas)}


def nullable(schema: Json) -> Json:
    """The schema of what another allows, or of nothing."""
    return either(schema, {"type": "null"})


def first_line(cls: type) -> str:
    """The first line of a class's docstring."""
    return (inspect.getdoc(cls) or "").split("\n")[0]


def argument_notes(cls: type) -> dict[str, str]:
    """The lines on the arguments of a class in its docstring, by name."""
    document = inspect.getdoc(cls) or ""
    section = re.search(r"^Args:\n((?:    .*\n?)+)", document, re.MULTILINE)
    notes = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section[1] if section else "", re.M)
    return {name: " ".join(note.split()) for name, note in notes}
