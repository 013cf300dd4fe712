"""Metrics of a latent space against their definitions, pair by pair."""

import numpy as np
import pytest
import torch

from textvae.evaluation.space import (
    Neighbours,
    bhattacharyya,
    explained_variance,
    hole_score,
    knn_accuracy,
    overlap,
)

DRAW = np.random.default_rng(0)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_knn_accuracy_is_a_vote_of_k_neighbours(k):
    codes, held_out = DRAW.normal(size=(60, 2)), DRAW.normal(size=(40, 2))
    labels = (codes[:, 0] + DRAW.normal(size=60) > 0).astype(int)
    truth = (held_out[:, 0] > 0).astype(int)
    votes = []
    for code in held_out:
        nearest = np.argsort(((codes - code) ** 2).sum(1))[:k]
        votes.append(np.bincount(labels[nearest], minlength=2).argmax())
    expected = float((np.array(votes) == truth).mean())
    assert knn_accuracy(codes, labels, held_out, truth, k) == expected
    if k == 10:
        assert knn_accuracy(codes, labels, held_out, truth) == expected
        assert expected != knn_accuracy(codes, labels, held_out, truth, 1)


def test_knn_accuracy_leaves_missing_labels_out():
    codes = np.arange(6.0)[:, None]
    labels, truth = np.array([0, 0, 0, 1, 1, -1]), np.array([0, 0, 0, 1, 1, -1])
    assert knn_accuracy(codes, labels, codes, truth, 1) == 1
    with pytest.raises(ValueError, match="10 labelled rows"):
        knn_accuracy(codes, labels, codes, truth)


def test_overlap_is_that_of_the_nearest_other_posterior():
    means, scales = DRAW.normal(size=(20, 2)), DRAW.uniform(0.3, 0.6, size=(20, 2))
    near = []
    for i, mean in enumerate(means):
        others = [j for j in range(20) if j != i]
        j = min(others, key=lambda j: ((means[j] - mean) ** 2).sum())
        near.append(bhattacharyya(means[[i]], scales[[i]], means[[j]], scales[[j]])[0])
    found, of_any = overlap(means, scales)
    assert found == pytest.approx(np.mean(near)) and of_any < found < 0.99


def test_bhattacharyya_equals_the_integral_of_the_root():
    means, scales = np.array([[0.3], [1.0]]), np.array([[0.5], [2.0]])
    x = torch.linspace(-30, 30, 200_001, dtype=torch.float64)
    p, q = (
        torch.distributions.Normal(float(m), float(s)).log_prob(x)
        for m, s in zip(means[:, 0], scales[:, 0], strict=True)
    )
    integral = torch.trapezoid((0.5 * (p + q)).exp(), x).item()
    found = bhattacharyya(means[:1], scales[:1], means[1:], scales[1:])
    assert found[0] == pytest.approx(integral, rel=1e-6)
    assert bhattacharyya(means, scales, means, scales) == pytest.approx([1, 1])
    assert overlap(means, 0 * scales) == (0.0, 0.0)
    near, other = overlap(np.array([[0.0], [0.1], [9.0], [9.1]]), np.full((4, 1), 0.5))
    assert near > 0.99 > 0.6 > other


def test_hole_score_rises_with_a_hole():
    draw = np.random.default_rng(0)
    prior, filled = draw.normal(size=(1000, 2)), draw.normal(size=(2000, 2))
    ring = filled / np.linalg.norm(filled, axis=1, keepdims=True) * 3
    assert hole_score(prior, filled) == pytest.approx(1, abs=0.15)
    assert hole_score(prior, ring) > 10
    with pytest.raises(ValueError, match="at least 4"):
        hole_score(prior, filled[:3])


@pytest.mark.parametrize("shift", [0.0, 30.0])
def test_neighbours_are_the_nearest_rows(shift):
    points = (DRAW.normal(size=(500, 5)) + shift).astype(np.float32)
    neighbours = Neighbours(points)
    for point in (points[7], points[7] + 0.3, np.zeros(5, np.float32)):
        expected = np.linalg.norm(points.astype(float) - point, axis=1)
        rows, distances = neighbours.nearest(point, 6)
        assert rows.tolist() == np.argsort(expected, kind="stable")[:6].tolist()
        np.testing.assert_allclose(distances, np.sort(expected)[:6], rtol=1e-6, atol=1e-6)
    rows, _ = neighbours.nearest(points[7], 499, without=7)
    assert len(rows) == 499 and 7 not in rows
    assert len(neighbours.nearest(points[7], 1000)[0]) == 500


def test_distances_are_those_to_the_nearest_row():
    points, others = DRAW.normal(size=(60, 3)), DRAW.normal(size=(9, 3))
    expected = np.linalg.norm(others[:, None] - points[None], axis=-1).min(1)
    np.testing.assert_allclose(Neighbours(points).distances(others), expected, rtol=1e-5)


def test_the_usual_distance_is_the_median_and_leaves_copies_out():
    points = DRAW.normal(size=(80, 3))
    away = np.linalg.norm(points[:, None] - points[None], axis=-1) + 1e9 * np.eye(80)
    expected = np.median(away.min(1))
    assert Neighbours(points).usual == pytest.approx(expected, rel=1e-4)
    assert Neighbours(np.repeat(points, 3, 0)).usual == pytest.approx(expected, rel=1e-4)
    assert Neighbours(points[:1]).usual == Neighbours(np.ones((5, 3))).usual == 0.0


def test_explained_variance_is_epsilon_squared():
    groups = DRAW.integers(0, 4, 400)
    points = DRAW.normal(size=(400, 2)) + groups[:, None]
    means = np.stack([points[groups == g].mean(0) for g in range(4)])
    total = ((points - points.mean(0)) ** 2).sum()
    within = ((points - means[groups]) ** 2).sum()
    expected = (total - within - 3 * within / 396) / total
    assert explained_variance(points, groups) == pytest.approx(expected)
    assert explained_variance(points, np.arange(400)) == 0.0
    assert explained_variance(points, np.zeros(400)) == 0.0
    assert explained_variance(np.ones((9, 2)), np.arange(9) % 2) == 0.0


def test_groups_by_chance_explain_nothing_on_average():
    points = DRAW.normal(size=(40, 2))
    shares = [explained_variance(points, DRAW.integers(0, 12, 40)) for _ in range(200)]
    # eta squared would be 11 / 39 = 0.28
    assert np.mean(shares) < 0.05
