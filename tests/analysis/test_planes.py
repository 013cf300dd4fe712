"""Planes through a latent space."""

import numpy as np
import pytest

from textvae.analysis.planes import (
    dimension_plane,
    moments_of,
    principal_plane,
    separating_plane,
)


@pytest.fixture
def means():
    spread = np.array([0.1, 2.0, 0.2, 5.0], np.float32)
    return 3 + np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32) * spread


def test_moments_are_mean_and_covariance(means):
    centre, covariance = moments_of(means)
    np.testing.assert_allclose(centre, means.mean(0), rtol=1e-5)
    np.testing.assert_allclose(covariance, np.cov(means.T, bias=True), rtol=1e-4)


def test_principal_axes_are_orthonormal_and_have_their_variance(means):
    plane = principal_plane(*moments_of(means))
    np.testing.assert_allclose(plane.directions @ plane.directions.T, np.eye(2), atol=1e-9)
    placed = plane.place(means)
    shares = placed.var(0) / means.var(0).sum()
    assert plane.variance == pytest.approx(shares, rel=1e-4)
    assert np.abs(placed.mean(0)).max() < 1e-4


def test_two_dimensions_are_placed_as_they_are(means):
    plane = dimension_plane(*moments_of(means), (3, 1))
    np.testing.assert_allclose(plane.place(means), means[:, [3, 1]])
    assert plane.variance == pytest.approx(means.var(0)[[3, 1]] / means.var(0).sum(), rel=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
def test_separating_axes_hold_classes_apart_where_variance_does_not(classes, means):
    groups = np.arange(200) % classes
    points = means.copy()
    points[:, 0] += groups  # ten times the spread of this dimension, a fifth of the largest
    plane = separating_plane(points, groups, "kind")
    placed = plane.place(points)
    within = np.sqrt(np.mean([placed[groups == g, 0].var() for g in range(classes)]))
    assert within == pytest.approx(1, rel=0.05)
    centres = np.sort([placed[groups == g, 0].mean() for g in range(classes)])
    assert np.diff(centres).min() > 5
    assert placed[:, 1].std() > 1e-3


def test_rows_without_a_class_play_no_part(means):
    groups = np.arange(200) % 2
    plane = separating_plane(means, groups, "kind")
    more = np.concatenate([means, means[:50] + 100])
    again = separating_plane(more, np.concatenate([groups, np.full(50, -1)]), "kind")
    np.testing.assert_allclose(plane.directions, again.directions, rtol=1e-6)


def test_one_class_separates_nothing(means):
    with pytest.raises(ValueError, match="kind: two classes are needed to separate"):
        separating_plane(means, np.zeros(200, np.int64), "kind")
