"""Weights at given optimizer steps."""

import math

import pytest
from hypothesis import given, strategies

from textvae.objectives.schedules import Schedule
from textvae.registry import SpecError

HALF_COSINE = 0.5 * (1 - math.cos(math.pi / 4))
ROWS = [
    ({"kind": "constant"}, {0: 1.0, 10**9: 1.0}),
    ({"kind": "constant", "value": 0.25}, {0: 0.25, 7: 0.25}),
    ({"kind": "linear", "steps": 100}, {0: 0.0, 1: 0.01, 50: 0.5, 100: 1.0, 101: 1.0, 10**9: 1.0}),
    (
        {"kind": "linear", "steps": 10, "start": 4.0, "end": 1.0, "delay_steps": 5},
        {0: 4.0, 5: 4.0, 6: 3.7, 10: 2.5, 15: 1.0, 99: 1.0},
    ),
    (
        {"kind": "sigmoid", "midpoint_steps": 1000, "steepness_per_step": 0.005},
        {0: 1 / (1 + math.exp(5)), 800: 1 / (1 + math.e), 1000: 0.5, 1200: 1 / (1 + 1 / math.e)},
    ),
    (
        {"kind": "sigmoid", "midpoint_steps": 10**9, "steepness_per_step": 3.0, "end": 0.2},
        {0: 0.0, 10**9: 0.1, 2 * 10**9: 0.2},
    ),
    (
        {"kind": "cosine", "steps": 100},
        {0: 0.0, 25: HALF_COSINE, 50: 0.5, 75: 1 - HALF_COSINE, 100: 1.0, 500: 1.0},
    ),
    (
        {"kind": "cosine", "steps": 4, "start": 1.0, "end": 3.0, "delay_steps": 2},
        {0: 1.0, 2: 1.0, 4: 2.0, 6: 3.0, 7: 3.0},
    ),
    (
        {"kind": "cyclical", "period_steps": 100, "cycles": 2},
        {0: 0.0, 25: 0.5, 50: 1.0, 99: 1.0, 100: 0.0, 125: 0.5, 199: 1.0, 200: 1.0, 225: 1.0},
    ),
    (
        {
            "kind": "cyclical",
            "period_steps": 10,
            "cycles": 1,
            "ratio": 1.0,
            "start": 0.5,
            "end": 1.5,
        },
        {0: 0.5, 5: 1.0, 9: 1.4, 10: 1.5, 15: 1.5},
    ),
    ({"kind": "cyclical", "period_steps": 10}, {39: 1.0, 40: 1.0, 30: 0.0, 41: 1.0}),
]


def test_every_kind_has_a_row():
    assert {spec["kind"] for spec, _ in ROWS} == set(Schedule.kinds)


@pytest.mark.parametrize(("spec", "weights"), ROWS, ids=lambda value: str(value)[:60])
def test_weight_at_each_step(spec, weights):
    schedule = Schedule.build(spec)
    # Out of order, since a schedule remembers no step.
    for step, weight in reversed(weights.items()):
        assert schedule(step) == pytest.approx(weight, abs=1e-12)


@pytest.mark.parametrize("spec", [spec for spec, _ in ROWS], ids=str)
@given(step=strategies.integers(0, 2**62))
def test_weights_stay_between_the_ends(spec, step):
    schedule = Schedule.build(spec)
    ends = [getattr(schedule, name, 0.0) for name in ("value", "start", "end")]
    assert min(ends) <= schedule(step) <= max(ends)


SHARES = [
    ({"kind": "linear", "length": 0.5, "delay": 0.25}, {"steps": 500, "delay_steps": 250}),
    ({"kind": "cosine", "length": 0.1, "end": 2.0}, {"steps": 100, "end": 2.0}),
    (
        {"kind": "sigmoid", "midpoint": 0.4, "steepness": 10.0},
        {"midpoint_steps": 400, "steepness_per_step": 0.01},
    ),
    ({"kind": "cyclical", "period": 0.25}, {"period_steps": 250}),
]


@pytest.mark.parametrize(("spec", "in_steps"), SHARES, ids=lambda value: str(value)[:60])
def test_shares_of_training_are_steps_of_it(spec, in_steps):
    relative = Schedule.build(spec).plan(1000)
    absolute = Schedule.build({"kind": spec["kind"], **in_steps})
    assert relative.is_relative and not absolute.is_relative
    steps = range(0, 1001, 10)
    assert [relative(s) for s in steps] == pytest.approx([absolute(s) for s in steps], abs=1e-9)
    # Twice as long, it is as far after twice as many steps.
    half = [relative(step) for step in steps]
    assert [relative.plan(2000)(2 * step) for step in steps] == pytest.approx(half, abs=1e-9)


def test_shares_need_the_length_of_training():
    with pytest.raises(ValueError, match="plan"):
        Schedule.build({"kind": "linear", "length": 0.5})(3)


@pytest.mark.parametrize(
    ("old", "current"),
    [
        (
            {"kind": "sigmoid", "midpoint": 3000, "steepness": 0.004},
            {"kind": "sigmoid", "midpoint_steps": 3000, "steepness_per_step": 0.004},
        ),
        ({"kind": "sigmoid", "midpoint": 30}, {"kind": "sigmoid", "midpoint_steps": 30}),
        ({"kind": "cyclical", "period": 7}, {"kind": "cyclical", "period_steps": 7}),
        (
            {"kind": "linear", "steps": 9, "delay": 5},
            {"kind": "linear", "steps": 9, "delay_steps": 5},
        ),
    ],
    ids=str,
)
def test_old_keys_of_steps_are_read(old, current):
    assert Schedule.build(old) == Schedule.build(current)


@pytest.mark.parametrize("number", [0.5, 2, 0])
def test_a_number_is_a_constant(number):
    schedule = Schedule.build(number)
    assert schedule.kind == "constant" and schedule(0) == schedule(1000) == number


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        (True, "must be a mapping"),
        ("0.5", "must be a mapping"),
        ({"kind": "lin", "steps": 3}, "did you mean 'linear'?"),
        ({"kind": "linear"}, "schedule: needs length, a share of training, or steps"),
        ({"kind": "linear", "steps": 5, "length": 0.5}, "schedule.steps: does not go with length"),
        ({"kind": "linear", "length": 1.5}, "schedule.length: "),
        ({"kind": "linear", "length": None}, "schedule: needs length"),
        (
            {"kind": "linear", "steps": 5, "delay": 0.1, "delay_steps": 3},
            "schedule.delay_steps: does not go with delay",
        ),
        (
            {"kind": "sigmoid", "midpoint": 0.5, "steepness_per_step": 0.1},
            "schedule.steepness_per_step: does not go with midpoint",
        ),
        ({"kind": "linear", "steps": 0}, "schedule.steps: "),
        ({"kind": "linear", "steps": 5, "delay": -1}, "schedule.delay: "),
        ({"kind": "cosine", "steps": 1.5}, "schedule.steps: "),
        ({"kind": "sigmoid", "midpoint": 0.5, "steepness": 0.0}, "schedule.steepness: "),
        ({"kind": "cyclical", "period": 5, "ratio": 0.0}, "schedule.ratio: "),
        ({"kind": "cyclical", "period": 5, "ratio": 1.5}, "schedule.ratio: "),
        ({"kind": "cyclical", "period": 5, "cycles": 0}, "schedule.cycles: "),
    ],
    ids=str,
)
def test_what_is_no_schedule_is_refused(spec, line):
    with pytest.raises(SpecError) as raised:
        Schedule.build(spec)
    assert len(raised.value.problems) == 1 and line in raised.value.problems[0]
