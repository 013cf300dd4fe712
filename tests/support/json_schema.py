"""A validator of the part of JSON Schema that the schema of recipes uses."""

from typing import Any

TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}
LIMITS = {
    "minimum": lambda value, limit: value >= limit,
    "maximum": lambda value, limit: value <= limit,
    "exclusiveMinimum": lambda value, limit: value > limit,
    "exclusiveMaximum": lambda value, limit: value < limit,
}
NOTES = {"$schema", "$defs", "title", "description", "default", "deprecated"}
"""Keywords without a meaning for validation."""


def is_of(value: Any, name: str) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def is_valid(value: Any, schema: Any, definitions: dict[str, Any]) -> bool:
    """Whether a schema allows a value; an unknown keyword is an error."""
    return schema is not False and all(
        holds(value, keyword, argument, schema, definitions)
        for keyword, argument in (schema if isinstance(schema, dict) else {}).items()
        if keyword not in NOTES
    )


def holds(
    value: Any, keyword: str, argument: Any, schema: dict[str, Any], definitions: dict[str, Any]
) -> bool:
    """Whether a value is as one keyword of a schema asks."""

    def valid(part: Any, wanted: Any) -> bool:
        return is_valid(part, wanted, definitions)

    if keyword == "$ref":
        return valid(value, definitions[argument.removeprefix("#/$defs/")])
    if keyword == "anyOf":
        return any(valid(value, each) for each in argument)
    if keyword in ("const", "enum"):
        allowed = [argument] if keyword == "const" else argument
        return any(value == each and type(value) is type(each) for each in allowed)
    if keyword == "type":
        return any(
            is_of(value, name) for name in ([argument] * isinstance(argument, str) or argument)
        )
    if keyword in LIMITS:
        return not is_of(value, "number") or LIMITS[keyword](value, argument)
    if keyword in ("items", "minItems"):
        if not isinstance(value, list):
            return True
        if keyword == "minItems":
            return len(value) >= argument
        return all(valid(each, argument) for each in value)
    if not isinstance(value, dict):
        return True
    if keyword == "required":
        return set(argument) <= value.keys()
    if keyword == "properties":
        return all(valid(value[name], each) for name, each in argument.items() if name in value)
    assert keyword == "additionalProperties", keyword
    others = value.keys() - schema.get("properties", {}).keys()
    return all(valid(value[name], argument) for name in others)
