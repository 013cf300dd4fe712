"""The three parts of a KL: their sum, their weights, and what is known of them."""

import pytest
import torch
from conftest import LinearGaussian, normal, output, standard_error
from torch.distributions import MultivariateNormal

from textvae.objectives import Objective
from textvae.objectives.decomposition import (
    log_aggregates,
    log_stratified_weights,
    permuted,
)
from textvae.objectives.outputs import Latent, VAEOutput

B, D = 8, 3


def build(spec, rows=B):
    return Objective.build(spec, sizes={"z": D}, rows=rows)


def test_the_parts_add_up_to_the_log_ratio():
    """At each sample, so the loss with weights of one is that of a KL by samples."""
    out = LinearGaussian(torch.randn(B, D), shift=0.4).infer(5)
    loss = build({"kind": "decomposition", "samples": 5}, 100)(out, 0)
    names = ("mutual_information", "total_correlation", "marginal_kl")
    ratio = out.latents["z"].log_ratio().mean()
    torch.testing.assert_close(sum(loss.terms[name] for name in names), ratio)
    expected = -out.total_log_likelihood.mean() + ratio
    torch.testing.assert_close(loss.value, expected)


def test_weights_are_those_of_their_parts():
    out = LinearGaussian(torch.randn(B, D)).infer(2)
    weights = {"mutual_information": 0.5, "total_correlation": 6.0, "marginal_kl": 2.0}
    plain = build({"kind": "decomposition", "samples": 2})(out, 0)
    loss = build({"kind": "decomposition", "samples": 2, **weights})(out, 0)
    more = sum((weight - 1) * plain.terms[name] for name, weight in weights.items())
    torch.testing.assert_close(loss.value, plain.value + more)


@pytest.mark.parametrize(("batch", "rows"), [(2, 2), (4, 4), (4, 5), (5, 1000)])
def test_stratified_weights_add_up_to_one(batch, rows):
    weights = log_stratified_weights(batch, rows).exp()
    torch.testing.assert_close(weights.sum(1), torch.ones(batch, dtype=torch.float64))
    torch.testing.assert_close(
        weights.diagonal(), torch.full((batch,), 1 / rows, dtype=torch.float64)
    )


@pytest.mark.parametrize(("batch", "rows"), [(4, 5), (5, 1000)])
def test_another_row_stands_for_those_that_are_not_in_the_batch(batch, rows):
    """In a random order each of the M others weighs (N - 1) / M times 1 / N in the mean."""
    weights = log_stratified_weights(batch, rows).exp()
    others = (weights.sum() - weights.trace()) / (batch * (batch - 1))
    assert others.item() == pytest.approx((rows - 1) / ((batch - 1) * rows))


def test_aggregates_are_weighted_sums_over_the_rows():
    latent = LinearGaussian(torch.randn(B, D)).infer(3).latents["z"]
    joint, product = log_aggregates(latent, 20)
    weights = log_stratified_weights(B, 20).float()
    each = torch.stack(
        [latent.posterior.base_dist.log_prob(latent.value[:, [row]]) for row in range(B)], 1
    )
    torch.testing.assert_close(joint, (each.sum(-1) + weights).logsumexp(-1))
    expected = sum((each[..., d] + weights).logsumexp(-1) for d in range(D))
    torch.testing.assert_close(product, expected)


def test_a_batch_cannot_be_larger_than_the_training_data():
    with pytest.raises(ValueError, match="a batch of 8 rows cannot come from 7 training rows"):
        build({"kind": "decomposition"}, 7)(LinearGaussian(torch.randn(B, D)).infer(), 0)


@pytest.mark.parametrize("kind", ["decomposition", "factor"])
def test_one_row_and_several_latents_are_refused(kind):
    with pytest.raises(ValueError, match="two rows"):
        build({"kind": kind})(LinearGaussian(torch.randn(1, D)).infer(), 0)
    out = LinearGaussian(torch.randn(B, D)).infer()
    both = VAEOutput(out.latents | {"w": out.latents["z"]}, out.log_likelihood)
    with pytest.raises(ValueError, match="one latent"):
        build({"kind": kind})(both, 0)


def test_a_posterior_that_does_not_factorise_is_refused():
    joint = MultivariateNormal(torch.zeros(1, B, D), torch.eye(D))
    latent = Latent(joint.rsample(), joint, normal(torch.zeros(1, B, D), 1.0))
    out = VAEOutput({"z": latent}, output().log_likelihood)
    with pytest.raises(ValueError, match="factorises"):
        build({"kind": "decomposition"})(out, 0)


def test_permuted_keeps_each_dimension_and_breaks_pairs():
    z = torch.arange(20.0)[None, :, None].expand(1, 20, 2).contiguous()
    moved = permuted(z)
    assert torch.equal(moved.sort(1).values, z)
    assert not torch.equal(moved[..., 0], moved[..., 1])


def test_a_trained_critic_gives_the_total_correlation():
    """Of two Gaussian dimensions with correlation r it is -log(1 - r^2) / 2."""
    torch.manual_seed(0)
    correlation = 0.8
    root = torch.tensor([[1.0, 0.0], [correlation, (1 - correlation**2) ** 0.5]])
    objective = Objective.build({"kind": "factor", "hidden": 64}, sizes={"z": 2}, rows=10_000)
    optimizer = torch.optim.Adam(objective.parameters(), 2e-3)

    def loss():
        z = torch.randn(1, 256, 2) @ root.T
        latent = Latent(z.requires_grad_(), normal(0 * z, 1.0), normal(0 * z, 1.0))
        return objective(VAEOutput({"z": latent}, {"x": torch.zeros(1, 256)}), 0)

    for _ in range(400):
        optimizer.zero_grad()
        loss().value.backward()
        optimizer.step()
    found = standard_error(torch.stack([loss().terms["total_correlation"] for _ in range(50)]))
    exact = -0.5 * torch.log(torch.tensor(1 - correlation**2))
    # The critic has learnt from samples; it lacks a part of the value.
    assert (found.mean - exact).abs() < 0.15 * exact + 5 * found.error
