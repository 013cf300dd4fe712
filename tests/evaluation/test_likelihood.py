"""The streamed likelihood: the same numbers in any chunks, near the evidence where it is known."""

import math

import pytest
import torch
from conftest import DECODERS, GRAPHS, LinearGaussian, Z, fields_of, ids, vae
from torch.distributions import kl_divergence

from textvae.evaluation.likelihood import (
    CPU_ROWS,
    GPU_TOKENS,
    batch_likelihood,
    likelihood,
    perplexity,
    rows_at_once,
    rows_of_gpu,
    standard_error,
)
from textvae.objectives.outputs import Latent, VAEOutput

FIELDS = ("nll", "elbo", "reconstruction_loss", "kl")


class Replayed:
    """A model that answers every question from one output of many samples, in order."""

    def __init__(self, out):
        self.out, self.latents, self.asked, self.copies = out, out.latents, [], 1

    def read(self, fields):
        return {}

    def infer_from(self, features, fields, samples):
        rows = slice(sum(self.asked), sum(self.asked) + samples)
        self.asked.append(samples)
        latents = {
            name: Latent(latent.value[rows], latent.posterior, latent.prior)
            for name, latent in self.out.latents.items()
        }
        return VAEOutput(latents, {n: v[rows] for n, v in self.out.log_likelihood.items()})


@pytest.fixture
def model():
    """A linear-Gaussian model of four texts whose approximate posterior is wrong."""
    return LinearGaussian(torch.randn(4, 2), shift=0.3, stretch=1.2)


@pytest.mark.parametrize(
    ("max_rows", "asked"),
    [(1, [1] * 10), (4, [1] * 10), (12, [3, 3, 3, 1]), (20, [5, 5]), (40, [10]), (9999, [10])],
)
def test_in_chunks_it_is_what_it_is_in_one(model, max_rows, asked):
    out = model.infer(10)
    replayed = Replayed(out)
    found = batch_likelihood(replayed, {"x": model.x}, 10, max_rows)
    assert replayed.asked == asked and found.samples == 10
    expected = {
        "nll": math.log(10) - out.log_weight.logsumexp(0),
        "elbo": (out.total_log_likelihood - out.kl).mean(0),
        "reconstruction_loss": -out.total_log_likelihood.mean(0),
        "kl": out.kl.mean(0),
    }
    for name in FIELDS:
        value = getattr(found, name)
        assert value.dtype == torch.float64
        # The expected sums are of float32.
        torch.testing.assert_close(value.float(), expected[name], atol=1e-5, rtol=1e-5)


def test_the_encoder_reads_a_batch_once():
    model, texts = vae(**GRAPHS["vae"]), ids(4, 0, 3)
    reads, rows = [], []
    encoder, decoder = model.encoders["text"], model.decoders["text"]
    encoder.register_forward_hook(lambda *given: reads.append(len(given[1][0])))
    decoder.register_forward_hook(lambda *given: rows.append(given[1][0].shape[:2].numel()))
    found = likelihood(model, [{"text": texts}], 10, max_rows=12)
    assert reads == [3] and rows == [12, 12, 6]
    assert found.samples == 10 and found.nll.isfinite().all()


def test_weights_far_below_the_smallest_number_are_not_lost(model):
    out = model.infer(10)
    far = VAEOutput(out.latents, {"x": out.log_likelihood["x"] - 5000})
    found = batch_likelihood(Replayed(far), {"x": model.x}, 10, 8)
    near = batch_likelihood(Replayed(out), {"x": model.x}, 10, 8)
    # float32 at 5000 has steps of 5e-4.
    torch.testing.assert_close(found.nll, near.nll + 5000, atol=2e-3, rtol=0)


@pytest.mark.parametrize(("samples", "max_rows"), [(1, 8), (7, 8), (300, 8), (300, 9999)])
def test_with_the_exact_posterior_the_nll_is_the_evidence(samples, max_rows):
    model = LinearGaussian(torch.randn(4, 2))
    found = likelihood(model, [{"x": model.x}], samples, max_rows=max_rows)
    torch.testing.assert_close(found.nll.float(), -model.evidence, atol=1e-5, rtol=1e-5)


def test_wrong_posterior_lowers_elbo_and_hardly_changes_nll(model):
    found = likelihood(model, [{"x": model.x}], 5000)
    # With these weights the noise of 5000 samples is about 0.01 nats.
    torch.testing.assert_close(found.nll.float(), -model.evidence, atol=0.05, rtol=0)
    gap = kl_divergence(model.posterior, model.exact)
    torch.testing.assert_close(found.elbo.float(), model.evidence - gap, atol=0.15, rtol=0)
    assert (gap > 0.3).all()
    torch.testing.assert_close(found.elbo, -found.reconstruction_loss - found.kl)


def test_texts_stay_in_their_order_and_batches_are_joined():
    model = vae(**GRAPHS["vae"])
    batches = [{"text": ids(4, 0)}, {"text": ids(6)}, {"text": ids(1, 2, 3)}]
    found = likelihood(model, batches, 200)
    assert all(getattr(found, name).shape == (6,) for name in FIELDS)
    start = 0
    for batch in batches:
        part = likelihood(model, [batch], 200, seed=9)
        each = slice(start, start + len(batch["text"]))
        torch.testing.assert_close(found.kl[each], part.kl)
        # Other samples: texts differ by nats, means of samples by tenths.
        torch.testing.assert_close(found.elbo[each], part.elbo, atol=0.6, rtol=0)
        start = each.stop


def test_chunks_agree_in_expectation():
    model, fields = vae(**GRAPHS["hierarchy"]), {"text": ids(4, 0, 2)}
    whole = likelihood(model, [fields], 4000, max_rows=12_000)
    parts = likelihood(model, [fields], 4000, max_rows=700, seed=1)
    # The bound, since its mean has a small error: about 0.03 nats. Weights have long tails.
    torch.testing.assert_close(whole.elbo, parts.elbo, atol=0.15, rtol=0)


def test_the_seed_decides_and_the_caller_s_random_state_stays():
    model, batches = vae(**GRAPHS["vae"]), [{"text": ids(4, 2)}]
    before = torch.get_rng_state()
    first = likelihood(model, batches, 5).nll
    assert torch.equal(torch.get_rng_state(), before)
    torch.randn(3)
    assert torch.equal(likelihood(model, batches, 5).nll, first)
    assert not torch.equal(likelihood(model, batches, 5, seed=1).nll, first)


def test_a_language_model_has_one_exact_sample():
    model = vae(**GRAPHS["language model"])
    texts = ids(4, 0)
    found = likelihood(model, [{"text": texts}], 500)
    expected = -model.decoders["text"](torch.zeros(1, 2, 0)).log_prob(texts)[0].double()
    assert found.samples == 1
    assert torch.equal(found.nll, expected) and torch.equal(found.kl, torch.zeros(2).double())
    assert torch.equal(found.nll, found.reconstruction_loss) and torch.equal(found.elbo, -expected)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_every_graph_has_a_likelihood(graph):
    model = vae(**graph)
    found = likelihood(model, [fields_of(model, 4, 0)], 60, max_rows=7)
    assert all(getattr(found, name).isfinite().all() for name in FIELDS)
    # Bounds of the same evidence, up to the noise of the samples.
    assert (found.nll <= -found.elbo + 0.5).all() and (found.kl >= 0).all()


def test_training_noise_is_off():
    noisy = {**DECODERS["lstm"], "dropout": 0.5, "word_dropout": 0.5}
    text = {"name": "text", "kind": "lstm", "hidden": 6, "dropout": 0.5}
    model = vae([text], [Z], [{"name": "text", "given": ["z"], **noisy}]).train()
    batches = [{"text": ids(4, 2)}]
    found = likelihood(model, batches, 3).nll
    assert not model.training and not found.requires_grad
    assert torch.equal(found, likelihood(model, batches, 3).nll)


@pytest.mark.parametrize(
    ("batches", "samples", "message"), [([], 5, "no text"), ([{"text": ids(3)}], 0, "at least 1")]
)
def test_nothing_to_evaluate_is_refused(batches, samples, message):
    with pytest.raises(ValueError, match=message):
        likelihood(vae(**GRAPHS["vae"]), batches, samples)


def test_standard_error_is_the_deviation_by_the_root_of_the_number():
    assert standard_error(torch.tensor([1.0, 3.0, 5.0, 7.0])) == pytest.approx((20 / 3) ** 0.5 / 2)
    assert standard_error(torch.tensor([1.0])) is None


def test_perplexity_is_the_exponential_of_the_mean_per_unit():
    # 4 and 6 units of a uniform choice among 50.
    nll = torch.tensor([4.0, 6.0]) * math.log(50)
    assert perplexity(nll, 10) == pytest.approx(50, rel=1e-6)
    assert perplexity(nll, 5) == pytest.approx(2500, rel=1e-6)


def test_a_gpu_decodes_more_at_once_by_its_memory():
    text = {"text": torch.zeros(4, 22, dtype=torch.int64)}
    assert rows_at_once(torch.device("cpu"), text) == CPU_ROWS
    rows = [rows_of_gpu(memory * 2**30, 22) for memory in (2, 8, 16, 140)]
    assert rows[0] < rows[1] < rows[2] == rows[3] == GPU_TOKENS // 22
    assert rows_of_gpu(140 * 2**30, 100_000) == CPU_ROWS
