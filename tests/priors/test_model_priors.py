"""Priors in a model: learned, fitted, sampled, saved, refused."""

import pytest
import torch
from conftest import GRAPHS, Z, fields_of, ids, vae
from support.families import sizes_of
from support.graphs import saved_and_loaded, weights_of

from textvae.evaluation.latent import fit_priors
from textvae.families import Family
from textvae.objectives.elbo import ELBO
from textvae.registry import SpecError

# The same sums in another batch layout: float32 rounding of a few dozen nats.


def test_a_prior_that_is_given_nothing_is_the_default_one_until_it_learns():
    model = vae(**GRAPHS["free prior"])
    fields = fields_of(model, 4, 6)
    latent = model.infer(2, **fields).latents["z"]
    default = model.latents["z"].default_prior(latent.posterior.batch_shape, latent.value)
    assert torch.equal(latent.prior.mean, default.mean)
    assert torch.equal(latent.prior.stddev, default.stddev)
    assert model.prior_scale("z").tolist() == [1.0, 1.0, 1.0]
    torch.nn.init.normal_(model.priors["z"].bias)
    mean, log_variance = model.priors["z"].bias.detach().chunk(2)
    latent = model.infer(2, **fields).latents["z"]
    assert torch.equal(latent.prior.mean[0, 0], mean)
    torch.testing.assert_close(latent.prior.stddev[0, 0], (log_variance / 2).exp())
    torch.testing.assert_close(model.prior_scale("z"), (log_variance / 2).exp())
    values = model.sample_prior(4000)["z"]
    assert ((values.mean(1) - mean).abs() < 5 * model.prior_scale("z") / 4000**0.5).all()


UNLEARNABLE = {kind for kind, family in Family.kinds.items() if not family.learnable}


@pytest.mark.parametrize("kind", sorted(UNLEARNABLE))
def test_a_prior_without_a_density_to_learn_is_refused(kind):
    latent = {**Z, "kind": kind, "prior": {"given": []}}
    with pytest.raises(SpecError, match=f"the prior of a {kind} latent cannot be learned"):
        vae(**GRAPHS["vae"] | {"latents": [latent]})


@pytest.mark.parametrize("kind", sorted(Family.kinds.keys() - UNLEARNABLE))
def test_a_free_prior_of_every_other_family_learns(kind):
    latent = {"name": "z", "kind": kind, "given": ["text"], "prior": {"given": []}}
    latent |= sizes_of(kind)
    model = vae(**GRAPHS["vae"] | {"latents": [latent]})
    model.objective = ELBO()
    model(0, **fields_of(model, 4, 6)).value.backward()
    gradient = model.priors["z"].bias.grad
    assert gradient.isfinite().all() and gradient.abs().max() > 0


def test_a_fitted_prior_is_the_default_one_until_it_has_the_moments_of_the_posteriors():
    model = vae(**GRAPHS["fitted prior"])
    fields = fields_of(model, 4, 6, 5, 3)
    before = model.infer(2, **fields).latents["z"]
    default = model.latents["z"].default_prior(before.posterior.batch_shape, before.value)
    assert torch.equal(before.prior.stddev, default.stddev) and model.prior_scale("z") == 1.0
    fit_priors(model, [fields, fields])
    q = model.encode(**fields)["z"]
    latent = model.infer(4000, **fields).latents["z"]
    prior = latent.prior
    assert prior.batch_shape == latent.posterior.batch_shape
    torch.testing.assert_close(prior.mean[0, 0], q.mean.mean(0))
    covariance = q.mean.T.cov(correction=0) + q.variance.mean(0).diag()
    torch.testing.assert_close(prior.covariance_matrix[0, 0], covariance)
    torch.testing.assert_close(model.prior_scale("z"), covariance.diag().sqrt())
    ratio = latent.log_ratio()
    error = ratio.std(0) / len(ratio) ** 0.5
    assert ((ratio.mean(0) - latent.kl()[0]).abs() < 5 * error).all()
    values = model.sample_prior(4000)["z"][0]
    error = model.prior_scale("z") / 4000**0.5
    assert ((values.mean(0) - q.mean.mean(0)).abs() < 5 * error).all()
    torch.testing.assert_close(
        values.T.cov(), covariance, atol=0.15 * covariance.max().item(), rtol=0
    )


def test_a_fitted_prior_is_saved(tmp_path):
    model = vae(**GRAPHS["fitted prior"])
    fields = fields_of(model, 4, 6, 5)
    fit_priors(model, [fields])
    loaded = saved_and_loaded(model, tmp_path)
    assert torch.equal(weights_of(loaded, fields), weights_of(model.eval(), fields))
    assert loaded.priors["z"].fitted


def test_no_prior_is_fitted_to_what_is_no_gaussian():
    latent = {**Z, "kind": "vmf", "prior": {"fitted": True}}
    with pytest.raises(SpecError, match="no prior is fitted to vmf latents"):
        vae(**GRAPHS["vae"] | {"latents": [latent]})


def test_samples_of_the_prior():
    values = vae(**GRAPHS["vae"]).sample_prior(4000)["z"]
    assert values.shape == (1, 4000, 3)
    # Five standard errors of a mean and of a variance of standard normals.
    assert values.mean(1).abs().max() < 5 / 4000**0.5
    assert (values.var(1) - 1).abs().max() < 5 * (2 / 4000) ** 0.5


def test_samples_of_a_learned_prior_are_as_many_as_asked():
    model = vae(**GRAPHS["learned prior"])
    context = {"context": ids(4)}
    values = model.sample_prior(4000, **context)["z"]
    assert values.shape == (1, 4000, 3)
    prior = model.priors["z"](model.read(context)["context"].pooled)
    error = prior.stddev / 4000**0.5
    assert ((values.mean(1) - prior.mean).abs() < 5 * error).all()
    assert vae(**GRAPHS["hierarchy"]).sample_prior(5)["z"].shape == (1, 5, 2)
