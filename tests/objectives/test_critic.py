"""Critics: known information, the signs of a game in one backward pass, a latent that moves."""

import math

import pytest
import torch
from conftest import normal
from torch.nn import functional as F

from textvae.objectives.critic import Adversarial, Critic, MutualInformation
from textvae.objectives.mmd import KERNELS, squared_mmd
from textvae.objectives.outputs import Latent, VAEOutput
from textvae.objectives.schedules import Constant

B, D = 8, 2
SIZES = {"z": D, "text": D}


def said(z, x=None):
    """An output with a posterior sample z, (K, B, D), and features x, (B, D)."""
    latent = Latent(z, normal(z, 0.1), normal(torch.zeros_like(z), 1.0))
    return VAEOutput({"z": latent}, {"x": torch.zeros(z.shape[:2])}, features={"text": x})


def test_a_critic_stays_in_float32():
    critic, codes = Critic(D, 4), torch.randn(B, D)
    whole = critic(codes)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(critic(codes), whole)
        assert torch.equal(critic.fixed(codes), whole)
        assert critic(codes.bfloat16()).dtype == torch.float32


def test_a_fixed_critic_says_the_same_and_takes_no_gradient():
    critic, codes = Critic(D, 4), torch.randn(3, B, D, requires_grad=True)
    assert torch.equal(critic.fixed(codes), critic(codes))
    critic.fixed(codes).sum().backward()
    assert codes.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in critic.parameters())


def test_encoder_and_discriminator_each_descend_their_own_loss():
    objective = Adversarial(SIZES, weight=Constant(0.3), hidden=4)
    z = torch.randn(1, B, D, requires_grad=True)
    torch.manual_seed(5)
    loss = objective(said(z), 0)
    torch.manual_seed(5)
    prior = torch.distributions.Normal(torch.zeros(1, B, D), 1.0).sample()
    of_z, *of_critic = torch.autograd.grad(loss.value, [z, *objective.parameters()])
    deceived = F.binary_cross_entropy_with_logits(objective.critic(z), torch.ones(1, B))
    torch.testing.assert_close(of_z, torch.autograd.grad(0.3 * deceived, z)[0])
    real = F.binary_cross_entropy_with_logits(objective.critic(prior), torch.ones(1, B))
    drawn = F.binary_cross_entropy_with_logits(objective.critic(z), torch.zeros(1, B))
    expected = torch.autograd.grad(real + drawn, list(objective.parameters()))
    for found, wanted in zip(of_critic, expected, strict=True):
        torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(loss.terms["adversarial"], deceived)
    torch.testing.assert_close(loss.terms["discriminator"], real + drawn)


def test_a_discriminator_learns_to_tell_and_pushes_towards_the_prior():
    objective = Adversarial(SIZES, hidden=8)
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.02)
    away = 3 + 0.1 * torch.randn(1, 64, D)
    for step in range(60):
        loss = objective(said(away), step)
        optimizer.zero_grad()
        loss.value.backward()
        optimizer.step()
    # Without a clue it is 2 ln 2 = 1.39.
    assert loss.terms["discriminator"] < 0.4
    z = away.requires_grad_()
    (gradient,) = torch.autograd.grad(objective(said(z), 0).value, z)
    assert (gradient.mean((0, 1)) > 0).all()


def test_the_latents_move_to_the_prior():
    mean, log_scale = torch.full((D,), 2.0), torch.full((D,), -1.0)
    objective = Adversarial(SIZES, hidden=16)
    parameters = [mean.requires_grad_(), log_scale.requires_grad_(), *objective.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=0.02)

    def drawn(count):
        return normal(mean.expand(1, count, D), log_scale.exp()).rsample()

    def distance():
        with torch.no_grad():
            return squared_mmd(drawn(500)[0], torch.randn(500, D), KERNELS["imq"])

    before = distance()
    for step in range(200):
        loss = objective(said(drawn(64)), step)
        optimizer.zero_grad()
        loss.value.backward()
        optimizer.step()
    assert before > 0.5 and distance() < 0.05


def correlated(count, information):
    """Pairs of Gaussians, (count, D) and (1, count, D), with this mutual information in nats."""
    rho = math.sqrt(1 - math.exp(-2 * information / D))
    x = torch.randn(count, D)
    return x, (rho * x + math.sqrt(1 - rho**2) * torch.randn(count, D))[None]


@pytest.mark.parametrize(("bound", "nats"), [("nwj", 0.5), ("nwj", 2.0), ("dv", 2.0)])
def test_a_critic_finds_the_information_of_correlated_gaussians(bound, nats):
    objective = MutualInformation(SIZES, bound=bound, hidden=32)
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-2)
    slower = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.99)
    for step in range(300):
        x, z = correlated(256, nats)
        optimizer.zero_grad()
        objective(said(z, x), step).value.backward()
        optimizer.step()
        slower.step()
    with torch.no_grad():
        terms = [objective(said(*correlated(2000, nats)[::-1]), 0).terms for _ in range(20)]
    found = torch.stack([term["mutual_information"] for term in terms])
    assert found.mean() == pytest.approx(nats, rel=0.1)


@pytest.mark.parametrize("bound", ["nwj", "dv"])
def test_it_finds_none_between_strangers(bound):
    objective = MutualInformation(SIZES, bound=bound, hidden=8)
    with torch.no_grad():
        # exp(T - 1) and exp(T) both have the mean 1 then, so the bounds are tight at zero.
        objective.critic.layers[-1].weight.zero_()
        objective.critic.layers[-1].bias.fill_(1.0)
    x, z = torch.randn(B, D), torch.randn(3, B, D)
    assert objective.information(x.expand(3, -1, -1), z).abs() < 1e-6


def by_hand(objective, x, z, shifts):
    """The bound where text b meets the latents of texts b - shift."""

    def score(shift):
        return objective.critic(torch.cat([x, z[0, [row - shift for row in range(len(x))]]], -1))

    joint = score(0).mean()
    product = torch.stack([score(shift) for shift in shifts])
    if objective.bound == "nwj":
        return joint - (product - 1).exp().mean()
    return joint - product.exp().mean().log()


@pytest.mark.parametrize("bound", ["nwj", "dv"])
def test_a_bound_is_its_formula_over_the_latents_of_all_other_texts(bound):
    objective = MutualInformation(SIZES, weight=Constant(0.5), bound=bound, hidden=4)
    x, z = torch.randn(B, D), torch.randn(1, B, D)
    loss = objective(said(z, x), 0)
    found = loss.terms["mutual_information"]
    torch.testing.assert_close(found, by_hand(objective, x, z, range(1, B)).detach())
    torch.testing.assert_close(loss.value, loss.terms["kl"] - 0.5 * found)


def test_of_a_large_batch_some_others_are_met(monkeypatch):
    monkeypatch.setattr("textvae.objectives.critic.OTHERS", 3)
    objective = MutualInformation(SIZES, hidden=4)
    x, z = torch.randn(B, D), torch.randn(1, B, D)
    found = objective.information(x[None], z)
    torch.testing.assert_close(found, by_hand(objective, x, z, range(1, 4)))


def test_information_reaches_the_encoder_by_both_ways_and_the_critic():
    objective = MutualInformation(SIZES, weight=Constant(2.0), kl_weight=Constant(0.0), hidden=4)
    x = torch.randn(B, D, requires_grad=True)
    z = torch.randn(1, B, D, requires_grad=True)
    wanted = [x, z, *objective.parameters()]
    found = torch.autograd.grad(objective(said(z, x), 0).value, wanted)
    expected = torch.autograd.grad(-2 * by_hand(objective, x, z, range(1, B)), wanted)
    for one, wanted in zip(found, expected, strict=True):
        assert one.abs().sum() > 0
        torch.testing.assert_close(one, wanted)


def test_a_text_alone_has_no_other_latent():
    with pytest.raises(ValueError, match="at least two texts"):
        MutualInformation(SIZES)(said(torch.randn(1, 1, D), torch.randn(1, D)), 0)
