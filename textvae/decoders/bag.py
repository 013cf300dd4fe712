"""Context -> distribution over the words of a text, whatever their order."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textvae.decoders.text import State, TokenDecoder, TokenDistribution
from textvae.layers.attention import Memory
from textvae.registry import Count, Rate
from textvae.vocabulary import PAD


class BagDecoder(TokenDecoder, kind="bag"):
    """Every token from the same distribution: p(x | z) = prod_t softmax(W f(z) + b)[x_t].

    f is a layer with tanh. As the only decoder it is the unigram decoder of Bosc & Vincent; with
    `auxiliary` beside another decoder of the field it is the bag-of-words loss of Zhao et al. The
    end of sentence is a word like the others.

    Args:
        vocab_size: number of token ids V.
        features: size H of the context; 0 for a unigram language model.
        hidden: width of the layer.
        dropout: rate before the projection.

    Source: Bosc & Vincent 2020, section 5, arXiv:2004.07683; Zhao et al. 2017, eq. 8,
    arXiv:1703.10960 (there a two-layer perceptron too).
    """

    ordered: ClassVar[bool] = False
    samples_states: ClassVar[bool] = True

    def __init__(self, vocab_size: int, features: int, hidden: Count = 256, dropout: Rate = 0.0):
        super().__init__()
        self.features = features
        self.dropout = dropout
        self.word_dropout = 1.0  # it never sees a word
        self.layer = nn.Linear(features, hidden) if features else None
        self.width = hidden
        self.output = nn.Linear(hidden, vocab_size)

    def forward(self, context: Tensor, memory: Memory | None = None) -> "BagDistribution":
        """p(x | z) for each context, (K, B, H)."""
        return BagDistribution(self, context)

    def hidden(self, inputs: Tensor, context: Tensor, memory: Memory | None = None) -> Tensor:
        """Output states, (N, T, F), for input ids, (N, T), and contexts, (N, H)."""
        return self.read(context)[:, None].expand(-1, inputs.shape[1], -1)

    def start(self, context: Tensor, memory: Memory | None = None) -> State:
        """The state before the first token, for contexts, (N, H)."""
        return State((self.read(context),), 0)

    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Output states, (N, F), the same after every id."""
        return state.memory[0], State(state.memory, state.position + 1)

    def read(self, context: Tensor) -> Tensor:
        """f(z), (..., F), of contexts, (..., H)."""
        if self.layer is None:
            return context.new_ones(*context.shape[:-1], self.width)
        return F.dropout(self.layer(context).tanh(), self.dropout, self.training)


class BagDistribution(TokenDistribution):
    """p(x | z) with one projection per text rather than one per token; batch shape (K, B)."""

    def token_log_probs(self, value: Tensor) -> Tensor:
        """log p(x_t | z) of each target x_1 .. x_T-1, (K, B, T - 1), nats; 0 on padding."""
        decoder = self.decoder
        assert isinstance(decoder, BagDecoder)
        targets = value[:, 1:]
        log_probs = torch.log_softmax(decoder.logits(decoder.read(self.context)), -1)
        chosen = log_probs.gather(2, targets.expand(*self.context.shape[:2], -1))
        return chosen.masked_fill(targets == PAD, 0.0)
