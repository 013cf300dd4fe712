"""`prior_weight`: log p(x | z) with z from the prior, in the training loss alone."""

import pytest
import torch
from conftest import GRAPHS, TEXT, fields_of, vae

from textvae.objectives.elbo import ELBO
from textvae.registry import SpecError

CONDITIONAL = GRAPHS["learned prior"]


def model_with(weight=None):
    decoder = {**CONDITIONAL["decoders"][0], "prior_weight": weight}
    torch.manual_seed(0)
    model = vae(**CONDITIONAL | {"decoders": [decoder]})
    model.objective = ELBO()
    return model.train()


def test_the_term_is_the_loss_under_a_sample_of_the_prior():
    model = model_with(2.0)
    fields = fields_of(model, 3, 0, 5)
    torch.manual_seed(1)
    out = model.infer(**fields)
    found = out.auxiliary["answer_prior"]
    torch.manual_seed(1)
    model.draw(model.read(fields), 1, 3)  # the posterior's noise comes first
    features = model.read(fields)
    values = model.prior_values(features, 3)
    expected = model.likelihoods(values, features, 3)["answer"].log_prob(fields["answer"])
    torch.testing.assert_close(found, expected)
    assert found.shape == (1, 3) and model.eval().infer(**fields).auxiliary == {}


def test_the_weight_counts_and_changes_no_other_term():
    losses = {}
    for weight in (None, 1.0, 3.0):
        model = model_with(weight)
        torch.manual_seed(1)
        losses[weight] = model(0, **fields_of(model, 3, 0, 5))
    term = losses[1.0].terms["answer_prior"]
    assert term > 0 and "answer_prior" not in losses[None].terms
    for weight in (1.0, 3.0):
        torch.testing.assert_close(losses[weight].value, losses[None].value + weight * term)
        assert losses[weight].terms["elbo"] == losses[None].terms["elbo"]


def test_the_prior_learns_from_the_term_and_the_posterior_does_not():
    model = model_with(1.0)
    out = model.infer(**fields_of(model, 3, 0, 5))
    out.auxiliary["answer_prior"].sum().backward()
    parts = {"priors.z": True, "decoders.answer": True, "latents.z": False}
    for part, learns in parts.items():
        gradients = [each.grad for each in model.get_submodule(part).parameters()]
        assert all((g is not None and g.abs().sum() > 0) == learns for g in gradients), part


def test_a_model_without_latents_has_the_term_too():
    model = vae(decoders=[{**TEXT, "prior_weight": 1.0}]).train()
    out = model.infer(**fields_of(model, 3))
    torch.testing.assert_close(out.auxiliary["text_prior"], out.log_likelihood["text"])


@pytest.mark.parametrize("weight", [0, -1.0, "much"])
def test_weights_that_are_none_are_refused(weight):
    with pytest.raises(SpecError, match=r"decoders.answer.prior_weight"):
        model_with(weight)
