"""The classes of a categorical latent: in use, in its prior, and in the sparse forms of it."""

from dataclasses import asdict

import pytest
import torch
from conftest import GRAPHS, vae
from torch.nn import functional as F

from textvae.evaluation.sparse_priors import code_metrics, codes_of, sparse_prior_samples
from textvae.layers.sparsification import SPARSIFIERS
from textvae.objectives.elbo import ELBO, usage_entropy

X = {"kind": "mlp", "hidden": [8]}
OBSERVED = {"x": {"shape": [4]}, "label": {"classes": 2}}
CLASSES = 5


def model(given=("label",), **changes):
    prior = {"prior": {"given": list(given)}} if given is not None else {}
    z = {"name": "z", "kind": "categorical", "dim": CLASSES, "given": ["x", "label"]} | prior
    return vae(
        [{"name": "x", **X}, {"name": "label", "kind": "label"}],
        [z | changes],
        [{"name": "x", **X, "likelihood": {"kind": "gaussian"}, "given": ["z"]}],
        observed=OBSERVED,
        init_range=2.0,
    )


def batches():
    return [
        {"x": 3 * torch.randn(20, 4), "label": torch.arange(20) % 2},
        {"x": 3 * torch.randn(7, 4), "label": torch.ones(7).long()},
    ]


def test_figures_are_those_of_priors_and_aggregate_posteriors():
    aggregate = torch.tensor([[0.6, 0.4, 0.0], [0.0, 0.995, 0.005]])
    logits = torch.tensor([[0.5, 0.4, 0.1], [0.01, 0.98, 0.01]]).log()
    codes = codes_of(torch.tensor([0.4, 0.595, 0.005]), aggregate, logits)
    assert (codes.used, codes.modes) == (2, 1.5)
    assert (codes.softmax_kept, codes.evidential_kept) == (3.0, 1.5)
    assert (codes.softmax_missed, codes.evidential_missed) == (0.0, 0.0)
    assert codes.softmax_variation == pytest.approx((0.1 + 0.015) / 2)
    assert codes.evidential_variation == pytest.approx((0.6 - 5 / 9 + 0.005) / 2)
    gain = codes.sparsemax_variation - codes.evidential_variation
    assert codes.evidential_gain == pytest.approx(gain)


def test_conditions_are_the_labels_that_the_prior_is_given():
    net, rows = model(), batches()
    codes = code_metrics(net, rows)
    assert codes is not None
    x = torch.cat([batch["x"] for batch in rows])
    label = torch.cat([batch["label"] for batch in rows])
    posterior = net.encode(x=x, label=label)["z"].probs
    aggregate = torch.stack([posterior[label == y].mean(0) for y in (0, 1)])
    logits = net.priors["z"](F.one_hot(torch.arange(2)).float()).logits
    assert asdict(codes) == pytest.approx(asdict(codes_of(posterior.mean(0), aggregate, logits)))


@pytest.mark.parametrize(
    "net",
    [lambda: model(None), lambda: model(["x"]), lambda: vae(**GRAPHS["vae"])],
    ids=["default prior", "a prior of each row", "no categorical latent"],
)
def test_other_models_have_none(net):
    assert code_metrics(net(), batches()) is None


def test_a_learned_prior_is_one_condition():
    codes = code_metrics(model([]), batches())
    assert codes is not None and codes.softmax_kept == CLASSES


@pytest.mark.parametrize("rule", SPARSIFIERS)
def test_samples_are_of_the_classes_that_are_kept(rule):
    net, label = model(), torch.ones(2000).long()
    values = sparse_prior_samples(net, 2000, rule, label=label)["z"]
    assert values.shape == (1, 2000, CLASSES)
    wanted = SPARSIFIERS[rule](net.priors["z"](torch.tensor([[0.0, 1.0]])).logits)[0]
    share = values[0].mean(0)
    error = (wanted * (1 - wanted) / 2000).sqrt()
    # Five standard errors: one test in a million fails by chance.
    assert ((share - wanted).abs() <= 5 * error + 1e-6).all()


def test_what_has_no_sparse_prior_is_refused():
    with pytest.raises(ValueError, match="rule: unknown 'evident'"):
        sparse_prior_samples(model(), 3, "evident", label=torch.zeros(3).long())
    with pytest.raises(ValueError, match="the first latent must be categorical"):
        sparse_prior_samples(vae(**GRAPHS["vae"]), 3)


def test_usage_is_the_entropy_of_the_mean_posterior():
    net = model()
    (fields, _) = batches()
    out = net.infer(1, **fields)
    mean = out.latents["z"].posterior.probs[0].mean(0)
    entropy = torch.distributions.Categorical(mean).entropy()
    torch.testing.assert_close(usage_entropy(out), entropy)
    plain, used = ELBO()(out, 0), ELBO(usage=2.0)(out, 0)
    torch.testing.assert_close(used.value, plain.value - 2 * entropy)
    torch.testing.assert_close(used.terms["usage"], entropy)
    assert "usage" not in plain.terms
    texts = vae(**GRAPHS["vae"])
    with pytest.raises(ValueError, match="usage needs a categorical latent"):
        ELBO(usage=2.0)(texts.infer(1, text=torch.tensor([[1, 5, 2]])), 0)
