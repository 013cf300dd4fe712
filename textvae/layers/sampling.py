"""Tokens drawn from a softmax, without the probability of every token."""

from collections.abc import Sequence

import torch
from torch import Tensor

from textvae.layers.crossentropy import aligned, blocks, project

CELL = 64
"""Tokens whose probabilities are added up; divides the size of a block."""


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
    from it. A cell of tokens is found first, then a token in it: sums over the tokens before a
    token are needed in one cell alone.

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
    rows, cells = len(states), -(-len(weight) // CELL)
    wide = torch.promote_types(weight.dtype, torch.float32)
    values = aligned(states, cells * CELL, rows, wide)
    values[len(weight) :] = 0
    sums, tops = [], []
    for block in blocks(weight):
        start, stop = block.start, min(block.stop, len(weight))
        part = values[start:stop]
        fill_logits(part, states, weight[start:stop], None if bias is None else bias[start:stop])
        part[[token - start for token in impossible if start <= token < stop]] = -torch.inf
        if temperature != 1.0:
            part /= temperature
        # Finite also where a block has no possible token.
        top = part.amax(0).clamp(min=torch.finfo(part.dtype).min)
        part.sub_(top).exp_()
        whole = values[start : -(-stop // CELL) * CELL]
        sums.append(whole.view(len(whole) // CELL, CELL, rows).sum(1))
        tops.append(top.expand_as(sums[-1]))
    top = torch.cat(tops)
    shares = torch.cat(sums) * (top - top.amax(0)).exp()
    chosen, rest = invert(shares.t(), level)
    tokens = chosen * CELL + torch.arange(CELL, device=level.device)[:, None]
    within, rest = invert(values.gather(0, tokens).t(), rest)
    return chosen * CELL + within, rest


def fill_logits(out: Tensor, states: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Write W h + b of each row, (V, N), to `out`, which may be of a wider type."""
    if out.dtype == weight.dtype:
        project(states, weight, bias, out)
    else:
        out.copy_(project(states, weight, bias, states.new_empty(out.shape)))


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
