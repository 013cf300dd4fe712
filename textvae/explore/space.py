"""The latent space of held-out rows: planes, distances, dimensions, directions."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from textvae.analysis.columns import Column, most_explaining
from textvae.analysis.planes import (
    Plane,
    dimension_plane,
    moments_of,
    principal_plane,
    separating_plane,
)
from textvae.evaluation.latent import ACTIVE
from textvae.evaluation.space import Neighbours
from textvae.registry import suggest

QUIET_KL = 0.05
"""Nats below which a dimension is quiet."""
PLANES = 64
"""Planes that are remembered."""
CHECKED = 50
"""Rows with which a direction is checked."""


@dataclass(frozen=True)
class Direction:
    """The way from the mean of a class to that of another.

    Args:
        step: from mean to mean, (D,).
        spread: standard deviation within the two classes, along the step.
        counts: rows of the first and of the second class.
        rows: of the first class, at most `CHECKED`.
        centres: mean of each class of the column, (C, D).
        target: number of the second class.
    """

    step: np.ndarray
    spread: float
    counts: tuple[int, int]
    rows: np.ndarray
    centres: np.ndarray
    target: int


class LatentSpace:
    """Posterior means of held-out rows, and what is computed from them.

    Args:
        means: (N, D), float32.
        columns: of the rows.
        kls: KL of each dimension, nats; None where it is not known.
        prior: mean and standard deviation of each dimension of the prior, (D,) both.
    """

    def __init__(
        self,
        means: np.ndarray,
        columns: list[Column],
        kls: list[float] | None,
        prior: tuple[np.ndarray, np.ndarray],
    ):
        self.means, self.columns, self.prior = means, columns, prior
        self.moments = moments_of(means)
        self.neighbours = Neighbours(means)
        self.kls = kls
        self.plane = lru_cache(PLANES)(self.make_plane)

    @cached_property
    def variances(self) -> np.ndarray:
        """Variance of each dimension's mean over the rows, in units of the prior's, (D,)."""
        return np.diag(self.moments[1]) / np.maximum(self.prior[1] ** 2, 1e-12)

    def dimensions(self) -> list[dict[str, Any]]:
        """Number, KL, variance and prior of each dimension, the most informative first."""
        mean, deviation = self.prior
        rows = [
            {
                "dimension": d,
                "kl": None if self.kls is None else self.kls[d],
                "variance": float(self.variances[d]),
                "mean": float(mean[d]),
                "deviation": float(deviation[d]),
                "quiet": bool(
                    self.variances[d] < ACTIVE if self.kls is None else self.kls[d] < QUIET_KL
                ),
            }
            for d in range(len(mean))
        ]
        key = "variance" if self.kls is None else "kl"
        return sorted(rows, key=lambda row: -row[key])

    def axes(self) -> list[str]:
        """The names of planes that are offered, besides pairs of dimensions."""
        if self.means.shape[1] == 1:
            return ["pca"]
        labels = (c for c in self.columns if not c.computed and len(c.names) > 1)
        return ["pca", *(f"lda:{column.name}" for column in labels)]

    def make_plane(self, axes: str) -> Plane:
        """The plane of a name: `pca`, `lda:COLUMN`, or two dimensions such as `3,7`.

        Raises:
            ValueError: another name.
        """
        if axes == "pca":
            return principal_plane(*self.moments)
        if axes in self.axes():
            column = self.column(axes.removeprefix("lda:"))
            groups = np.where(column.numbers < len(column.names), column.numbers, -1)
            return separating_plane(self.means, groups, column.name)
        D = self.means.shape[1]
        parts = axes.split(",")
        numbers = [
            int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 9
        ]
        if len(numbers) == len(parts) == 2 and max(numbers) < D and numbers[0] != numbers[1]:
            return dimension_plane(*self.moments, (numbers[0], numbers[1]))
        known = ", ".join(self.axes())
        raise ValueError(f"axes: must be {known}, or two dimensions from 0 to {D - 1}, as in 0,1")

    def best_column(self) -> str:
        """The column whose classes explain most of the variance of the map; none without any."""
        return most_explaining(self.columns, self.plane("pca").place(self.means))

    def shares(self, axes: str) -> dict[str, float]:
        """Share of the plotted variance that lies between the classes of each column."""
        points = self.plane(axes).place(self.means)
        return {column.name: column.explained(points) for column in self.columns}

    def column(self, name: str) -> Column:
        """The column of a name.

        Raises:
            ValueError: there is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        names = [column.name for column in self.columns]
        raise ValueError(f"column: unknown {name!r} {suggest(name, names)}")

    def far(self, z: np.ndarray) -> list[float | None]:
        """Distance of z, (M, D), to the nearest row, over the usual one; None where all are one."""
        usual = self.neighbours.usual
        distances = self.neighbours.distances(z)
        return [float(d / usual) if usual else None for d in distances]

    def near(
        self, z: np.ndarray, count: int, without: int | None = None
    ) -> tuple[list[dict[str, Any]], float | None]:
        """The rows nearest to z, (D,), with their distances, and `far` of the first."""
        rows, distances = self.neighbours.nearest(z, count, without)
        usual = self.neighbours.usual
        far = float(distances[0] / usual) if usual and len(distances) else None
        found = zip(rows.tolist(), distances.tolist(), strict=True)
        return [{"row": row, "distance": distance} for row, distance in found], far

    def direction(self, name: str, first: str, second: str) -> Direction:
        """The way from a class of a column to another.

        Raises:
            ValueError: an unknown column or class, or twice the same.
        """
        column = self.column(name)
        numbers = []
        for key, value in (("from", first), ("to", second)):
            if value not in column.names:
                raise ValueError(f"{key}: unknown class {value!r} {suggest(value, column.names)}")
            numbers.append(column.names.index(value))
        if numbers[0] == numbers[1]:
            raise ValueError(f"from and to must be two classes of {name} (got {first!r} twice)")
        means = self.means.astype(np.float64)
        centres = np.stack(
            [means[column.numbers == number].mean(0) for number in range(len(column.names))]
        )
        step = centres[numbers[1]] - centres[numbers[0]]
        length = float(np.linalg.norm(step))
        away = [means[column.numbers == number] - centres[number] for number in numbers]
        along = np.concatenate(away) @ (step / length if length else step)
        rows = np.flatnonzero(column.numbers == numbers[0])
        counts = len(rows), int((column.numbers == numbers[1]).sum())
        spread = float(along.std())
        return Direction(step, spread, counts, rows[:CHECKED], centres, numbers[1])
