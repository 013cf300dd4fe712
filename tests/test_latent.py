"""Posterior moments, active units and collapse on data with known answers."""

import pytest
import torch
from conftest import GRAPHS, fields_of, ids, vae

from textvae.evaluation.latent import active_units, is_collapsed, posterior_moments


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


@pytest.mark.parametrize(
    ("kl", "active", "collapsed"),
    [(0.0, 0, True), (0.05, 8, True), (7.3, 0, True), (0.1, 1, False), (7.3, 32, False)],
)
def test_collapse_is_no_rate_or_no_active_unit(kl, active, collapsed):
    assert is_collapsed(kl, active) is collapsed


def test_without_a_count_of_units_the_rate_decides():
    assert is_collapsed(0.05) and not is_collapsed(0.2)
