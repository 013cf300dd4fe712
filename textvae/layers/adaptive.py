"""Adaptive softmax: frequent words first, rare ones through their cluster."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textvae.layers.crossentropy import linear_cross_entropy
from textvae.layers.sampling import sample_softmax


class AdaptiveSoftmax(nn.Module):
    """p(y | h) = p(y | h; head) for the words below the first cutoff, else p(c | h) p(y | h, c).

    The head is a softmax over the frequent words and one vector for each cluster of the others;
    within a cluster there is a softmax over its words. It is normalised exactly, and reads the
    rows of a projection as a plain softmax does, so the projection can be tied. A word of the head
    costs the head alone: on the Penn Treebank, one cutoff at 2,000 of 10,000 words leaves a third
    of the products.

    Token ids must be sorted by falling frequency, as those of our word tokenizers are; with others
    it is right, but not fast.

    Args:
        width: E, size of the projected states.
        vocab_size: V.
        cutoffs: first id of each cluster, rising, within (0, V).

    Source: Grave et al. 2017, arXiv:1609.04309; here all clusters have the full width.
    """

    def __init__(self, width: int, vocab_size: int, cutoffs: Sequence[int]):
        super().__init__()
        self.clusters = list(itertools.pairwise([*cutoffs, vocab_size]))
        self.head = cutoffs[0]
        self.scores = nn.Linear(width, len(cutoffs))

    def logits(self, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """log p of every token, (..., V), float32, of states, (..., E)."""
        first, *clusters = self.read(weight, bias)
        head = F.linear(hidden, *first).float().log_softmax(-1)
        parts = [head[..., : self.head]]
        for number, rows in enumerate(clusters, self.head):
            scores = F.linear(hidden, *rows).float()
            parts.append(scores.log_softmax(-1) + head[..., number, None])
        return torch.cat(parts, -1)

    def cross_entropy(
        self, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
    ) -> Tensor:
        """-log p of each target, (M,), nats, from states, (M, E)."""
        starts = [start for start, _ in self.clusters]
        cluster = torch.bucketize(targets, targets.new_tensor(starts), right=True)
        chosen = torch.where(cluster == 0, targets, self.head + cluster - 1)
        first, *clusters = self.read(weight, bias)
        losses = linear_cross_entropy(hidden, *first, chosen)
        for number, (start, rows) in enumerate(zip(starts, clusters, strict=True), 1):
            members = (cluster == number).nonzero().squeeze(1)
            within = linear_cross_entropy(
                hidden.index_select(0, members), *rows, targets[members] - start
            )
            losses = losses.index_add(0, members, within)
        return losses

    def sample(
        self, hidden: Tensor, weight: Tensor, bias: Tensor, level: Tensor, impossible: Sequence[int]
    ) -> Tensor:
        """A token of each row, (N,), int64, from states, (N, E); rare words only where one is due.

        Args:
            hidden: states.
            weight: (V, E).
            bias: (V,).
            level: of the distribution function, in [0, 1), (N,).
            impossible: ids of frequent words with probability 0.
        """
        first, *clusters = self.read(weight, bias)
        chosen, level = sample_softmax(hidden, *first, level, impossible=impossible)
        tokens = chosen.clone()
        for number, ((start, _), rows) in enumerate(
            zip(self.clusters, clusters, strict=True), self.head
        ):
            members = (chosen == number).nonzero().squeeze(1)
            within, _ = sample_softmax(hidden[members], *rows, level[members])
            tokens[members] = start + within
        return tokens

    def read(self, weight: Tensor, bias: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Weight and bias of the head, the frequent words, then the clusters; and of each cluster.

        They are split once: the gradient of a slice would be as large as the whole, mostly zeros.
        """
        sizes = [self.head, *(end - start for start, end in self.clusters)]
        (weight, *weights), (bias, *biases) = weight.split(sizes), bias.split(sizes)
        head = torch.cat([weight, self.scores.weight]), torch.cat([bias, self.scores.bias])
        return [head, *zip(weights, biases, strict=True)]
