"""LSTMs with bfloat16 products on a CPU: close to float32, in states and in gradients."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from textvae.layers.recurrent import LSTM, dropout, make_lstm

B, T, WIDTH, H = 3, 7, 5, 6


def half():
    return torch.autocast("cpu", torch.bfloat16)


def outcome(lstm, inputs, before, context):
    """Outputs, last states, and the gradients of all that went in, of one weighted sum."""
    leaves = [inputs, *before, *lstm.parameters()]
    with context:
        states, (h, c) = lstm(inputs, before)
    total = (states * states.cos()).sum() + h.square().sum() + (c * 0.3).sum()
    return [states, h, c, *torch.autograd.grad(total, leaves)]


@pytest.mark.parametrize("layers", [1, 3])
def test_bfloat16_is_float32_to_its_rounding(layers):
    torch.manual_seed(0)
    lstm = LSTM(WIDTH, H, layers, batch_first=True)
    inputs = torch.randn(B, T, WIDTH, requires_grad=True)
    before = tuple(torch.randn(layers, B, H, requires_grad=True) for _ in range(2))
    exact, rounded = (outcome(lstm, inputs, before, c) for c in (nullcontext(), half()))
    for expected, found in zip(exact, rounded, strict=True):
        assert found.dtype == torch.float32
        assert not torch.equal(found, expected), "nothing was rounded"
        # 8 bits: a product is 0.4 % off at most.
        assert (found - expected).norm() < 0.02 * expected.norm()


def test_gradients_are_exact_where_nothing_is_rounded(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.float)
    lstm = LSTM(WIDTH, H, 2, batch_first=True)
    inputs = torch.randn(B, T, WIDTH, requires_grad=True)
    before = tuple(torch.randn(2, B, H, requires_grad=True) for _ in range(2))
    exact, found = (outcome(lstm, inputs, before, c) for c in (nullcontext(), half()))
    torch.testing.assert_close(found, exact, atol=1e-5, rtol=1e-5)


def test_no_state_is_a_state_of_zeros():
    lstm, inputs = LSTM(WIDTH, H, 2, batch_first=True), torch.randn(B, T, WIDTH)
    zero = torch.zeros(2, B, H)
    with half():
        torch.testing.assert_close(lstm(inputs), lstm(inputs, (zero, zero)), atol=0, rtol=0)


def test_bidirectional_and_packed_stay_in_float32():
    inputs, lengths = torch.randn(B, T, WIDTH), torch.tensor([7, 2, 5])
    packed = nn.utils.rnn.pack_padded_sequence(inputs, lengths, True, enforce_sorted=False)
    for bidirectional, read in ((True, inputs), (False, packed)):
        lstm = LSTM(WIDTH, H, batch_first=True, bidirectional=bidirectional)
        expected = lstm(read)[1]
        with half():
            torch.testing.assert_close(lstm(read)[1], expected, atol=0, rtol=0)


def test_between_layers_features_are_dropped_in_training_alone():
    lstm = LSTM(WIDTH, H, 2, batch_first=True, dropout=0.5)
    inputs = torch.randn(B, T, WIDTH)
    with half():
        (first, (h, _)), (again, (same, _)) = lstm(inputs), lstm(inputs)
        assert not torch.equal(first, again)
        assert torch.equal(h[0], same[0]), "nothing is dropped before the first layer"
        lstm.eval()
        torch.testing.assert_close(lstm(inputs)[0], lstm(inputs)[0], atol=0, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_keeps_its_share_and_the_mean(dtype):
    ones = torch.ones(200, 500, dtype=dtype, requires_grad=True)
    dropped = dropout(ones, 0.3, training=True)
    assert dropped.dtype == dtype
    kept = dropped != 0
    # The share's standard deviation is 0.0014.
    assert abs(kept.float().mean() - 0.7) < 0.007
    torch.testing.assert_close(dropped[kept], torch.ones_like(dropped[kept]) / 0.7)
    (gradient,) = torch.autograd.grad(dropped.sum(), ones)
    torch.testing.assert_close(gradient, dropped)
    assert dropout(ones, 0.3, training=False) is ones and dropout(ones, 0.0, training=True) is ones


def test_gradients_are_the_same_when_some_weights_need_none():
    lstm, inputs = LSTM(WIDTH, H, 2, batch_first=True), torch.randn(B, T, WIDTH, requires_grad=True)

    def gradients(*leaves):
        with half():
            loss = lstm(inputs)[0].square().sum()
        return torch.autograd.grad(loss, leaves)

    leaves = [inputs, *lstm.parameters()]
    everything = dict(zip(leaves, gradients(*leaves), strict=True))
    lstm.weight_hh_l0.requires_grad_(False)
    lstm.weight_ih_l1.requires_grad_(False)
    learning = [leaf for leaf in leaves if leaf.requires_grad]
    assert len(learning) == len(leaves) - 2
    for leaf, found in zip(learning, gradients(*learning), strict=True):
        torch.testing.assert_close(found, everything[leaf], atol=0, rtol=0)


def test_dropped_weights_are_dropped_in_bfloat16_too():
    stack = make_lstm(WIDTH, H, 2, 0.0, True, False, weight_dropout=0.9)
    inputs = torch.randn(B, T, WIDTH)
    with half():
        assert not torch.equal(stack(inputs)[0], stack(inputs)[0])
        stack.eval()
        kept = stack(inputs)[0]
    torch.testing.assert_close(kept, stack(inputs)[0], atol=0.02, rtol=0.02)
