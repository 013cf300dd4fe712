"""Sampling from a softmax without its probabilities: the token that the whole of them gives."""

import pytest
import torch
from torch.nn import functional as F

from textvae.layers import crossentropy, sampling
from textvae.layers.adaptive import AdaptiveSoftmax
from textvae.layers.sampling import invert, sample_softmax

VOCAB, WIDTH = 31, 5
IMPOSSIBLE = (0, 1)


@pytest.fixture(params=[(8, 4), (31, 31), (512, 64)], ids=str)
def block(request, monkeypatch):
    """Blocks and cells that end within the vocabulary, with it and beyond it."""
    monkeypatch.setattr(crossentropy, "BLOCK", request.param[0])
    monkeypatch.setattr(sampling, "CELL", request.param[1])


def parts(dtype=torch.float32):
    return (
        torch.randn(1, WIDTH, dtype=dtype),
        torch.randn(VOCAB, WIDTH, dtype=dtype),
        torch.randn(VOCAB, dtype=dtype),
    )


def levels_and_tokens(probabilities):
    """Levels within the probability of each token that is not tiny, where they lie, the tokens."""
    tokens = (probabilities > 1e-3).nonzero().squeeze(1).repeat_interleave(3)
    inside = torch.tensor([0.02, 0.5, 0.98], dtype=torch.float64).repeat(len(tokens) // 3)
    start = probabilities.cumsum(0) - probabilities
    level = start[tokens] + inside * probabilities[tokens]
    return level.float(), inside.float(), tokens


@pytest.mark.parametrize("temperature", [1.0, 0.5, 4.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_token_is_that_of_the_distribution_function(block, temperature, dtype):
    states, weight, bias = parts(dtype)
    logits = F.linear(states, weight, bias)[0].double() / temperature
    logits[list(IMPOSSIBLE)] = -torch.inf
    level, inside, expected = levels_and_tokens(logits.softmax(0))
    assert len(expected) >= 6, "two tokens"
    tokens, rest = sample_softmax(
        states.expand(len(level), -1), weight, bias, level, temperature, IMPOSSIBLE
    )
    assert torch.equal(tokens, expected)
    # The level is a float32 and probabilities are at least 0.001.
    torch.testing.assert_close(rest, inside, rtol=0, atol=1e-3)


@pytest.mark.parametrize("cutoffs", [[4], [9], [5, 6, 20]])
def test_token_of_an_adaptive_softmax(block, cutoffs):
    states, weight, bias = parts()
    softmax = AdaptiveSoftmax(WIDTH, VOCAB, cutoffs)
    logits = softmax.logits(states, weight, bias)[0].detach().double()
    logits[list(IMPOSSIBLE)] = -torch.inf
    level, _, expected = levels_and_tokens(logits.softmax(0))
    assert (expected >= cutoffs[-1]).any() and (expected < cutoffs[0]).any()
    given = states.expand(len(level), -1)
    assert torch.equal(softmax.sample(given, weight, bias, level, IMPOSSIBLE), expected)


def test_rare_words_are_projected_only_where_one_is_due(monkeypatch):
    states, weight, bias = parts()
    rows, project = [], crossentropy.project

    def counted(states, weight, *given):
        rows.append((len(states), len(weight)))
        return project(states, weight, *given)

    monkeypatch.setattr(sampling, "project", counted)
    softmax = AdaptiveSoftmax(WIDTH, VOCAB, [9])
    level = torch.linspace(0, 0.999, 50)
    tokens = softmax.sample(states.expand(50, -1), weight, bias, level, IMPOSSIBLE)
    assert rows == [(50, 10), (int((tokens >= 9).sum()), VOCAB - 9)]


def test_extreme_logits_are_drawn_without_overflow(block):
    states, weight, bias = parts()
    best = F.linear(1e4 * states, weight, bias)[0].argmax()
    tokens, _ = sample_softmax(1e4 * states, weight, bias, torch.tensor([0.5]))
    assert tokens.tolist() == [best]


@pytest.mark.parametrize("scale", [1.0, 3.0, 1 / 3])
def test_what_is_impossible_is_never_drawn(scale):
    """Also at the largest level below 1, which rounds to 1 when it is multiplied, and at 1."""
    weights = scale * torch.tensor([[0.0, 0.3, 0.0, 0.7, 0.0, 0.0]])
    for level, index in ((0.0, 1), (0.29, 1), (0.31, 3), (1 - 2.0**-24, 3), (1.0, 3)):
        assert invert(weights, torch.tensor([level]))[0].tolist() == [index]


def test_no_row_at_all():
    states, weight, bias = parts()
    assert sample_softmax(states[:0], weight, bias, torch.zeros(0))[0].shape == (0,)
