"""Delta and copula: Gaussians with correlated dimensions, in the prior or in the posterior."""

import math

import pytest
import torch
from conftest import standard_error
from support.families import H, prior_of
from torch.distributions import MultivariateNormal, kl_divergence

from textvae.families import Family
from textvae.families.copula import CopulaNormal
from textvae.families.delta import least_rate

DELTAS = [(2, 2, 1.0), (6, 3, 2.0), (8, 8, 2.5), (32, 32, 6.0), (32, 2, 8.0)]


@pytest.mark.parametrize(("dim", "steps", "rate"), DELTAS)
def test_delta_kl_is_at_least_the_rate(dim, steps, rate):
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
def test_delta_prior_is_the_gaussian_of_the_paper(dim, steps, rate):
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
def test_delta_refuses_sequences_that_cannot_have_the_rate(spec, said):
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


def test_copula_is_the_gaussian_with_its_covariance():
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


def test_copula_reaches_a_correlated_posterior():
    diagonal, copula = evidence_gap("gaussian"), evidence_gap("copula")
    assert diagonal > 0.5
    # Two dimensions have one correlation: nothing is left of the gap.
    assert -1e-4 < copula < 0.01 * diagonal
