"""Codes drawn with straight-through Gumbel-softmax."""

import math

import pytest
import torch
from conftest import TEXT, Z, fields_of, ids, standard_error, vae
from torch.distributions import OneHotCategorical, kl_divergence

from textvae.families import Family
from textvae.objectives import Objective
from textvae.registry import SpecError

SPEC = {"kind": "gumbel", "codes": 2, "size": 3}
CODES = {"name": "c", "given": ["text"], **SPEC}
LABELLED = {"name": "y", "kind": "gumbel", "field": "label", "given": ["text"]}


def graph(latent, **settings):
    return vae([TEXT], [latent], [{**TEXT, "given": [latent["name"]]}], **settings)


def test_samples_are_one_hot_and_as_frequent_as_their_probability():
    q = Family.build({**SPEC, "temperature": 0.4}, features=5)(2 * torch.randn(4, 5))
    value = q.expand((20_000, 4)).rsample()
    each = value.unflatten(-1, (2, 3))
    assert torch.equal(each.sum(-1), torch.ones(20_000, 4, 2))
    assert set(value.unique().tolist()) == {0.0, 1.0}
    found = standard_error(value)
    assert ((found.mean - q.mean).abs() <= 5 * found.error + 1e-6).all()


def test_the_density_and_the_kl_are_those_of_independent_categoricals():
    family = Family.build(SPEC, features=5)
    q, p = family(2 * torch.randn(6, 5)), family(torch.randn(6, 5))
    parts = [
        [OneHotCategorical(logits=logits) for logits in each.logits.split(3, -1)] for each in (q, p)
    ]
    value = q.sample()
    expected = sum(d.log_prob(v) for d, v in zip(parts[0], value.split(3, -1), strict=True))
    torch.testing.assert_close(q.log_prob(value), expected)
    expected = sum(kl_divergence(a, b) for a, b in zip(*parts, strict=True))
    torch.testing.assert_close(kl_divergence(q, p), expected)
    uniform = family.default_prior(q.batch_shape, value)
    torch.testing.assert_close(uniform.log_prob(value), torch.full((6,), -2 * math.log(3)))


def test_the_gradient_is_that_of_the_relaxed_sample():
    logits = torch.randn(4, 6, requires_grad=True)
    q = Family.build({**SPEC, "temperature": 0.7}, features=5).distribution(logits)
    direction = torch.randn(4, 6)
    torch.manual_seed(1)
    (found,) = torch.autograd.grad((q.rsample() * direction).sum(), logits)
    torch.manual_seed(1)
    noise = -(-torch.rand(4, 2, 3).log()).log()
    relaxed = ((logits.unflatten(-1, (2, 3)).log_softmax(-1) + noise) / 0.7).softmax(-1)
    (expected,) = torch.autograd.grad((relaxed.flatten(1) * direction).sum(), logits)
    torch.testing.assert_close(found, expected)


def test_the_point_estimate_is_the_most_probable_class_of_each_code():
    family = Family.build(SPEC, features=5)
    q = family.distribution(torch.tensor([[0.1, 0.3, 0.2, 4.0, 0.0, 5.0]]))
    expected = torch.tensor([[0.0, 1, 0, 0, 0, 1]])
    assert torch.equal(family.point_estimate(q), expected)
    assert torch.equal(family.project(q.logits), expected)


def test_other_nodes_see_the_vector_of_each_class_and_the_prior_has_none():
    latent = {**CODES, "embedding": 5, "prior": {"given": ["context"]}}
    model = vae(
        [{**TEXT, "name": "context"}, TEXT],
        [{**latent, "given": ["context", "text"]}],
        [{**TEXT, "given": ["c"]}],
    )
    family = model.latents["c"]
    assert model.shown["c"] == 10 and model.sizes["c"] == 6 and model.priors["c"].vectors is None
    value = torch.tensor([0.0, 1, 0, 0, 0, 1])
    expected = torch.cat([family.vectors[0, 1], family.vectors[1, 2]])
    torch.testing.assert_close(family.embed(value), expected)
    model.train().objective = Objective.build({"kind": "elbo"})
    model(0, **fields_of(model, 4, 6, 3)).value.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_a_known_label_fixes_the_code_in_training_only():
    model = graph({**LABELLED, "label_weight": 1.5}, observed={"label": {"classes": 3}})
    text, label = ids(3, 5, 1), torch.tensor([2, -1, 0])
    free = model.infer(4, text=text, label=label).latents["y"]
    out = model.train().infer(4, text=text, label=label)
    known = out.latents["y"]
    assert (known.value[:, [0, 2]] == torch.eye(3)[[2, 0]]).all()
    torch.testing.assert_close(known.kl()[:, [0, 2]], torch.full((4, 2), math.log(3)))
    torch.testing.assert_close(known.kl()[:, 1], free.kl()[:, 1])
    expected = torch.log_softmax(model.encode(text=text)["y"].logits, -1)[[0, 2], [2, 0]]
    torch.testing.assert_close(out.auxiliary["label_y"][0, [0, 2]], expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": None}, "at least 2 classes"),
        ({"size": 1}, "greater than or equal to 2"),
        ({"temperature": 0.0}, "greater than 0"),
        ({"field": "label"}, "a label fixes one code"),
        ({"field": "label", "codes": 1, "size": 4}, "size is 4, and the label has 3 classes"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        graph({**CODES, **changes}, observed={"label": {"classes": 3}})


def test_codes_of_a_gaussian_parent_are_given_it():
    model = vae(
        [TEXT],
        [{**Z, "name": "z"}, {**CODES, "given": ["text", "z"], "prior": {"given": ["z"]}}],
        [{**TEXT, "given": ["z", "c"]}],
    )
    assert model.sample_prior(7)["c"].sum(-1).eq(2).all()
    assert model.infer(3, text=ids(4, 2)).kl.isfinite().all()
