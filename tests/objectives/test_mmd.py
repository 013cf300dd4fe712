"""The maximum mean discrepancy: closed forms, and the ELBO as a special case."""

import math

import pytest
import torch
from conftest import LinearGaussian, normal, standard_error

from textvae.objectives.elbo import ELBO
from textvae.objectives.mmd import KERNELS, MMD, SCALES, squared_mmd
from textvae.objectives.outputs import Latent, VAEOutput
from textvae.objectives.schedules import Constant, Linear

N, D = 40, 3
kernels = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)


@kernels
def test_equal_samples_have_none(kernel):
    x = torch.randn(N, D)
    assert squared_mmd(x, x, kernel) == 0.0
    # In another order only float32 rounding is left.
    assert squared_mmd(x, x.flip(0), kernel).abs() < 1e-6


@kernels
def test_the_further_the_samples_the_larger_and_never_above_two(kernel):
    x = torch.randn(N, D)
    found = [squared_mmd(x, x + shift, kernel).item() for shift in (0.1, 0.5, 2.0, 10.0, 1000.0)]
    assert found[0] > 0 and found == sorted(found) and found[-1] < 2


@pytest.mark.parametrize(
    ("kernel", "value"),
    [("imq", lambda s: s / (s + 1)), ("rbf", lambda s: math.exp(-1 / s))],
)
def test_a_kernel_is_one_at_no_distance_and_known_at_that_of_the_prior(kernel, value):
    found = KERNELS[kernel](torch.tensor([0.0, 2 * D]), D)
    expected = sum(map(value, SCALES)) / len(SCALES)
    torch.testing.assert_close(found, torch.tensor([1.0, expected]))


def test_it_is_the_definition_with_loops():
    x, y = torch.randn(4, D), torch.randn(3, D)

    def mean(a, b):
        values = [
            sum(2 * D * s / (2 * D * s + ((p - q) ** 2).sum()) for s in SCALES) / len(SCALES)
            for p in a
            for q in b
        ]
        return sum(values) / len(values)

    expected = mean(x, x) + mean(y, y) - 2 * mean(x, y)
    torch.testing.assert_close(squared_mmd(x, y, KERNELS["imq"]), expected)


def test_the_gaussian_kernel_has_the_mean_that_it_has_in_closed_form():
    """x - x' of N(m, I) and N(0, I) is N(m, 2 I), and E exp(-|x - x'|^2 / c) is known."""
    shift, batch = 0.7, 100

    def expected(apart):
        terms = []
        for s in SCALES:
            c = 2 * D * s
            terms.append((1 + 4 / c) ** (-D / 2) * torch.tensor(-(apart**2) / (c + 4)).exp())
        return torch.stack(terms).mean()

    same = expected(0.0)
    # A point with itself, one pair in each `batch`, has 1 in place of the mean.
    mean = 2 * (same - expected(shift * D**0.5)) + 2 / batch * (1 - same)
    draws = torch.stack(
        [
            squared_mmd(torch.randn(batch, D) + shift, torch.randn(batch, D), KERNELS["rbf"])
            for _ in range(200)
        ]
    )
    found = standard_error(draws)
    # Five standard errors: one test in a million fails by chance.
    assert (found.mean - mean).abs() < 5 * found.error


def test_with_the_whole_kl_and_no_mmd_it_is_the_elbo():
    """alpha = 0, lambda = 1 in the paper's terms."""
    out = LinearGaussian(torch.randn(N, D), shift=0.4).infer(2)
    loss = MMD(kl_weight=Constant(1.0), mmd_weight=Constant(0.0), samples=2)(out, 0)
    assert torch.equal(loss.value, ELBO(samples=2)(out, 0).value)
    assert loss.terms["mmd"] > 0


def test_the_weights_are_those_of_the_step():
    out = LinearGaussian(torch.randn(N, D), shift=0.4).infer()
    objective = MMD(kl_weight=Linear(steps=4), mmd_weight=Linear(steps=2, end=6.0))
    loss = objective(out, 1)
    terms = loss.terms
    expected = terms["reconstruction_loss"] + 0.25 * terms["kl"] + 3 * terms["mmd"]
    torch.testing.assert_close(loss.value, expected)


@pytest.mark.parametrize("kernel", KERNELS)
def test_posteriors_spread_over_the_prior(kernel):
    """Without any KL: from one place away from the prior they move to it, and apart."""
    means = torch.nn.Parameter(1.5 + 0.1 * torch.randn(1, N, D))
    objective = MMD(mmd_weight=Constant(1.0), kernel=kernel)
    optimizer = torch.optim.Adam([means], lr=0.1)
    prior = torch.randn(1000, D)

    def distance(sample):
        return squared_mmd(sample, prior, KERNELS[kernel])

    with torch.no_grad():
        assert distance(means[0]) > 0.4
    for step in range(60):
        q = normal(means, 0.1)
        latent = Latent(q.rsample(), q, normal(torch.zeros(1, N, D), 1.0))
        optimizer.zero_grad()
        objective(VAEOutput({"z": latent}, {"x": torch.zeros(1, N)}), step).value.backward()
        optimizer.step()
    with torch.no_grad():
        # What a sample of the prior of this size has.
        assert distance(means[0]) < 2 * distance(torch.randn(N, D))
