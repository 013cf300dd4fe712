"""Components by kind: what is built, and what each mistake is answered with."""

from dataclasses import dataclass
from typing import Literal

import pytest
from pydantic import NonNegativeFloat, PositiveInt

from textvae.registry import Component, Probability, Rate, Share, SpecError, suggest


class Shape(Component): ...


class Paint(Component): ...


class Oil(Paint, kind="oil"):
    def __init__(self, gloss: Share = 0.5):
        self.gloss = gloss


class Circle(Shape, kind="circle"):
    def __init__(
        self,
        canvas: int,
        radius: PositiveInt,
        paint: Paint | None = None,
        fill: Literal["solid", "none"] = "solid",
        weight: NonNegativeFloat = 1.0,
        rate: Rate = 0.0,
        chance: Probability = 1.0,
    ):
        self.canvas, self.radius, self.fill, self.weight = canvas, radius, fill, weight


@dataclass(frozen=True)
class Painted(Shape, kind="painted"):
    paint: Paint = Oil()


def test_the_kind_chooses_the_class_and_the_rest_are_its_arguments():
    shape = Shape.build({"kind": "circle", "radius": 2, "fill": "none"}, canvas=7, unasked=1)
    assert type(shape) is Circle and Circle.kind == "circle"
    assert (shape.canvas, shape.radius, shape.fill, shape.weight) == (7, 2, "none", 1.0)


def test_a_component_among_the_arguments_is_built_from_its_own_specification():
    assert Shape.build({"kind": "painted", "paint": {"kind": "oil", "gloss": 1.0}}).paint.gloss == 1
    assert Shape.build({"kind": "painted"}).paint.gloss == 0.5


def test_each_abstraction_has_its_own_table():
    assert set(Shape.kinds) == {"circle", "painted"} and set(Paint.kinds) == {"oil"}
    assert not Component.kinds


MISTAKES = {
    "no mapping": ("circle", ["shape: must be a mapping with a 'kind' (got 'circle')"]),
    "nothing": (None, ["shape: must be a mapping"]),
    "no kind": ({"radius": 1}, ["shape.kind: unknown None (known: circle, painted)"]),
    "unknown kind": (
        {"kind": "circel"},
        ["shape.kind: unknown 'circel' (did you mean 'circle'? known: circle, painted)"],
    ),
    "kind that is no word": ({"kind": ["circle"]}, ["shape.kind: unknown ['circle']"]),
    "unknown key": (
        {"kind": "circle", "radius": 1, "wieght": 2.0},
        ["shape.wieght: unknown key (did you mean 'weight'?"],
    ),
    "key that is no word": ({"kind": "circle", "radius": 1, 3: 4}, ["shape.3: unknown key"]),
    "supplied by the caller": (
        {"kind": "circle", "radius": 1, "canvas": 1},
        ["shape.canvas: unknown key"],
    ),
    "missing": ({"kind": "circle"}, ["shape.radius: missing"]),
    "below its range": (
        {"kind": "circle", "radius": 0},
        ["shape.radius: Input should be greater than 0 (got 0)"],
    ),
    "truth for a number": ({"kind": "circle", "radius": True}, ["shape.radius:"]),
    "text for a number": ({"kind": "circle", "radius": "1"}, ["shape.radius:"]),
    "fraction for an integer": ({"kind": "circle", "radius": 1.0}, ["shape.radius:"]),
    "not a number": ({"kind": "circle", "radius": 1, "weight": float("nan")}, ["shape.weight:"]),
    "not one of the words": ({"kind": "circle", "radius": 1, "fill": "half"}, ["shape.fill:"]),
    "a rate of 1": ({"kind": "circle", "radius": 1, "rate": 1.0}, ["shape.rate:"]),
    "a probability above 1": ({"kind": "circle", "radius": 1, "chance": 1.1}, ["shape.chance:"]),
    "nested": (
        {"kind": "painted", "paint": {"kind": "oil", "gloss": 0.0, "gleam": 1}},
        ["shape.paint.gloss: Input should be greater than 0", "shape.paint.gleam: unknown key"],
    ),
    "all at once": (
        {"kind": "circle", "fil": "none", "weight": -1.0, "rate": 2},
        [
            "shape.fil: unknown key (did you mean 'fill'?",
            "shape.weight: Input should be greater than or equal to 0 (got -1.0)",
            "shape.rate: Input should be less than 1 (got 2)",
            "shape.radius: missing",
        ],
    ),
}


@pytest.mark.parametrize(("spec", "lines"), MISTAKES.values(), ids=MISTAKES)
def test_every_mistake_is_one_line_that_says_where_and_what_is_allowed(spec, lines):
    problems = Shape.check(spec, {"canvas"})
    assert len(problems) == len(lines)
    assert all(problem.startswith(line) for problem, line in zip(problems, lines, strict=True))
    with pytest.raises(SpecError) as raised:
        Shape.build(spec, canvas=1)
    assert raised.value.problems == problems and str(raised.value) == "\n".join(problems)


def test_values_at_the_ends_of_their_ranges_are_allowed():
    fine = {"kind": "circle", "radius": 1, "weight": 0, "rate": 0, "chance": 1}
    assert Shape.check(fine, {"canvas"}) == []
    assert Shape.check({"kind": "circle", "radius": 1}) == ["shape.canvas: missing"]


def test_messages_begin_with_the_place_in_the_recipe():
    (problem,) = Shape.check({"kind": "painted", "colour": 1}, path="model.shapes.0")
    assert problem.startswith("model.shapes.0.colour: ")


def test_a_kind_belongs_to_one_class():
    with pytest.raises(TypeError, match=r"'circle' is already .*test_registry\.Circle"):

        class Ring(Shape, kind="circle"): ...

    # The same name in another module is another class.
    with pytest.raises(TypeError, match="already"):
        type("Circle", (Shape,), {"__module__": "elsewhere"}, kind="circle")
    assert Shape.kinds["circle"] is Circle


def test_a_module_may_be_imported_again():
    again = type("Oil", (Paint,), {"__module__": __name__, "__qualname__": "Oil"}, kind="oil")
    assert Paint.kinds["oil"] is again
    Paint.kinds["oil"] = Oil


def test_a_suggestion_names_the_nearest_and_all():
    assert suggest("lsmt", ["transformer", "lstm"]) == (
        "(did you mean 'lstm'? known: lstm, transformer)"
    )
    assert suggest("zzz", ["lstm"]) == "(known: lstm)"
    assert suggest("lstm", []) == "(known: none)"
