"""Random recipes, allowed and spoiled, for hypothesis."""

import json
import math
from typing import Any

from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter

from textvae.graph.config import BASES, SUPPLIED
from textvae.objectives import Objective
from textvae.recipes import KEYS
from textvae.registry import Component, arguments, is_component

SIZES: dict[str, Any] = {
    "hidden": st.sampled_from([4, 8]),
    "heads": st.sampled_from([1, 2]),
    "layers": st.integers(1, 2),
    "embedding": st.sampled_from([None, 4, 6]),
    "dim": st.sampled_from([2, 3, 4, 1]),
    "size": st.sampled_from([2, 3]),
    "latent": st.just("z"),
    "latent_weights": st.dictionaries(st.just("z"), st.sampled_from([0.0, 0.5, 3.0])),
    "encoder": st.just("text"),
    "field": st.just("label"),
    "samples": st.integers(1, 3),
    "dropout": st.sampled_from([0.0, 0.5]),
}
"""Values of arguments whose type allows too much: sizes in MB, names of nodes."""


def values_of(hint: Any) -> st.SearchStrategy:
    """Values that a type annotation of a component's argument allows."""
    if is_component(hint):
        return specs(hint)
    adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    return st.one_of([values_of_schema(s) for s in alternatives(adapter.json_schema())])


def alternatives(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return schema.get("anyOf", [schema])


def values_of_schema(schema: dict[str, Any]) -> st.SearchStrategy:
    """Values that a JSON schema without structure allows."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "null":
        return st.none()
    if schema["type"] == "boolean":
        return st.booleans()
    if schema["type"] == "integer":
        low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
        return st.integers(low, min(schema.get("maximum", 5), 5))
    if schema["type"] == "array":
        return st.lists(values_of_schema(schema["items"]), max_size=2)
    assert schema["type"] == "number", schema
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    return st.floats(
        above if low is None else low,
        min(x for x in (high, below, 4.0) if x is not None),
        exclude_min=low is None,
        exclude_max=below is not None,
        width=16,
    )


@st.composite
def specs(
    draw, base: type[Component], supplied: tuple[str, ...] = (), without: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A specification of a component of any kind but `without`, some of its arguments given."""
    # Of one text: the shape of an image, classes, other encoders and what is attended to need more.
    kinds = [
        kind
        for kind, cls in base.kinds.items()
        if kind not in without
        and not {"shape", "classes", "label_set", "given_features", "memory"}
        & {n for n, p in arguments(cls)[0].items() if p.default is p.empty or n == "shape"}
    ]
    kind = draw(st.sampled_from(sorted(kinds)))
    parameters, hints = arguments(base.kinds[kind])
    spec = {"kind": kind}
    for name, parameter in parameters.items():
        wanted = parameter.default is parameter.empty or name in SIZES
        if name not in supplied and (wanted or draw(st.booleans())):
            spec[name] = draw(SIZES[name] if name in SIZES else values_of(hints[name]))
    return spec


OF_LABELS = ("direct", "interpolated", "positive_unlabelled")
"""Objectives of classes and labels, which hardly any random graph has; each has its own tests."""


@st.composite
def documents(draw) -> dict[str, Any]:
    """A recipe of one or two latents, with any kinds and any objective."""

    def node(group: str, name: str, **keys: Any) -> dict[str, Any]:
        spec = draw(specs(BASES[group], tuple(SUPPLIED[group])))
        return {"name": name, **spec, **keys}

    latents = [node("latents", "z", given=["text"])]
    if draw(st.booleans()):
        prior = {"prior": {"given": ["z"]}} if draw(st.booleans()) else {}
        latents.append(
            node("latents", "y", given=draw(st.sampled_from([["z"], ["text", "z"]])), **prior)
        )
    names = [latent["name"] for latent in latents]
    decoders = [node("decoders", "text", given=names)]
    if draw(st.booleans()):
        weight = {"auxiliary": draw(st.sampled_from([0.5, 2.0]))}
        decoders.append(node("decoders", "words", field="text", given=["z"], **weight))
    return {
        "model": {
            "encoders": [node("encoders", "text")],
            "latents": latents,
            "decoders": decoders,
            "init_range": draw(st.sampled_from([None, 0.1, 1.0])),
        },
        "objective": draw(specs(Objective, Objective.CONTEXT, OF_LABELS)),
        "train": {"epochs": draw(st.integers(1, 3)), "seed": draw(st.integers(0, 9))},
    }


JUNK: st.SearchStrategy = st.one_of(
    st.sampled_from([None, True, -1, 0, 1.5, 2**70, -(2**70), math.nan, math.inf, "", "x", [], {}]),
    st.sampled_from(
        ["z", "text", "kind", ["z"], ["text"], {"kind": "gaussian"}, [{}], [[]], {"given": []}]
    ),
    st.recursive(
        st.one_of(
            st.none(), st.booleans(), st.integers(-5, 5), st.floats(width=16), st.text(max_size=3)
        ),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=4,
    ),
)


@st.composite
def spoiled(draw) -> dict[str, Any]:
    """A recipe of which one to three values, anywhere, are replaced, removed or made up."""
    document = json.loads(json.dumps(draw(documents())))
    document.setdefault("tokenizer", {})
    for _ in range(draw(st.integers(1, 3))):
        place = document
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and draw(st.booleans()):
                place = place[key]
                continue
            how = draw(st.integers(0, 3))
            if how == 0:
                del place[key]
            elif how == 1 and isinstance(place, dict):
                place[draw(st.sampled_from([*KEYS, "kind", "given", "name", "extra"]))] = draw(JUNK)
            else:
                place[key] = draw(JUNK)
            break
    return document
