"""Objectives that set the KL: what they cost, where they pull, where they end."""

import math

import pytest
import torch
from conftest import normal, output

from textvae.objectives.elbo import ELBO
from textvae.objectives.outputs import Latent, VAEOutput
from textvae.objectives.rate import MinimumRate, TargetRate
from textvae.objectives.schedules import Constant, Linear

KL = torch.tensor([[0.5, 2.5], [0.25, 0.75]])  # 2 nats per text


def test_the_target_is_that_of_the_step():
    objective = TargetRate(target=Linear(steps=10, end=5.0), weight=Constant(3.0))
    for step, target in ((0, 0.0), (4, 2.0), (10, 5.0), (99, 5.0)):
        loss = objective(output([KL], -10.0), step)
        assert loss.value.item() == pytest.approx(10 + 3 * abs(2 - target))
        assert loss.terms["target"].item() == target
        assert loss.terms["elbo"].item() == pytest.approx(-12)


@pytest.mark.parametrize(("target", "slope"), [(5.0, -0.7), (1.0, 0.7)])
def test_the_kl_is_pulled_to_its_target(target, slope):
    kl = KL.clone().requires_grad_()
    TargetRate(Constant(target), Constant(0.7))(output([kl], -10.0), 0).value.backward()
    # The mean over two texts.
    torch.testing.assert_close(kl.grad, torch.full_like(kl, slope / 2))


def test_a_target_of_nothing_is_the_elbo():
    out = output([KL], -10.0)
    assert torch.equal(TargetRate(Constant(0.0))(out, 0).value, ELBO()(out, 0).value)


@pytest.mark.parametrize(("rate", "sign"), [(3.0, 1), (1.0, -1)])
def test_the_multiplier_climbs_while_the_kl_is_below_its_rate(rate, sign):
    objective = MinimumRate(rate, start=0.6)
    optimizer = torch.optim.SGD(objective.parameters(), lr=0.5)
    found = []
    for _ in range(30):
        loss = objective(output([KL], -10.0), 0)
        found.append(loss.terms["multiplier"].item())
        optimizer.zero_grad()
        loss.value.backward()
        optimizer.step()
    assert found[0] == pytest.approx(0.6)
    assert all(sign * (b - a) > 0 for a, b in zip(found, found[1:], strict=False))
    assert min(found) > 0


@pytest.mark.parametrize("multiplier", [0.25, 1.0, 4.0])
def test_a_nat_of_kl_costs_one_less_the_multiplier(multiplier):
    kl = KL.clone().requires_grad_()
    loss = MinimumRate(rate=3.0, start=multiplier)(output([kl], -10.0), 0)
    loss.value.backward()
    torch.testing.assert_close(kl.grad, torch.full_like(kl, (1 - multiplier) / 2))
    # What the optimizer minimises is another thing; what is printed is the negative ELBO.
    assert loss.value.item() == pytest.approx(12)


def trained(rate):
    """KL and multiplier after training z ~ N(m, 1) to reconstruct at a cost of 2 exp(-KL)."""
    mean = torch.nn.Parameter(torch.tensor(1.2))
    objective = MinimumRate(rate, start=0.5)
    optimizer = torch.optim.Adam([mean, *objective.parameters()], lr=0.03)
    terms = {}
    for step in range(200):
        q = normal(mean[None, None, None], 1.0)
        reconstruction = -2 * (-mean.square() / 2).exp()
        latent = Latent(q.mean, q, normal(torch.zeros(1, 1, 1), 1.0))
        loss = objective(VAEOutput({"z": latent}, {"x": reconstruction[None, None]}), step)
        terms = loss.terms
        optimizer.zero_grad()
        loss.value.backward()
        optimizer.step()
    return terms["kl"].item(), terms["multiplier"].item()


def test_the_end_is_the_best_elbo_that_keeps_the_rate():
    kl, multiplier = trained(1.0)
    assert kl == pytest.approx(1.0, abs=0.01)
    # The slope of the ELBO there.
    assert multiplier == pytest.approx(1 - 2 * math.exp(-1.0), abs=0.01)


def test_a_rate_that_the_elbo_has_by_itself_costs_little_and_ever_less():
    kl, multiplier = trained(0.2)
    assert 0 < multiplier < 0.05
    # Without a constraint 2 exp(-KL) + KL is least at ln 2.
    assert kl == pytest.approx(math.log(2 / (1 - multiplier)), abs=0.01)
