"""Positive-unlabelled learning: its loss, its mixed rows, and what it refuses."""

import pytest
import torch
from conftest import output, vae

from textvae.objectives import Objective
from textvae.objectives.positive_unlabelled import (
    MIXED,
    TARGET,
    PositiveUnlabelled,
    variational_loss,
)

OBSERVED = {"x": {"shape": [4]}, "label": {"classes": 2}}
X = {"kind": "mlp", "hidden": [8]}
KNOWN = torch.tensor([True, False, False, True, False, False])


def model(**changes):
    y = {"name": "y", "kind": "categorical", "field": "label", "fixed": False, "given": ["x"]}
    return vae(
        [{"name": "x", **X}],
        [{**y, **changes}],
        [{"name": "x", **X, "likelihood": {"kind": "gaussian"}, "given": ["y"]}],
        observed=OBSERVED,
    )


@pytest.fixture
def fields():
    return {"x": torch.rand(6, 4), "label": torch.where(KNOWN, 1, -1)}


def test_the_loss_does_not_change_with_the_scale_of_phi():
    log_phi = torch.rand(6).log()
    loss = variational_loss(log_phi, KNOWN)
    torch.testing.assert_close(variational_loss(log_phi + 3, KNOWN), loss)
    phi = log_phi.exp()
    torch.testing.assert_close(loss, phi[~KNOWN].mean().log() - log_phi[KNOWN].mean())


def test_the_loss_is_least_at_the_share_of_positives():
    """Of three kinds of rows: Phi at p(positive | x) up to a factor, whatever its size."""
    density_p, density_u = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.4, 0.3, 0.3])
    log_phi = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([log_phi], lr=0.05)
    for _ in range(2000):
        loss = (density_u.log() + log_phi).logsumexp(0) - (density_p * log_phi).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    phi, ratio = log_phi.detach().exp(), density_p / density_u
    torch.testing.assert_close(phi / phi.max(), ratio / ratio.max(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("known", [torch.zeros(6).bool(), torch.ones(6).bool()])
def test_a_part_without_rows_costs_nothing(known):
    log_phi = torch.full((6,), 0.25).log()
    wanted = -log_phi[0] if known.all() else log_phi[0]
    torch.testing.assert_close(variational_loss(log_phi, known), wanted)


def test_rows_without_a_label_are_mixed_with_positive_ones(fields):
    net, objective = model().train(), PositiveUnlabelled()
    out = net.infer(1, **fields)
    batch = objective.altered(out, net.sample_means, 0)[MIXED]
    assert batch["x"].shape == (4, 4) and (batch["label"] == -1).all()
    phi = out.latents["y"].posterior.mean[0, :, 1]
    shares = (1 - batch[TARGET].exp()) / (1 - phi[~KNOWN])
    share = shares[0]
    torch.testing.assert_close(shares, share.expand(4), rtol=1e-4, atol=1e-5)
    second = (batch["x"] - share * fields["x"][~KNOWN]) / (1 - share)
    distances = torch.cdist(second, fields["x"][KNOWN]).amin(-1)
    assert (distances < 1e-2).all()
    assert not batch[TARGET].requires_grad


def test_the_parts_add_up(fields):
    net = model().train()
    spec = {"kind": "positive_unlabelled", "mixup": 3.0, "elbo_weight": 0.5}
    net.objective = Objective.build(spec, sizes=net.sizes)
    loss = net(step=0, **fields)
    terms = loss.terms
    wanted = terms["contrast"] + 3 * terms["mixup"] - 0.5 * terms["elbo"]
    torch.testing.assert_close(loss.value, wanted)
    log_phi = net.encode(**fields)["y"].probs[:, 1].log()
    torch.testing.assert_close(terms["contrast"], variational_loss(log_phi, KNOWN))
    assert terms["mixup"] > 0
    loss.value.backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("labels", [torch.ones(6).long(), torch.full((6,), -1)])
def test_a_batch_without_one_of_the_two_mixes_nothing(fields, labels):
    net, objective = model().train(), PositiveUnlabelled()
    out = net.infer(1, x=fields["x"], label=labels)
    assert objective.altered(out, net.sample_means, 0) == {}
    assert objective(out, 0).terms["mixup"] == 0
    assert PositiveUnlabelled(mixup=0.0).altered(out, net.sample_means, 0) == {}


def test_what_it_cannot_be_used_on_is_refused(fields):
    objective = PositiveUnlabelled()
    with pytest.raises(ValueError, match="positive_unlabelled needs a categorical latent"):
        objective(output([torch.ones(2, 2)]), 0)
    fixed = model(fixed=True).train().infer(1, **fields)
    with pytest.raises(ValueError, match=r"latents\.y: needs fixed: false"):
        objective(fixed, 0)
    free = model().train().infer(1, **fields)
    with pytest.raises(ValueError, match=r"no field 'class' \(known: x, label\)"):
        PositiveUnlabelled(field="class")(free, 0)
    with pytest.raises(ValueError, match=r"objective.positive: 'y' has 2 classes \(got 2\)"):
        PositiveUnlabelled(positive=2)(free, 0)
