"""Terms: each is a number in nats that follows the posteriors and is added to any objective."""

import pytest
import torch
from conftest import output

from textvae.objectives.schedules import Constant
from textvae.objectives.terms import Term

ROWS = {"posterior_kl": {"kind": "posterior_kl", "of": "a", "to": "z", "weight": 0.5}}
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
