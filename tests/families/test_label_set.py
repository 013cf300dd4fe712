"""Sets of labels as a latent: known ones are pinned, the others are drawn."""

import math

import pytest
import torch
from conftest import TEXT, Z, ids, vae
from torch.distributions import Bernoulli, kl_divergence

from textvae.families import Family
from textvae.registry import SpecError

OBSERVED = {"labels": {"label_set": 3}}
Y = {"name": "y", "kind": "label_set", "field": "labels", "given": ["text"]}
SETS = torch.tensor([[1.0, 0, 1], [-1, -1, -1], [0, 0, 0]])


def graph(**changes):
    return vae(
        [TEXT],
        [{**Y, **changes}, {**Z, "given": ["text", "y"]}],
        [{**TEXT, "given": ["y", "z"]}],
        observed=OBSERVED,
    )


def test_density_and_kl_are_those_of_bernoullis():
    family = Family.build({"kind": "label_set", "dim": 4}, features=5)
    q, p = family(2 * torch.randn(6, 5)), family(torch.randn(6, 5))
    each = [Bernoulli(logits=one.logits) for one in (q, p)]
    value = q.sample()
    torch.testing.assert_close(q.log_prob(value), each[0].log_prob(value).sum(-1))
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(*each).sum(-1))


def test_the_gradient_is_that_of_the_relaxed_bits():
    logits = torch.randn(4, 3, requires_grad=True)
    family = Family.build({"kind": "label_set", "dim": 3, "temperature": 0.7}, features=5)
    direction = torch.randn(4, 3)
    torch.manual_seed(1)
    value = family.distribution(logits).rsample()
    assert set(value.unique().tolist()) <= {0.0, 1.0}
    (found,) = torch.autograd.grad((value * direction).sum(), logits)
    torch.manual_seed(1)
    relaxed = ((logits + torch.rand(4, 3).logit()) / 0.7).sigmoid()
    (expected,) = torch.autograd.grad((relaxed * direction).sum(), logits)
    torch.testing.assert_close(found, expected)


def test_known_labels_are_pinned_in_training_only():
    model = graph(label_weight=1.5)
    fields = {"text": ids(3, 5, 1), "labels": SETS}
    free = model.infer(4, **fields).latents["y"]
    out = model.train().infer(4, **fields)
    known = out.latents["y"]
    assert (known.value[:, [0, 2]] == SETS[[0, 2]]).all()
    torch.testing.assert_close(known.kl()[:, [0, 2]], torch.full((4, 2), 3 * math.log(2)))
    torch.testing.assert_close(known.kl()[:, 1], free.kl()[:, 1])
    log_probs = Bernoulli(logits=model.encode(text=fields["text"])["y"].logits)
    expected = log_probs.log_prob(SETS.clamp(min=0)).sum(-1) * torch.tensor([1.0, 0, 1])
    torch.testing.assert_close(out.auxiliary["label_y"][0], expected)


def test_missing_sets_change_no_posterior():
    model = graph(label_weight=1.5).train()
    text = ids(3, 5, 1)
    torch.manual_seed(1)
    without = model.infer(2, text=text)
    torch.manual_seed(1)
    missing = model.infer(2, text=text, labels=torch.full((3, 3), -1.0))
    assert torch.equal(without.log_weight, missing.log_weight)
    assert not missing.auxiliary["label_y"].any()


def test_the_point_estimate_has_the_labels_that_are_likelier_than_not():
    family = Family.build({"kind": "label_set", "dim": 3}, features=5)
    q = family.distribution(torch.tensor([[0.1, -0.3, 4.0]]))
    assert torch.equal(family.point_estimate(q), torch.tensor([[1.0, 0, 1]]))


@pytest.mark.parametrize(
    ("changes", "observed", "message"),
    [
        ({"dim": 4}, OBSERVED, "dim is 4, and the set has 3 labels"),
        ({}, {"labels": {"classes": 3}}, "no label set field 'labels'"),
        ({"kind": "categorical"}, OBSERVED, "no label field 'labels'"),
        ({"kind": "gaussian"}, OBSERVED, "a gaussian latent takes no label"),
    ],
)
def test_fields_that_do_not_fit_are_refused(changes, observed, message):
    with pytest.raises(SpecError, match=message):
        vae([TEXT], [{**Y, **changes}], [{**TEXT, "given": ["y"]}], observed=observed)
