"""Context -> distribution over token sequences, one token after the other."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from textvae.decoders.base import Decoder
from textvae.layers.adaptive import AdaptiveSoftmax
from textvae.layers.attention import Attention, Memory
from textvae.layers.crossentropy import linear_cross_entropy, padded
from textvae.layers.mixture import SoftmaxMixture
from textvae.layers.noise import drop_word_types, drop_words
from textvae.layers.recurrent import LSTM, drop_features, make_lstm, run_samples
from textvae.layers.sampling import sample_softmax
from textvae.layers.shapes import may_follow_values
from textvae.layers.transformer import Block, check_heads, sinusoids
from textvae.registry import Count, Depth, Probability, Rate
from textvae.vocabulary import PAD


@dataclass(frozen=True)
class State:
    """What a decoder remembers between two tokens; row n of every tensor is sequence n.

    Args:
        memory: tensors, each (N, ...).
        position: number of tokens read so far.
    """

    memory: tuple[Tensor, ...]
    position: int

    def select(self, rows: Tensor) -> "State":
        """The state of the chosen sequences, in that order; rows: (M,), int64."""
        return State(tuple(m.index_select(0, rows) for m in self.memory), self.position)


class TokenDecoder(Decoder):
    """A decoder over tokens: all that likelihood, generation and positions need.

    A word dropout of 1 is the inputless decoder of Bowman et al. 2016: it never sees a word, in
    training or out of it.
    """

    ordered: ClassVar[bool] = True
    """Whether the probability depends on the order of words; if not, greedy texts mean little."""

    samples_states: ClassVar[bool] = False
    """Whether `advance` gives the states that `sample` draws from."""

    features: int
    embedding: nn.Embedding
    output: nn.Linear | None
    bias: nn.Parameter | None
    dropout: float
    word_dropout: float

    def __init__(self) -> None:
        super().__init__()
        self.narrow: nn.Linear | None = None
        self.mixture: SoftmaxMixture | None = None
        self.adaptive: AdaptiveSoftmax | None = None
        self.embedding_dropout = 0.0
        self.locked = False

    def make_vocabulary(
        self,
        vocab_size: int,
        embedding: int,
        width: int,
        tied: bool,
        mixtures: int = 1,
        cutoffs: Sequence[int] = (),
    ) -> None:
        """Make the input embedding and the projection to the vocabulary.

        States are made as wide as an embedding first, where that is what is projected: by a layer,
        or for each of several softmaxes.

        Raises:
            ValueError: cutoffs that do not rise, or with several softmaxes.
        """
        if any(low >= high for low, high in itertools.pairwise(cutoffs)):
            raise ValueError(f"cutoffs must rise (got {list(cutoffs)})")
        if cutoffs and mixtures > 1:
            raise ValueError(f"cutoffs need mixtures: 1 (got {mixtures})")
        self.embedding = nn.Embedding(vocab_size, embedding)
        if mixtures > 1:
            self.mixture = SoftmaxMixture(width, embedding, mixtures)
        elif tied and embedding != width:
            self.narrow = nn.Linear(width, embedding)
        projected = embedding if tied or mixtures > 1 else width
        self.output = None if tied else nn.Linear(projected, vocab_size)
        self.bias = nn.Parameter(torch.zeros(vocab_size)) if tied else None
        inner = [cutoff for cutoff in cutoffs if cutoff < vocab_size]
        self.adaptive = AdaptiveSoftmax(projected, vocab_size, inner) if inner else None

    def forward(self, context: Tensor, memory: Memory | None = None) -> "TokenDistribution":
        """p(x | z) for each context, (K, B, H), and what it attends to, of B texts."""
        return TokenDistribution(self, context, memory)

    def hidden(self, inputs: Tensor, context: Tensor, memory: Memory | None = None) -> Tensor:
        """Output states, (K * B, T, F), of input ids, (K * B, T), and contexts, (K * B, H).

        The memory is of B texts, that of each for its K rows: n, B + n, 2 B + n and so on.
        """
        raise NotImplementedError

    def hidden_of_samples(
        self, inputs: Tensor, context: Tensor, memory: Memory | None = None
    ) -> Tensor:
        """Output states, (K, B, T, F), for input ids, (B, T), and K contexts each, (K, B, H)."""
        K, B, H = context.shape
        repeated = inputs.expand(K, *inputs.shape).flatten(0, 1)
        return self.hidden(repeated, context.reshape(K * B, H), memory).unflatten(0, (K, B))

    def start(self, context: Tensor, memory: Memory | None = None) -> State:
        """The state before the first token, for contexts, (N, H), and a memory of N texts."""
        raise NotImplementedError

    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Output states, (N, F), after reading ids, (N,), int64."""
        raise NotImplementedError

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits of the next token, (N, V), after reading ids, (N,), int64."""
        hidden, state = self.advance(tokens, state)
        return self.logits(hidden), state

    def can_sample(self, temperature: float, impossible: Sequence[int]) -> bool:
        """Whether `sample` can draw; if not, the logits of all tokens are needed.

        A temperature changes the share of each cluster of an adaptive softmax.
        """
        if self.adaptive is None:
            return self.samples_states and self.mixture is None
        frequent = all(token < self.adaptive.head for token in impossible)
        return self.samples_states and temperature == 1.0 and frequent

    def sample(
        self, hidden: Tensor, level: Tensor, temperature: float, impossible: Sequence[int]
    ) -> Tensor:
        """A token of each row, (N,), int64, from output states, (N, F); see `can_sample`.

        Args:
            hidden: output states.
            level: of the distribution function, in [0, 1), (N,).
            temperature: that logits are divided by.
            impossible: ids of tokens with probability 0.
        """
        states = self.narrowed(hidden)
        if self.adaptive is not None:
            return self.adaptive.sample(states, *self.projection, level, impossible)
        return sample_softmax(states, *self.projection, level, temperature, impossible)[0]

    def logits(self, hidden: Tensor) -> Tensor:
        """Unnormalised log-probabilities, (..., V), float32, of output states, (..., F)."""
        if self.softmax is not None:
            return self.softmax.logits(self.narrowed(hidden), *self.projection)
        return F.linear(self.narrowed(hidden), *self.projection).float()

    def cross_entropy(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """-log p of each target, (M,), nats, from output states, (M, F)."""
        rows = len(hidden)
        hidden, targets = padded(hidden, targets)
        of = self.softmax.cross_entropy if self.softmax is not None else linear_cross_entropy
        return of(self.narrowed(hidden), *self.projection, targets)[:rows]

    def narrowed(self, hidden: Tensor) -> Tensor:
        """Output states, (..., F), as they are projected, (..., E)."""
        return hidden if self.narrow is None else self.narrow(hidden)

    @property
    def softmax(self) -> SoftmaxMixture | AdaptiveSoftmax | None:
        """What takes the place of one plain softmax over the vocabulary."""
        return self.mixture or self.adaptive

    @property
    def projection(self) -> tuple[Tensor, Tensor]:
        """Weight, (V, F), and bias, (V,), of the projection to the vocabulary."""
        if self.output is None:
            assert self.bias is not None
            return self.embedding.weight, self.bias
        return self.output.weight, self.output.bias

    def embed(self, inputs: Tensor) -> Tensor:
        """Embeddings of input ids, (N, T), after the dropout of words, word types and features."""
        if self.training or self.word_dropout == 1.0:
            inputs = drop_words(inputs, self.word_dropout)
        embedded = self.embedding(inputs)
        if self.training:
            size = self.embedding.num_embeddings
            embedded = drop_word_types(embedded, inputs, self.embedding_dropout, size)
        return drop_features(embedded, self.dropout, self.training, self.locked)


class TokenDistribution(Distribution):
    """p(x | z) over token sequences; batch shape (K, B).

    Args:
        decoder: gives the probability of each next token.
        context: (K, B, H).
        memory: of B texts, for a decoder that attends.
    """

    arg_constraints: ClassVar[dict] = {}

    def __init__(self, decoder: TokenDecoder, context: Tensor, memory: Memory | None = None):
        self.decoder = decoder
        self.context = context
        self.memory = memory
        super().__init__(context.shape[:2], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x | z), (K, B), nats; the sum over tokens, end of sentence included.

        Args:
            value: token ids, (B, T), int64: begin, words, end, padding.
        """
        return self.token_log_probs(value).sum(-1)

    def token_log_probs(self, value: Tensor) -> Tensor:
        """log p(x_t | x_<t, z) of each target x_1 .. x_T-1, (K, B, T - 1), nats; 0 on padding.

        Only real tokens are projected to the vocabulary: padding costs nothing there. Where shapes
        may not follow from values, padding is projected too.
        """
        K, B, _ = self.context.shape
        inputs, targets = value[:, :-1], value[:, 1:]
        T = targets.shape[1]
        hidden = self.decoder.hidden_of_samples(inputs, self.context, self.memory)
        flat = targets.expand(K, B, T).reshape(-1)
        if not may_follow_values(flat):
            losses = self.decoder.cross_entropy(hidden.flatten(0, 2), flat)
            return -losses.masked_fill(flat == PAD, 0.0).view(K, B, T)
        present = (flat != PAD).nonzero().squeeze(1)
        states = hidden.flatten(0, 2).index_select(0, present)
        losses = self.decoder.cross_entropy(states, flat[present])
        return losses.new_zeros(K * B * T).index_copy(0, present, -losses).view(K, B, T)


class RecurrentDecoder(TokenDecoder):
    """A decoder whose layers each start from c_0 = W context, h_0 = tanh(c_0)."""

    samples_states: ClassVar[bool] = True

    def make_start(self, features: int, layers: int, width: int) -> None:
        """Make W; without features every state starts at zero.

        Args:
            features: size H of the context.
            layers: number of layers.
            width: size of each layer's state.
        """
        self.features = features
        self.shape = layers, width
        self.initial = nn.Linear(features, layers * width) if features else None

    def run(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Output states, (N, T, F), and the state after reading ids, (N, T)."""
        raise NotImplementedError

    def hidden(self, inputs: Tensor, context: Tensor, memory: Memory | None = None) -> Tensor:
        """Output states, (K * B, T, F), see `TokenDecoder.hidden`."""
        states, _ = self.run(inputs, self.start(context, memory))
        return states

    def start(self, context: Tensor, memory: Memory | None = None) -> State:
        """The state before the first token, for contexts, (N, H), and a memory of N texts."""
        shape = (len(context), *self.shape)
        if self.initial is None:
            cell = context.new_zeros(shape)
            return State((cell, cell, context, *self.read_memory(memory)), 0)
        cell = self.initial(context).view(shape)
        return State((cell.tanh(), cell, context, *self.read_memory(memory)), 0)

    def read_memory(self, memory: Memory | None) -> tuple[Tensor, ...]:
        """What steps keep of a memory; nothing for a decoder that does not attend."""
        return ()

    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Output states, (N, F), after reading ids, (N,), int64."""
        states, state = self.run(tokens[:, None], state)
        return states[:, 0], state


class LSTMDecoder(RecurrentDecoder, kind="lstm"):
    """An LSTM that has the context as initial state and, by default, at every step.

    c_0 = W context, h_0 = tanh(c_0); the input of a step is [embedding, context], or the embedding
    alone.

    Args:
        vocab_size: number of token ids V.
        features: size H of the context; 0 for a language model.
        hidden: state size.
        embedding: size of a token's embedding; `hidden` when not given.
        layers: number of layers.
        dropout: rate on embeddings, between layers and before the projection.
        word_dropout: share of input words replaced by `<unk>` in training; 1 is inputless.
        tied: project with the embedding matrix; states of another size pass a layer first.
        embedding_dropout: share of all words whose input embedding is zero for a training batch.
        locked: whether `dropout` drops the same features at every token of a text.
        layer_norm: whether the output states of each layer are normalised.
        mixtures: softmaxes that the output mixes.
        weight_dropout: share of the weights between states that are zero for a training batch.
        cutoffs: first ids of the clusters of rare words in an adaptive softmax; those beyond the
            vocabulary do nothing, and without them it is a plain softmax.
        every_step: whether the context is read at every step, and not as initial state alone.
        memory: size M of the states that it attends to; None for no attention. Each output state s
            becomes s + W a(s), where a is the attention of s.
        heads: of the attention.

    Source: Bowman et al. 2016, section 3, arXiv:1511.06349; context at every step and h_0 as in
    He et al. 2019, arXiv:1901.05534; attention after the call as in Luong et al. 2015,
    arXiv:1508.04025, there with tanh.
    """

    def __init__(
        self,
        vocab_size: int,
        features: int,
        hidden: Count = 256,
        embedding: Count | None = None,
        layers: Depth = 1,
        dropout: Rate = 0.0,
        word_dropout: Probability = 0.0,
        tied: bool = False,
        embedding_dropout: Rate = 0.0,
        locked: bool = False,
        layer_norm: bool = False,
        mixtures: Count = 1,
        weight_dropout: Rate = 0.0,
        cutoffs: list[Count] | None = None,
        every_step: bool = True,
        memory: int | None = None,
        heads: Count = 1,
    ):
        super().__init__()
        self.dropout = dropout
        self.word_dropout = word_dropout
        self.embedding_dropout = embedding_dropout
        self.locked = locked
        self.make_vocabulary(vocab_size, embedding or hidden, hidden, tied, mixtures, cutoffs or ())
        self.make_start(features, layers, hidden)
        self.every_step = every_step
        size = (embedding or hidden) + features * every_step
        self.lstm = make_lstm(
            size, hidden, layers, dropout, locked, layer_norm, weight_dropout=weight_dropout
        )
        self.attention = None if memory is None else Attention(hidden, memory, hidden, heads)

    def read_memory(self, memory: Memory | None) -> tuple[Tensor, ...]:
        """Keys, values and mask of a memory; nothing without attention."""
        if self.attention is None:
            return ()
        assert memory is not None, "the decoder attends"
        return self.attention.read(memory)

    def hidden_of_samples(
        self, inputs: Tensor, context: Tensor, memory: Memory | None = None
    ) -> Tensor:
        """Output states, (K, B, T, F), for input ids, (B, T), and K contexts each, (K, B, H).

        On a CPU, of several contexts and without a gradient, words are multiplied once for all.
        """
        lstm = self.lstm
        plain = context.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
        exact = not (torch.is_grad_enabled() or self.training)
        several = plain and exact and len(context) > 1
        if not (several and isinstance(lstm, LSTM) and lstm.num_layers == 1):
            return super().hidden_of_samples(inputs, context, memory)
        h, c, _, *attended = self.start(context.flatten(0, 1), memory).memory
        h, c = (m[:, 0].unflatten(0, context.shape[:2]) for m in (h, c))
        added = context if self.every_step else None
        states = run_samples(lstm, self.embed(inputs), added, h, c)
        if self.attention is None:
            return states
        flat = states.flatten(0, 1)
        return (flat + self.attention(flat, *attended)).unflatten(0, states.shape[:2])

    def run(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Output states, (N, T, F), and the state after reading ids, (N, T)."""
        h, c, context, *attended = state.memory
        read = self.embed(inputs)
        if self.every_step:
            each_step = context[:, None, :].expand(-1, inputs.shape[1], -1)
            read = torch.cat([read, each_step.to(read.dtype)], dim=-1)
        h, c = (m.transpose(0, 1).contiguous().to(read.dtype) for m in (h, c))
        states, (h, c) = self.lstm(read, (h, c))
        if self.attention is not None:
            states = states + self.attention(states, *attended)
        memory = (h.transpose(0, 1), c.transpose(0, 1), context, *attended)
        states = drop_features(states, self.dropout, self.training, self.locked)
        return states, State(memory, state.position + inputs.shape[1])


class TransformerDecoder(TokenDecoder, kind="transformer"):
    """A pre-norm Transformer with the context as a prefix position and added to every embedding.

    Args:
        vocab_size: number of token ids V.
        features: size H of the context; 0 for a language model.
        hidden: width of the blocks, a multiple of 2 * heads.
        layers: number of blocks.
        heads: attention heads of each block.
        dropout: rate on embeddings, attention and block outputs.
        word_dropout: share of input words replaced by `<unk>` in training; 1 is inputless.
        tied: project with the embedding matrix.
        memory: size M of the states that every block attends to; None for none.

    Source: Li et al. 2020 (memory and embedding schemes), section 3.1, arXiv:2004.04092; the
    prefix is one position read by every block rather than one memory slot per block.
    """

    samples_states: ClassVar[bool] = True

    def __init__(
        self,
        vocab_size: int,
        features: int,
        hidden: Count = 256,
        layers: Depth = 2,
        heads: Count = 4,
        dropout: Rate = 0.1,
        word_dropout: Probability = 0.0,
        tied: bool = False,
        memory: int | None = None,
    ):
        super().__init__()
        check_heads(hidden, heads)
        self.heads = heads
        self.features = features
        self.dropout = dropout
        self.word_dropout = word_dropout
        self.make_vocabulary(vocab_size, hidden, hidden, tied)
        self.prefix = nn.Linear(features, hidden) if features else None
        self.added = nn.Linear(features, hidden) if features else None
        self.blocks = nn.ModuleList(Block(hidden, heads, dropout, memory) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)

    def hidden(self, inputs: Tensor, context: Tensor, memory: Memory | None = None) -> Tensor:
        """Output states, (K * B, T, F), see `TokenDecoder.hidden`."""
        x = self.enter(inputs, context, 0)
        if self.prefix is not None:
            x = torch.cat([self.prefix(context)[:, None, :].to(x.dtype), x], dim=1)
        for block, attended in zip(self.blocks, self.read_memory(memory), strict=True):
            x, _ = block(x, causal=True, attended=attended)
        return self.norm(x)[:, x.shape[1] - inputs.shape[1] :]

    def start(self, context: Tensor, memory: Memory | None = None) -> State:
        """The state before the first token, for contexts, (N, H), and a memory of N texts."""
        width = self.embedding.embedding_dim // self.heads
        empty = context.new_zeros(len(context), self.heads, 0, width)
        x = None if self.prefix is None else self.prefix(context)[:, None, :]
        kept = [context]
        for block, attended in zip(self.blocks, self.read_memory(memory), strict=True):
            cache = (empty, empty)
            if x is not None:
                x, cache = block(x, attended=attended)
            kept += [*cache, *attended]
        return State(tuple(kept), 0)

    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Output states, (N, F), after reading ids, (N,), int64."""
        context, *kept = state.memory
        x = self.enter(tokens[:, None], context, state.position)
        memory = [context]
        size = len(kept) // len(self.blocks)
        for number, block in enumerate(self.blocks):
            key, value, *attended = kept[number * size : (number + 1) * size]
            x, cache = block(x, past=(key, value), attended=attended)
            memory += [*cache, *attended]
        return self.norm(x)[:, 0], State(tuple(memory), state.position + 1)

    def read_memory(self, memory: Memory | None) -> list[tuple[Tensor, ...]]:
        """Keys, values and mask of a memory for each block; nothing where blocks do not attend."""
        return [cast(Block, block).read_memory(memory) for block in self.blocks]

    def enter(self, inputs: Tensor, context: Tensor, position: int) -> Tensor:
        """Input of the first block, (N, T, F), for ids, (N, T), that begin at `position`."""
        x = self.embed(inputs)
        x = x + sinusoids(position, inputs.shape[1], x.shape[2], x)
        if self.added is None:
            return x
        return x + self.added(context)[:, None, :]
