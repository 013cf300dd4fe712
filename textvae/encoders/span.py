"""A part of a text, such as a phrase in its context -> features."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from textvae.encoders.base import Encoder, Features, pooled_only
from textvae.layers.spans import find_spans


class SpanEncoder(Encoder, kind="span"):
    """The mean of the states of another text at the words of this one, where they first stand.

    The mean over the whole text where they do not stand in it, as an inflected phrase; see
    `find_spans`. It has no parameters of its own.

    Args:
        vocab_size: number of token ids V of the field.
        given_features: size of the states of the one encoder that it is given.

    Raises:
        ValueError: it is given several encoders.

    Source: Reid et al. 2020, section 3.2, arXiv:2010.03124.
    """

    reads_states: ClassVar[bool] = True

    def __init__(self, vocab_size: int, given_features: Sequence[int]):
        super().__init__()
        if len(given_features) != 1:
            raise ValueError(f"a span is of one encoder (given {len(given_features)})")
        self.vocab_size = vocab_size
        self.features = given_features[0]

    def forward(self, observed: Tensor, given: Features) -> Features:
        """The features of token ids, (B, T), in the text of the given features."""
        assert given.ids is not None, "the graph's checks ask for an encoder of token ids"
        inside = find_spans(observed, given.ids).inside(given.ids.shape[1]) & given.mask
        chosen = inside | (given.mask & ~inside.any(1, keepdim=True))
        weight = chosen.to(given.states.dtype) / chosen.sum(1, keepdim=True)
        return pooled_only((weight[:, None] @ given.states)[:, 0])
