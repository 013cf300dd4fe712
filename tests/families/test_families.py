"""Families: each is a distribution that adds up, has gradients and a KL that is true."""

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from conftest import TEXT, fields_of, standard_error, vae
from support.families import H, prior_of
from torch.distributions import kl_divergence

from textvae.evaluation.latent import posterior_moments
from textvae.evaluation.likelihood import likelihood
from textvae.families import Family
from textvae.objectives.outputs import Latent


def line(low: float, high: float, cells: int) -> tuple[torch.Tensor, float]:
    """Points in the middle of equal cells of a line, (N, 1), and the length of a cell."""
    edges = torch.linspace(low, high, cells + 1, dtype=torch.float64)
    return (0.5 * (edges[:-1] + edges[1:]))[:, None].float(), (high - low) / cells


def plane(reach: float, cells: int) -> tuple[torch.Tensor, float]:
    """Points in the middle of equal cells of a square around zero, (N, 2), and a cell's area."""
    points, length = line(-reach, reach, cells)
    return torch.cartesian_prod(points[:, 0], points[:, 0]), length**2


def simplex(reach: float, cells: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points (t, 1 - t) with t = sigmoid(u), u in the middle of equal cells; dt of each, (N, 1).

    Near the ends, where densities may be infinite, the cells are as fine as they need be.
    """
    u, length = line(-reach, reach, cells)
    points = torch.cat([u, -u], -1).sigmoid()
    return points, points.prod(-1, keepdim=True).double() * length


def circle(cells: int) -> tuple[torch.Tensor, float]:
    """Points in the middle of equal arcs of the unit circle, (N, 2), and an arc's length."""
    angles, length = line(0.0, 2 * math.pi, cells)
    return torch.cat([angles.cos(), angles.sin()], -1), length


def sphere(cells: int) -> tuple[torch.Tensor, float]:
    """Points in the middle of cells of equal area of the unit sphere, (N, 3), and that area."""
    heights, height = line(-1.0, 1.0, cells)
    ring, arc = circle(cells)
    radius = (1 - heights.square()).sqrt()
    points = [(radius[:, None] * ring).flatten(0, 1), heights.repeat_interleave(cells, 0)]
    return torch.cat(points, -1), height * arc


@dataclass(frozen=True)
class Row:
    """A family, and a small one of the kind with its samples' space cut into cells.

    Args:
        spec: specification of the family.
        small: of one whose density can be summed.
        cells: points of the space, (N, D), and the volume around each.
        factorises: whether posterior and prior are products over the dimensions.
        fixed_rate: whether the KL is the same number for every posterior.
    """

    spec: dict[str, Any]
    small: dict[str, Any]
    cells: tuple[torch.Tensor, float | torch.Tensor]
    factorises: bool = False
    fixed_rate: bool = False


ROWS = {
    "gaussian": Row(
        {"kind": "gaussian", "dim": 3},
        {"kind": "gaussian", "dim": 1},
        line(-30.0, 30.0, 60_000),
        factorises=True,
    ),
    "gaussian-batch-norm": Row(
        {"kind": "gaussian", "dim": 3, "batch_norm": 0.6},
        {"kind": "gaussian", "dim": 1, "batch_norm": 0.6},
        line(-30.0, 30.0, 60_000),
        factorises=True,
    ),
    "delta": Row(
        {"kind": "delta", "dim": 6, "rate": 2.0, "steps": 3},
        {"kind": "delta", "dim": 2, "rate": 0.5},
        plane(15.0, 400),
    ),
    "copula": Row({"kind": "copula", "dim": 3}, {"kind": "copula", "dim": 2}, plane(15.0, 400)),
    "logistic-normal": Row(
        {"kind": "logistic_normal", "dim": 3},
        {"kind": "logistic_normal", "dim": 1},
        line(-30.0, 30.0, 60_000),
        factorises=True,
    ),
    "dirichlet": Row(
        {"kind": "dirichlet", "dim": 4},
        {"kind": "dirichlet", "dim": 2, "concentration": 0.7},
        simplex(80.0, 16_000),
    ),
    "dirichlet-rounded": Row(
        {"kind": "dirichlet", "dim": 4, "gradient": "rounded"},
        {"kind": "dirichlet", "dim": 2, "gradient": "rounded"},
        simplex(80.0, 16_000),
    ),
    "gumbel": Row(
        {"kind": "gumbel", "codes": 2, "size": 3},
        {"kind": "gumbel", "codes": 1, "size": 4},
        (torch.eye(4), 1.0),
    ),
    "label-set": Row(
        {"kind": "label_set", "dim": 3},
        {"kind": "label_set", "dim": 2},
        (torch.cartesian_prod(torch.arange(2.0), torch.arange(2.0)), 1.0),
    ),
    "vmf": Row(
        {"kind": "vmf", "dim": 5, "kappa": 20.0},
        {"kind": "vmf", "dim": 2, "kappa": 20.0},
        circle(1000),
        fixed_rate=True,
    ),
    "vmf-sphere": Row(
        {"kind": "vmf", "dim": 3, "kappa": 0.5},
        {"kind": "vmf", "dim": 3, "kappa": 5.0},
        sphere(400),
        fixed_rate=True,
    ),
}


OWN_TESTS = {"point": "has no density", "categorical": "is summed over its classes"}
"""Kinds that the tests below do not fit, and why; each has a file of its own."""


def test_every_kind_has_a_row():
    assert {*OWN_TESTS, *(row.spec["kind"] for row in ROWS.values())} == set(Family.kinds)


@pytest.fixture(params=ROWS.values(), ids=ROWS)
def row(request):
    return request.param


@pytest.fixture
def family(row):
    return Family.build(row.spec, features=H).eval()


@pytest.mark.parametrize("shape", [(4,), (1, 4), (3, 4)])
def test_batch_and_event_shapes(family, shape):
    q = family(torch.randn(*shape, H))
    for distribution in (q, prior_of(family, q)):
        assert distribution.batch_shape == shape and distribution.event_shape == (family.dim,)
        sample = distribution.sample()
        assert sample.shape == (*shape, family.dim) and sample.dtype == torch.float32
        assert distribution.log_prob(sample).shape == shape


def test_expanded_distribution_draws_independent_samples(family):
    q = family(torch.randn(1, 4, H))
    many = q.expand((1000, 4))
    value = many.sample()
    assert value.shape == (1000, 4, family.dim)
    assert len(value[:, 0].unique(dim=0)) > 1
    torch.testing.assert_close(many.log_prob(value), q.log_prob(value))


def test_samples_have_the_stated_mean_and_deviation(family):
    q = family(torch.randn(1, 4, H))
    for distribution in (q, prior_of(family, q)):
        value = distribution.expand((20_000, 4)).sample()
        found = standard_error(value)
        assert ((found.mean - distribution.mean[0]).abs() < 5 * found.error).all()
        found = standard_error((value - distribution.mean).square())
        # Of a fair coin the square is the same number each time.
        assert ((found.mean - distribution.stddev[0].square()).abs() <= 5 * found.error).all()


def test_distribution_depends_on_its_context_alone(family):
    context = torch.randn(2, 4, H)
    q = family(context)
    assert not torch.allclose(q.mean[0], q.mean[1])
    torch.testing.assert_close(family(context[1]).mean, q.mean[1])


def test_parameters_have_gradients_from_sample_and_kl(row, family):
    q = family(torch.randn(1, 4, H))
    latent = Latent(q.expand((2, 4)).rsample(), q, prior_of(family, q))
    losses = [(latent.value**3).sum()]
    if not row.fixed_rate:
        losses += [latent.kl().sum(), latent.log_ratio().sum()]
    for loss in losses:
        grads = torch.autograd.grad(loss, list(family.parameters()), retain_graph=True)
        assert all(grad.abs().sum() > 0 for grad in grads)


def test_density_sums_to_one(row):
    family = Family.build(row.small, features=H).eval()
    points, volume = row.cells
    q = family(torch.randn(6, H))
    for distribution in (q, prior_of(family, q)):
        density = distribution.log_prob(points[:, None, :]).double().exp()
        # The midpoint rule is exact to float32 rounding of the log density, or nearly (sphere).
        torch.testing.assert_close(
            (density * volume).sum(0), torch.ones(6, dtype=torch.float64), atol=1e-5, rtol=0
        )


def test_kl_equals_monte_carlo(family):
    q = family(2 * torch.randn(1, 6, H))
    for p in (prior_of(family, q), family(2 * torch.randn(1, 6, H))):
        latent = Latent(q.expand((20_000, 6)).sample(), q, p)
        found = standard_error(latent.log_ratio())
        assert ((found.mean - latent.kl()[0]).abs() < 5 * found.error).all()
        assert (latent.kl() > 0).all()


def test_kl_to_itself_is_zero(family):
    q = family(torch.randn(1, 6, H))
    torch.testing.assert_close(kl_divergence(q, q), torch.zeros(1, 6), atol=1e-6, rtol=0)


def test_kl_per_dimension_needs_a_factorised_family(row, family):
    q = family(torch.randn(1, 4, H))
    latent = Latent(q.expand((3, 4)).sample(), q, prior_of(family, q))
    if row.factorises:
        torch.testing.assert_close(latent.kl_per_dimension().sum(-1), latent.kl())
        return
    with pytest.raises(ValueError, match=f"factorise .*{type(latent.prior).__name__}"):
        latent.kl_per_dimension()


def test_default_prior_is_the_same_for_every_text(family):
    q = family(torch.randn(2, 3, H))
    p = prior_of(family, q)
    value = q.sample()
    once = family.default_prior(torch.Size(()), torch.zeros(()))
    torch.testing.assert_close(p.log_prob(value), once.log_prob(value))


def test_nan_reaches_the_loss(family):
    context = torch.randn(1, 2, H)
    context[0, 0, 0] = torch.nan
    q = family(context)
    latent = Latent(q.expand((3, 2)).rsample(), q, prior_of(family, q))
    for values in (latent.value.sum(-1), latent.kl(), latent.log_ratio()):
        assert values[:, 0].isnan().all() and values[:, 1].isfinite().all()


def test_head_computes_in_float32_under_bfloat16(family):
    context = torch.randn(3, H)
    expected = family(context)
    with torch.autocast("cpu", torch.bfloat16):
        found = family(context)
        rounded = family(context.bfloat16())
    assert found.mean.dtype == rounded.mean.dtype == torch.float32
    assert torch.equal(found.mean, expected.mean)
    assert torch.equal(found.stddev, expected.stddev)


@pytest.mark.parametrize("learned", [False, True])
def test_model_with_the_family_infers_and_samples(row, learned):
    latent = {"name": "z", "given": ["text"], **row.spec}
    above = {"name": "top", "given": ["text", "z"], **row.spec}
    above |= {"prior": {"given": ["z"]}} if learned else {}
    model = vae([TEXT], [latent, above], [{**TEXT, "given": ["z", "top"]}])
    fields = fields_of(model, 3, 5, 2)
    out = model.infer(samples=4, **fields)
    assert out.kl.shape == out.log_weight.shape == (4, 3)
    assert out.kl.isfinite().all() and out.log_weight.isfinite().all()
    measured = likelihood(model, [fields], samples=4)
    torch.testing.assert_close(measured.elbo, -measured.reconstruction_loss - measured.kl)
    moments = posterior_moments(model, [fields])["top"]
    assert all(values.shape == (3, model.latents["top"].dim) for values in moments)
    assert (moments[1] > 0).all()
    assert model.sample_prior(7)["top"].shape == (1, 7, model.latents["top"].dim)


@pytest.mark.parametrize("dim", [0, -1, 2.0, "2"])
def test_dim_must_be_a_positive_integer(row, dim):
    with pytest.raises(ValueError, match="dim"):
        Family.build({**row.spec, "dim": dim}, features=H)
