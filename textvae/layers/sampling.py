"""Tokens drawn from a softmax, without the probability of every token."""

from collections.abc import Sequence

import torch
from torch import Tensor

from textvae.layers.crossentropy import BLOCK, blocks, project


@torch.no_grad()
def sample_softmax(
    states: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    level: Tensor,
    temperature: float = 1.0,
    impossible: Sequence[int] = (),
) -> tuple[Tensor, Tensor]:
    """The token of each row where the distribution function of a softmax passes a level.

    The distribution is softmax((W h + b) / temperature). Levels that are uniform on [0, 1) draw
    from it. A block of tokens is found first, then a token in it: the sums over tokens that come
    before a token are needed in one block alone.

    Args:
        states: h, (N, F).
        weight: W, (V, F).
        bias: b, (V,), or None.
        level: in [0, 1), (N,).
        temperature: that logits are divided by.
        impossible: ids of tokens with probability 0; not all of them.

    Returns:
        The tokens, (N,), int64, and where the level lies within the probability of each, (N,), in
        [0, 1]: uniform too, and independent of the token.
    """
    states = states.to(weight.dtype)
    count = -(-len(weight) // BLOCK)
    wide = torch.promote_types(weight.dtype, torch.float32)
    values = states.new_zeros(count * BLOCK, len(states), dtype=wide)
    for block in blocks(weight):
        offset = None if bias is None else bias[block]
        if wide == weight.dtype:
            project(states, weight[block], offset, values[block][: len(weight[block])])
        else:
            out = states.new_empty(len(weight[block]), len(states))
            values[block][: len(out)] = project(states, weight[block], offset, out)
    logits = values[: len(weight)]
    logits[list(impossible)] = -torch.inf
    if temperature != 1.0:
        logits /= temperature
    logits.sub_(logits.amax(0)).exp_()
    chosen, rest = invert(values.view(count, BLOCK, -1).sum(1).t(), level)
    tokens = chosen * BLOCK + torch.arange(BLOCK, device=level.device)[:, None]
    within, rest = invert(values.gather(0, tokens).t(), rest)
    return chosen * BLOCK + within, rest


def invert(weights: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """The index of each row where the sum of its weights passes a share of all, (N,), int64.

    Args:
        weights: unnormalised probabilities, (N, C).
        level: the share, in [0, 1], (N,).

    Returns:
        The indices, and where the level lies within the weight of each, (N,), in [0, 1].
    """
    below = weights.cumsum(-1)
    total = below[:, -1:]
    # Rounding must not reach the total: what lies beyond it has probability 0.
    place = (total * level[:, None]).minimum(total.nextafter(torch.zeros_like(total)))
    index = torch.searchsorted(below, place, right=True)
    weight = weights.gather(1, index)
    rest = (place - (below.gather(1, index) - weight)) / weight
    return index.squeeze(1), rest.squeeze(1).clamp(0, 1)
