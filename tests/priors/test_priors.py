"""Priors by kind: each is a density that sums to one, is learned, saved and loaded."""

import math

import pytest
import torch
from conftest import TEXT, Z, fields_of, standard_error, vae

from textvae.families.gaussian import Gaussian
from textvae.graph.model import VAE
from textvae.priors import Prior
from textvae.registry import SpecError

PRIORS = {
    "learned": {"kind": "learned"},
    "fitted": {"kind": "fitted"},
    "mixture": {"kind": "mixture", "components": 3},
    "vamp": {"kind": "vamp", "components": 4},
    "flow": {"kind": "flow", "layers": 3, "width": 8},
}
"""A specification of each kind; a kind without one fails a test."""
GIVEN = {name: PRIORS[name] for name in ("mixture", "flow")}
"""Kinds that may be given something."""

TOP = {"name": "top", "kind": "gaussian", "dim": 2, "given": ["text"]}


def built(spec: dict, dim: int) -> Prior:
    """A prior that is given nothing, of a Gaussian latent that is given one number."""
    family = Gaussian(features=1, dim=dim)
    return Prior.build(spec, features=0, family=family, posterior_features=1)


def model_with(prior: dict) -> VAE:
    latents = [TOP, {**Z, "given": ["text", "top"], "prior": prior}]
    return vae([TEXT], latents, [{**TEXT, "given": ["z"]}])


OWN_TESTS = {
    "codes": "is no density on a line",
    "class_mixture": "needs a label",
    "coupled": "needs another latent",
}
"""Kinds that the tests below do not fit, and why; each has a file of its own."""


def test_every_kind_has_a_row():
    assert PRIORS.keys() | OWN_TESTS.keys() == Prior.kinds.keys()


@pytest.mark.parametrize("kind", PRIORS)
def test_prior_density_sums_to_one(kind):
    prior = built(PRIORS[kind], dim=2)
    axis = torch.linspace(-12, 12, 801)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    density = prior(torch.zeros(0)).log_prob(grid).exp()
    mass = torch.trapezoid(torch.trapezoid(density, axis), axis)
    assert mass.item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("kind", PRIORS)
def test_samples_of_a_prior_have_its_density(kind):
    """Their mean of exp(test(z)) is that of the density on a grid, and so are mean and variance."""
    prior = built(PRIORS[kind], dim=2)(torch.zeros(0))
    samples = prior.sample((40_000,))
    found = standard_error(torch.sigmoid(2 * samples[:, 0] - samples[:, 1]))
    axis = torch.linspace(-12, 12, 801)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    density = prior.log_prob(grid).exp() * (axis[1] - axis[0]) ** 2
    exact = (density * torch.sigmoid(2 * grid[..., 0] - grid[..., 1])).sum()
    assert (found.mean - exact).abs() < 5 * found.error + 1e-3
    mean = (density[..., None] * grid).sum((0, 1))
    variance = (density[..., None] * (grid - mean).square()).sum((0, 1))
    # Those of a flow are estimates from 4,096 samples.
    torch.testing.assert_close(prior.mean, mean, atol=0.1, rtol=0.05)
    torch.testing.assert_close(prior.stddev, variance.sqrt(), atol=0.05, rtol=0.1)


@pytest.mark.parametrize("kind", PRIORS)
def test_prior_has_the_batch_shape_of_its_contexts(kind):
    prior = built(PRIORS[kind], dim=3)
    found = prior(torch.zeros(4, 5, 0))
    assert (found.batch_shape, found.event_shape) == ((4, 5), (3,))
    assert found.log_prob(torch.zeros(4, 5, 3)).shape == (4, 5)


@pytest.mark.parametrize("kind", PRIORS)
def test_a_model_infers_and_samples_with_each_kind(kind, tmp_path):
    model = model_with(PRIORS[kind])
    fields = fields_of(model, 3, 5)
    out = model.infer(samples=4, **fields)
    assert out.kl.shape == (4, 2) and out.log_weight.isfinite().all()
    assert model.sample_prior(6)["z"].shape == (1, 6, 3)
    model.save_pretrained(tmp_path)
    loaded = VAE.from_pretrained(tmp_path).eval()
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, loaded.state_dict()[name])


@pytest.mark.parametrize("kind", GIVEN)
def test_a_prior_of_a_kind_may_be_given_something(kind):
    model = model_with({**GIVEN[kind], "given": ["top"], "hidden": [7]})
    out = model.infer(samples=2, **fields_of(model, 3, 5))
    prior = out.latents["z"].prior
    assert prior.batch_shape == (2, 2)
    density = [prior.log_prob(torch.zeros(2, 2, 3))[k] for k in range(2)]
    assert not torch.allclose(density[0], density[1])  # another sample of `top`
    out.kl.sum().backward()
    assert model.priors["z"].hidden[0].weight.grad.abs().sum() > 0


def test_mixture_kl_is_the_log_ratio_of_its_density():
    family = Gaussian(features=1, dim=2)
    prior = Prior.build(PRIORS["mixture"], features=0, family=family)
    with torch.no_grad():
        prior.logits.copy_(torch.tensor([0.0, 1.0, -1.0]))
        prior.log_variances.uniform_(-1, 1)
    value = torch.randn(5, 2)
    found = prior(torch.zeros(0)).log_prob(value)
    parts = [
        weight.log()
        - 0.5 * ((value - mean) ** 2 / variance.exp() + variance + math.log(2 * math.pi)).sum(-1)
        for weight, mean, variance in zip(
            prior.logits.softmax(0), prior.means, prior.log_variances, strict=True
        )
    ]
    torch.testing.assert_close(found, torch.stack(parts).logsumexp(0))


def test_vamp_is_the_mean_of_the_posteriors_of_its_inputs():
    model = model_with(PRIORS["vamp"]).eval()
    node = model.config.nodes("latents")[1]
    prior, family = model.priors["z"], model.latents["z"]
    value = torch.randn(5, 3)
    posteriors = family.distribution(family.variational_parameters(prior.inputs))
    expected = posteriors.log_prob(value[:, None]).logsumexp(1) - math.log(4)
    found = model.prior(node, {}, {}, torch.Size((5,)), value).log_prob(value)
    torch.testing.assert_close(found, expected)


def test_vamp_trains_its_inputs_and_the_posterior_s_head():
    model = model_with(PRIORS["vamp"])
    prior, family = model.priors["z"], model.latents["z"]
    prior(torch.zeros(0)).log_prob(torch.randn(5, 3)).sum().backward()
    assert prior.inputs.grad.abs().sum() > 0 and family.head.weight.grad.abs().sum() > 0


def test_a_flow_inverts_itself_and_knows_its_samples():
    prior = built({"kind": "flow", "layers": 5}, dim=3)(torch.zeros(2, 0))
    z = noise = torch.randn(4, 2, 3)
    total = torch.zeros(4, 2)
    for coupling in prior.couplings:
        z, change = coupling(z, prior.context, inverse=False)
        total = total + change
    expected = -0.5 * (noise.square() + math.log(2 * math.pi)).sum(-1) - total
    torch.testing.assert_close(prior.log_prob(z), expected, atol=1e-4, rtol=1e-4)


def test_mean_and_deviation_of_a_flow_leave_the_random_state_alone():
    prior = built(PRIORS["flow"], dim=2)(torch.zeros(0))
    before = torch.random.get_rng_state()
    assert torch.equal(prior.mean, prior.mean)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_latent_s_family_is_not_a_part_of_its_prior():
    model = model_with(PRIORS["mixture"])
    assert {name for name, _ in model.priors.named_parameters()} == {
        "z.logits",
        "z.means",
        "z.log_variances",
    }


@pytest.mark.parametrize(
    ("prior", "line"),
    [
        ({"kind": "mixtur"}, r"latents.z.prior.kind: unknown 'mixtur' \(did you mean 'mixture'"),
        ({"kind": "mixture", "component": 3}, "latents.z.prior.component: unknown key"),
        ({"kind": "mixture", "components": 0}, "latents.z.prior.components: "),
        ({"kind": "fitted", "given": ["top"]}, "latents.z.prior: a fitted prior is given nothing"),
        ({"kind": "vamp", "given": ["top"]}, "latents.z.prior: a vamp prior is given nothing"),
        ({"kind": "flow", "layers": 0}, "latents.z.prior.layers: "),
        ({"kind": "mixture", "given": ["tops"]}, r"latents.z.prior.given: unknown 'tops'"),
        ({"kind": "mixture", "hidden": [3]}, "latents.z.prior.hidden: needs something"),
        ({"given": ["top"], "hidden": [0]}, "latents.z.prior.hidden.0: "),
        ({"given": "top"}, "latents.z.prior.given: must be a list of names"),
    ],
)
def test_mistakes_in_a_prior_are_one_line(prior, line):
    with pytest.raises(SpecError, match=line) as raised:
        model_with(prior)
    assert len(raised.value.problems) == 1
