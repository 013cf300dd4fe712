"""Categorical latents: sums over classes in place of samples, labels where they are known."""

import math

import pytest
import torch
from conftest import TEXT, VOCAB, Z, ids, vae
from torch.nn import functional as F

from textvae.evaluation.latent import information
from textvae.evaluation.likelihood import likelihood
from textvae.families import Family
from textvae.graph.model import VAEConfig
from textvae.objectives import Objective
from textvae.objectives.outputs import Latent
from textvae.registry import SpecError

Y = {"name": "y", "kind": "categorical", "field": "label", "given": ["text"]}
BAG = {"name": "text", "kind": "bag", "hidden": 6, "given": ["y"]}
OBSERVED = {"label": {"classes": 3}}


def classes(**changes):
    """y -> text, nothing else: its evidence is a sum over three classes."""
    return vae([TEXT], [{**Y, **changes}], [BAG], observed=OBSERVED)


def with_z(init_range=0.6, **changes):
    """M2: y and z -> text."""
    return vae(
        [TEXT],
        [{**Y, **changes}, {**Z, "given": ["text", "y"]}],
        [{**BAG, "given": ["y", "z"]}],
        observed=OBSERVED,
        init_range=init_range,
    )


def log_likelihoods(model, text):
    """log p(x | y) of each class, (3, B), one decoder call for each."""
    eye = torch.eye(3)
    said = [
        model.likelihoods({"y": eye[c].expand(1, len(text), 3)}, {}, len(text))["text"]
        for c in range(3)
    ]
    return torch.cat([found.log_prob(text) for found in said])


def loss(model, spec=None, **fields):
    objective = Objective.build(spec or {"kind": "elbo"}, sizes=model.sizes)
    return objective(model.infer(objective.samples, **fields), 0)


def test_probabilities_and_kl_are_those_of_the_logits():
    family = Family.build({"kind": "categorical", "dim": 4}, features=5)
    context = torch.randn(1, 6, 5)
    q = family(context)
    p = family.default_prior(q.batch_shape, context)
    log_q = family.head(context).log_softmax(-1)
    torch.testing.assert_close(q.log_prob(torch.eye(4)[:, None]), log_q[0].T)
    torch.testing.assert_close(p.mean, torch.full((1, 6, 4), 0.25))
    found = Latent(q.sample(), q, p).kl()
    torch.testing.assert_close(found, (log_q.exp() * (log_q + math.log(4))).sum(-1))


def test_one_class_and_two_numbers_of_classes_are_refused():
    for spec, given in [({"dim": 1}, {}), ({}, {}), ({"dim": 4}, {"classes": 3})]:
        with pytest.raises(ValueError, match="classes"):
            Family.build({"kind": "categorical", **spec}, features=5, **given)


def test_the_bound_sums_over_classes_and_the_likelihood_is_exact():
    model, text = classes(), ids(3, 5, 1, 4)
    said = log_likelihoods(model, text)
    log_q = model.encode(text=text)["y"].logits.T
    evidence = torch.logsumexp(said, 0) - math.log(3)
    bound = (log_q.exp() * (said - log_q - math.log(3))).sum(0)
    for samples in (1, 2):
        found = likelihood(model, [{"text": text}], samples=samples)
        torch.testing.assert_close(found.nll.float(), -evidence)
        torch.testing.assert_close(found.elbo.float(), bound)
        out = model.infer(samples, text=text)
        assert out.log_weight.shape == (3 * samples, 4)
        torch.testing.assert_close(out.expected(torch.ones(3 * samples, 4)), torch.ones(4))
    torch.testing.assert_close(loss(model, text=text).value, -bound.mean())
    exact = loss(model, {"kind": "importance_weighted", "samples": 2}, text=text)
    torch.testing.assert_close(exact.value, -evidence.mean())


def test_with_a_continuous_latent_the_likelihood_rises_to_the_same_whatever_the_chunks():
    # Small weights: the posterior of an untrained encoder is then no bad variational_parameters.
    model, text = with_z(0.3), ids(3, 5, 1, 4)
    # log p(x) = log sum_y p(y) E_z p(x | y, z), by many samples of the prior.
    values = model.sample_prior(20_000)["z"].transpose(0, 1)
    total = []
    for label in torch.eye(3):
        given = {"y": label.expand(20_000, 4, 3), "z": values.expand(-1, 4, -1)}
        said = model.likelihoods(given, {}, 4)["text"].log_prob(text)
        total.append(said.logsumexp(0) - math.log(20_000))
    evidence = torch.stack(total).logsumexp(0) - math.log(3)
    for rows in (1000, 100_000):
        found = likelihood(model, [{"text": text}], samples=4000, max_rows=rows)
        torch.testing.assert_close(found.nll.float(), -evidence, atol=0.04, rtol=0)
        assert (found.elbo <= -found.nll).all()


def test_a_known_label_leaves_no_doubt_and_counts_in_training_only():
    model, text = classes().train(), ids(3, 5, 1, 4)
    label = torch.tensor([2, -1, 0, -1])
    said, log_q = log_likelihoods(model, text), model.encode(text=text)["y"].logits.T
    joint = said - math.log(3)
    unlabelled = (log_q.exp() * (joint - log_q)).sum(0)
    expected = torch.where(label >= 0, joint[label, range(4)], unlabelled)
    out = model.infer(text=text, label=label)
    torch.testing.assert_close(out.expected(out.total_log_likelihood - out.kl), expected)
    evidence = torch.where(label >= 0, joint[label, range(4)], joint.logsumexp(0))
    torch.testing.assert_close(out.log_weight.logsumexp(0) - math.log(3), evidence)
    held_out = model.eval().infer(text=text, label=label)
    torch.testing.assert_close(
        held_out.expected(held_out.total_log_likelihood - held_out.kl), unlabelled
    )


def test_gradients_are_those_of_the_exact_bound_also_where_labels_are_known():
    model, text = classes().train(), ids(3, 5, 1, 4)
    label = torch.tensor([2, -1, -1, -1])
    loss(model, text=text, label=label).value.backward()
    found = model.latents["y"].head.weight.grad.clone()
    assert found.isfinite().all() and found.abs().sum() > 0
    model.zero_grad()
    log_q = model.encode(text=text)["y"].logits.T
    joint = log_likelihoods(model, text) - math.log(3)
    bound = (log_q.exp() * (joint - log_q)).sum(0)
    # A text with a label says nothing to q(y | x) but through `label_weight`.
    (-bound[1:].sum() / 4).backward()
    torch.testing.assert_close(model.latents["y"].head.weight.grad, found)


def test_the_label_weight_adds_the_cross_entropy_of_known_labels():
    model, text = with_z(label_weight=2.5).train(), ids(3, 5, 1, 4)
    model.objective = Objective.build({"kind": "elbo"}, sizes=model.sizes)
    label = torch.tensor([2, -1, 0, -1])
    torch.manual_seed(0)
    said = model(0, text=text, label=label)
    logits = model.encode(text=text)["y"].logits
    expected = F.cross_entropy(logits[[0, 2]], label[[0, 2]]) * 2 / 4
    torch.testing.assert_close(said.terms["label_y"], expected.detach())
    torch.manual_seed(0)
    bound = model.objective(model.infer(text=text, label=label), 0).value
    torch.testing.assert_close(said.value, bound + 2.5 * expected)
    assert "label_y" not in model(0, text=text).terms


def test_a_latent_weight_multiplies_its_kl_alone():
    model, text = with_z(), ids(3, 5)
    torch.manual_seed(0)
    plain = loss(model, text=text)
    torch.manual_seed(0)
    out = model.infer(text=text)
    spec = {"kind": "elbo", "latent_weights": {"z": 10.0}}
    found = Objective.build(spec)(out, 0)
    extra = out.expected(out.latents["z"].kl()).mean()
    assert extra > 0.1
    torch.testing.assert_close(found.value, plain.value + 9 * extra)
    torch.testing.assert_close(found.terms["kl"], plain.terms["kl"])
    with pytest.raises(ValueError, match=r"latent_weights: unknown 'q' .*known: y, z"):
        Objective.build({"kind": "elbo", "latent_weights": {"q": 1.0}})(out, 0)


def test_samples_of_a_posterior_are_drawn_and_information_is_bounded():
    model, text = with_z(), ids(*[3, 5, 1, 4] * 5)
    drawn = model.draw(model.read({"text": text}), 2000, len(text))
    assert drawn["y"].value.shape == (2000, 20, 3) and not drawn["y"].enumerated
    share = drawn["y"].value.mean(0)
    torch.testing.assert_close(share, drawn["y"].posterior.mean[0], atol=0.06, rtol=0)
    found = information(model, {"text": model.read({"text": text})["text"].pooled})
    assert 0 < found.mutual_information <= math.log(20) and found.kls is None


def test_the_prior_can_be_asked_for_a_class():
    wanted = torch.eye(3)[[2, 0, 2]][None]
    drawn = with_z().sample_prior(3, {"y": wanted})
    assert torch.equal(drawn["y"], wanted) and drawn["z"].shape == (1, 3, 3)
    free = with_z().sample_prior(3000)["y"]
    torch.testing.assert_close(free.mean(1), torch.full((1, 3), 1 / 3), atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        ([{**Z, "field": "label"}], "a gaussian latent takes no label"),
        ([{**Y, "label_weight": -1.0}], "label_weight"),
        ([{**Y, "field": 3}], "field: must be a name"),
        ([{**Y, "field": "topic"}], r"no label field 'topic' \(it has: label\)"),
        (
            [
                {
                    "name": "y",
                    "kind": "categorical",
                    "dim": 3,
                    "label_weight": 1.0,
                    "given": ["text"],
                }
            ],
            "label_weight: needs the field",
        ),
        ([Y, {**Y, "name": "u"}], r"one categorical latent at most \(got y, u\)"),
    ],
)
def test_graphs_that_make_no_sense_are_refused(latents, message):
    with pytest.raises(SpecError, match=message):
        vae([TEXT], latents, [{**BAG, "given": [latents[0]["name"]]}], observed=OBSERVED)


@pytest.mark.parametrize("kind", ["mmd", "adversarial", "mutual_information"])
def test_objectives_that_do_not_weigh_classes_are_refused(kind):
    with pytest.raises(ValueError, match="'y' is categorical; elbo sums over its classes"):
        loss(with_z(), {"kind": kind}, text=ids(3, 5), label=torch.tensor([0, 2]))


def test_refinement_of_classes_is_refused():
    config = {"encoders": [TEXT], "latents": [Y], "decoders": [BAG], "vocab_size": VOCAB}
    with pytest.raises(SpecError, match="y is categorical"):
        vae(**{k: config[k] for k in ("encoders", "latents", "decoders")}, refinement={})
    assert VAEConfig(**config).nodes("latents")[0]["field"] == "label"
