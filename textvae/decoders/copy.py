"""Context -> token sequences, some of whose tokens are copied from the text attended to."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textvae.decoders.text import LSTMDecoder, State, TokenDistribution
from textvae.layers.attention import Memory
from textvae.layers.spans import word_positions
from textvae.registry import Count, Depth, Probability, Rate
from textvae.vocabulary import PAD


class CopyDecoder(LSTMDecoder, kind="copy"):
    """An LSTM that attends to a text, and copies from it: a pointer-generator.

    p(x_t) = g softmax(W s + b)[x_t] + (1 - g) sum of the attention to the words equal to x_t, with
    g = sigmoid(w s + c) and the state s after attention. Begin and end are attended to, but not
    copied: the shares of a copy are the attention of s, by the same weights, to words alone.

    Args:
        vocab_size: number of token ids V.
        features: size H of the context; 0 for none.
        memory: size M of the states that it attends to.
        hidden: state size.
        embedding: size of a token's embedding; `hidden` when not given.
        layers: number of layers.
        dropout: rate on embeddings, between layers and before the projection.
        word_dropout: share of input words replaced by `<unk>` in training; 1 is inputless.
        tied: project with the embedding matrix; states of another size pass a layer first.
        every_step: whether the context is read at every step, and not as initial state alone.
        heads: of the attention; the share of a position is their mean.

    Source: See et al. 2017, section 2.2, arXiv:1704.04368. There one attention gives context and
    shares, the gate reads the input word too, and words outside the vocabulary can be copied:
    subwords spell them.
    """

    samples_states: ClassVar[bool] = False

    def __init__(
        self,
        vocab_size: int,
        features: int,
        memory: int,
        hidden: Count = 256,
        embedding: Count | None = None,
        layers: Depth = 1,
        dropout: Rate = 0.0,
        word_dropout: Probability = 0.0,
        tied: bool = False,
        every_step: bool = True,
        heads: Count = 1,
    ):
        super().__init__(
            vocab_size,
            features,
            hidden=hidden,
            embedding=embedding,
            layers=layers,
            dropout=dropout,
            word_dropout=word_dropout,
            tied=tied,
            every_step=every_step,
            memory=memory,
            heads=heads,
        )
        self.gate = nn.Linear(hidden, 1)

    def forward(self, context: Tensor, memory: Memory | None = None) -> "CopyDistribution":
        """p(x | z) for each context, (K, B, H), and what it attends to, of B texts."""
        return CopyDistribution(self, context, memory)

    def read_memory(self, memory: Memory | None) -> tuple[Tensor, ...]:
        """Keys, values and mask of a memory, and its ids, padding where nothing is copied."""
        assert memory is not None and memory.ids is not None, "the decoder attends to token ids"
        copied = memory.ids.where(word_positions(memory.ids, memory.mask), PAD)
        return (*super().read_memory(memory), copied)

    def run(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Output states, (N, T, F), and the state after reading ids, (N, T)."""
        *attended, copied = state.memory
        states, after = super().run(inputs, State(tuple(attended), state.position))
        return states, State((*after.memory, copied), after.position)

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probabilities of the next token, (N, V), after reading ids, (N,), int64."""
        states, state = self.run(tokens[:, None], state)
        _, _, _, keys, _, _, copied = state.memory
        shares = self.shares(states, keys, copied)[:, 0]
        log_probs = self.logits(states[:, 0]).log_softmax(-1)
        total = torch.zeros_like(log_probs).scatter_add(1, copied, shares)
        return self.mixed(states[:, 0], log_probs, total), state

    def shares(self, states: Tensor, keys: Tensor, copied: Tensor) -> Tensor:
        """The probability of a copy of each position, (K * N, T, L), float32.

        Args:
            states: output states, (K * N, T, F).
            keys: of the memory, (N, L, width).
            copied: its ids, (N, L), padding where nothing is copied.
        """
        assert self.attention is not None
        return self.attention.weights(states, keys, copied != PAD).float()

    def mixed(self, states: Tensor, log_probs: Tensor, copied: Tensor) -> Tensor:
        """log(g p + (1 - g) c), (M, ...), of log p and c, with g of the states, (M, F)."""
        gate = self.gate(states).float().view(-1, *[1] * (log_probs.ndim - 1))
        # A gradient of log 0 would be no number.
        log_copied = copied.clamp(min=torch.finfo(torch.float32).tiny).log()
        return torch.logaddexp(F.logsigmoid(gate) + log_probs, F.logsigmoid(-gate) + log_copied)


class CopyDistribution(TokenDistribution):
    """p(x | z) of a `CopyDecoder`; batch shape (K, B)."""

    def token_log_probs(self, value: Tensor) -> Tensor:
        """log p(x_t | x_<t, z) of each target x_1 .. x_T-1, (K, B, T - 1), nats; 0 on padding."""
        decoder, (K, B, H) = self.decoder, self.context.shape
        assert isinstance(decoder, CopyDecoder)
        T = value.shape[1] - 1
        inputs, targets = (
            part.expand(K, B, T).reshape(K * B, T) for part in (value[:, :-1], value[:, 1:])
        )
        context = self.context.reshape(K * B, H)
        start = decoder.start(context, self.memory)
        states, _ = decoder.run(inputs, start)
        _, _, _, keys, _, _, copied = start.memory
        shares = decoder.shares(states, keys, copied)
        equal = copied.repeat(K, 1)[:, None] == targets[:, :, None]
        total = (shares * equal).sum(-1).flatten()
        present = (targets.flatten() != PAD).nonzero().squeeze(1)
        chosen = states.flatten(0, 1).index_select(0, present)
        log_probs = -decoder.cross_entropy(chosen, targets.flatten()[present])
        each = decoder.mixed(chosen, log_probs, total[present])
        return each.new_zeros(K * B * T).index_copy(0, present, each).view(K, B, T)
