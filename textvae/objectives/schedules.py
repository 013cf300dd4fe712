"""Weights as functions of the optimizer step."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self, get_type_hints

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from textvae.registry import Component, Share


class Schedule(Component):
    """A weight that depends on the number of finished optimizer steps, and on nothing else.

    A recipe may give a plain number where a schedule is asked for: `kl_weight: 0.5`.

    >>> Schedule.build({"kind": "linear", "steps": 100})(50)
    0.5
    """

    @classmethod
    def check(cls, spec: Any, context: Iterable[str] = (), path: str = "") -> list[str]:
        """The mistakes in a number or a specification, one line each."""
        return super().check(as_spec(spec), context, path)

    @classmethod
    def build(cls, spec: Any, **context: Any) -> Self:
        """The schedule that a number or a specification describes.

        Raises:
            SpecError: an unknown kind or key, a missing key, a value that is not allowed.
        """
        return super().build(as_spec(spec), **context)

    def __call__(self, step: int) -> float:
        """The weight at an optimizer step, counted from 0."""
        raise NotImplementedError


def as_spec(spec: Any) -> Any:
    """A plain number as the specification of a constant; anything else unchanged."""
    if isinstance(spec, int | float) and not isinstance(spec, bool):
        return {"kind": "constant", "value": float(spec)}
    return spec


def numbers_to_schedules(component: Any) -> None:
    """Replace each number of a frozen dataclass whose field is a schedule by a constant one."""
    for name, hint in get_type_hints(type(component)).items():
        if hint is Schedule and not isinstance(getattr(component, name), Schedule):
            object.__setattr__(component, name, Schedule.build(getattr(component, name)))


@dataclass(frozen=True)
class Constant(Schedule, kind="constant"):
    """The same weight at every step."""

    value: NonNegativeFloat = 1.0

    def __call__(self, step: int) -> float:
        """The weight at an optimizer step."""
        return self.value


@dataclass(frozen=True)
class Linear(Schedule, kind="linear"):
    """From `start` to `end` on a straight line over `steps` steps, after `delay` steps."""

    steps: PositiveInt
    start: NonNegativeFloat = 0.0
    end: NonNegativeFloat = 1.0
    delay: NonNegativeInt = 0

    def __call__(self, step: int) -> float:
        """The weight at an optimizer step."""
        return self.start + (self.end - self.start) * progress(step - self.delay, self.steps)


@dataclass(frozen=True)
class Sigmoid(Schedule, kind="sigmoid"):
    """end / (1 + exp(-steepness (step - midpoint))).

    Source: Bowman et al. 2016, figure 2, arXiv:1511.06349; the steepness is ours.
    """

    midpoint: NonNegativeInt
    steepness: PositiveFloat = 0.0025
    end: NonNegativeFloat = 1.0

    def __call__(self, step: int) -> float:
        """The weight at an optimizer step."""
        exponent = min(-self.steepness * (step - self.midpoint), 700.0)
        return self.end / (1.0 + math.exp(exponent))


@dataclass(frozen=True)
class Cosine(Schedule, kind="cosine"):
    """From `start` to `end` on half a cosine over `steps` steps, after `delay` steps."""

    steps: PositiveInt
    start: NonNegativeFloat = 0.0
    end: NonNegativeFloat = 1.0
    delay: NonNegativeInt = 0

    def __call__(self, step: int) -> float:
        """The weight at an optimizer step."""
        angle = math.pi * progress(step - self.delay, self.steps)
        return self.start + (self.end - self.start) * 0.5 * (1.0 - math.cos(angle))


@dataclass(frozen=True)
class Cyclical(Schedule, kind="cyclical"):
    """min(1, ((t mod period) / period) / ratio), `cycles` times, then the end value.

    Each cycle rises from `start` to `end` during `ratio` of its steps and rests for the others.

    Source: Fu et al. 2019, eq. 6 and 7, arXiv:1903.10145.
    """

    period: PositiveInt
    cycles: PositiveInt = 4
    ratio: Share = 0.5
    start: NonNegativeFloat = 0.0
    end: NonNegativeFloat = 1.0

    def __call__(self, step: int) -> float:
        """The weight at an optimizer step."""
        if step >= self.cycles * self.period:
            return self.end
        share = min(1.0, (step % self.period) / self.period / self.ratio)
        return self.start + (self.end - self.start) * share


def progress(step: int, steps: int) -> float:
    """The finished share of `steps`, from 0 to 1."""
    return min(max(step / steps, 0.0), 1.0)
