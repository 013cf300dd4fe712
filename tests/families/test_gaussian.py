"""Gaussian families: head and prior, batch normalisation, KL to a full Gaussian, softmax."""

import pytest
import torch
from conftest import TEXT, Z, fields_of, vae
from support.families import H, prior_of
from torch.distributions import Independent, Laplace, MultivariateNormal, Normal, kl_divergence

from textvae.families import Family
from textvae.families.gaussian import BatchNormalizer
from textvae.graph.model import VAE

GAUSSIAN = {"kind": "gaussian", "dim": 3}


def test_gaussian_head_is_mean_and_log_variance():
    gaussian = Family.build(GAUSSIAN, features=H)
    context = torch.randn(4, H)
    mean, log_variance = gaussian.head(context).chunk(2, -1)
    q = gaussian(context)
    torch.testing.assert_close(q.mean, mean)
    torch.testing.assert_close(q.variance.log(), log_variance)


def test_gaussian_prior_is_standard_normal():
    gaussian = Family.build(GAUSSIAN, features=H)
    p = gaussian.default_prior(torch.Size((2,)), torch.zeros(()))
    assert torch.equal(p.mean, torch.zeros(2, 3)) and torch.equal(p.stddev, torch.ones(2, 3))


def means_scaled(family, scale):
    """The family with its means' weights multiplied, and every variance one."""
    with torch.no_grad():
        mean, log_variance = family.head.weight.chunk(2), family.head.bias.chunk(2)
        mean[0].mul_(scale), mean[1].zero_()
        log_variance[0].mul_(scale), log_variance[1].zero_()
    return family


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e12, 1e30])
def test_batch_norm_kl_reaches_its_bound_at_any_scale(scale):
    gamma, beta = 0.6, torch.tensor([0.0, 0.5, -1.0])
    spec = {"kind": "gaussian", "dim": 3, "batch_norm": gamma}
    family = means_scaled(Family.build(spec, features=H), scale)
    with torch.no_grad():
        family.normalizer.bias.copy_(beta)
    q = family(torch.randn(2, 8, H))
    found = kl_divergence(q, prior_of(family, q)).mean()
    bound = 3 * (gamma**2 + beta.square().mean()) / 2
    # All variances are one, so the bound is reached.
    torch.testing.assert_close(found, bound)
    torch.testing.assert_close(q.mean.std((0, 1), correction=0), torch.full((3,), gamma))
    family.eval()
    held_out = family(torch.randn(500, H))
    # The scale of 16 texts is known to a sixth or so.
    assert kl_divergence(held_out, prior_of(family, held_out)).mean() > 0.5 * bound


def test_batch_norm_keeps_its_bound_in_evaluation():
    family = Family.build({"kind": "gaussian", "dim": 3, "batch_norm": 0.6}, features=H)
    means_scaled(family, 1.0)
    family(torch.randn(4, H))
    for _ in range(500):
        family(3 + torch.randn(32, H))
    family.eval()
    q = family(3 + torch.randn(20_000, H))
    torch.testing.assert_close(q.mean.mean(0), torch.zeros(3), atol=0.05, rtol=0)
    found = kl_divergence(q, prior_of(family, q)).mean().item()
    # Deviations of 32 texts fall short of those of all by 2.4 % on average: never below the bound.
    assert 3 * 0.6**2 / 2 < found < 1.1 * 3 * 0.6**2 / 2


def test_batch_norm_leaves_constant_dimensions_at_the_shift():
    normalizer = BatchNormalizer(3, 0.6)
    normalizer(torch.randn(7, 3))
    before = normalizer.scale.clone()
    values = torch.randn(7, 3)
    # The mean of seven equal numbers need not be that number in floating point.
    values[:, 1:] = torch.tensor([0.1, 1e-40])
    values[0, 2] = 0.0
    values.requires_grad_()
    found = normalizer(values)
    assert torch.equal(found[:, 1:], torch.zeros(7, 2)) and found[:, 0].std() > 0.5
    assert torch.equal(normalizer.scale[1:], before[1:]) and normalizer.scale[0] != before[0]
    (grad,) = torch.autograd.grad(found.square().sum(), values)
    assert grad.isfinite().all()


def test_batch_norm_needs_two_texts_to_train():
    family = Family.build({"kind": "gaussian", "dim": 3, "batch_norm": 0.6}, features=H)
    with pytest.raises(ValueError, match="at least two texts"):
        family(torch.randn(1, 1, H))
    assert family.eval()(torch.randn(1, 1, H)).batch_shape == (1, 1)


def test_batch_norm_averages_statistics_over_processes(monkeypatch):
    family = Family.build({"kind": "gaussian", "dim": 3, "batch_norm": 0.6}, features=H)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda found: found.add_(7.0))
    context = torch.randn(8, H)
    family(context)
    own = family.head(context)[:, :3]
    torch.testing.assert_close(family.normalizer.mean, (own.mean(0) + 7) / 2)
    torch.testing.assert_close(family.normalizer.scale, (own.std(0, correction=0) + 7) / 2)


def test_batch_norm_averages_are_saved(tmp_path):
    model = vae([TEXT], [{**Z, "batch_norm": 0.6}], [{**TEXT, "given": ["z"]}])
    fields = fields_of(model, 3, 5, 2)
    model.train().infer(**fields)
    model.eval().save_pretrained(tmp_path)
    loaded = VAE.from_pretrained(tmp_path).eval()
    assert loaded.latents["z"].normalizer.batches == 1
    assert torch.equal(loaded.encode(**fields)["z"].mean, model.encode(**fields)["z"].mean)


def test_kl_to_a_full_gaussian_equals_torch():
    mean, scale, centre = torch.randn(4, 5, 3), torch.rand(4, 5, 3) + 0.1, torch.randn(3)
    factor = torch.randn(3, 3).tril(-1) + (torch.rand(3) + 0.5).diag()
    prior = MultivariateNormal(centre, scale_tril=factor)
    expected = kl_divergence(MultivariateNormal(mean, scale_tril=scale.diag_embed()), prior)
    for p in (prior, prior.expand((4, 5))):
        torch.testing.assert_close(kl_divergence(Independent(Normal(mean, scale), 1), p), expected)
    with pytest.raises(NotImplementedError):
        kl_divergence(Independent(Laplace(mean, scale), 1), prior)


def test_logistic_normal_embeds_the_softmax():
    family = Family.build({"kind": "logistic_normal", "dim": 4, "dropout": 0.5}, features=H)
    z = torch.randn(6, 4)
    torch.testing.assert_close(family.eval().embed(z), z.softmax(-1))
    first, second = (family.train().embed(z) for _ in range(2))
    torch.testing.assert_close(first.sum(-1), torch.ones(6))
    assert not torch.equal(first, second)
    model = vae(
        [TEXT],
        [{"name": "z", "given": ["text"], "kind": "logistic_normal", "dim": 3}],
        [{"name": "text", "kind": "topics", "given": ["z"]}],
    )
    (context,) = model.contexts({"z": z[None, :, :3]}, {}, 6).values()
    torch.testing.assert_close(context[0], z[:, :3].softmax(-1))
