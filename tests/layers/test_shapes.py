"""Shapes that do not follow from values give the same likelihoods and gradients."""

import pytest
import torch
from conftest import DECODERS, ENCODERS, VOCAB, Z, ids, vae

from textvae.layers.shapes import may_follow_values, static_shapes

TEXTS = [decoder for decoder, spec in DECODERS.items() if spec["kind"] not in ("bag", "topics")]


def gradients(model, text):
    """log p(x | z) of texts and the gradient of its mean, by the name of the weight."""
    torch.manual_seed(0)
    model.zero_grad()
    log_probs = model.infer(samples=2, text=text).total_log_likelihood
    log_probs.mean().backward()
    weights = model.named_parameters()
    return log_probs.detach(), {n: w.grad.clone() for n, w in weights if w.grad is not None}


@pytest.mark.parametrize("decoder", TEXTS)
def test_static_shapes_change_no_result(decoder):
    model = vae(
        [{"name": "text", **ENCODERS["lstm-last-forward-1"]}],
        [Z],
        [{"name": "text", "given": ["z"], **DECODERS[decoder]}],
    ).double()
    text = ids(3, 7, 5, 1, vocab=VOCAB)
    expected, expected_gradients = gradients(model, text)
    with static_shapes():
        assert not may_follow_values(text)
        found, found_gradients = gradients(model, text)
    assert may_follow_values(text)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    assert found_gradients.keys() == expected_gradients.keys()
    for name, gradient in found_gradients.items():
        # Sums over more rows are in another order; losses are float32.
        torch.testing.assert_close(gradient, expected_gradients[name], rtol=1e-5, atol=1e-6)
