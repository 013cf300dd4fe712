"""Families: each is a distribution that adds up, has gradients and a KL that is true."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from conftest import standard_error
from torch.distributions import kl_divergence

from textvae.families import Family
from textvae.outputs import Latent

H = 5


def line(low: float, high: float, cells: int) -> tuple[torch.Tensor, float]:
    """Points in the middle of equal cells of a line, (N, 1), and the length of a cell."""
    edges = torch.linspace(low, high, cells + 1, dtype=torch.float64)
    return (0.5 * (edges[:-1] + edges[1:]))[:, None].float(), (high - low) / cells


@dataclass(frozen=True)
class Row:
    """A family, and a small one of the kind with its samples' space cut into cells.

    Args:
        spec: specification of the family.
        small: of one whose density can be summed.
        cells: points of the space, (N, D), and the volume around each.
    """

    spec: dict[str, Any]
    small: dict[str, Any]
    cells: tuple[torch.Tensor, float]


ROWS = {
    "gaussian": Row(
        {"kind": "gaussian", "dim": 3}, {"kind": "gaussian", "dim": 1}, line(-30.0, 30.0, 60_000)
    ),
}


def test_every_kind_has_a_row():
    assert {row.spec["kind"] for row in ROWS.values()} == set(Family.kinds)


@pytest.fixture(params=ROWS.values(), ids=ROWS)
def row(request):
    return request.param


@pytest.fixture
def family(row):
    return Family.build(row.spec, features=H)


def prior_of(family, distribution):
    return family.default_prior(distribution.batch_shape, torch.zeros(()))


@pytest.mark.parametrize("shape", [(4,), (1, 4), (3, 4)])
def test_batch_and_event_shapes(family, shape):
    q = family(torch.randn(*shape, H))
    for distribution in (q, prior_of(family, q)):
        assert distribution.batch_shape == shape and distribution.event_shape == (family.dim,)
        sample = distribution.sample()
        assert sample.shape == (*shape, family.dim) and sample.dtype == torch.float32
        assert distribution.log_prob(sample).shape == shape


def test_expanded_it_draws_independently_from_the_same_distributions(family):
    q = family(torch.randn(1, 4, H))
    many = q.expand((1000, 4))
    value = many.sample()
    assert value.shape == (1000, 4, family.dim)
    assert len(value[:, 0].unique(dim=0)) > 1
    torch.testing.assert_close(many.log_prob(value), q.log_prob(value))
    found = standard_error(value)
    assert ((found.mean - q.mean[0]).abs() < 5 * found.error + 1e-6).all()


def test_the_context_decides(family):
    context = torch.randn(2, 4, H)
    q = family(context)
    assert not torch.allclose(q.mean[0], q.mean[1])
    torch.testing.assert_close(family(context[1]).mean, q.mean[1])


def test_every_parameter_learns_from_the_sample_and_from_the_kl(family):
    q = family(torch.randn(1, 4, H))
    latent = Latent(q.expand((2, 4)).rsample(), q, prior_of(family, q))
    for loss in (latent.value.square().sum(), latent.kl().sum(), latent.log_ratio().sum()):
        grads = torch.autograd.grad(loss, list(family.parameters()), retain_graph=True)
        assert all(grad.abs().sum() > 0 for grad in grads)


def test_posterior_and_prior_add_up_to_one(row):
    family = Family.build(row.small, features=H)
    points, volume = row.cells
    q = family(torch.randn(6, H))
    for distribution in (q, prior_of(family, q)):
        density = distribution.log_prob(points[:, None, :]).double().exp()
        # The midpoint rule on a fine grid is exact to float32 rounding of the log density.
        torch.testing.assert_close(
            (density * volume).sum(0), torch.ones(6, dtype=torch.float64), atol=1e-5, rtol=0
        )


def test_the_kl_equals_monte_carlo(family):
    q = family(2 * torch.randn(1, 6, H))
    for p in (prior_of(family, q), family(2 * torch.randn(1, 6, H))):
        latent = Latent(q.expand((20_000, 6)).sample(), q, p)
        found = standard_error(latent.log_ratio())
        assert ((found.mean - latent.kl()[0]).abs() < 5 * found.error).all()
        assert (latent.kl() > 0).all()


def test_the_kl_to_itself_is_zero(family):
    q = family(torch.randn(1, 6, H))
    torch.testing.assert_close(kl_divergence(q, q), torch.zeros(1, 6), atol=1e-6, rtol=0)


def test_the_prior_is_the_same_for_every_text(family):
    q = family(torch.randn(2, 3, H))
    p = prior_of(family, q)
    value = q.sample()
    once = family.default_prior(torch.Size(()), torch.zeros(()))
    torch.testing.assert_close(p.log_prob(value), once.log_prob(value))


def test_a_nan_reaches_the_loss(family):
    context = torch.randn(1, 2, H)
    context[0, 0, 0] = torch.nan
    q = family(context)
    latent = Latent(q.expand((3, 2)).rsample(), q, prior_of(family, q))
    for values in (latent.value.sum(-1), latent.kl(), latent.log_ratio()):
        assert values[:, 0].isnan().all() and values[:, 1].isfinite().all()


def test_the_head_computes_in_float32_under_bfloat16(family):
    context = torch.randn(3, H)
    expected = family(context)
    with torch.autocast("cpu", torch.bfloat16):
        found = family(context)
        rounded = family(context.bfloat16())
    assert found.mean.dtype == rounded.mean.dtype == torch.float32
    assert torch.equal(found.mean, expected.mean)
    assert torch.equal(found.stddev, expected.stddev)


@pytest.mark.parametrize("dim", [0, -1, 2.0, "2"])
def test_a_dim_that_is_no_count_is_refused(row, dim):
    with pytest.raises(ValueError, match="dim"):
        Family.build({**row.spec, "dim": dim}, features=H)


def test_the_gaussian_head_says_mean_and_log_variance():
    gaussian = Family.build(ROWS["gaussian"].spec, features=H)
    context = torch.randn(4, H)
    mean, log_variance = gaussian.head(context).chunk(2, -1)
    q = gaussian(context)
    torch.testing.assert_close(q.mean, mean)
    torch.testing.assert_close(q.variance.log(), log_variance)


def test_the_gaussian_prior_is_standard_normal():
    gaussian = Family.build(ROWS["gaussian"].spec, features=H)
    p = gaussian.default_prior(torch.Size((2,)), torch.zeros(()))
    assert torch.equal(p.mean, torch.zeros(2, 3)) and torch.equal(p.stddev, torch.ones(2, 3))
