"""Topic proportions -> a bag of words."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textvae.decoders.text import State, TokenDecoder, TokenDistribution
from textvae.layers.attention import Memory
from textvae.vocabulary import BOS, EOS, PAD, UNK

NEVER = -1e4
"""Log-probability of what cannot come; finite, since a mask multiplies it."""


class TopicDecoder(TokenDecoder, kind="topics"):
    """Every word from softmax(b + a + BN(theta B)); after each, the text ends with one rate.

    b are the log frequencies of words in the training texts and a corrects them; theta are the
    topic proportions that it is given, B has a row for each topic. BN is batch normalisation
    without scale and shift. The rate at which texts end depends on nothing, so that texts of every
    length have a probability and the length adds a constant: the rest is the multinomial
    likelihood of topic models.

    Args:
        vocab_size: number of token ids V.
        features: number of topics; 0 for a unigram model.

    Source: Srivastava & Sutton 2017, section 3.3, arXiv:1703.01488 (the product of experts and
    BN); Gururangan et al. 2019, section 3, arXiv:1906.02242 (b). There b stands inside BN, which
    takes it out again: it is the same for every text.
    """

    ordered: ClassVar[bool] = False
    background: Tensor
    end: Tensor

    def __init__(self, vocab_size: int, features: int):
        super().__init__()
        self.features = features
        self.dropout = 0.0
        self.word_dropout = 1.0  # it never sees a word
        self.correction = nn.Parameter(torch.zeros(vocab_size))
        self.topics = nn.Linear(features, vocab_size, bias=False) if features else None
        # The larger eps keeps words that hardly vary from being blown up.
        self.norm = nn.BatchNorm1d(vocab_size, eps=1e-3, affine=False) if features else None
        self.register_buffer("background", torch.zeros(vocab_size))
        self.register_buffer("end", torch.tensor(0.1))

    @property
    def words(self) -> int:
        """Number of words in the vocabulary, the unknown one not counted."""
        return len(self.background) - UNK - 1

    observes: ClassVar[bool] = True

    @torch.no_grad()
    def observe(self, counts: Tensor, texts: int) -> None:
        """Set b and the rate of ends: counts of token ids, (V,), of so many training texts.

        One is added to each count: no word is impossible.
        """
        counts = counts.to(self.background).index_fill(0, torch.tensor([PAD, BOS, EOS]), 0)
        self.background.copy_(torch.log((counts + 1) / (counts + 1).sum()))
        self.end.copy_(texts / (texts + counts.sum()))

    def forward(self, context: Tensor, memory: Memory | None = None) -> "TopicDistribution":
        """p(x | theta) for each context, (K, B, H)."""
        return TopicDistribution(self, context)

    def word_logits(self, context: Tensor) -> Tensor:
        """Unnormalised log-probabilities of words, (..., V), float32, of contexts, (..., H).

        Raises:
            ValueError: in training, fewer than two contexts.
        """
        base = (self.background + self.correction).float()
        if self.topics is None or self.norm is None:
            return base.expand(*context.shape[:-1], -1)
        scores = self.topics(context).flatten(0, -2)
        return base + self.norm(scores).float().unflatten(0, context.shape[:-1])

    def token_logits(self, context: Tensor) -> Tensor:
        """Log-probabilities of the next token, (..., V), whatever came before."""
        words = self.word_logits(context)
        special = torch.tensor([PAD, BOS, EOS], device=words.device)
        words = words.index_fill(-1, special, NEVER).log_softmax(-1)
        found = (words + torch.log1p(-self.end)).index_fill(-1, special, NEVER)
        ending = torch.full_like(found[..., :1], 0.0) + self.end.log()
        return torch.cat([found[..., :EOS], ending, found[..., EOS + 1 :]], -1)

    def hidden(self, inputs: Tensor, context: Tensor, memory: Memory | None = None) -> Tensor:
        """Log-probabilities, (N, T, V), for input ids, (N, T), and contexts, (N, H)."""
        return self.token_logits(context)[:, None].expand(-1, inputs.shape[1], -1)

    def logits(self, hidden: Tensor) -> Tensor:
        """The log-probabilities that `hidden` gives."""
        return hidden

    def start(self, context: Tensor, memory: Memory | None = None) -> State:
        """The state before the first token, for contexts, (N, H)."""
        return State((self.token_logits(context),), 0)

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits of the next token, (N, V), the same after every id."""
        return state.memory[0], State(state.memory, state.position + 1)

    @torch.no_grad()
    def topic_words(self, count: int = 10) -> Tensor:
        """The likeliest words of a text that is wholly one topic, (D, count), likeliest first.

        Raises:
            ValueError: there is no topic, or `count` is more than there are words.
        """
        if self.topics is None or self.norm is None:
            raise ValueError("the decoder has no topics: it is a unigram model")
        if not 1 <= count <= self.words:
            raise ValueError(f"a topic has 1 to {self.words} words (got {count})")
        pure = torch.eye(self.features, device=self.background.device)
        scores = F.batch_norm(
            self.topics(pure), self.norm.running_mean, self.norm.running_var, eps=self.norm.eps
        )
        # Ids after the last special one: the unknown word is no word of a topic.
        words = (self.background + self.correction + scores)[:, UNK + 1 :]
        return words.topk(count).indices + UNK + 1

    def length_log_prob(self, words: Tensor) -> Tensor:
        """log p of the number of words of texts, (N,), nats: the constant part of `log_prob`."""
        return words * torch.log1p(-self.end) + self.end.log()


class TopicDistribution(TokenDistribution):
    """p(x | theta) with one projection per text; batch shape (K, B)."""

    def token_log_probs(self, value: Tensor) -> Tensor:
        """log p(x_t | theta) of each target x_1 .. x_T-1, (K, B, T - 1), nats; 0 on padding."""
        decoder = self.decoder
        assert isinstance(decoder, TopicDecoder)
        targets = value[:, 1:]
        chosen = decoder.token_logits(self.context).gather(
            2, targets.expand(*self.context.shape[:2], -1)
        )
        return chosen.masked_fill(targets == PAD, 0.0)
