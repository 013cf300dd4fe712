"""The mixture prior of a label: a density for each class, a classifier, a posterior left free."""

import math

import pytest
import torch
from conftest import vae
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn import functional as F

from textvae.evaluation.labels import class_probabilities
from textvae.families.gaussian import Gaussian
from textvae.graph.model import VAE
from textvae.objectives.elbo import ELBO
from textvae.priors import Prior
from textvae.registry import SpecError

OBSERVED = {"x": {"shape": [4]}, "label": {"classes": 3}}
X = {"kind": "mlp", "hidden": [8]}
LABELS = torch.tensor([0, 2, -1, 1])
Z = {"name": "z", "kind": "gaussian", "dim": 2, "field": "label", "label_weight": 7.0}


def model(prior=None, **changes) -> VAE:
    prior = prior or {"kind": "class_mixture", "components": 2}
    return vae(
        [{"name": "x", **X}],
        [Z | {"given": ["x"], "prior": prior} | changes],
        [{"name": "x", **X, "likelihood": {"kind": "gaussian"}, "given": ["z"]}],
        observed=OBSERVED,
    )


@pytest.fixture
def fields():
    return {"x": torch.randn(4, 4), "label": LABELS}


def prior_of(dim: int) -> Prior:
    family = Gaussian(features=1, dim=dim)
    spec = {"kind": "class_mixture", "components": 2}
    return Prior.build(spec, features=0, family=family, classes=3)


def test_the_density_of_a_class_is_that_of_its_components():
    prior, value = prior_of(3), torch.randn(5, 3)
    for label in range(3):
        parts = [
            Independent(Normal(mean, 1.0), 1).log_prob(value) - math.log(2)
            for mean in prior.means[label]
        ]
        found = prior.of_classes(torch.full((5,), label)).log_prob(value)
        torch.testing.assert_close(found, torch.stack(parts).logsumexp(0))


def test_a_missing_label_leaves_all_classes_alike():
    prior, value = prior_of(3), torch.randn(4, 3)
    each = [prior.of_classes(torch.full((4,), label)).log_prob(value) for label in range(3)]
    whole = prior(torch.zeros(4, 0)).log_prob(value)
    torch.testing.assert_close(whole, torch.stack(each).logsumexp(0) - math.log(3))
    found = prior.of_classes(LABELS).log_prob(value)
    torch.testing.assert_close(found[2], whole[2])
    torch.testing.assert_close(found[1], each[2][1])


def test_the_classifier_follows_bayes_rule():
    prior, value = prior_of(3), torch.randn(2, 4, 3)
    whole = prior(torch.zeros(4, 0)).log_prob(value)
    each = [prior.of_classes(torch.full((4,), label)).log_prob(value) for label in range(3)]
    posterior = torch.stack(each, -1) - math.log(3) - whole[..., None]
    torch.testing.assert_close(prior.class_logits(value).log_softmax(-1), posterior)
    found = prior.label_log_prob(value, LABELS)
    wanted = posterior.gather(-1, LABELS.clamp(min=0).expand(2, 4)[..., None])[..., 0]
    torch.testing.assert_close(found, torch.where(LABELS >= 0, wanted, 0.0))


def test_distances_are_to_the_nearest_mean_of_each_class():
    prior, value = prior_of(3), torch.randn(2, 5, 3)
    wanted = torch.cdist(value.flatten(0, 1), prior.means.flatten(0, 1)).unflatten(-1, (3, 2))
    torch.testing.assert_close(prior.distances(value), wanted.amin(-1).unflatten(0, (2, 5)))


def test_a_label_chooses_the_prior_in_training_and_not_the_posterior(fields):
    net = model().train()
    torch.manual_seed(0)
    told = net.infer(samples=3, **fields).latents["z"]
    torch.manual_seed(0)
    free = net.infer(samples=3, x=fields["x"]).latents["z"]
    assert kl_divergence(told.posterior, free.posterior).abs().max() == 0
    wanted = net.priors["z"].of_classes(LABELS).log_prob(told.value)
    torch.testing.assert_close(told.prior.log_prob(told.value), wanted)
    torch.testing.assert_close(
        told.prior.log_prob(told.value)[:, 2], free.prior.log_prob(free.value)[:, 2]
    )


def test_a_held_out_label_is_not_read(fields):
    net = model().eval()
    torch.manual_seed(0)
    told = net.infer(samples=3, **fields).log_weight
    torch.manual_seed(0)
    assert torch.equal(told, net.infer(samples=3, x=fields["x"]).log_weight)


def test_fixed_false_leaves_the_prior_alone(fields):
    latent = model(fixed=False).train().infer(samples=2, **fields).latents["z"]
    plain = model().eval()
    assert latent.prior.log_prob(latent.value).isfinite().all()
    net = model(fixed=False).train()
    value = net.infer(samples=2, **fields).latents["z"]
    wanted = net.priors["z"](torch.zeros(0)).log_prob(value.value)
    torch.testing.assert_close(value.prior.log_prob(value.value), wanted)
    assert plain.class_prior("z") is not None


def test_label_weight_is_the_cross_entropy_of_the_responsibilities(fields):
    net = model().train()
    net.objective = ELBO(samples=2)
    torch.manual_seed(0)
    loss = net(step=0, **fields)
    torch.manual_seed(0)
    out = net.infer(samples=2, **fields)
    logits = net.priors["z"].class_logits(out.latents["z"].value)
    known = LABELS >= 0
    each = [F.cross_entropy(logits[k][known], LABELS[known], reduction="sum") / 4 for k in (0, 1)]
    cross_entropy = torch.stack(each).mean()
    torch.testing.assert_close(loss.terms["label_z"], cross_entropy)
    torch.testing.assert_close(loss.value, ELBO(samples=2)(out, 0).value + 7 * cross_entropy)
    loss.value.backward()
    assert net.priors["z"].means.grad.abs().sum() > 0
    assert net.latents["z"].head.weight.grad.abs().sum() > 0


def test_the_predicted_class_is_that_of_the_posterior_mean(fields):
    net = model()
    found = class_probabilities(net, [fields])
    mean = net.encode(x=fields["x"])["z"].mean
    torch.testing.assert_close(found, net.priors["z"].class_logits(mean).softmax(-1))
    assert found.shape == (4, 3)


def test_the_model_is_saved_and_samples_from_all_classes(fields, tmp_path):
    net = model()
    net.save_pretrained(tmp_path)
    loaded = VAE.from_pretrained(tmp_path)
    assert torch.equal(loaded.priors["z"].means, net.priors["z"].means)
    assert net.sample_prior(6)["z"].shape == (1, 6, 2)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"prior": {"kind": "class_mixture", "components": 0}}, "latents.z.prior.components: "),
        ({"prior": {"kind": "mixture"}}, "latents.z.field: a gaussian latent takes no label"),
        (
            {"prior": {"kind": "class_mixture", "given": ["x"]}},
            "latents.z.prior: a class_mixture prior is given nothing but a label",
        ),
        ({"kind": "vmf"}, "latents.z.prior: the prior of a vmf latent is no mixture of Gaussians"),
        ({"field": "x"}, "latents.z: the data has no label field 'x'"),
    ],
)
def test_mistakes_in_a_class_mixture_are_one_line(changes, line):
    with pytest.raises(SpecError, match=line) as raised:
        model(**changes)
    assert len(raised.value.problems) == 1


def test_a_latent_without_a_label_is_refused():
    with pytest.raises(SpecError, match="needs a latent with the field of a label"):
        vae(
            [{"name": "x", **X}],
            [{"name": "z", "kind": "gaussian", "given": ["x"], "prior": {"kind": "class_mixture"}}],
            [{"name": "x", **X, "likelihood": {"kind": "gaussian"}, "given": ["z"]}],
            observed=OBSERVED,
        )
