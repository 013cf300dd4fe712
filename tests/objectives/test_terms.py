"""Terms: each is a number in nats that follows the posteriors and is added to any objective."""

import math
from dataclasses import replace

import pytest
import torch
from conftest import output

from textvae.objectives.schedules import Constant
from textvae.objectives.terms import Term

ROWS = {
    "posterior_kl": {"kind": "posterior_kl", "of": "a", "to": "z", "weight": 0.5},
    "match": {"kind": "match", "first": "z", "second": "a", "weight": 0.5},
    "batch_information": {"kind": "batch_information", "latent": "a", "weight": 0.5},
}
"""A specification of each kind for latents z and a of one size."""


def two_latents():
    """An output of two latents with means that have gradients, and those means."""
    kls = [torch.rand(4, 3).add(0.1).requires_grad_() for _ in range(2)]
    return output(kls), kls


def test_every_kind_has_a_row():
    assert {spec["kind"] for spec in ROWS.values()} == set(Term.kinds)


@pytest.mark.parametrize("spec", ROWS.values(), ids=ROWS)
def test_term_is_a_number_with_a_gradient(spec):
    out, kls = two_latents()
    value = Term.build(spec)(out, 5)
    assert value.shape == () and value.isfinite()
    gradients = torch.autograd.grad(value, kls, allow_unused=True)
    assert any(each is not None and each.abs().sum() > 0 for each in gradients)


@pytest.mark.parametrize("spec", ROWS.values(), ids=ROWS)
def test_a_number_is_a_constant_weight_of_a_term(spec):
    assert Term.build({**spec, "weight": 0.25}).weight == Constant(0.25)


@pytest.mark.parametrize("spec", ROWS.values(), ids=ROWS)
def test_term_of_a_latent_that_is_not_there_is_an_error(spec):
    with pytest.raises(ValueError, match="objective.terms: unknown"):
        Term.build(spec)(output(), 0)


def matched(scale=1.0, **changes):
    """The match of posteriors with the means 2 x a KL of each dimension, and these means."""
    spec = {"kind": "match", "first": "z", "second": "a", "scale": scale, **changes}
    out, kls = two_latents()
    return Term.build(spec)(out, 0), [(2 * kl).sqrt() for kl in kls]


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_match_is_the_mean_cross_entropy_of_both_directions(scale):
    value, (m, n) = matched(scale)
    scores = scale * m @ n.T
    forward = -(scores.diag() - scores.logsumexp(1)).mean()
    backward = -(scores.diag() - scores.logsumexp(0)).mean()
    assert not torch.allclose(forward, backward)
    torch.testing.assert_close(value, (forward + backward) / 2)


def test_match_does_not_depend_on_the_sample():
    torch.manual_seed(1)
    kls = [torch.rand(4, 3) for _ in range(2)]
    spec = {"kind": "match", "first": "z", "second": "a"}
    values = [Term.build(spec)(output(kls, samples=k), 0) for k in (1, 1, 3)]
    assert values[0] == values[1] == values[2]


@pytest.mark.parametrize(
    ("kls", "line"),
    [
        ([torch.rand(4, 3), torch.rand(4, 2)], r"of one size to match \(got 3 and 2\)"),
        ([torch.rand(1, 3), torch.rand(1, 3)], "at least two rows"),
    ],
)
def test_what_cannot_be_matched_is_named(kls, line):
    with pytest.raises(ValueError, match=line):
        Term.build(ROWS["match"])(output(kls), 0)


def informed(means, samples=1):
    """The negated term of a latent with these means and a posterior deviation of 1."""
    out = output([torch.as_tensor(means).square() / 2], samples=samples)
    return -Term.build({"kind": "batch_information"})(out, 0).item()


def test_information_of_a_batch_is_zero_for_equal_posteriors_and_at_most_its_ceiling():
    assert informed([[1.0, 2.0]] * 5) == pytest.approx(0.0, abs=1e-6)
    far = [[50.0 * row, 0.0] for row in range(8)]
    assert informed(far) == pytest.approx(math.log(8), abs=1e-5)


def test_information_of_a_batch_is_that_of_its_mixture():
    means = torch.tensor([[0.0], [2.0]])
    found = [informed(means, samples=20_000) for _ in range(3)]
    grid = torch.linspace(-10, 12, 20_001, dtype=torch.float64)
    each = torch.distributions.Normal(means.double(), 1.0).log_prob(grid)
    mixture = each.logsumexp(0) - math.log(2)
    exact = (each.exp() * (each - mixture)).mean(0).sum().item() * 22 / 20_000
    for value in found:
        assert value == pytest.approx(exact, abs=0.01)


def test_information_of_a_batch_needs_rows_and_a_latent_of_its_own():
    term = Term.build({"kind": "batch_information"})
    with pytest.raises(ValueError, match="needs two rows"):
        term(output([[[1.0]]]), 0)
    out = output([[[1.0], [2.0]]])
    drawn = replace(out.latents["z"], posterior=out.latents["z"].posterior.expand((3, 2)))
    with pytest.raises(ValueError, match="given encoders alone"):
        term(replace(out, latents={"z": drawn}), 0)
