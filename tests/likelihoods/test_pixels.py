"""Pixel likelihoods: each sums to one, says its mean, and draws what it says."""

import math

import pytest
import torch
from conftest import standard_error
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli

from textvae.data.fields import Images
from textvae.likelihoods import Likelihood

ROWS = {
    "bernoulli": {"kind": "bernoulli"},
    "continuous_bernoulli": {"kind": "continuous_bernoulli"},
    "gaussian-fixed": {"kind": "gaussian", "scale": 0.3},
    "gaussian-shared": {"kind": "gaussian", "variance": "shared", "scale": 0.4},
    "gaussian-pixel": {"kind": "gaussian", "variance": "pixel", "scale": 0.5},
    "logistic": {"kind": "logistic", "mixture": 3, "levels": 16},
    "logistic-bytes": {"kind": "logistic", "mixture": 2, "levels": 256},
    "beta": {"kind": "beta", "floor": 1.0},
    "poisson": {"kind": "poisson"},
}
# Of a kind without its row's precision: nothing near a half, near zero or far out is exempt.
LOGITS = torch.tensor([-30.0, -6.0, -1.0, -0.06, -0.04, -1e-4, 0.0, 1e-3, 0.049, 0.051, 2.0, 40.0])


def test_every_kind_has_a_row():
    assert {spec["kind"] for spec in ROWS.values()} == set(Likelihood.kinds)


@pytest.fixture(params=ROWS.values(), ids=ROWS)
def likelihood(request):
    return Likelihood.build(request.param)


def outputs(likelihood, count=6):
    """Outputs for images of one pixel, (1, count, heads, 1, 1, 1)."""
    return torch.randn(1, count, likelihood.heads, 1, 1, 1)


def nodes(likelihood, cells=4000):
    """Values of a pixel, (N,), with the weight of each in an integral or a sum."""
    if likelihood.kind == "bernoulli":
        return torch.tensor([0.0, 1.0]), torch.ones(2)
    if likelihood.kind == "poisson":
        return torch.arange(200.0), torch.ones(200)
    if likelihood.kind == "logistic":
        levels = likelihood.levels
        return torch.arange(levels) / (levels - 1), torch.ones(levels)
    # Simpson's rule; unbounded tails beyond 12 are nothing here.
    low, high = (0.0, 1.0) if likelihood.bounded else (-12.0, 12.0)
    points = torch.linspace(low, high, 2 * cells + 1, dtype=torch.float64)
    weights = torch.full_like(points, 2.0)
    weights[1::2] = 4.0
    weights[0] = weights[-1] = 1.0
    return points.float(), weights * (high - low) / (6 * cells)


def density(likelihood, given, points):
    """The density of each pixel at points, (N, count), float64."""
    size = len(points)
    repeated = given[:, None].expand(-1, size, *[-1] * 5).flatten(1, 2)
    values = points[:, None].expand(size, given.shape[1]).reshape(-1, 1, 1, 1)
    return likelihood(repeated).log_prob(values).view(size, -1).double().exp()


def test_the_density_sums_to_one_and_has_its_mean(likelihood):
    given = outputs(likelihood)
    points, weights = nodes(likelihood)
    found = density(likelihood, given, points) * weights[:, None].double()
    # float32 densities: 1e-5 of one.
    torch.testing.assert_close(found.sum(0), torch.ones(6, dtype=torch.float64), atol=1e-5, rtol=0)
    mean = (found * points[:, None].double()).sum(0)
    torch.testing.assert_close(mean, likelihood(given).mean.flatten().double(), atol=2e-5, rtol=0)


def test_samples_have_the_mean_and_are_where_the_density_is(likelihood):
    given = outputs(likelihood)
    distribution, many = likelihood(given), given[:, None].expand(-1, 2000, *[-1] * 5)
    repeated = likelihood(many.flatten(1, 2))
    draws = repeated.sample().view(2000, 6)
    found = standard_error(draws)
    assert ((found.mean - distribution.mean.flatten()).abs() < 5 * found.error + 1e-6).all()
    if likelihood.bounded:
        assert draws.min() >= 0 and draws.max() <= 1
    # The mean log-density of samples is that of the integral: minus the entropy.
    points, weights = nodes(likelihood)
    exact = density(likelihood, given, points)
    entropy = -(torch.xlogy(exact, exact) * weights[:, None].double()).sum(0)
    logs = repeated.log_prob(draws.view(-1, 1, 1, 1)).view(2000, 6)
    found = standard_error(logs.double())
    assert ((found.mean + entropy).abs() < 5 * found.error + 1e-4).all()


def test_it_is_the_sum_over_pixels_for_each_sample(likelihood):
    heads = likelihood.heads
    given = torch.randn(3, 2, heads, 2, 4, 5)
    distribution, x = likelihood(given), torch.rand(2, 2, 4, 5).round()
    assert distribution.log_prob(x).shape == distribution.batch_shape == (3, 2)
    assert distribution.mean.shape == distribution.sample().shape == (3, 2, 2, 4, 5)
    alone = sum(
        likelihood(given[..., c : c + 1, h : h + 1, w : w + 1]).log_prob(
            x[:, c : c + 1, h : h + 1, w : w + 1]
        )
        for c in range(2)
        for h in range(4)
        for w in range(5)
    )
    torch.testing.assert_close(distribution.log_prob(x), alone, atol=1e-4, rtol=1e-5)


def test_every_output_and_parameter_learns_at_any_value(likelihood):
    given = (20 * torch.randn(1, 40, likelihood.heads, 1, 3, 3)).requires_grad_()
    value = likelihood(given).log_prob(torch.rand(40, 1, 3, 3))
    assert torch.isfinite(value).all()
    value.sum().backward()
    assert torch.isfinite(given.grad).all()
    assert (given.grad.abs().sum((0, 1, 3, 4, 5)) > 0).all()
    for parameter in likelihood.parameters():
        assert parameter.grad.abs().sum() > 0


def test_the_continuous_bernoulli_s_normaliser_at_every_logit():
    likelihood = Likelihood.build({"kind": "continuous_bernoulli"})
    distribution = likelihood(LOGITS.view(1, -1, 1, 1, 1, 1))
    h, x = LOGITS.double(), torch.linspace(0, 1, 200_001, dtype=torch.float64)
    plain = x[:, None] * h - torch.nn.functional.softplus(h)
    integral = torch.trapezoid(plain.exp(), x, dim=0)
    found = distribution.log_normalizer().flatten().double()
    torch.testing.assert_close(found, -integral.log(), atol=1e-5, rtol=0)
    mean = torch.trapezoid(plain.exp() * x[:, None], x, dim=0) / integral
    torch.testing.assert_close(distribution.mean.flatten().double(), mean, atol=1e-5, rtol=0)
    # The expansion around l = 1/2 in l, as the paper has it.
    d = torch.tensor([1e-3, 5e-3, 1e-2])
    near = likelihood(torch.logit(0.5 + d).view(1, -1, 1, 1, 1, 1)).log_normalizer().flatten()
    series = math.log(2) + 4 / 3 * d**2 + 104 / 45 * d**4
    torch.testing.assert_close(near, series, atol=1e-6, rtol=0)


def test_the_continuous_bernoulli_is_torch_s_where_that_is_sound():
    logits, x = torch.linspace(-8, 8, 33), torch.rand(33)
    ours = Likelihood.build({"kind": "continuous_bernoulli"})(logits.view(1, -1, 1, 1, 1, 1))
    theirs = TorchContinuousBernoulli(logits=logits)
    torch.testing.assert_close(
        ours.log_prob(x.view(-1, 1, 1, 1))[0], theirs.log_prob(x), atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(ours.mean.flatten(), theirs.mean, atol=1e-4, rtol=1e-4)


def test_a_learned_scale_has_a_floor():
    likelihood = Likelihood.build({"kind": "gaussian", "variance": "pixel", "floor": 0.1})
    given = torch.zeros(1, 1, 2, 1, 1, 1)
    given[..., 1, :, :, :] = -50.0
    highest = likelihood(given).log_prob(torch.zeros(1, 1, 1, 1)).item()
    assert highest == pytest.approx(-math.log(0.1 * math.sqrt(2 * math.pi)), rel=1e-5)


def test_pixels_are_drawn_as_they_are_named():
    values = 0.1 + 0.8 * torch.rand(3, 1, 20, 20)
    images = {name: Images(values.numpy(), name) for name in ("grey", "dequantized", "dynamic")}
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(images["grey"].drawn(values, generator), values)
    bits = [images["dynamic"].drawn(values, generator) for _ in range(200)]
    assert set(bits[0].unique().tolist()) == {0.0, 1.0} and not torch.equal(bits[0], bits[1])
    found = standard_error(torch.stack(bits))
    assert ((found.mean - values).abs() < 5.5 * (values * (1 - values) / 200).sqrt() + 1e-6).all()
    noisy = images["dequantized"].drawn(values, generator)
    assert ((noisy * 256 - values * 255) >= -1e-4).all()
    assert ((noisy * 256 - values * 255) <= 1 + 1e-4).all()
