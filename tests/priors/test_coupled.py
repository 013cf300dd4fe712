"""The coupled prior: standard normal as a whole, with the correlation it is asked for."""

import pytest
import torch
from conftest import vae
from torch.distributions import kl_divergence

from textvae.registry import SpecError

X = {"kind": "mlp", "hidden": [6]}
OBSERVED = {"near": {"shape": [5]}, "far": {"shape": [4]}}
LIKELIHOOD = {"likelihood": {"kind": "gaussian"}}


def model(prior=None, dim=3, **changes):
    prior = {"kind": "coupled", "given": ["zn"], "correlation": 0.8} | (prior or {})
    return vae(
        [{"name": "near", **X}, {"name": "far", **X}],
        [
            {"name": "zn", "kind": "gaussian", "dim": 3, "given": ["near"]},
            {"name": "zf", "kind": "gaussian", "dim": dim, "given": ["far"], "prior": prior}
            | changes,
        ],
        [{"name": name, **X, **LIKELIHOOD, "given": ["zn", "zf"]} for name in OBSERVED],
        observed=OBSERVED,
    )


def test_samples_are_standard_normal_and_correlated():
    torch.manual_seed(0)
    count = 40_000
    values = model().sample_prior(count)
    first, second = values["zn"][0], values["zf"][0]
    # Five standard errors of a mean, a variance and a correlation of normal values.
    error = 5 / count**0.5
    assert second.mean(0).abs().max() < error
    assert (second.var(0) - 1).abs().max() < error * 2**0.5
    assert ((first * second).mean(0) - 0.8).abs().max() < error * 1.3


def test_the_kl_is_that_to_a_gaussian_around_the_other_latent():
    net = model()
    out = net.infer(samples=2, near=torch.randn(4, 5), far=torch.randn(4, 4))
    first, second = out.latents["zn"], out.latents["zf"]
    prior = torch.distributions.Independent(
        torch.distributions.Normal(0.8 * first.value, (1 - 0.64) ** 0.5), 1
    )
    torch.testing.assert_close(second.kl(), kl_divergence(second.posterior, prior))
    assert dict(net.priors["zf"].named_parameters()) == {}


@pytest.mark.parametrize(
    ("prior", "dim", "line"),
    [
        ({"given": []}, 3, r"a coupled prior is given one latent of 3 dimensions \(got 0\)"),
        ({}, 2, r"a coupled prior is given one latent of 2 dimensions \(got 3\)"),
        ({"correlation": 1.0}, 3, "latents.zf.prior.correlation: "),
    ],
)
def test_mistakes_in_a_coupled_prior_are_one_line(prior, dim, line):
    with pytest.raises(SpecError, match=line) as raised:
        model(prior, dim)
    assert len(raised.value.problems) == 1


def test_latents_on_a_sphere_have_no_coupled_prior():
    with pytest.raises(SpecError, match="the prior of a vmf latent is no Gaussian"):
        model(kind="vmf")
