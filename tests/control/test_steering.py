"""Steering: log q(label | z), coordinates of the prior, and Langevin dynamics."""

import numpy as np
import pytest
import torch
from conftest import GRAPHS, Z, vae
from torch.distributions import Normal

from textvae.control.steering import (
    fit_labels,
    fitted_gaussian,
    fitted_space,
    langevin,
    prior_space,
    space_of,
)


def labelled(classes: int) -> tuple[np.ndarray, list[str]]:
    """Codes around one corner for each class, (N, 3)."""
    labels = [str(number % classes) for number in range(60)]
    noise = np.random.default_rng(0).standard_normal((60, 3))
    return noise + 4 * np.eye(3)[[int(label) for label in labels]], labels


@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_of_labels_sum_to_one_and_find_them(classes):
    codes, labels = labelled(classes)
    model = fit_labels(codes, labels)
    log_probs = model.log_probs(torch.as_tensor(codes).float())
    assert model.names == tuple(map(str, range(classes)))
    assert torch.allclose(log_probs.exp().sum(-1), torch.ones(60), atol=1e-5)
    found = [model.names[n] for n in log_probs.argmax(-1).tolist()]
    assert np.mean([a == b for a, b in zip(found, labels, strict=True)]) > 0.9


def test_gaussian_has_the_moments_of_codes():
    codes = np.random.default_rng(0).standard_normal((500, 3)) @ np.diag([1.0, 2.0, 0.5]) + 3
    gaussian = fitted_gaussian(codes)
    assert np.allclose(gaussian.loc, codes.mean(0), atol=1e-4)
    assert np.allclose(gaussian.covariance_matrix, np.cov(codes.T), atol=2e-3)


def test_gaussian_of_few_codes_is_proper():
    gaussian = fitted_gaussian(np.random.default_rng(0).standard_normal((4, 9)))
    assert torch.isfinite(gaussian.log_prob(gaussian.loc))


@pytest.mark.parametrize("graph", ["vae", "free prior", "hierarchy"])
def test_prior_space_has_the_density_of_the_model(graph):
    model = vae(**GRAPHS[graph])
    space = prior_space(model)
    u = torch.randn(4, len(space.loc))
    z = space.latents(u)
    assert torch.allclose(space.coordinates(z), u, atol=1e-5)
    values, total = {}, torch.zeros(4)
    sizes = [node["dim"] for node in model.config.nodes("latents")]
    for node, part in zip(model.config.nodes("latents"), z.split(sizes, -1), strict=True):
        prior = model.prior(node, {}, values, torch.Size((1, 4)), part[None])
        values[node["name"]] = part[None]
        total = total + prior.log_prob(part[None])[0]
    assert torch.allclose(space.log_prior(z), total)


def test_dynamics_sample_the_prior_without_a_label():
    space = fitted_space(np.random.default_rng(0).standard_normal((500, 2)) * [1.0, 3.0] + 2)
    z = langevin(space, lambda z: z.new_zeros(len(z)), 3000, 1.0, 60, lambda z: z)
    # The step size makes the variance larger by 1 / (1 - e / 4).
    assert torch.allclose(z.std(0), torch.tensor([1.0, 3.0]) * 1.013, rtol=0.08)
    assert torch.allclose(z.mean(0), torch.tensor([2.0, 2.0]), atol=0.2)


def test_dynamics_move_by_the_strength_of_the_label():
    model = vae(**GRAPHS["vae"])
    space = prior_space(model)

    def moved(strength):
        z = langevin(space, lambda z: z[:, 0], 2000, strength, 100, lambda z: z)
        return z.mean(0)

    # log p(z) + s z_0 is the Gaussian with its mean at s.
    for strength in (1.0, 3.0):
        assert torch.allclose(moved(strength), torch.tensor([strength, 0, 0]), atol=0.15)


def test_dynamics_follow_their_seed_and_stay_on_latents():
    space = prior_space(vae(**GRAPHS["vae"]))
    runs = [
        langevin(space, lambda z: -z.square().sum(-1), 5, 1.0, 5, lambda z: z.clamp(-1, 1), seed)
        for seed in (0, 0, 1)
    ]
    assert torch.equal(runs[0], runs[1]) and not torch.allclose(runs[0], runs[2])
    assert all(run.abs().max() <= 1 + 1e-5 for run in runs)


def test_autoencoder_has_a_gaussian_fitted_to_codes():
    point = {**Z, "kind": "point"}
    model = vae(**{**GRAPHS["vae"], "latents": [point]})
    codes = np.random.default_rng(0).standard_normal((50, 3)) + 5
    assert np.allclose(space_of(model, codes).loc, codes.mean(0), atol=1e-4)
    assert torch.equal(space_of(vae(**GRAPHS["vae"]), codes).loc, torch.zeros(3))


def test_discrete_latent_is_refused():
    with pytest.raises(ValueError, match="the latent y is discrete"):
        space_of(vae(**GRAPHS["classes"]), np.zeros((4, 6)))


def test_prior_is_that_of_its_family():
    space = prior_space(vae(**GRAPHS["vae"]))
    z = torch.randn(4, 3)
    assert torch.allclose(space.log_prior(z), Normal(0.0, 1.0).log_prob(z).sum(-1))
