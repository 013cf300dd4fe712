"""Attention: the formula by hand, samples of one text, positions without a token."""

import pytest
import torch

from textvae.layers.attention import Attention, Memory

N, L, M, F, T = 2, 4, 5, 6, 3


def memory() -> Memory:
    mask = torch.tensor([[True, True, True, False], [True, True, False, False]])
    return Memory(torch.randn(N, L, M), mask, torch.arange(N * L).view(N, L))


@pytest.mark.parametrize("heads", [1, 2])
def test_attention_is_the_published_formula(heads):
    torch.manual_seed(0)
    attention, given, x = Attention(F, M, 8, heads), memory(), torch.randn(N, T, F)
    keys, values, mask = attention.read(given)
    result, weights = attention(x, keys, values, mask), attention.weights(x, keys, mask)
    for n in range(N):
        length = int(given.mask[n].sum())
        key, value = (part[n, :length] for part in (keys, values))
        parts, each = [], []
        for head in range(heads):
            part = slice(head * 8 // heads, (head + 1) * 8 // heads)
            query = attention.query(x[n])[:, part]
            share = (query @ key[:, part].T / (8 / heads) ** 0.5).softmax(-1)
            each.append(share)
            parts.append(share @ value[:, part])
        torch.testing.assert_close(result[n], attention.out(torch.cat(parts, -1)))
        torch.testing.assert_close(weights[n, :, :length], torch.stack(each).mean(0))
        assert not weights[n, :, length:].any()


def test_several_samples_of_a_text_share_its_memory():
    torch.manual_seed(0)
    attention, given, x = Attention(F, M, 8, 2), memory(), torch.randn(3 * N, T, F)
    keys, values, mask = attention.read(given)
    together = attention(x, keys, values, mask)
    alone = [attention(part, keys, values, mask) for part in x.split(N)]
    torch.testing.assert_close(together, torch.cat(alone))
    shares = [attention.weights(part, keys, mask) for part in x.split(N)]
    torch.testing.assert_close(attention.weights(x, keys, mask), torch.cat(shares))


def test_what_is_not_in_the_mask_does_not_matter():
    torch.manual_seed(0)
    attention, given, x = Attention(F, M, 8), memory(), torch.randn(N, T, F)
    changed = torch.where(given.mask[:, :, None], given.states, torch.tensor(99.0))
    other = Memory(changed, given.mask)
    torch.testing.assert_close(
        attention(x, *attention.read(given)), attention(x, *attention.read(other))
    )


def test_a_memory_repeats_each_text():
    given = memory()
    twice = given.repeat_interleave(2)
    assert twice.states.shape == (2 * N, L, M) and twice.ids is not None
    assert torch.equal(twice.states[0], twice.states[1]) and torch.equal(
        twice.mask[2], given.mask[1]
    )
    assert Memory(given.states, given.mask).repeat_interleave(2).ids is None


def test_heads_must_share_the_width():
    with pytest.raises(ValueError, match="multiple of heads"):
        Attention(F, M, 8, 3)
