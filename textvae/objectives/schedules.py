"""Weights as functions of the optimizer step."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, get_type_hints

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from textvae.registry import Component, Share

Delay = Annotated[float, Field(ge=0, lt=1)]

OLD_KEYS = {
    "delay": "delay_steps",
    "midpoint": "midpoint_steps",
    "period": "period_steps",
}
"""Keys that were numbers of steps before version 0.2, and are shares of training now.

A value above 1 still means steps.
"""

SHORTEST = 1e-6
"""Length in steps of what takes a vanishing share of training."""


class Schedule(Component):
    """A weight that depends on the number of finished optimizer steps, and on nothing else.

    A length is either a number of steps, `steps` and the keys that end in `_steps`, or a share of
    the whole training, the other keys. A schedule with shares has to be told how long training is
    before it is called; see `plan`.

    A recipe may give a plain number where a schedule is asked for: `kl_weight: 0.5`.

    >>> Schedule.build({"kind": "linear", "steps": 100})(50)
    0.5
    >>> Schedule.build({"kind": "linear", "length": 0.5}).plan(200)(50)
    0.5
    """

    total: int | None = None
    """Optimizer steps of the whole training, once `plan` has set it."""

    ONE_OF: ClassVar[tuple[str, ...]] = ()
    """Keys of which one is given: a number of steps, or a share of training."""

    EXCLUDE: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of keys that do not go together."""

    SHARES: ClassVar[tuple[str, ...]] = ()
    """Keys whose values are shares of training."""

    @classmethod
    def check(cls, spec: Any, context: Iterable[str] = (), path: str = "") -> list[str]:
        """The mistakes in a number or a specification, one line each."""
        spec, where = as_spec(spec), path or cls.__name__.lower()
        problems = super().check(spec, context, path)
        if problems:
            return problems
        kind: type[Schedule] = cls.kinds[spec["kind"]]
        given = {key for key, value in spec.items() if value is not None}
        if kind.ONE_OF and not given & set(kind.ONE_OF):
            steps, share = kind.ONE_OF
            problems.append(f"{where}: needs {share}, a share of training, or {steps}")
        pairs = [*kind.EXCLUDE, *([kind.ONE_OF] if kind.ONE_OF else [])]
        return problems + [
            f"{where}.{a}: does not go with {b}" for a, b in pairs if {a, b} <= given
        ]

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

    def plan(self, total: int) -> Self:
        """Set the number of optimizer steps of the whole training; the schedule itself."""
        object.__setattr__(self, "total", total)
        return self

    @property
    def is_relative(self) -> bool:
        """Whether it depends on how long training is."""
        return any(getattr(self, key) for key in self.SHARES)

    def steps_of(self, steps: int | None, share: float | None) -> float:
        """A length in optimizer steps, given as such or as a share of training.

        Raises:
            ValueError: a share, and `plan` was not called.
        """
        if steps is not None:
            return steps
        if not share:
            return 0
        if self.total is None:
            raise ValueError("a schedule in shares of training: plan(total steps) comes first")
        return max(share * self.total, SHORTEST)


def as_spec(spec: Any) -> Any:
    """A number as the specification of a constant; old keys of steps under their current name."""
    if isinstance(spec, int | float) and not isinstance(spec, bool):
        return {"kind": "constant", "value": float(spec)}
    if not isinstance(spec, Mapping):
        return spec
    old = {key for key in OLD_KEYS if is_steps(spec.get(key))}
    current = {OLD_KEYS[key] if key in old else key: value for key, value in spec.items()}
    if "midpoint" in old and "steepness" in current:
        current.setdefault("steepness_per_step", current.pop("steepness"))
    return current


def is_steps(value: Any) -> bool:
    """Whether a value under an old key is a number of steps."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 1


def numbers_to_schedules(component: Any) -> None:
    """Replace each number of a frozen dataclass whose field is a schedule by a constant one."""
    for name, hint in get_type_hints(type(component)).items():
        value = getattr(component, name)
        if hint is Schedule and not isinstance(value, Schedule):
            object.__setattr__(component, name, Schedule.build(value))


@dataclass(frozen=True)
class Constant(Schedule, kind="constant"):
    """The same weight at every step."""

    value: NonNegativeFloat = 1.0

    def __call__(self, step: int) -> float:
        """The weight at an optimizer step."""
        return self.value


@dataclass(frozen=True)
class Linear(Schedule, kind="linear"):
    """From `start` to `end` on a straight line.

    Args:
        steps: of the line; or
        length: of the line, as a share of training.
        start: weight before it.
        end: weight after it.
        delay: share of training before it.
        delay_steps: steps before it, in place of `delay`.
    """

    ONE_OF = ("steps", "length")
    EXCLUDE = (("delay_steps", "delay"),)
    SHARES = ("length", "delay")

    steps: PositiveInt | None = None
    length: Share | None = None
    start: NonNegativeFloat = 0.0
    end: NonNegativeFloat = 1.0
    delay: Delay = 0.0
    delay_steps: NonNegativeInt | None = None

    def __call__(self, step: int) -> float:
        """The weight at an optimizer step."""
        return self.start + (self.end - self.start) * self.progress(step)

    def progress(self, step: int) -> float:
        """The finished share of the line, from 0 to 1."""
        begun = step - self.steps_of(self.delay_steps, self.delay)
        return min(max(begun / self.steps_of(self.steps, self.length), 0.0), 1.0)


@dataclass(frozen=True)
class Cosine(Linear, kind="cosine"):
    """From `start` to `end` on half a cosine.

    Args:
        steps: of the curve; or
        length: of the curve, as a share of training.
        start: weight before it.
        end: weight after it.
        delay: share of training before it.
        delay_steps: steps before it, in place of `delay`.
    """

    def __call__(self, step: int) -> float:
        """The weight at an optimizer step."""
        angle = math.pi * self.progress(step)
        return self.start + (self.end - self.start) * 0.5 * (1.0 - math.cos(angle))


@dataclass(frozen=True)
class Sigmoid(Schedule, kind="sigmoid"):
    """end / (1 + exp(-steepness (t - midpoint))), t the share of training that is done.

    Args:
        midpoint: share of training after which the weight is `end / 2`; or
        midpoint_steps: the same in steps; t then counts steps.
        steepness: of the curve over the whole training: 12 rises from 5 % of `end` to 95 % of it
            within half of it.
        steepness_per_step: of the curve where the midpoint is in steps.
        end: weight that it rises to.

    Source: Bowman et al. 2016, figure 2, arXiv:1511.06349; the steepness is ours.
    """

    ONE_OF = ("midpoint_steps", "midpoint")
    EXCLUDE = (("steepness", "midpoint_steps"), ("steepness_per_step", "midpoint"))
    SHARES = ("midpoint",)

    midpoint: Annotated[float, Field(ge=0, le=1)] | None = None
    midpoint_steps: NonNegativeInt | None = None
    steepness: PositiveFloat = 12.0
    steepness_per_step: PositiveFloat = 0.0025
    end: NonNegativeFloat = 1.0

    def __call__(self, step: int) -> float:
        """The weight at an optimizer step."""
        if self.midpoint is None:
            slope = self.steepness_per_step
        else:
            slope = self.steepness / self.steps_of(None, 1.0)
        exponent = -slope * (step - self.steps_of(self.midpoint_steps, self.midpoint))
        return self.end / (1.0 + math.exp(min(exponent, 700.0)))

    @property
    def is_relative(self) -> bool:
        """Whether it depends on how long training is."""
        return self.midpoint is not None


@dataclass(frozen=True)
class Cyclical(Schedule, kind="cyclical"):
    """min(1, ((t mod period) / period) / ratio), `cycles` times, then the end value.

    Each cycle rises from `start` to `end` during `ratio` of its steps and rests for the others.

    Args:
        period: of a cycle, as a share of training; or
        period_steps: of a cycle, in steps.
        cycles: number of cycles.
        ratio: share of a cycle in which the weight rises.
        start: weight at the begin of a cycle.
        end: weight at its end.

    Source: Fu et al. 2019, eq. 6 and 7, arXiv:1903.10145.
    """

    ONE_OF = ("period_steps", "period")
    SHARES = ("period",)

    period: Share | None = None
    period_steps: PositiveInt | None = None
    cycles: PositiveInt = 4
    ratio: Share = 0.5
    start: NonNegativeFloat = 0.0
    end: NonNegativeFloat = 1.0

    def __call__(self, step: int) -> float:
        """The weight at an optimizer step."""
        period = self.steps_of(self.period_steps, self.period)
        if step >= self.cycles * period:
            return self.end
        share = min(1.0, (step % period) / period / self.ratio)
        return self.start + (self.end - self.start) * share
