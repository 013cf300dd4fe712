"""Token ids -> word embeddings, weighted by attention."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textvae.encoders.base import Features
from textvae.encoders.text import TextEncoder
from textvae.layers.noise import NO_NOISE, Noise
from textvae.registry import Count, Rate
from textvae.vocabulary import BOS, PAD


class AttentionEncoder(TextEncoder, kind="attention"):
    """Sums of the word embeddings, weighted by attention heads: the order of the words is lost.

    a = softmax_t(W2 tanh(W1 e_t)) for each head, over the words and the end of the sentence; the
    features are linear in the sums of a_t e_t of all heads.

    Args:
        vocab_size: number of token ids V.
        hidden: size of a token's embedding, of the layer that the weights come from and of the
            features.
        heads: number of sums.
        dropout: rate on embeddings.
        noise: what happens to the words in training.

    Source: Lin et al. 2017, section 2.1, arXiv:1703.03130, there over the states of an LSTM.

    >>> encoder = AttentionEncoder(vocab_size=10, hidden=4, heads=2)
    >>> encoder(torch.tensor([[1, 5, 2, 0], [1, 6, 7, 2]])).pooled.shape
    torch.Size([2, 4])
    """

    ordered = False
    weighs_words = True

    def __init__(
        self,
        vocab_size: int,
        hidden: Count = 128,
        heads: Count = 4,
        dropout: Rate = 0.0,
        noise: Noise = NO_NOISE,
    ):
        super().__init__()
        self.noise = noise
        self.dropout = dropout
        self.features = hidden
        self.embedding = nn.Embedding(vocab_size, hidden)
        self.inner = nn.Linear(hidden, hidden, bias=False)
        self.scores = nn.Linear(hidden, heads, bias=False)
        self.out = nn.Linear(heads * hidden, hidden)

    def read(self, ids: Tensor) -> Features:
        """The features of token ids as they are."""
        states = F.dropout(self.embedding(ids), self.dropout, self.training)
        sums = self.attend(states, ids) @ states
        return Features(self.out(sums.flatten(1)), states, ids != PAD)

    def weights(self, ids: Tensor) -> Tensor:
        """The weight of each position under each head, (B, heads, T), of token ids, (B, T)."""
        return self.attend(self.embedding(ids), ids)

    def attend(self, states: Tensor, ids: Tensor) -> Tensor:
        """The weights of embeddings, (B, T, H): one row for each head; nothing at the begin."""
        scores = self.scores(torch.tanh(self.inner(states))).transpose(1, 2)
        outside = (ids == PAD) | (ids == BOS)
        return scores.masked_fill(outside[:, None], -torch.inf).softmax(-1)
