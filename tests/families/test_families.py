"""Families: each is a distribution that adds up, has gradients and a KL that is true."""

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from conftest import TEXT, Z, fields_of, standard_error, vae
from torch.distributions import Independent, Laplace, MultivariateNormal, Normal, kl_divergence

from textvae.evaluation.latent import posterior_moments
from textvae.evaluation.likelihood import likelihood
from textvae.families import Family
from textvae.families.copula import CopulaNormal
from textvae.families.delta import least_rate
from textvae.families.dirichlet import Proportions, Rounded
from textvae.families.gaussian import BatchNormalizer
from textvae.families.vmf import VonMisesFisher, log_bessel_series, log_normalizer, mean_length
from textvae.graph.model import VAE
from textvae.objectives.outputs import Latent

H = 5


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


def test_every_kind_has_a_row():
    # A point has no density to judge, and classes are counted: see their own tests.
    assert {"point", "categorical", *(row.spec["kind"] for row in ROWS.values())} == set(
        Family.kinds
    )


@pytest.mark.parametrize("box", [None, 1.5])
def test_a_point_is_its_head_and_costs_nothing(box):
    family = Family.build({"kind": "point", "dim": 3, "box": box}, features=H)
    context = 5 * torch.randn(2, 64, H)
    q = family(context)
    assert torch.equal(q.rsample(), q.mean)
    prior = family.default_prior(q.batch_shape, context)
    drawn = family.default_prior(torch.Size((1, 1)), context).expand((1, 1000)).sample()
    assert drawn.shape == (1, 1000, 3)
    latent = Latent(q.rsample(), q, prior)
    assert not latent.kl().any() and latent.kl().shape == latent.log_ratio().shape == (2, 64)
    assert not q.stddev.any() and (q.mean.var((0, 1)) > 0.05).all()
    boxed = box is not None
    assert (q.mean.abs().max() < 1.5) == (drawn.abs().max() < 1.5) == boxed
    assert not boxed or (q.mean.abs().max() > 1 and drawn.abs().max() > 1), "all of the box is used"
    q.rsample().square().mul(torch.rand(2, 64, 3)).sum().backward()
    assert family.head.weight.grad.abs().sum() > 0


@pytest.fixture(params=ROWS.values(), ids=ROWS)
def row(request):
    return request.param


@pytest.fixture
def family(row):
    return Family.build(row.spec, features=H).eval()


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


def test_samples_have_the_mean_and_the_deviation_it_says(family):
    q = family(torch.randn(1, 4, H))
    for distribution in (q, prior_of(family, q)):
        value = distribution.expand((20_000, 4)).sample()
        found = standard_error(value)
        assert ((found.mean - distribution.mean[0]).abs() < 5 * found.error).all()
        found = standard_error((value - distribution.mean).square())
        assert ((found.mean - distribution.stddev[0].square()).abs() < 5 * found.error).all()


def test_the_context_decides(family):
    context = torch.randn(2, 4, H)
    q = family(context)
    assert not torch.allclose(q.mean[0], q.mean[1])
    torch.testing.assert_close(family(context[1]).mean, q.mean[1])


def test_every_parameter_learns_from_the_sample_and_from_the_kl(row, family):
    q = family(torch.randn(1, 4, H))
    latent = Latent(q.expand((2, 4)).rsample(), q, prior_of(family, q))
    losses = [(latent.value**3).sum()]
    if not row.fixed_rate:
        losses += [latent.kl().sum(), latent.log_ratio().sum()]
    for loss in losses:
        grads = torch.autograd.grad(loss, list(family.parameters()), retain_graph=True)
        assert all(grad.abs().sum() > 0 for grad in grads)


def test_posterior_and_prior_add_up_to_one(row):
    family = Family.build(row.small, features=H).eval()
    points, volume = row.cells
    q = family(torch.randn(6, H))
    for distribution in (q, prior_of(family, q)):
        density = distribution.log_prob(points[:, None, :]).double().exp()
        # The midpoint rule is exact to float32 rounding of the log density, or nearly (sphere).
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


def test_only_a_product_over_dimensions_has_a_kl_of_each(row, family):
    q = family(torch.randn(1, 4, H))
    latent = Latent(q.expand((3, 4)).sample(), q, prior_of(family, q))
    if row.factorises:
        torch.testing.assert_close(latent.kl_per_dimension().sum(-1), latent.kl())
        return
    with pytest.raises(ValueError, match=f"factorise .*{type(latent.prior).__name__}"):
        latent.kl_per_dimension()


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


@pytest.mark.parametrize("learned", [False, True])
def test_a_model_with_it_infers_measures_and_samples(row, learned):
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


def means_scaled(family, scale):
    """The family with its means' weights multiplied, and every variance one."""
    with torch.no_grad():
        mean, log_variance = family.head.weight.chunk(2), family.head.bias.chunk(2)
        mean[0].mul_(scale), mean[1].zero_()
        log_variance[0].mul_(scale), log_variance[1].zero_()
    return family


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e12, 1e30])
def test_batch_normalised_means_have_the_promised_kl_whatever_their_scale(scale):
    gamma, beta = 0.6, torch.tensor([0.0, 0.5, -1.0])
    spec = {"kind": "gaussian", "dim": 3, "batch_norm": gamma}
    family = means_scaled(Family.build(spec, features=H), scale)
    with torch.no_grad():
        family.normalizer.bias.copy_(beta)
    q = family(torch.randn(2, 8, H))
    found = kl_divergence(q, prior_of(family, q)).mean()
    bound = 3 * (gamma**2 + beta.square().mean()) / 2
    # All variances are one, so the bound is reached.
    torch.testing.assert_close(found, bound)
    torch.testing.assert_close(q.mean.std((0, 1), correction=0), torch.full((3,), gamma))
    family.eval()
    held_out = family(torch.randn(500, H))
    # The scale of 16 texts is known to a sixth or so.
    assert kl_divergence(held_out, prior_of(family, held_out)).mean() > 0.5 * bound


def test_the_promised_kl_is_kept_in_evaluation_on_the_averages_of_the_batches():
    family = Family.build({"kind": "gaussian", "dim": 3, "batch_norm": 0.6}, features=H)
    means_scaled(family, 1.0)
    family(torch.randn(4, H))
    for _ in range(500):
        family(3 + torch.randn(32, H))
    family.eval()
    q = family(3 + torch.randn(20_000, H))
    torch.testing.assert_close(q.mean.mean(0), torch.zeros(3), atol=0.05, rtol=0)
    found = kl_divergence(q, prior_of(family, q)).mean().item()
    # Deviations of 32 texts fall short of those of all by 2.4 % on average: never below the bound.
    assert 3 * 0.6**2 / 2 < found < 1.1 * 3 * 0.6**2 / 2


def test_a_dimension_without_variance_is_left_at_the_shift():
    normalizer = BatchNormalizer(3, 0.6)
    normalizer(torch.randn(7, 3))
    before = normalizer.scale.clone()
    values = torch.randn(7, 3)
    # The mean of seven equal numbers need not be that number in floating point.
    values[:, 1:] = torch.tensor([0.1, 1e-40])
    values[0, 2] = 0.0
    values.requires_grad_()
    found = normalizer(values)
    assert torch.equal(found[:, 1:], torch.zeros(7, 2)) and found[:, 0].std() > 0.5
    assert torch.equal(normalizer.scale[1:], before[1:]) and normalizer.scale[0] != before[0]
    (grad,) = torch.autograd.grad(found.square().sum(), values)
    assert grad.isfinite().all()


def test_batch_normalisation_needs_two_texts_to_train_and_one_to_evaluate():
    family = Family.build({"kind": "gaussian", "dim": 3, "batch_norm": 0.6}, features=H)
    with pytest.raises(ValueError, match="at least two texts"):
        family(torch.randn(1, 1, H))
    assert family.eval()(torch.randn(1, 1, H)).batch_shape == (1, 1)


def test_processes_average_what_they_normalise_with(monkeypatch):
    family = Family.build({"kind": "gaussian", "dim": 3, "batch_norm": 0.6}, features=H)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda found: found.add_(7.0))
    context = torch.randn(8, H)
    family(context)
    own = family.head(context)[:, :3]
    torch.testing.assert_close(family.normalizer.mean, (own.mean(0) + 7) / 2)
    torch.testing.assert_close(family.normalizer.scale, (own.std(0, correction=0) + 7) / 2)


def test_the_averages_are_saved_with_the_model(tmp_path):
    model = vae([TEXT], [{**Z, "batch_norm": 0.6}], [{**TEXT, "given": ["z"]}])
    fields = fields_of(model, 3, 5, 2)
    model.train().infer(**fields)
    model.eval().save_pretrained(tmp_path)
    loaded = VAE.from_pretrained(tmp_path).eval()
    assert loaded.latents["z"].normalizer.batches == 1
    assert torch.equal(loaded.encode(**fields)["z"].mean, model.encode(**fields)["z"].mean)


DELTAS = [(2, 2, 1.0), (6, 3, 2.0), (8, 8, 2.5), (32, 32, 6.0), (32, 2, 8.0)]


@pytest.mark.parametrize(("dim", "steps", "rate"), DELTAS)
def test_no_posterior_is_nearer_to_the_autoregressive_prior_than_the_rate(dim, steps, rate):
    spec = {"kind": "delta", "dim": dim, "steps": steps, "rate": rate}
    family = Family.build(spec, features=H)
    q = family(2 * torch.randn(2000, H))
    assert kl_divergence(q, prior_of(family, q)).min() > rate

    best = torch.randn(2 * dim, requires_grad=True)
    optimizer = torch.optim.LBFGS([best], max_iter=200, line_search_fn="strong_wolfe")
    with torch.no_grad():
        family.head.weight.zero_()

    def kl():
        optimizer.zero_grad()
        family.head.bias.data = best.data
        q = torch.func.functional_call(family, {"head.bias": best}, torch.zeros(H))
        found = kl_divergence(q, prior_of(family, q))
        found.backward()
        return found

    optimizer.step(kl)
    assert rate - 1e-5 < kl().item() < rate + 1e-3


@pytest.mark.parametrize(("dim", "steps", "rate"), DELTAS)
def test_the_autoregressive_prior_is_the_gaussian_whose_least_rate_the_paper_gives(
    dim, steps, rate
):
    family = Family.build({"kind": "delta", "dim": dim, "steps": steps, "rate": rate}, features=H)
    channels, alpha = dim // steps, family.alpha
    power = (torch.arange(steps)[:, None] - torch.arange(steps)).abs()
    covariance = torch.kron(alpha ** power.double(), torch.eye(channels, dtype=torch.float64))
    full = MultivariateNormal(torch.zeros(dim, dtype=torch.float64), covariance)
    p = family.default_prior(torch.Size((4000,)), torch.zeros(()))
    value = p.sample()
    torch.testing.assert_close(
        p.log_prob(value), full.log_prob(value.double()).float(), atol=1e-3, rtol=1e-4
    )
    found = standard_error(value[:, :, None] * value[:, None, :])
    assert ((found.mean - covariance).abs() < 6 * found.error).all()
    paper = channels / 2 * ((steps - 2) * math.log(1 + alpha**2) - math.log(1 - alpha**2))
    precision = covariance.inverse()
    least = 0.5 * (precision.diagonal().log().sum() - precision.logdet()).item()
    assert paper == pytest.approx(rate) == least_rate(family.log_precision, steps, channels)
    assert least == pytest.approx(rate)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"dim": 1}, "at least 2 steps"),
        ({"dim": 6, "steps": 4}, "multiple"),
        ({"dim": 6, "steps": 1}, "at least 2 steps"),
        ({"dim": 4, "rate": 9.0}, "at most 7.6"),
    ],
)
def test_a_sequence_that_cannot_hold_the_rate_is_refused(spec, said):
    with pytest.raises(ValueError, match=said):
        Family.build({"kind": "delta", **spec}, features=H)


def pair_of_copulas():
    """Two rank-one Gaussians in float64, and the same of torch."""
    ours = [
        CopulaNormal(*(torch.randn(3, 4, dtype=torch.float64) for _ in range(3))) for _ in range(2)
    ]
    for one in ours:
        one.marginal.abs_()
    return ours, [MultivariateNormal(one.mean, one.covariance_matrix) for one in ours]


def test_the_copula_is_the_gaussian_with_its_covariance_and_marginals():
    (q, p), (full_q, full_p) = pair_of_copulas()
    value = q.sample((7,))
    torch.testing.assert_close(q.log_prob(value), full_q.log_prob(value))
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(full_q, full_p))
    torch.testing.assert_close(q.covariance_matrix.diagonal(dim1=-2, dim2=-1), q.variance)
    correlation = q.covariance_matrix / (q.stddev[..., :, None] * q.stddev[..., None, :])
    joint = torch.eye(4) + q.factor[..., :, None] * q.factor[..., None, :]
    size = joint.diagonal(dim1=-2, dim2=-1).sqrt()
    torch.testing.assert_close(correlation, joint / (size[..., :, None] * size[..., None, :]))


def evidence_gap(kind):
    """log p(x) minus the best ELBO of a family where x = z_1 + z_2 + noise, nats."""
    family = Family.build({"kind": kind, "dim": 2}, features=1)
    x, noise, context = 1.5, 0.3, torch.ones(1)
    optimizer = torch.optim.LBFGS(family.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def gap():
        optimizer.zero_grad()
        q = family(context)
        joint = q.covariance_matrix if kind == "copula" else q.variance.diag()
        error = (x - q.mean.sum()).square() + joint.sum()
        likelihood = -0.5 * math.log(2 * math.pi * noise**2) - error / (2 * noise**2)
        variance = 2 + noise**2
        evidence = -0.5 * (math.log(2 * math.pi * variance) + x**2 / variance)
        found = evidence - likelihood + kl_divergence(q, prior_of(family, q))
        found.backward()
        return found

    optimizer.step(gap)
    return gap().item()


def test_a_correlated_posterior_is_met_by_the_copula_and_not_by_a_diagonal():
    diagonal, copula = evidence_gap("gaussian"), evidence_gap("copula")
    assert diagonal > 0.5
    # Two dimensions have one correlation: nothing is left of the gap.
    assert -1e-4 < copula < 0.01 * diagonal


def bessel_integral(order, kappa):
    """log of I_v(kappa) (2 / kappa)^v from its integral over a half turn, float64.

    The midpoint rule on a smooth periodic function converges faster than any power.
    """
    angle = (torch.arange(20_000, dtype=torch.float64) + 0.5) * math.pi / 20_000
    log_value = kappa * angle.cos() + 2 * order * angle.sin().log()
    total = torch.logsumexp(log_value, 0).item() + math.log(math.pi / 20_000)
    return total - 0.5 * math.log(math.pi) - math.lgamma(order + 0.5)


@pytest.mark.parametrize("dim", [2, 8, 32, 100])
@pytest.mark.parametrize("kappa", [0.0, 1.0, 30.0, 500.0])
def test_the_bessel_function_equals_its_integral(dim, kappa):
    for order in (dim / 2 - 1, dim / 2):
        expected = bessel_integral(order, kappa)
        assert log_bessel_series(order, kappa) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("kappa", [1e-6, 1.0, 30.0, 500.0])
def test_on_the_ordinary_sphere_the_functions_are_elementary(kappa):
    log_sinh = kappa + math.log(-math.expm1(-2 * kappa) / 2)
    expected = math.log(kappa) - math.log(4 * math.pi) - log_sinh
    assert log_normalizer(3, kappa) == pytest.approx(expected, abs=1e-9)
    expected = 1 / math.tanh(kappa) - 1 / kappa
    # The difference of 1 / kappa leaves few digits when kappa is small.
    assert mean_length(3, kappa) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("kappa", [0.1, 30.0, 500.0])
@pytest.mark.parametrize("dim", [2, 3, 32])
def test_samples_lie_on_the_sphere_at_the_angles_of_their_density(dim, kappa):
    q = VonMisesFisher(torch.eye(dim)[-1], kappa)
    value = q.sample((20_000,))
    torch.testing.assert_close(value.norm(dim=-1), torch.ones(20_000))
    found = standard_error(value[:, -1])
    assert (found.mean - mean_length(dim, kappa)).abs() < 5 * found.error


def test_the_density_on_a_sphere_of_eight_dimensions_adds_up_to_one():
    family = Family.build({"kind": "vmf", "dim": 8, "kappa": 5.0}, features=H)
    q = family(torch.randn(3, H))
    p = prior_of(family, q)
    value = p.sample((50_000,))
    found = standard_error((q.log_prob(value) - p.log_prob(value)).exp())
    assert ((found.mean - 1).abs() < 5 * found.error).all()


def test_every_text_pays_the_rate_of_the_sphere():
    family = Family.build({"kind": "vmf", "dim": 32, "kappa": 30.0}, features=H)
    q = family(torch.randn(6, H))
    found = kl_divergence(q, prior_of(family, q))
    torch.testing.assert_close(found, torch.full((6,), family.rate))
    assert family.rate == pytest.approx(7.21, abs=0.005)


@pytest.mark.parametrize("dim", [2, 3, 8])
def test_the_gradient_of_the_sphere_is_that_of_the_mean(dim):
    vector = torch.randn(dim)
    many = vector.expand(50_000, dim).clone().requires_grad_()
    weight = torch.randn(dim)
    value = VonMisesFisher(many / many.norm(dim=-1, keepdim=True), 4.0).rsample()
    (grads,) = torch.autograd.grad((value * weight).sum(), many)
    one = vector.clone().requires_grad_()
    mean = VonMisesFisher(one / one.norm(), 4.0).mean
    (expected,) = torch.autograd.grad((mean * weight).sum(), one)
    found = standard_error(grads)
    assert ((found.mean - expected).abs() < 5 * found.error).all()


def test_at_the_first_axis_there_is_nothing_to_reflect():
    mean = torch.eye(4)[:1].clone().requires_grad_()
    value = VonMisesFisher(mean, 500.0).rsample((100,))
    assert (value[..., 0] > 0.9).all()
    (grad,) = torch.autograd.grad(value.sum(), mean)
    assert grad.isfinite().all()


@pytest.mark.parametrize("dim", [2, 200])
def test_units_of_a_sphere_are_deviations_of_the_prior(dim):
    family = Family.build({"kind": "vmf", "dim": dim}, features=H)
    prior = family.default_prior(torch.Size(), torch.zeros(1))
    torch.testing.assert_close(prior.stddev, torch.full((dim,), family.prior_scale))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_a_direction_has_no_scale(scale):
    family = Family.build({"kind": "vmf", "dim": 3}, features=H)
    context = torch.randn(4, H)
    with torch.no_grad():
        family.head.bias.zero_()
        expected = family(context).mode
        family.head.weight.mul_(scale)
    torch.testing.assert_close(family(context).mode, expected)


def test_a_line_is_no_sphere():
    with pytest.raises(ValueError, match="at least 2"):
        Family.build({"kind": "vmf", "dim": 1}, features=H)


def test_a_posterior_on_the_sphere_stands_for_a_point_of_it():
    model = vae([TEXT], [{**Z, "kind": "vmf", "dim": 5, "kappa": 20.0}], [{**TEXT, "given": ["z"]}])
    fields = fields_of(model, 3, 5)
    means, _ = posterior_moments(model, [fields])["z"]
    torch.testing.assert_close(means.norm(dim=-1), torch.ones(2))
    used = model.draw(model.read(fields), 1, 2, use_mean=True)["z"]
    torch.testing.assert_close(used.value[0], means)
    assert (used.posterior.mean.norm(dim=-1) < 0.95).all(), "the mean is no latent"


def second_moment(alpha: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """E[sum_i c_i theta_i^2] under Dir(alpha), in closed form."""
    total = alpha.sum(-1, keepdim=True)
    return (weights * alpha * (alpha + 1) / (total * (total + 1))).sum(-1)


def sampled_gradient(distribution, alpha, weights, draws=200_000):
    drawn = distribution.rsample((draws,))
    (gradient,) = torch.autograd.grad((weights * drawn.square()).sum() / draws, alpha)
    return gradient


def test_implicit_gradients_of_the_dirichlet_are_those_of_the_expectation():
    alpha = torch.tensor([0.3, 1.0, 2.5, 8.0], requires_grad=True)
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0])
    (exact,) = torch.autograd.grad(second_moment(alpha, weights), alpha)
    found = sampled_gradient(Proportions(alpha), alpha, weights)
    # The standard error of 200,000 draws is below a hundredth of the largest part.
    torch.testing.assert_close(found, exact, atol=0.02 * exact.abs().max().item(), rtol=0)


def test_rounded_gradients_point_the_right_way_and_are_too_small():
    alpha = torch.tensor([0.6, 1.0, 2.5, 4.0], requires_grad=True)
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0])
    (exact,) = torch.autograd.grad(second_moment(alpha, weights), alpha)
    found = sampled_gradient(Rounded(alpha, gain=0.01), alpha, weights)
    assert torch.cosine_similarity(found, exact, 0) > 0.8
    assert found.norm() < 0.2 * exact.norm()
    more = sampled_gradient(Rounded(alpha, gain=0.02), alpha, weights)
    torch.testing.assert_close(more, 2 * found, rtol=0.05, atol=1e-4)


def test_the_kl_of_dirichlets_is_the_formula():
    a = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)
    c = torch.full((3,), 0.7, dtype=torch.float64)
    expected = (
        torch.lgamma(a.sum())
        - torch.lgamma(a).sum()
        - torch.lgamma(c.sum())
        + torch.lgamma(c).sum()
        + ((a - c) * (torch.digamma(a) - torch.digamma(a.sum()))).sum()
    )
    torch.testing.assert_close(kl_divergence(Proportions(a), Proportions(c)), expected)


def test_proportions_are_never_zero_nor_their_density_infinite():
    q = Proportions(torch.full((1000, 50), 0.01))
    value = q.rsample()
    assert (value > 0).all() and q.log_prob(value).isfinite().all()
    torch.testing.assert_close(value.sum(-1), torch.ones(1000))


def test_units_of_proportions_are_deviations_of_the_prior():
    family = Family.build({"kind": "dirichlet", "dim": 4, "concentration": 0.5}, features=H)
    prior = family.default_prior(torch.Size(()), torch.zeros(()))
    torch.testing.assert_close(prior.stddev, torch.full((4,), family.prior_scale))


def test_decoders_see_the_softmax_of_a_logistic_normal_with_dropout_in_training():
    family = Family.build({"kind": "logistic_normal", "dim": 4, "dropout": 0.5}, features=H)
    z = torch.randn(6, 4)
    torch.testing.assert_close(family.eval().embed(z), z.softmax(-1))
    first, second = (family.train().embed(z) for _ in range(2))
    torch.testing.assert_close(first.sum(-1), torch.ones(6))
    assert not torch.equal(first, second)
    model = vae(
        [TEXT],
        [{"name": "z", "given": ["text"], "kind": "logistic_normal", "dim": 3}],
        [{"name": "text", "kind": "topics", "given": ["z"]}],
    )
    (context,) = model.contexts({"z": z[None, :, :3]}, {}, 6).values()
    torch.testing.assert_close(context[0], z[:, :3].softmax(-1))


def test_a_dirichlet_needs_two_topics():
    with pytest.raises(ValueError, match="dim 2 or more"):
        Family.build({"kind": "dirichlet", "dim": 1}, features=H)


def test_kl_to_a_full_gaussian_is_that_of_two_full_ones():
    mean, scale, centre = torch.randn(4, 5, 3), torch.rand(4, 5, 3) + 0.1, torch.randn(3)
    factor = torch.randn(3, 3).tril(-1) + (torch.rand(3) + 0.5).diag()
    prior = MultivariateNormal(centre, scale_tril=factor)
    expected = kl_divergence(MultivariateNormal(mean, scale_tril=scale.diag_embed()), prior)
    for p in (prior, prior.expand((4, 5))):
        torch.testing.assert_close(kl_divergence(Independent(Normal(mean, scale), 1), p), expected)
    with pytest.raises(NotImplementedError):
        kl_divergence(Independent(Laplace(mean, scale), 1), prior)
