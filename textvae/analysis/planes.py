"""Planes through a latent space, onto which points of it are projected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SMALLEST = 1e-6
"""Share of the largest variance within classes that is added to each direction's."""


@dataclass(frozen=True)
class Plane:
    """Two directions of a latent space, or one where it has one dimension.

    Args:
        centre: the point that is drawn at (0, 0), (D,).
        directions: (2, D) or (1, D).
        axes: name of each direction.
        variance: share of the variance of each; None where it is not known.
        note: the plane in words.
    """

    centre: np.ndarray
    directions: np.ndarray
    axes: tuple[str, ...]
    variance: tuple[float, ...] | None
    note: str

    def place(self, points: np.ndarray) -> np.ndarray:
        """Points, (N, D), in the plane, (N, 2), or (N, 1) where it has one direction."""
        return (points - self.centre) @ self.directions.T


def moments_of(means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean, (D,), and covariance, (D, D), of points, (N, D), float64."""
    centre = means.mean(0, dtype=np.float64)
    centred = means - centre
    return centre, centred.T @ centred / len(means)


def signed(directions: np.ndarray) -> np.ndarray:
    """Directions, (R, D), of which the largest weight of each is positive."""
    largest = np.abs(directions).argmax(1)
    return (
        directions * np.where(directions[np.arange(len(directions)), largest] < 0, -1, 1)[:, None]
    )


def principal_plane(centre: np.ndarray, covariance: np.ndarray) -> Plane:
    """The two directions of largest variance; the sign of each makes its largest weight positive.

    A direction of which one dimension has half the weight or more (squared) names it.

    Args:
        centre: mean of the points, (D,).
        covariance: of the points, (D, D).
    """
    values, vectors = np.linalg.eigh(covariance)
    values = values.clip(0)[::-1]
    directions = signed(vectors.T[::-1][:2])
    shares = values / (values.sum() or 1.0)
    axes = []
    for number, direction in enumerate(directions):
        largest = int(np.abs(direction).argmax())
        mainly = direction[largest] ** 2 >= 0.5 and shares[number] > 0
        dimension = f", mainly dimension {largest}" if mainly else ""
        axes.append(
            f"principal component {number + 1} ({shares[number]:.0%} of the variance{dimension})"
        )
    note = f"PCA of {len(centre)} dimensions, {shares[:2].sum():.0%} of the variance"
    return Plane(centre, directions, tuple(axes), tuple(map(float, shares[:2])), note)


def dimension_plane(centre: np.ndarray, covariance: np.ndarray, chosen: tuple[int, int]) -> Plane:
    """The plane of two dimensions of z; its centre is the origin."""
    variances = np.diag(covariance)
    shares = [float(variances[d] / (variances.sum() or 1.0)) for d in chosen]
    axes = [f"dimension {d} ({s:.0%} of the variance)" for d, s in zip(chosen, shares, strict=True)]
    note = f"2 of {len(centre)} dimensions, {sum(shares):.0%} of the variance"
    directions = np.eye(len(centre))[list(chosen)]
    return Plane(np.zeros(len(centre)), directions, tuple(axes), tuple(shares), note)


def separating_plane(means: np.ndarray, groups: np.ndarray, name: str) -> Plane:
    """The two directions in which classes are furthest apart, in units of the spread within them.

    Of two classes the second direction is that of largest variance among the others.

    Args:
        means: points, (N, D), of at least two dimensions.
        groups: class of each, (N,); rows below 0 are left out.
        name: of the classes.

    Raises:
        ValueError: fewer than two classes.

    Source: Fisher 1936; Rao 1948 (linear discriminant analysis).
    """
    points, groups = means[groups >= 0].astype(np.float64), groups[groups >= 0]
    classes = np.unique(groups)
    if len(classes) < 2:
        raise ValueError(f"{name}: two classes are needed to separate (got {len(classes)})")
    centres = np.stack([points[groups == each].mean(0) for each in classes])
    centre, total = moments_of(points)
    away = points - centres[np.searchsorted(classes, groups)]
    within = away.T @ away / len(points)
    values, vectors = np.linalg.eigh(within)
    floor = max(SMALLEST * max(values[-1], float(np.trace(total))), 1e-12)
    white = vectors / np.sqrt(values + floor)
    between = white.T @ (total - within) @ white
    _, found = np.linalg.eigh((between + between.T) / 2)
    directions = (white @ found[:, ::-1][:, :2]).T
    if len(classes) == 2:
        first = directions[0] / np.linalg.norm(directions[0])
        rest = np.eye(len(first)) - np.outer(first, first)
        second = np.linalg.eigh(rest @ total @ rest)[1][:, -1]
        directions[1] = second * np.linalg.norm(directions[0])
    axes = (f"separates {name} most", "second" if len(classes) > 2 else "largest other variance")
    note = f"the directions that separate {len(classes)} classes of {name} (LDA)"
    return Plane(centre, signed(directions), axes, None, note)
