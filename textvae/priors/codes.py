"""An LSTM over the codes of a quantised latent, given something or nothing."""

from typing import ClassVar

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from textvae.families import Family
from textvae.families.base import in_float32
from textvae.families.vq import VQ, CodebookDistribution
from textvae.layers.codes import best_sequences
from textvae.layers.recurrent import LSTM
from textvae.priors.base import Prior
from textvae.registry import Count, Rate

State = tuple[Tensor, Tensor]
"""Of an LSTM: two of (1, N, F)."""


class CodesPrior(Prior, kind="codes"):
    """p(z) = prod_m p(k_m | k_1, ..., k_m-1, context), exact; uniform before training.

    An LSTM over the codes; of a single code, a layer with tanh.

    Codes have no gradient, so the latent, its encoders and the decoders learn as under the uniform
    prior; encoders that the prior is given do learn from it. It can also be trained afterwards, on
    a model that `pretrain` has made and `freeze` holds.

    Args:
        features: size H of the context; 0 when it is given nothing.
        family: of the latent, `vq`.
        hidden_size: width of the LSTM, or of the layer.
        dropout: rate on its inputs and its states.

    Raises:
        ValueError: latents of the family are no codes of a codebook.

    Source: van den Oord et al. 2017, section 3.3, arXiv:1711.00937 (there a PixelCNN).
    """

    has_moments: ClassVar[bool] = False

    def __init__(
        self, features: int, family: Family, hidden_size: Count = 128, dropout: Rate = 0.0
    ):
        super().__init__()
        if not isinstance(family, VQ):
            raise ValueError(f"a codes prior needs a vq latent (got {family.kind})")
        self.refer(family)
        self.dropout = dropout
        # Number K stands for the begin.
        self.embedding = nn.Embedding(family.size + 1, hidden_size)
        self.places = nn.Parameter(torch.zeros(family.codes, hidden_size))
        self.read = nn.Linear(features, hidden_size) if features else None
        # A single code has none before it.
        several = family.codes > 1
        self.lstm = LSTM(hidden_size, hidden_size, batch_first=True) if several else None
        # No nn.Linear, whose first weights would be drawn: all codes are alike at first.
        self.output = nn.Parameter(torch.zeros(family.size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(family.size))

    def forward(self, context: Tensor) -> Distribution:
        """The distribution for each context, (..., H): batch shape (...), event (M E,)."""
        family = self.family
        assert isinstance(family, VQ), "checked at construction"
        return CodeSequences(self, context, family.codebook.clone().float())

    def logits(
        self, numbers: Tensor, context: Tensor, start: int = 0, state: State | None = None
    ) -> tuple[Tensor, State | None]:
        """Logits of each code after those before it, (N, m, K), float32, and the state after them.

        Args:
            numbers: the code before each, (N, m), int64; K before the first.
            context: (N, H).
            start: place of the first of them.
            state: of the LSTM before it.
        """
        inputs = self.embedding(numbers) + self.places[start : start + numbers.shape[1]]
        if self.read is not None:
            inputs = inputs + in_float32(self.read, context)[:, None]
        inputs = inputs.to(self.places.dtype)
        states = F.dropout(inputs, self.dropout, self.training)
        if self.lstm is None:
            states = states.tanh()
        else:
            states, state = self.lstm(states, state)
        states = F.dropout(states, self.dropout, self.training)
        with torch.autocast(states.device.type, enabled=False):
            return F.linear(states.float(), self.output.float(), self.bias.float()), state


class CodeSequences(CodebookDistribution):
    """The distribution over codes that a `CodesPrior` gives contexts.

    Args:
        prior: the network.
        context: (..., H).
        codebook: (K, E).
    """

    def __init__(self, prior: CodesPrior, context: Tensor, codebook: Tensor):
        self.prior = prior
        self.context = context
        super().__init__(context.shape[:-1], codebook, len(prior.places))

    def expand(
        self, batch_shape: Size | tuple[int, ...], _instance: None = None
    ) -> "CodeSequences":
        """The same for a larger batch."""
        context = self.context.expand(*batch_shape, self.context.shape[-1])
        return CodeSequences(self.prior, context, self.codebook)

    def log_prob_of(self, numbers: Tensor) -> Tensor:
        """log p of codes by number, (..., M), int64: (...), nats."""
        shape = torch.broadcast_shapes(numbers.shape[:-1], self.batch_shape)
        flat = numbers.expand(*shape, -1).reshape(-1, self.codes)
        context = self.context.expand(*shape, -1).reshape(len(flat), -1)
        before = torch.cat([torch.full_like(flat[:, :1], len(self.codebook)), flat[:, :-1]], 1)
        log_probs = self.prior.logits(before, context)[0].log_softmax(-1)
        return log_probs.gather(-1, flat[..., None]).squeeze(-1).sum(-1).view(shape)

    def sample_numbers(self, sample_shape: Size | tuple[int, ...]) -> Tensor:
        """Codes by number, (*sample_shape, ..., M), int64, one after the other."""
        shape = torch.Size((*sample_shape, *self.batch_shape))
        context = self.context.expand(*shape, -1).reshape(shape.numel(), -1)
        chosen = torch.full((len(context), 1), len(self.codebook), device=self.codebook.device)
        numbers, state = [], None
        for place in range(self.codes):
            logits, state = self.prior.logits(chosen, context, place, state)
            chosen = torch.multinomial(logits[:, -1].softmax(-1), 1)
            numbers.append(chosen)
        return torch.cat(numbers, 1).view(*shape, self.codes)

    def likeliest(self, count: int) -> tuple[Tensor, Tensor]:
        """The most probable codes; see `CodeDistribution.likeliest` and `best_sequences`."""
        contexts = self.context.reshape(self.batch_shape.numel(), -1)

        def after(prefixes: Tensor) -> Tensor:
            batch, width, _ = prefixes.shape
            before = F.pad(prefixes.flatten(0, 1), (1, 0), value=len(self.codebook))
            logits, _ = self.prior.logits(before, contexts.repeat_interleave(width, 0))
            return logits[:, -1].log_softmax(-1).view(batch, width, -1)

        start = contexts.new_zeros(len(contexts), 1, 0, dtype=torch.int64)
        numbers, log_probs = best_sequences(after, start, self.codes, count)
        shape = (*self.batch_shape, numbers.shape[1])
        return self.vectors(numbers).view(*shape, -1), log_probs.view(shape)
