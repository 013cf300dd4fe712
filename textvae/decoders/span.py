"""Context -> a span of the text that is attended to, such as an answer in its paragraph."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.decoders.base import Decoder
from textvae.layers.attention import Memory
from textvae.layers.spans import find_spans, word_positions
from textvae.registry import Count


class SpanDecoder(Decoder, kind="span"):
    """Two pointers to words of a text: softmax over positions l of <W_s z + b_s, tanh(V m_l)>.

    The field is the text of the span, which stands where its ids first do, see `find_spans`. What
    stands nowhere has log-probability 0, as if it were missing.

    Args:
        vocab_size: number of token ids V of the field.
        features: size H of the context; 0 for the same query in each text.
        memory: size M of the states that it points to.
        hidden: size of queries and keys.

    Source: Lee et al. 2020, section 3.2, arXiv:2005.13837; pointers: Vinyals et al. 2015,
    arXiv:1506.03134, with a bilinear score.
    """

    def __init__(self, vocab_size: int, features: int, memory: int, hidden: Count = 128):
        super().__init__()
        self.vocab_size = vocab_size
        self.features = features
        self.keys = nn.Linear(memory, hidden)
        self.queries = nn.Linear(features, 2 * hidden)

    def forward(self, context: Tensor, memory: Memory) -> "SpanDistribution":
        """p(span | z) for each context, (K, B, H), in the texts of a memory of B."""
        assert memory.ids is not None, "the graph's checks ask for an encoder of token ids"
        words = word_positions(memory.ids, memory.mask)
        keys = self.keys(memory.states).tanh()
        queries = self.queries(context).unflatten(-1, (2, -1))
        scores = torch.einsum("kbph,blh->kbpl", queries, keys).float()
        return SpanDistribution(scores.masked_fill(~words[:, None], -torch.inf), memory.ids)


class SpanDistribution(Distribution):
    """p(start | z) p(end | z) of spans in B texts, batch shape (K, B).

    Args:
        scores: of the start and of the end, (K, B, 2, L); -inf where there is no word.
        ids: token ids of the texts, (B, L), int64.
    """

    arg_constraints: ClassVar[dict] = {}

    def __init__(self, scores: Tensor, ids: Tensor):
        self.log_probs = scores.log_softmax(-1)
        self.ids = ids
        super().__init__(scores.shape[:2], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(start | z) + log p(end | z), (K, B), nats; 0 where a span is not found.

        Args:
            value: token ids of the spans, (B, T), int64: begin, words, end, padding.
        """
        spans = find_spans(value, self.ids)
        ends = torch.stack([spans.start, spans.end], -1).expand(*self.batch_shape, 2)
        each = self.log_probs.gather(-1, ends[..., None]).squeeze(-1).sum(-1)
        return torch.where(spans.found, each, 0.0)

    @property
    def pairs(self) -> Tensor:
        """Probability of each start and end, (K, B, L * L), given that the end is no earlier."""
        start, end = self.log_probs.unbind(-2)
        joint = start[..., :, None] + end[..., None, :]
        later = torch.ones(joint.shape[-2:], device=joint.device).triu().bool()
        return joint.masked_fill(~later, -torch.inf).flatten(-2).softmax(-1)

    def ids_of(self, pairs: Tensor) -> list[list[int]]:
        """Token ids of the spans of B texts, whose indices into `pairs` are (B,), int64."""
        length = self.ids.shape[1]
        rows = zip(self.ids.tolist(), pairs.tolist(), strict=True)
        return [row[pair // length : pair % length + 1] for row, pair in rows]
