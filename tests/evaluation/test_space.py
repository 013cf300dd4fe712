"""Metrics of a latent space against their definitions, pair by pair."""

import numpy as np
import pytest
import torch

from textvae.evaluation.space import bhattacharyya, hole_score, knn_accuracy, overlap

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
