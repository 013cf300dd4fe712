"""Parts of a KL over all rows, and the gap between dimensions, where both are known."""

import math

import numpy as np
import pytest
import torch

from textvae.evaluation.factors import (
    discrete_information,
    factor_gaps,
    factor_metrics,
    in_quantiles,
    kl_parts,
)


def gaussian_rows(count, correlation=0.0, spread=1.0, noise=0.5):
    """Posteriors whose means are correlated Gaussians, so that q(z) nearly is one."""
    torch.manual_seed(0)
    first = torch.randn(count)
    second = correlation * first + (1 - correlation**2) ** 0.5 * torch.randn(count)
    means = spread * torch.stack([first, second], 1)
    return means, torch.full_like(means, noise)


def test_the_parts_add_up_to_the_mean_kl():
    means, scales = gaussian_rows(300, 0.5)
    parts = kl_parts(means, scales, samples=20)
    kl = 0.5 * (means.square() + scales.square() - 1) - scales.log()
    found = parts.mutual_information + parts.total_correlation + parts.marginal_kl
    # 6,000 samples of a log ratio whose deviation is below 2 nats.
    assert found == pytest.approx(kl.sum(1).mean().item(), abs=0.1)


def test_the_total_correlation_of_a_gaussian_is_known():
    """q(z) has variance 1 + 0.25 in each dimension and covariance r."""
    correlation = 0.9
    parts = kl_parts(*gaussian_rows(2000, correlation), samples=1)
    rho = correlation / 1.25
    assert parts.total_correlation == pytest.approx(-0.5 * math.log(1 - rho**2), abs=0.06)
    variance = 1.25
    exact = 2 * 0.5 * (variance - 1 - math.log(variance))
    assert parts.marginal_kl == pytest.approx(exact, abs=0.06)


def test_rows_far_apart_are_told_apart_completely():
    means = 100.0 * torch.arange(50.0)[:, None].expand(-1, 2)
    parts = kl_parts(means, torch.ones_like(means))
    assert parts.mutual_information == pytest.approx(math.log(50))
    # Both dimensions have the same of the row: each alone is all of it.
    assert parts.total_correlation == pytest.approx(math.log(50), abs=1e-6)


def test_blocks_do_not_change_the_parts(monkeypatch):
    means, scales = gaussian_rows(40)
    whole = kl_parts(means, scales, 3)
    monkeypatch.setattr("textvae.evaluation.factors.ELEMENTS", 100)
    assert vars(kl_parts(means, scales, 3)) == pytest.approx(vars(whole))


def test_a_dimension_for_each_factor_has_a_gap_of_one():
    factors = np.stack(np.meshgrid(range(4), range(5), range(6), indexing="ij"), -1).reshape(-1, 3)
    means = factors[:, [2, 0, 1]] + 0.0
    gaps = factor_gaps(means, factors, ("shape", "size", "angle"))
    assert [gap.dimension for gap in gaps] == [1, 2, 0]
    assert [gap.name for gap in gaps] == ["shape", "size", "angle"]
    assert [gap.values for gap in gaps] == [4, 5, 6]
    assert all(gap.gap == pytest.approx(1.0) for gap in gaps)


def test_a_factor_in_two_dimensions_has_no_gap():
    factors = np.arange(4).repeat(25)[:, None]
    (gap,) = factor_gaps(np.concatenate([factors, factors], 1) + 0.0, factors)
    assert gap.information == pytest.approx(1.0) and gap.gap == pytest.approx(0.0)


def test_a_factor_of_one_value_has_no_information():
    (gap,) = factor_gaps(np.random.default_rng(0).normal(size=(50, 2)), np.zeros((50, 1), int))
    assert gap.information == gap.gap == 0.0


@pytest.mark.parametrize(("means", "factors"), [((4, 2), (5, 1)), ((4, 1), (4, 1))])
def test_shapes_that_do_not_fit_are_refused(means, factors):
    with pytest.raises(ValueError, match="rows|two"):
        factor_gaps(np.zeros(means), np.zeros(factors, int))


def test_information_of_a_column_with_itself_is_its_entropy():
    column = np.array([0, 0, 1, 2])
    assert discrete_information(column, column) == pytest.approx(1.5 * math.log(2))


def test_quantile_bins_are_of_equal_size_and_bear_constants():
    assert np.bincount(in_quantiles(np.arange(100.0))).tolist() == [5] * 20
    assert set(in_quantiles(np.zeros(10))) == {1}


def test_without_factors_there_is_no_gap():
    metrics = factor_metrics(*gaussian_rows(30))
    assert metrics.mutual_information_gap is None and metrics.factors == ()
