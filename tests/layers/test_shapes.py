"""Shapes that do not follow from values give the same likelihoods and gradients."""

import pytest
import torch
from conftest import DECODERS, ENCODERS, VOCAB, Z, ids, vae
from torch.nn import functional

from textvae.layers.shapes import may_follow_values, static_shapes
from textvae.vocabulary import PAD

TEXTS = [decoder for decoder, spec in DECODERS.items() if spec["kind"] not in ("bag", "topics")]


def gradients(model, text):
    """log p(x | z) of texts and the gradient of its mean, by the name of the weight."""
    torch.manual_seed(0)
    model.zero_grad()
    log_probs = model.infer(samples=2, text=text).total_log_likelihood
    log_probs.mean().backward()
    weights = model.named_parameters()
    return log_probs.detach(), {n: w.grad.clone() for n, w in weights if w.grad is not None}


def text_vae(encoder, decoder):
    part = {"name": "text", "given": ["z"], **DECODERS[decoder]}
    return vae([{"name": "text", **ENCODERS[encoder]}], [Z], [part]).double()


def assert_equal(found, expected):
    """Equal up to rounding: sums over more rows are in another order, and losses are float32."""
    (log_probs, of_weights), (expected_log_probs, of_expected) = found, expected
    torch.testing.assert_close(log_probs, expected_log_probs, rtol=1e-6, atol=0)
    assert of_weights.keys() == of_expected.keys()
    for name, gradient in of_weights.items():
        torch.testing.assert_close(gradient, of_expected[name], rtol=1e-5, atol=1e-6, msg=name)


def compare_padded(encoder, decoder):
    model, text = text_vae(encoder, decoder), ids(3, 7, 5, 1, vocab=VOCAB)
    padded = functional.pad(text, (0, 7), value=PAD)
    expected = gradients(model, text)
    assert_equal(gradients(model, padded), expected)
    with static_shapes():
        assert_equal(gradients(model, padded), expected)


@pytest.mark.parametrize("decoder", TEXTS)
def test_static_shapes_change_no_result(decoder):
    model, text = text_vae("lstm-last-forward-1", decoder), ids(3, 7, 5, 1, vocab=VOCAB)
    assert may_follow_values(text)
    expected = gradients(model, text)
    with static_shapes():
        assert not may_follow_values(text)
        assert_equal(gradients(model, text), expected)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_padding_changes_no_loss_by_the_encoder(encoder):
    compare_padded(encoder, "lstm")


@pytest.mark.parametrize("decoder", DECODERS)
def test_padding_changes_no_loss_by_the_decoder(decoder):
    if "inputless" in decoder:
        pytest.skip("draws a number for each position, padding included")
    compare_padded("lstm-last-forward-1", decoder)
