"""Word counts of a text -> features, by a perceptron."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textvae.encoders.base import Features
from textvae.encoders.text import TextEncoder
from textvae.layers.noise import NO_NOISE, Noise, is_word
from textvae.registry import Count, Depth, Rate
from textvae.vocabulary import PAD


class CountsEncoder(TextEncoder, kind="counts"):
    """h_1 = relu(W_1 c + b_1), h_l = relu(W_l h_l-1 + b_l) of a text's word counts c, (V,).

    Begin, end and padding are not counted. All layers are kept as features.

    Args:
        vocab_size: number of token ids V.
        hidden: width of each layer.
        layers: number of layers.
        dropout: rate after each layer.
        noise: what happens to the words in training.
        log_counts: log(1 + c) in place of c, so that long texts are not far from all others.

    >>> encoder = CountsEncoder(vocab_size=10, hidden=4)
    >>> encoder(torch.tensor([[1, 5, 5, 2], [1, 6, 2, 0]])).pooled.shape
    torch.Size([2, 4])

    Source: Miao et al. 2016, section 3, arXiv:1511.06038; Gururangan et al. 2019, section 3,
    arXiv:1906.02242.
    """

    ordered: ClassVar[bool] = False

    def __init__(
        self,
        vocab_size: int,
        hidden: Count = 256,
        layers: Depth = 2,
        dropout: Rate = 0.0,
        noise: Noise = NO_NOISE,
        log_counts: bool = False,
    ):
        super().__init__()
        self.noise = noise
        self.log_counts = log_counts
        self.dropout = dropout
        self.features = hidden
        # One row for each word: the product with counts is a sum over the words of a text.
        self.embedding = nn.Embedding(vocab_size, hidden)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers - 1))

    def read(self, ids: Tensor) -> Features:
        """The features of token ids as they are; the same at every position."""
        weights = is_word(ids).to(self.embedding.weight.dtype)
        if self.log_counts:
            # Each of c occurrences brings log(1 + c) / c.
            empty = weights.new_zeros(len(ids), self.embedding.num_embeddings)
            counts = empty.scatter_add(1, ids, weights).gather(1, ids)
            weights = weights * counts.log1p() / counts.clamp(min=1)
        total = F.embedding_bag(ids, self.embedding.weight, mode="sum", per_sample_weights=weights)
        found = [self.active(total + self.bias)]
        for layer in self.layers:
            found.append(self.active(layer(found[-1])))
        states = found[-1][:, None].expand(-1, ids.shape[1], -1)
        return Features(found[-1], states, ids != PAD, tuple(found))

    def active(self, values: Tensor) -> Tensor:
        """A layer's output of its sums."""
        return F.dropout(values.relu(), self.dropout, self.training)
