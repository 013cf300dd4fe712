"""Vectors as the nearest codes of a codebook, and the most probable sequences of codes."""

from collections.abc import Callable

import torch
from torch import Tensor

SAME = 1e-2
"""Distance below which a vector is a code: two codes so near are one, and `nearest` may give the
number of either, since it computes distances from products."""


def nearest(vectors: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    """The number of the code nearest to each vector, and its distance to that code.

    Args:
        vectors: (..., E).
        codebook: (K, E).

    Returns:
        Numbers, (...), int64, and distances, (...).
    """
    # Under bfloat16 autocast the products would be too coarse to compare.
    with torch.autocast(vectors.device.type, enabled=False):
        flat, codes = vectors.detach().float().flatten(0, -2), codebook.float()
        # |v|^2 is the same for all codes.
        numbers = (codes.square().sum(-1) - 2 * flat @ codes.T).argmin(-1)
        distance = (flat - codes[numbers]).norm(dim=-1)
    return numbers.view(vectors.shape[:-1]), distance.view(vectors.shape[:-1])


@torch.no_grad()
def best_sequences(
    log_probs: Callable[[Tensor], Tensor], start: Tensor, codes: int, count: int
) -> tuple[Tensor, Tensor]:
    """The most probable sequences of codes, the best first, by a beam search.

    The beam is as wide as there are codes, or wider: for one or two codes the answer is exact.

    Args:
        log_probs: of the next code after prefixes, (B, W, m), int64: (B, W, K), nats.
        start: the empty prefix of each, (B, 1, 0), int64.
        codes: length M of a sequence.
        count: of sequences; there are fewer where K^M is less.

    Returns:
        Sequences, (B, count, M), int64, and log-probabilities, (B, count), nats.
    """
    prefixes, scores = start, torch.zeros(start.shape[:2], device=start.device)
    for _ in range(codes):
        step = log_probs(prefixes)
        size = step.shape[-1]
        total = (scores[..., None] + step).flatten(1)
        scores, chosen = total.topk(min(max(count, size), total.shape[1]), -1)
        parents = (chosen // size)[..., None].expand(-1, -1, prefixes.shape[-1])
        prefixes = torch.cat([prefixes.gather(1, parents), (chosen % size)[..., None]], -1)
    return prefixes[:, :count], scores[:, :count]
