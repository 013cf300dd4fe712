"""Rows mixed with their nearest neighbour, and posteriors that are mixed likewise."""

import pytest
import torch
from conftest import GRAPHS, Z, fields_of, output, vae
from torch.nn import functional as F

from textvae.objectives import Objective
from textvae.objectives.elbo import ELBO
from textvae.objectives.interpolated import MIXED, PARTNER, SHARE, Interpolated
from textvae.registry import SpecError

OBSERVED = {"x": {"shape": [4]}, "label": {"classes": 3}}
X = {"kind": "mlp", "hidden": [8]}
Y = {"name": "y", "kind": "categorical", "field": "label", "label_weight": 2.0, "given": ["x"]}
LABELS = torch.tensor([0, 2, -1, -1, 1, -1])


def model(z=Z, **changes):
    """M2 of vectors of four numbers."""
    return vae(
        [{"name": "x", **X}],
        [{**Y, **changes}, {**z, "given": ["x", "y"]}],
        [{"name": "x", **X, "likelihood": {"kind": "gaussian"}, "given": ["y", "z"]}],
        observed=OBSERVED,
    )


@pytest.fixture
def fields():
    return {"x": torch.rand(6, 4), "label": LABELS}


def outputs(net, fields, objective):
    """The output of a batch in training, with that of the rows mixed for it."""
    net.train()
    out = net.infer(1, **fields)
    (batch,) = objective.altered(out, net.sample_means, 0).values()
    out.others[MIXED] = net.infer(1, **batch)
    return out, batch


def test_rows_are_mixed_with_the_nearest_and_lose_their_label(fields):
    fields["x"][3] = fields["x"][5] + 1e-4  # and both without a label: nearest in z too
    _, batch = outputs(model(), fields, Interpolated())
    share, partner = batch[SHARE], batch[PARTNER]
    assert (partner != torch.arange(6)).all() and partner[3] == 5 and partner[5] == 3
    assert ((share > 0) & (share < 1)).all() and share.unique().numel() == 6
    wanted = share[:, None] * fields["x"] + (1 - share[:, None]) * fields["x"][partner]
    torch.testing.assert_close(batch["x"], wanted)
    assert (batch["label"] == -1).all()


def test_without_weight_it_is_the_elbo(fields):
    objective = Interpolated(weight=0.0, latent_weights={"z": 3.0})
    out, _ = outputs(model(), fields, objective)
    elbo = ELBO(latent_weights={"z": 3.0})
    torch.testing.assert_close(objective(out, 0).value, elbo(out, 0).value)


def test_rows_that_are_equal_cost_nothing(fields):
    """Their mixture is the row itself, and so are the posteriors."""
    same = {"x": fields["x"][:1].expand(6, -1), "label": torch.full((6,), -1)}
    out, _ = outputs(model(), same, Interpolated())
    terms = Interpolated()(out, 0).terms
    assert terms["label_interpolation"].abs() < 1e-6
    assert terms["latent_interpolation"].abs() < 1e-6
    terms = Interpolated()(outputs(model(), fields, Interpolated())[0], 0).terms
    assert terms["label_interpolation"] > 1e-4 and terms["latent_interpolation"] > 1e-4


def test_a_known_label_is_certain_in_what_is_wanted(fields):
    net, objective = model(), Interpolated()
    out, batch = outputs(net, fields, objective)
    share, partner = batch[SHARE], batch[PARTNER]
    q = out.latents["y"].posterior.mean[0]
    q = torch.where(LABELS[:, None] >= 0, F.one_hot(LABELS.clamp(min=0), 3).float(), q)
    wanted = share[:, None] * q + (1 - share[:, None]) * q[partner]
    given = out.others[MIXED].latents["y"].posterior.mean[0]
    kl = (torch.xlogy(wanted, wanted) - wanted * given.log()).sum(-1).mean()
    torch.testing.assert_close(objective(out, 0).terms["label_interpolation"], kl)


def test_it_trains_every_parameter_and_the_weight_is_that_of_the_step(fields):
    net = model()
    spec = {"kind": "interpolated", "weight": {"kind": "linear", "steps": 10}}
    net.objective = Objective.build(spec, sizes=net.sizes)
    losses = []
    for step in (0, 10):
        torch.manual_seed(0)
        losses.append(net.train()(step=step, **fields))
    added = sum(losses[0].terms[f"{name}_interpolation"] for name in ("label", "latent"))
    torch.testing.assert_close(losses[1].value - losses[0].value, added, rtol=1e-4, atol=1e-5)
    losses[1].value.backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_classes_that_labels_rule_out_have_a_gradient(fields):
    net = model()
    net.objective = Interpolated()
    known = {"x": fields["x"], "label": torch.zeros(6).long()}
    net.train()(step=0, **known).value.backward()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


def test_what_it_cannot_be_used_on_is_refused(fields):
    objective = Interpolated()
    texts = vae(**GRAPHS["classes"])
    out = texts.infer(1, **fields_of(texts, 4, 0))
    with pytest.raises(ValueError, match="rows of 'text' are no numbers"):
        objective.altered(out, texts.sample_means, 0)
    with pytest.raises(ValueError, match=r"must be a Gaussian latent \(got 'w'; of: z\)"):
        Interpolated(latent="w").altered(output([torch.ones(2, 2)]), texts.sample_means, 0)
    one = {"x": fields["x"][:1], "label": LABELS[:1]}
    net = model()
    with pytest.raises(ValueError, match="at least two rows"):
        objective.altered(net.infer(1, **one), net.sample_means, 0)


def test_smoothed_labels_cost_what_is_spread_over_the_classes(fields):
    plain, smooth = model(), model(label_smoothing=0.3)
    smooth.load_state_dict(plain.state_dict())
    q = plain.encode(**fields)["y"].probs.log()
    known = LABELS >= 0
    own = q.gather(-1, LABELS.clamp(min=0)[:, None])[:, 0]
    wanted = torch.where(known, 0.7 * own + 0.3 * q.mean(-1), 0.0)
    found = smooth.train().infer(1, **fields).auxiliary["label_y"]
    torch.testing.assert_close(found[0], wanted)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_smoothing": 1.0}, r"latents\.y\.label_smoothing: .*less than 1"),
        ({"label_smoothing": 0.1, "label_weight": None}, "label_smoothing: needs label_weight"),
        ({"fixed": "no"}, r"latents\.y\.fixed: must be true or false \(got 'no'\)"),
    ],
)
def test_label_keys_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        model(**changes)


def test_fixed_needs_a_field():
    with pytest.raises(SpecError, match=r"latents\.z\.fixed: needs the field of the label"):
        model(z={**Z, "fixed": False})


def test_a_latent_that_is_not_fixed_ignores_the_label(fields):
    free = model(fixed=False).train()
    bare = {"x": fields["x"], "label": torch.full((6,), -1)}
    with_labels, without = (free.infer(1, **each).latents["y"] for each in (fields, bare))
    torch.testing.assert_close(with_labels.posterior.mean, without.posterior.mean)
    fixed = model().train().infer(1, **fields).latents["y"].posterior.mean[0]
    assert (fixed[LABELS >= 0].amax(-1) == 1).all()
