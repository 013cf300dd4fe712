"""Token ids -> features."""

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from textvae.encoders.base import Encoder, Features
from textvae.layers.noise import NO_NOISE, Noise, drop_word_types
from textvae.layers.recurrent import drop_features, make_lstm
from textvae.layers.transformer import Block, check_heads, sinusoids
from textvae.registry import Count, Depth, Rate
from textvae.vocabulary import PAD

Pooling = Literal["last", "max", "mean"]


class TextEncoder(Encoder):
    """An encoder of token ids; in training it reads them with noise."""

    ordered: ClassVar[bool] = True
    """Whether the features depend on the order of the words."""

    has_states: ClassVar[bool] = True

    noise: Noise
    embedding: nn.Embedding

    def forward(self, observed: Tensor) -> Features:
        """The features of token ids, (B, T), int64, padded on the right."""
        features = self.read(self.noise(observed) if self.training else observed)
        return replace(features, ids=observed)

    def read(self, ids: Tensor) -> Features:
        """The features of token ids as they are."""
        raise NotImplementedError


class LSTMEncoder(TextEncoder, kind="lstm"):
    """An LSTM over the tokens, begin and end of sentence included.

    Args:
        vocab_size: number of token ids V.
        hidden: state size of each direction.
        embedding: size of a token's embedding; `hidden` when not given.
        layers: number of layers.
        bidirectional: a second LSTM reads from the end; the features are twice as wide.
        pooling: `last` state of each direction, or `max` or `mean` over the positions.
        dropout: rate on embeddings and between layers.
        noise: what happens to the words in training.
        embedding_dropout: share of all words whose embedding is zero for a training batch.
        locked: whether `dropout` drops the same features at every token of a text.
        layer_norm: whether the output states of each layer are normalised.

    Raises:
        ValueError: layer norm, or locked dropout between layers, of a bidirectional LSTM.

    >>> encoder = LSTMEncoder(vocab_size=10, hidden=4)
    >>> encoder(torch.tensor([[1, 5, 2, 0], [1, 6, 7, 2]])).pooled.shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        vocab_size: int,
        hidden: Count = 256,
        embedding: Count | None = None,
        layers: Depth = 1,
        bidirectional: bool = False,
        pooling: Pooling = "last",
        dropout: Rate = 0.0,
        noise: Noise = NO_NOISE,
        embedding_dropout: Rate = 0.0,
        locked: bool = False,
        layer_norm: bool = False,
    ):
        super().__init__()
        if bidirectional and (layer_norm or (locked and layers > 1)):
            raise ValueError(
                "a bidirectional encoder has no layer_norm, and no locked dropout between layers"
            )
        self.noise = noise
        self.pooling: Pooling = pooling
        self.dropout = dropout
        self.embedding_dropout = embedding_dropout
        self.locked = locked
        self.features = hidden * (2 if bidirectional else 1)
        self.embedding = nn.Embedding(vocab_size, embedding or hidden)
        self.lstm = make_lstm(
            embedding or hidden, hidden, layers, dropout, locked, layer_norm, bidirectional
        )

    def read(self, ids: Tensor) -> Features:
        """The features of token ids as they are."""
        mask = ids != PAD
        embedded = self.embedding(ids)
        if self.training:
            size = self.embedding.num_embeddings
            embedded = drop_word_types(embedded, ids, self.embedding_dropout, size)
        embedded = drop_features(embedded, self.dropout, self.training, self.locked)
        if self.lstm.bidirectional:
            # Unpacked, the backward direction would start on padding.
            packed = pack_padded_sequence(
                embedded, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False
            )
            states, _ = self.lstm(packed)
            states, _ = pad_packed_sequence(states, batch_first=True, total_length=mask.shape[1])
        else:
            states, _ = self.lstm(embedded)
        return Features(self.pool(states, mask), states, mask)

    def pool(self, states: Tensor, mask: Tensor) -> Tensor:
        """One vector per text, (B, H), of states, (B, T, H)."""
        if self.pooling == "last" and self.lstm.bidirectional:
            forward, backward = states.chunk(2, dim=-1)
            return torch.cat([last_state(forward, mask), backward[:, 0]], dim=-1)
        return pool(states, mask, self.pooling)


class TransformerEncoder(TextEncoder, kind="transformer"):
    """Pre-norm self-attention over the tokens, begin and end of sentence included.

    Args:
        vocab_size: number of token ids V.
        hidden: width of the blocks, a multiple of 2 * heads.
        layers: number of blocks.
        heads: attention heads of each block.
        pooling: `last` position, or `max` or `mean` over the positions.
        dropout: rate on embeddings, attention and block outputs.
        noise: what happens to the words in training.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden: Count = 256,
        layers: Depth = 2,
        heads: Count = 4,
        pooling: Pooling = "mean",
        dropout: Rate = 0.1,
        noise: Noise = NO_NOISE,
    ):
        super().__init__()
        self.noise = noise
        check_heads(hidden, heads)
        self.pooling: Pooling = pooling
        self.dropout = dropout
        self.features = hidden
        self.embedding = nn.Embedding(vocab_size, hidden)
        self.blocks = nn.ModuleList(Block(hidden, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)

    def read(self, ids: Tensor) -> Features:
        """The features of token ids as they are."""
        mask = ids != PAD
        x = self.embedding(ids)
        x = x + sinusoids(0, x.shape[1], x.shape[2], x)
        x = F.dropout(x, self.dropout, self.training)
        for block in self.blocks:
            x, _ = block(x, mask=mask[:, None, None, :])
        states = self.norm(x)
        return Features(pool(states, mask, self.pooling), states, mask)


class BagEncoder(TextEncoder, kind="bag"):
    """The word embeddings themselves, pooled: the order of the words is lost.

    Args:
        vocab_size: number of token ids V.
        hidden: size of a token's embedding.
        pooling: `max` or `mean` over the positions, begin and end of sentence included.
        dropout: rate on embeddings.
        noise: what happens to the words in training.

    Source: Bosc & Vincent 2020, section 5, arXiv:2004.07683.
    """

    ordered: ClassVar[bool] = False

    def __init__(
        self,
        vocab_size: int,
        hidden: Count = 256,
        pooling: Literal["max", "mean"] = "max",
        dropout: Rate = 0.0,
        noise: Noise = NO_NOISE,
    ):
        super().__init__()
        self.noise = noise
        self.pooling: Pooling = pooling
        self.dropout = dropout
        self.features = hidden
        self.embedding = nn.Embedding(vocab_size, hidden)

    def read(self, ids: Tensor) -> Features:
        """The features of token ids as they are."""
        mask = ids != PAD
        states = F.dropout(self.embedding(ids), self.dropout, self.training)
        return Features(pool(states, mask, self.pooling), states, mask)


def last_state(states: Tensor, mask: Tensor) -> Tensor:
    """The state at each text's last token, (B, H)."""
    last = mask.sum(1) - 1
    return states[torch.arange(len(states), device=states.device), last]


def pool(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """One vector per text, (B, H), from the unpadded positions of states, (B, L, H)."""
    if pooling == "last":
        return last_state(states, mask)
    present = mask[:, :, None]
    if pooling == "max":
        return states.masked_fill(~present, -torch.inf).amax(1)
    return (states * present).sum(1) / present.sum(1)
