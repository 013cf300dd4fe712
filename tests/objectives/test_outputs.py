"""The KL of a latent, and what an output adds up."""

import pytest
import torch
from conftest import LinearGaussian, normal, output, standard_error
from torch.distributions import Independent, MultivariateNormal, StudentT, kl_divergence

from textvae.objectives.outputs import Latent, VAEOutput

K, B, D = 3, 4, 2


def latent(posterior, prior, samples=K):
    drawn = posterior.expand((samples, B)).sample()
    return Latent(drawn, posterior, prior)


def moved():
    return normal(torch.randn(1, B, D), torch.rand(1, B, D) + 0.5)


def standard(shape=(1, B, D)):
    return normal(torch.zeros(shape), 1.0)


def heavy_tailed():
    """A posterior whose KL to a normal is not registered."""
    q = Independent(StudentT(torch.tensor(9.0), torch.randn(1, B, D), torch.ones(1, B, D)), 1)
    with pytest.raises(NotImplementedError):
        kl_divergence(q, standard())
    return q


def test_a_registered_kl_is_exact_and_the_same_for_every_sample():
    q = moved()
    kl = latent(q, standard()).kl()
    mean, variance = q.mean, q.variance
    expected = 0.5 * (mean**2 + variance - variance.log() - 1).sum(-1)
    assert kl.shape == (K, B)
    torch.testing.assert_close(kl, expected.expand(K, B))


def test_without_a_registered_kl_it_is_the_log_ratio_of_each_sample():
    q = heavy_tailed()
    one = latent(q, standard())
    assert torch.equal(one.kl(), one.log_ratio())
    assert one.kl().shape == (K, B) and one.kl().std(0).min() > 0


def test_the_log_ratio_is_of_the_posterior_over_the_prior_at_the_sample():
    q, p = moved(), standard()
    one = latent(q, p)
    expected = q.log_prob(one.value) - p.log_prob(one.value)
    torch.testing.assert_close(one.log_ratio(), expected)
    many = latent(q, p, 20_000)
    found = standard_error(many.log_ratio())
    # Five standard errors: one test in a million fails by chance.
    assert ((found.mean - many.kl()[0]).abs() < 5 * found.error).all()


def test_the_kl_of_the_dimensions_adds_up():
    one = latent(moved(), standard())
    assert one.kl_per_dimension().shape == (K, B, D)
    torch.testing.assert_close(one.kl_per_dimension().sum(-1), one.kl())


@pytest.mark.parametrize("which", ["posterior", "prior"])
def test_a_distribution_that_does_not_factorise_has_no_kl_per_dimension(which):
    full = MultivariateNormal(torch.zeros(1, B, D), torch.eye(D))
    pair = {"posterior": moved(), "prior": standard()} | {which: full}
    with pytest.raises(ValueError, match="factorise"):
        latent(**pair).kl_per_dimension()


def test_an_output_adds_its_decoders_and_its_latents():
    a, b = latent(moved(), standard()), latent(heavy_tailed(), standard())
    first, second = torch.randn(K, B), torch.randn(K, B)
    out = VAEOutput({"a": a, "b": b}, {"x": first, "y": second})
    torch.testing.assert_close(out.total_log_likelihood, first + second)
    torch.testing.assert_close(out.kl, a.kl() + b.kl())
    torch.testing.assert_close(out.log_weight, first + second - a.log_ratio() - b.log_ratio())


def test_a_model_without_latents_weighs_its_likelihood():
    out = output(reconstruction=-7.0, batch=B)
    assert torch.equal(out.kl, torch.zeros(1, B))
    assert torch.equal(out.log_weight, torch.full((1, B), -7.0))


def test_under_the_exact_posterior_every_sample_weighs_the_evidence():
    model = LinearGaussian(torch.randn(B, D))
    weights = model.infer(K).log_weight
    # Rounding of float32 sums of a few terms.
    torch.testing.assert_close(weights, model.evidence.expand(K, B), atol=1e-5, rtol=1e-5)
