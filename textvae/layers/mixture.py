"""Mixture of softmaxes, without the probabilities of every token at once."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textvae.layers.crossentropy import linear_cross_entropy


class SoftmaxMixture(nn.Module):
    """p(y | h) = sum_c pi_c softmax(W tanh(V_c h + d_c) + b)_y with pi = softmax(U h + u).

    Its log-probabilities have a higher rank than the width of W. Training asks only for each
    component's probability of the target, so it needs no more memory for logits than one softmax.

    Args:
        width: F, size of the states h.
        embedding: E, size of the rows of W.
        components: C.

    Source: Yang et al. 2018, section 2.3, arXiv:1711.03953 (there without u).
    """

    def __init__(self, width: int, embedding: int, components: int):
        super().__init__()
        self.components = components
        self.weights = nn.Linear(width, components)
        self.states = nn.Linear(width, components * embedding)

    def read(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """States of each component, (..., C, E), and log pi, (..., C), float32."""
        states = self.states(hidden).tanh().unflatten(-1, (self.components, -1))
        return states, self.weights(hidden).float().log_softmax(-1)

    def logits(self, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """log p of every token, (..., V), float32, of states, (..., F); one component at a time."""
        states, log_weights = self.read(hidden)
        total = torch.empty(0)
        for number in range(self.components):
            scores = F.linear(states[..., number, :], weight, bias).float()
            part = scores.log_softmax(-1) + log_weights[..., number, None]
            total = part if number == 0 else torch.logaddexp(total, part)
        return total

    def cross_entropy(
        self, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
    ) -> Tensor:
        """-log p of each target, (M,), nats, from states, (M, F)."""
        states, log_weights = self.read(hidden)
        repeated = targets.repeat_interleave(self.components)
        losses = linear_cross_entropy(states.flatten(0, 1), weight, bias, repeated)
        return -(log_weights - losses.view_as(log_weights)).logsumexp(-1)
