"""Dirichlet: gradients of its samples, KL, proportions."""

import pytest
import torch
from support.families import H
from torch.distributions import kl_divergence

from textvae.families import Family
from textvae.families.dirichlet import Proportions, Rounded


def second_moment(alpha: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """E[sum_i c_i theta_i^2] under Dir(alpha), in closed form."""
    total = alpha.sum(-1, keepdim=True)
    return (weights * alpha * (alpha + 1) / (total * (total + 1))).sum(-1)


def sampled_gradient(distribution, alpha, weights, draws=200_000):
    drawn = distribution.rsample((draws,))
    (gradient,) = torch.autograd.grad((weights * drawn.square()).sum() / draws, alpha)
    return gradient


def test_dirichlet_gradient_is_that_of_the_expectation():
    alpha = torch.tensor([0.3, 1.0, 2.5, 8.0], requires_grad=True)
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0])
    (exact,) = torch.autograd.grad(second_moment(alpha, weights), alpha)
    found = sampled_gradient(Proportions(alpha), alpha, weights)
    # The standard error of 200,000 draws is below a hundredth of the largest part.
    torch.testing.assert_close(found, exact, atol=0.02 * exact.abs().max().item(), rtol=0)


def test_rounded_gradient_has_the_direction_but_is_small():
    alpha = torch.tensor([0.6, 1.0, 2.5, 4.0], requires_grad=True)
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0])
    (exact,) = torch.autograd.grad(second_moment(alpha, weights), alpha)
    found = sampled_gradient(Rounded(alpha, gain=0.01), alpha, weights)
    assert torch.cosine_similarity(found, exact, 0) > 0.8
    assert found.norm() < 0.2 * exact.norm()
    more = sampled_gradient(Rounded(alpha, gain=0.02), alpha, weights)
    torch.testing.assert_close(more, 2 * found, rtol=0.05, atol=1e-4)


def test_dirichlet_kl_equals_the_formula():
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


def test_proportions_are_positive_with_finite_density():
    q = Proportions(torch.full((1000, 50), 0.01))
    value = q.rsample()
    assert (value > 0).all() and q.log_prob(value).isfinite().all()
    torch.testing.assert_close(value.sum(-1), torch.ones(1000))


def test_dirichlet_unit_is_the_prior_deviation():
    family = Family.build({"kind": "dirichlet", "dim": 4, "concentration": 0.5}, features=H)
    prior = family.default_prior(torch.Size(()), torch.zeros(()))
    torch.testing.assert_close(prior.stddev, torch.full((4,), family.prior_scale))


def test_dirichlet_needs_two_topics():
    with pytest.raises(ValueError, match="dim 2 or more"):
        Family.build({"kind": "dirichlet", "dim": 1}, features=H)
