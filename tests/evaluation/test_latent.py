"""Posterior moments, mutual information, active units, with known answers."""

import math

import numpy as np
import pytest
import torch
from conftest import GRAPHS, Z, fields_of, ids, vae

from textvae.evaluation import latent
from textvae.evaluation.latent import (
    active_units,
    distinct_rows,
    information,
    log_posteriors,
    posterior_means,
    posterior_moments,
)
from textvae.evaluation.likelihood import likelihood

LATENT = {name: graph for name, graph in GRAPHS.items() if graph.get("latents")}


def test_moments_are_the_posteriors_in_the_order_of_the_texts():
    model = vae(**GRAPHS["vae"]).train()
    batches = [{"text": ids(4, 0)}, {"text": ids(6, 1, 3)}]
    means, deviations = posterior_moments(model, batches)["z"]
    assert means.shape == deviations.shape == (5, 3) and not model.training
    for row, batch in ((0, batches[0]), (2, batches[1])):
        q = model.encode(**batch)["z"]
        rows = slice(row, row + len(batch["text"]))
        torch.testing.assert_close(means[rows], q.mean)
        torch.testing.assert_close(deviations[rows], q.stddev)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_every_latent_has_moments(graph):
    model = vae(**graph)
    found = posterior_moments(model, [fields_of(model, 3, 2)])
    assert {name: m.shape[1] for name, (m, _) in found.items()} == {
        node["name"]: node["dim"] for node in graph.get("latents", [])
    }


def test_a_unit_is_active_when_its_mean_varies_over_the_data():
    # Variances of +-a over many texts are a squared: 0, 0.0081, 0.0121, 1.
    signs = torch.tensor([1.0, -1.0]).repeat(5000)
    means = signs[:, None] * torch.tensor([0.0, 0.09, 0.11, 1.0])
    assert active_units(means) == 2
    assert active_units(means, threshold=0.005) == 3
    # A mean that is far from zero but everywhere the same says nothing.
    assert active_units(means + torch.tensor([9.0, 9.0, 9.0, 9.0])) == 2
    assert active_units(torch.full((10, 3), 5.0)) == 0


def test_one_text_has_no_variance():
    assert active_units(torch.ones(1, 3)) == 0 == active_units(torch.ones(0, 3))


def test_a_posterior_that_ignores_its_text_has_no_active_unit():
    model = vae(**GRAPHS["vae"])
    with torch.no_grad():
        # Row 1 is the mean of the second dimension, of six rows of means and log variances.
        model.latents["z"].head.weight.mul_(20)[1] = 0.0
    means, _ = posterior_moments(model, [{"text": ids(*range(1, 30))}])["z"]
    assert means[:, 1].std() == 0 and active_units(means) == 2


def test_distinct_rows_are_counted_as_a_model_reads_them():
    rows = [np.array([1, 5, 2]), np.array([1, 6, 2]), np.array([1, 5, 2])]
    assert distinct_rows(rows) == 2
    image = np.zeros((1, 2, 2), np.uint8)
    fields = [{"image": image, "label": 0}, {"image": image, "label": 1}]
    assert distinct_rows(fields) == 2 and distinct_rows([*fields, *fields]) == 2
    assert distinct_rows([]) == 0


# Mutual information.


def linear_gaussian(shift: float = 0.0, stretch: float = 1.0):
    """A model whose posterior is that of x = 0.8 z + 0.5 e in three dimensions, and its features.

    The exact posterior's mean is moved by `shift`, its scale multiplied by `stretch`.
    """
    model = vae(**GRAPHS["vae"])
    slope, noise = 0.8, 0.5
    precision = 1 + (slope / noise) ** 2
    head = model.latents["z"].head
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        head.weight[range(3), range(3)] = slope / noise**2 / precision
        head.bias[:3] = shift
        head.bias[3:] = math.log(stretch**2 / precision)
    x = torch.randn(3000, 6) * math.sqrt(slope**2 + noise**2)
    variance = stretch**2 / precision
    return model, {"text": x}, (1 - 1 / precision, variance)


@pytest.mark.parametrize(("shift", "stretch"), [(0.0, 1.0), (0.5, 1.0), (0.4, 0.7)])
def test_information_of_a_linear_gaussian_model_is_known(shift, stretch):
    model, features, (of_means, of_noise) = linear_gaussian(shift, stretch)
    found = information(model, features, samples=2)
    # Three dimensions alike: q(z) = N(shift, of_means + of_noise).
    total = of_means + of_noise
    mutual = 1.5 * math.log(total / of_noise)
    marginal = 1.5 * (total + shift**2 - 1 - math.log(total))
    kl = 1.5 * (total + shift**2 - 1 - math.log(of_noise))
    # 3000 texts: standard errors of 0.02 to 0.04 nats.
    assert found.mutual_information == pytest.approx(mutual, abs=0.1)
    assert found.marginal_kl == pytest.approx(marginal, abs=0.1)
    assert sum(found.kls) == pytest.approx(kl, abs=0.1)
    assert found.variances == pytest.approx([of_means] * 3, rel=0.1)
    assert found.samples == 2


def test_standard_error_of_the_information_is_its_spread_over_sets_of_texts():
    model, features, _ = linear_gaussian()
    sets = [{"text": part} for part in features["text"].split(200)]
    estimates = [information(model, part, samples=4) for part in sets]
    spread = np.std([each.mutual_information for each in estimates], ddof=1)
    # 15 sets: the spread is known to a fifth.
    assert np.mean([each.standard_error for each in estimates]) == pytest.approx(spread, rel=0.5)


def test_aggregate_posterior_is_over_all_texts():
    """Inside batches of 32, mutual information could not exceed ln 32."""
    model, features, _ = linear_gaussian(stretch=0.05)
    found = information(model, features, samples=1)
    assert math.log(32) < math.log(latent.BLOCK) < found.mutual_information < math.log(3000)


@pytest.mark.parametrize("graph", LATENT.values(), ids=LATENT)
def test_mutual_information_is_at_most_log_n(graph):
    model = vae(**graph)
    with torch.no_grad():
        for family in model.latents.values():
            # Posteriors so sharp that no two texts could be confused.
            family.head.weight.mul_(20)
            family.head.bias[family.dim :] = -30
    features = likelihood(model, [fields_of(model, *range(9))], 1).features
    found = information(model, features, samples=3)
    assert found.mutual_information == pytest.approx(math.log(9), abs=1e-6)
    assert found.mutual_information <= math.log(9) + 1e-12


@pytest.mark.parametrize("graph", LATENT.values(), ids=LATENT)
def test_blocks_and_chunks_change_nothing(graph, monkeypatch):
    model = vae(**graph)
    features = likelihood(model, [fields_of(model, *range(10))], 1).features
    (block,) = latent.blocks(features)
    values = {n: drawn.value[0] for n, drawn in model.draw(block, 1, 10).items()}
    own, aggregate = log_posteriors(model, values, features, 0, torch.arange(10))
    # By the definition: every text alone.
    expected = torch.zeros(10, 10).double()
    for text in range(10):
        alone = {
            name: latent.Features(f.pooled[text : text + 1], f.states, f.mask)
            for name, f in block.items()
        }
        for node in model.config.nodes("latents"):
            given = model.context(node, alone, {n: v[:, None] for n, v in values.items()})
            posterior = model.latents[node["name"]](given).expand((10, 1))
            expected[:, text] += posterior.log_prob(values[node["name"]][:, None])[:, 0].double()
    # The expected densities are of float32.
    torch.testing.assert_close(own, expected.diagonal(), atol=1e-4, rtol=1e-4)
    mean = expected.logsumexp(1) - math.log(10)
    torch.testing.assert_close(aggregate, mean, atol=1e-4, rtol=1e-4)
    whole = information(model, features, samples=2)
    monkeypatch.setattr(latent, "ELEMENTS", 1)
    chunked = information(model, features, samples=2)
    assert chunked.mutual_information == pytest.approx(whole.mutual_information, abs=1e-4)
    assert chunked.marginal_kl == pytest.approx(whole.marginal_kl, abs=1e-4)
    monkeypatch.setattr(latent, "BLOCK", 4)
    chosen = slice(4, 8)
    part = {name: value[chosen] for name, value in values.items()}
    again = log_posteriors(model, part, features, 1, torch.arange(4))
    torch.testing.assert_close(again, (own[chosen], aggregate[chosen]), atol=1e-4, rtol=1e-4)


def test_without_a_latent_there_is_no_information():
    found = information(vae(**GRAPHS["language model"]), {}, samples=4)
    assert (found.mutual_information, found.marginal_kl, found.variances) == (0.0, 0.0, ())


def test_one_text_has_no_information():
    model = vae(**GRAPHS["vae"])
    found = information(model, {"text": torch.randn(1, 6)})
    assert found.mutual_information == 0 and found.variances == (0.0, 0.0, 0.0)


def test_a_posterior_that_equals_the_prior_has_none():
    model = vae(**GRAPHS["vae"])
    with torch.no_grad():
        for parameter in model.latents.parameters():
            parameter.zero_()
    found = information(model, {"text": torch.randn(300, 6)})
    assert found.mutual_information == pytest.approx(0, abs=1e-9)
    # The prior's density is of float32.
    assert found.marginal_kl == pytest.approx(0, abs=1e-6)
    assert found.kls == pytest.approx([0] * 3, abs=1e-6)


@pytest.mark.parametrize(
    "family", [{"kind": "vmf", "kappa": 5.0}, {"kind": "copula"}, {"kind": "delta", "rate": 2.0}]
)
def test_other_families_are_measured_too(family):
    model = vae(**GRAPHS["vae"] | {"latents": [{**Z, **family}]})
    features = {"text": torch.randn(40, 6)}
    found = information(model, features, samples=400)
    assert 0 < found.mutual_information < math.log(40) and found.kls is None
    (block,) = latent.blocks(features)
    kl = model.draw(block, 1, 40)["z"].kl().mean().item()
    # Exact, against 16,000 samples of a deviation of about a nat, and of 20 where the KL is 100.
    total = found.mutual_information + found.marginal_kl
    assert total == pytest.approx(kl, abs=0.05, rel=0.01)


def test_information_is_seeded_and_keeps_the_random_state():
    model, features = vae(**GRAPHS["vae"]), {"text": torch.randn(20, 6)}
    before = torch.get_rng_state()
    first = information(model, features)
    assert torch.equal(torch.get_rng_state(), before)
    assert information(model, features) == first != information(model, features, seed=1)


@pytest.mark.parametrize("graph", LATENT.values(), ids=LATENT)
def test_means_from_features_are_those_of_the_encoder(graph):
    model = vae(**graph)
    batches = [fields_of(model, 3, 2), fields_of(model, 5)]
    features = likelihood(model, batches, 1).features
    moments = posterior_moments(model, batches)
    expected = torch.cat([mean for mean, _ in moments.values()], -1)
    torch.testing.assert_close(posterior_means(model, features), expected)
    assert information(model, features).variances == pytest.approx(expected.var(0).tolist(), 1e-4)
