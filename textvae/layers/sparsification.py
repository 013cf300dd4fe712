"""Softmax probabilities without the classes that a distribution could do without."""

from collections.abc import Callable

import torch
from torch import Tensor


def softmax(logits: Tensor) -> Tensor:
    """Every class, (..., K)."""
    return logits.softmax(-1)


def evidential(logits: Tensor) -> Tensor:
    """Probabilities, (..., K), of the classes whose logit is above the mean logit.

    In the theory of evidence, w_k = logit_k - mean logit is the weight of evidence for class k
    where it is positive, and against it where not. A class has a belief mass of its own, above
    zero, just where w_k > 0. Where all logits are equal, all classes are kept.

    Args:
        logits: (..., K), finite.

    >>> evidential(torch.tensor([2.0, 2.0, -1.0, -3.0]))
    tensor([0.5000, 0.5000, 0.0000, 0.0000])

    Source: Itkina et al. 2020, section 4, arXiv:2010.09164, for logits that are already summed over
    features.
    """
    weights = logits - logits.mean(-1, keepdim=True)
    kept = (weights > 0) | (weights.amax(-1, keepdim=True) <= 0)
    return logits.masked_fill(~kept, -torch.inf).softmax(-1)


def sparsemax(logits: Tensor) -> Tensor:
    """The point of the simplex nearest to the logits, (..., K): max(logit_k - tau, 0).

    >>> sparsemax(torch.tensor([1.0, 0.8, -1.0]))
    tensor([0.6000, 0.4000, 0.0000])

    Source: Martins & Astudillo 2016, algorithm 1, arXiv:1602.02068.
    """
    ordered = logits.sort(-1, descending=True).values
    counts = torch.arange(1, logits.shape[-1] + 1, device=logits.device)
    sums = ordered.cumsum(-1) - 1
    size = (counts * ordered > sums).sum(-1, keepdim=True)
    return (logits - sums.gather(-1, size - 1) / size).clamp(min=0)


def beyond_top_p(logits: Tensor, share: float) -> Tensor:
    """The classes beyond the fewest whose probabilities add up to a share, (..., K), bool.

    Source: Holtzman et al. 2020, section 3.1, arXiv:1904.09751.
    """
    ascending, order = logits.sort(-1)
    below = ascending.softmax(-1).cumsum(-1) <= 1 - share
    below[..., -1] = False  # the most probable class stays
    return below.scatter(-1, order, below)


def top_p(logits: Tensor, share: float = 0.9) -> Tensor:
    """Probabilities, (..., K), of the fewest classes whose probabilities add up to a share.

    >>> top_p(torch.tensor([0.5, 0.25, 0.2, 0.05]).log(), share=0.7)
    tensor([0.6667, 0.3333, 0.0000, 0.0000])
    """
    return logits.masked_fill(beyond_top_p(logits, share), -torch.inf).softmax(-1)


SPARSIFIERS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": softmax,
    "evidential": evidential,
    "sparsemax": sparsemax,
    "top_p": top_p,
}
"""Logits, (..., K), to probabilities, by name."""
