"""Von Mises-Fisher: Bessel functions, samples on the sphere, gradients."""

import math

import pytest
import torch
from conftest import TEXT, Z, fields_of, standard_error, vae
from support.families import H, prior_of
from torch.distributions import kl_divergence

from textvae.evaluation.latent import posterior_moments
from textvae.families import Family
from textvae.families.vmf import VonMisesFisher, log_bessel_series, log_normalizer, mean_length


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
def test_bessel_series_equals_its_integral(dim, kappa):
    for order in (dim / 2 - 1, dim / 2):
        expected = bessel_integral(order, kappa)
        assert log_bessel_series(order, kappa) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("kappa", [1e-6, 1.0, 30.0, 500.0])
def test_vmf_functions_in_three_dimensions_are_elementary(kappa):
    log_sinh = kappa + math.log(-math.expm1(-2 * kappa) / 2)
    expected = math.log(kappa) - math.log(4 * math.pi) - log_sinh
    assert log_normalizer(3, kappa) == pytest.approx(expected, abs=1e-9)
    expected = 1 / math.tanh(kappa) - 1 / kappa
    # The difference of 1 / kappa leaves few digits when kappa is small.
    assert mean_length(3, kappa) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("kappa", [0.1, 30.0, 500.0])
@pytest.mark.parametrize("dim", [2, 3, 32])
def test_vmf_samples_follow_the_density(dim, kappa):
    q = VonMisesFisher(torch.eye(dim)[-1], kappa)
    value = q.sample((20_000,))
    torch.testing.assert_close(value.norm(dim=-1), torch.ones(20_000))
    found = standard_error(value[:, -1])
    assert (found.mean - mean_length(dim, kappa)).abs() < 5 * found.error


def test_vmf_density_sums_to_one_in_eight_dimensions():
    family = Family.build({"kind": "vmf", "dim": 8, "kappa": 5.0}, features=H)
    q = family(torch.randn(3, H))
    p = prior_of(family, q)
    value = p.sample((50_000,))
    found = standard_error((q.log_prob(value) - p.log_prob(value)).exp())
    assert ((found.mean - 1).abs() < 5 * found.error).all()


def test_vmf_kl_is_the_rate_for_every_text():
    family = Family.build({"kind": "vmf", "dim": 32, "kappa": 30.0}, features=H)
    q = family(torch.randn(6, H))
    found = kl_divergence(q, prior_of(family, q))
    torch.testing.assert_close(found, torch.full((6,), family.rate))
    assert family.rate == pytest.approx(7.21, abs=0.005)


@pytest.mark.parametrize("dim", [2, 3, 8])
def test_vmf_sample_gradient_is_that_of_the_mean(dim):
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


def test_vmf_gradient_is_finite_at_the_first_axis():
    mean = torch.eye(4)[:1].clone().requires_grad_()
    value = VonMisesFisher(mean, 500.0).rsample((100,))
    assert (value[..., 0] > 0.9).all()
    (grad,) = torch.autograd.grad(value.sum(), mean)
    assert grad.isfinite().all()


@pytest.mark.parametrize("dim", [2, 200])
def test_vmf_unit_is_the_prior_deviation(dim):
    family = Family.build({"kind": "vmf", "dim": dim}, features=H)
    prior = family.default_prior(torch.Size(), torch.zeros(1))
    torch.testing.assert_close(prior.stddev, torch.full((dim,), family.prior_scale))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_vmf_direction_has_no_scale(scale):
    family = Family.build({"kind": "vmf", "dim": 3}, features=H)
    context = torch.randn(4, H)
    with torch.no_grad():
        family.head.bias.zero_()
        expected = family(context).mode
        family.head.weight.mul_(scale)
    torch.testing.assert_close(family(context).mode, expected)


def test_vmf_needs_two_dimensions():
    with pytest.raises(ValueError, match="at least 2"):
        Family.build({"kind": "vmf", "dim": 1}, features=H)


def test_vmf_point_estimate_is_on_the_sphere():
    model = vae([TEXT], [{**Z, "kind": "vmf", "dim": 5, "kappa": 20.0}], [{**TEXT, "given": ["z"]}])
    fields = fields_of(model, 3, 5)
    means, _ = posterior_moments(model, [fields])["z"]
    torch.testing.assert_close(means.norm(dim=-1), torch.ones(2))
    used = model.draw(model.read(fields), 1, 2, use_mean=True)["z"]
    torch.testing.assert_close(used.value[0], means)
    assert (used.posterior.mean.norm(dim=-1) < 0.95).all(), "the mean is no latent"
