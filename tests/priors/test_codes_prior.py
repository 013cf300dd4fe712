"""The prior over codes: exact, sampled, listed, and trained beside the model."""

import math

import pytest
import torch
from conftest import TEXT, fields_of, vae

from textvae.families import Family
from textvae.graph.model import VAE
from textvae.objectives import Objective
from textvae.priors import Prior
from textvae.registry import SpecError

CODES = {"kind": "vq", "codes": 2, "size": 4, "code_dim": 3}
PRIOR = {"kind": "codes", "hidden_size": 5}
LATENT = {"name": "z", "given": ["text"], **CODES}


def prior_with_weights(features=0, **changes):
    """A prior whose weights are drawn, so that no two codes are alike."""
    torch.manual_seed(2)
    family = Family.build({**CODES, **changes}, features=6).eval()
    prior = Prior.build(PRIOR, features=features, family=family).eval()
    with torch.no_grad():
        for weight in prior.parameters():
            weight.normal_()
    return prior, family


def all_codes(family):
    numbers = torch.cartesian_prod(*[torch.arange(family.size)] * family.codes)
    return family.vectors(numbers.view(-1, family.codes))


@pytest.mark.parametrize("codes", [1, 2, 3])
def test_probability_of_all_codes_is_one(codes):
    prior, family = prior_with_weights(features=2, codes=codes)
    density = prior(torch.randn(5, 2)).log_prob(all_codes(family)[:, None]).exp()
    torch.testing.assert_close(density.sum(0), torch.ones(5))
    assert density.std(0).min() > 0


def test_all_codes_are_alike_before_training():
    family = Family.build(CODES, features=6).eval()
    model = vae([TEXT], [{**LATENT, "prior": PRIOR}], [{**TEXT, "given": ["z"]}]).eval()
    for prior in (Prior.build(PRIOR, features=0, family=family), model.priors["z"]):
        value = all_codes(prior.family)
        found = prior(torch.zeros(0)).log_prob(value)
        torch.testing.assert_close(found, torch.full((16,), -2 * math.log(4)))


def test_frequencies_of_samples_are_probabilities():
    prior, family = prior_with_weights(features=2)
    p = prior(torch.randn(1, 2))
    drawn = p.expand((20_000, 1)).sample()
    value = all_codes(family)
    found = (drawn == value).all(-1).float().mean(0)
    expected = p.log_prob(value).exp()
    error = (expected * (1 - expected) / 20_000).sqrt()
    assert ((found - expected).abs() < 5 * error + 1e-6).all()


@pytest.mark.parametrize("codes", [1, 2])
def test_likeliest_codes_are_the_best_of_all(codes):
    prior, family = prior_with_weights(features=2, codes=codes)
    context = torch.randn(3, 2)
    values, log_probs = prior(context).likeliest(3)
    assert values.shape == (3, 3, family.dim)
    every = prior(context).log_prob(all_codes(family)[:, None]).T
    torch.testing.assert_close(log_probs, every.topk(3).values)
    torch.testing.assert_close(prior(context[:, None]).log_prob(values), log_probs)
    assert prior(context).likeliest(100)[0].shape[1] == 4**codes


def test_dropout_is_of_training_alone():
    family = Family.build(CODES, features=6).eval()
    prior = Prior.build({**PRIOR, "dropout": 0.5}, features=0, family=family)
    torch.nn.init.normal_(prior.output)
    value = all_codes(family)

    def density():
        return prior(torch.zeros(0)).log_prob(value)

    assert not torch.equal(density(), density())
    prior.eval()
    assert torch.equal(density(), density())


def gradients(prior):
    """Gradients of a step of the same model under a prior, by the name of the weight."""
    torch.manual_seed(5)
    own = {"name": "own", "kind": "lstm", "field": "text", "hidden": 4}
    latent = {**LATENT, **({} if prior is None else {"prior": prior})}
    model = vae([TEXT, own], [latent], [{**TEXT, "given": ["z"]}])
    torch.manual_seed(6)
    for name, weight in model.named_parameters():
        torch.nn.init.normal_(weight, std=0.3, generator=torch.Generator().manual_seed(len(name)))
    model.objective = Objective.build({"kind": "elbo"})
    model.train()
    torch.manual_seed(7)
    model(0, **fields_of(model, 3, 5, 2, 4)).value.backward()
    return {name: weight.grad for name, weight in model.named_parameters()}


@pytest.mark.parametrize("prior", [PRIOR, {**PRIOR, "given": ["own"]}])
def test_the_prior_learns_beside_the_model_without_touching_it(prior):
    without, beside = gradients(None), gradients(prior)
    for name, grad in without.items():
        if not name.startswith("encoders.own"):
            assert torch.equal(grad, beside[name]), name
    own = [name for name in beside if name.startswith("priors")]
    own += [name for name in beside if name.startswith("encoders.own") and "given" in prior]
    assert len(own) >= 8 and all(beside[name].abs().sum() > 0 for name in own)


def test_kl_is_the_cross_entropy_of_the_prior():
    model = vae([TEXT], [{**LATENT, "prior": PRIOR}], [{**TEXT, "given": ["z"]}]).eval()
    torch.nn.init.normal_(model.priors["z"].output)
    latent = model.infer(samples=3, **fields_of(model, 3, 5)).latents["z"]
    torch.testing.assert_close(latent.kl(), -latent.prior.log_prob(latent.value))
    drawn, family = model.sample_prior(7)["z"], model.latents["z"]
    assert drawn.shape == (1, 7, 6) and torch.equal(family.project(drawn), drawn)


def test_a_saved_prior_is_the_same(tmp_path):
    model = vae([TEXT], [{**LATENT, "prior": PRIOR}], [{**TEXT, "given": ["z"]}]).eval()
    torch.nn.init.normal_(model.priors["z"].output)
    model.save_pretrained(tmp_path)
    fields = fields_of(model, 3, 5)
    loaded = VAE.from_pretrained(tmp_path)
    assert torch.equal(loaded.infer(**fields).kl, model.infer(**fields).kl)


def test_a_latent_without_a_codebook_is_refused():
    latent = {"name": "z", "kind": "gaussian", "dim": 2, "given": ["text"], "prior": PRIOR}
    with pytest.raises(SpecError, match=r"a codes prior needs a vq latent \(got gaussian\)"):
        vae([TEXT], [latent], [{**TEXT, "given": ["z"]}])
