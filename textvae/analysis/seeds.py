"""Metrics of several trainings of one recipe: their means, and how far they differ."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def averaged(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean of each number over runs; what is no number, or missing in one, is the first's."""
    first, others = runs[0], runs[1:]
    means: dict[str, Any] = {}
    for name, value in first.items():
        values = [value, *(other.get(name) for other in others)]
        if all(isinstance(each, Mapping) for each in values):
            means[name] = averaged(values)
        elif all(is_number(each) for each in values) and len(set(values)) > 1:
            means[name] = float(np.mean(values))
        else:
            means[name] = value
    return means


def by_seed(runs: Sequence[Mapping[str, Any]], prefix: str = "") -> dict[str, list[float]]:
    """The values of each metric that differs between runs, by its dotted name."""
    values: dict[str, list[float]] = {}
    for name, value in runs[0].items():
        each = [run.get(name) for run in runs]
        if all(isinstance(part, Mapping) for part in each):
            values |= by_seed(each, f"{prefix}{name}.")  # type: ignore[arg-type]
        elif is_number(value) and all(is_number(part) for part in each) and len(set(each)) > 1:
            values[f"{prefix}{name}"] = each  # type: ignore[assignment]
    return values


def error_over_seeds(values: Sequence[float]) -> float:
    """The standard error of the mean of runs, s / sqrt(n)."""
    return float(np.std(values, ddof=1)) / math.sqrt(len(values))


def is_number(value: Any) -> bool:
    """Whether a value is a number that has a mean; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
