"""The states of two encoders, each attending to the other's, -> features."""

import torch
from torch import Tensor, nn

from textvae.encoders.base import Encoder, Features, pooled_only
from textvae.encoders.text import pool
from textvae.registry import Count


class PairEncoder(Encoder, kind="pair"):
    """Co-attention of two texts: each state beside the mean of the other text's that it attends to.

    With states s_i of the first text and t_j of the second, a_ij = s_i^T W t_j / sqrt(H):

        u_i = tanh(U [s_i; sum_j softmax_j(a_ij) t_j])
        v_j = tanh(V [t_j; sum_i softmax_i(a_ij) s_i])

    The features are the means of u and of v over the positions, side by side.

    Args:
        given_features: sizes of the states of the two encoders in `given`.
        hidden: size of u and of v.

    Raises:
        ValueError: it is given more or fewer than two encoders.

    Source: Du et al. 2019, section 3, EMNLP (attention between two encoders, mean-pooled; the form
    of the scores and the layers are ours); Lu et al. 2016, arXiv:1606.00061 (co-attention).
    """

    reads_states = True

    def __init__(self, given_features: list[int], hidden: Count = 256):
        super().__init__()
        if len(given_features) != 2:
            raise ValueError(f"a pair is of two encoders in given (got {len(given_features)})")
        first, second = given_features
        self.features = 2 * hidden
        self.scores = nn.Linear(second, first, bias=False)
        self.first = nn.Linear(first + second, hidden)
        self.second = nn.Linear(first + second, hidden)

    def forward(self, first: Features, second: Features) -> Features:
        """The features of the pairs of B texts."""
        scores = first.states @ self.scores(second.states).transpose(1, 2)
        scores = scores / first.states.shape[-1] ** 0.5
        u = self.first(torch.cat([first.states, attended(scores, second)], -1)).tanh()
        v = self.second(torch.cat([second.states, attended(scores.mT, first)], -1)).tanh()
        means = [pool(u, first.mask, "mean"), pool(v, second.mask, "mean")]
        return pooled_only(torch.cat(means, -1))


def attended(scores: Tensor, other: Features) -> Tensor:
    """The mean of the other text's states for each query, (B, L, H), by scores, (B, L, M)."""
    weights = scores.masked_fill(~other.mask[:, None], -torch.inf).softmax(-1)
    return weights @ other.states
