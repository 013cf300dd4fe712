"""Reference likelihoods of texts: unigram and 3-gram models of the training texts."""

import math
from dataclasses import dataclass

from textvae.data.batching import Sentences
from textvae.evaluation.ngrams import KneserNey

MOST_TOKENS = 2_500_000
"""Most training tokens that the models count: 100,000 texts of 25 take 2 s and 0.4 GB."""


@dataclass(frozen=True)
class References:
    """Mean -log p of held-out texts under models that count tokens, nats per text, ends included.

    Both are interpolated Kneser-Ney models over the ids of one tokenizer; see `KneserNey`.

    Args:
        unigram_nll: of order 1: the frequency of each token in the training texts.
        trigram_nll: of order 3: each token given the two before it.
        texts: training texts that were counted.
        available: all training texts. Of more than `MOST_TOKENS` tokens, every second, third, ...
            text is counted.
    """

    unigram_nll: float
    trigram_nll: float
    texts: int
    available: int


def references(
    training: Sentences, held_out: Sentences, outcomes: int, most_tokens: int = MOST_TOKENS
) -> References:
    """The reference likelihoods of held-out texts.

    Args:
        training: texts to count, at least one.
        held_out: of the same tokenizer, at least one.
        outcomes: ids that a text may have after its begin, its end included.
        most_tokens: of the training texts that are counted.
    """
    counted = every_nth(training, max(1, math.ceil(len(training.ids) / most_tokens)))
    unigram, trigram = (
        float(KneserNey(counted, outcomes, order).nll(held_out).mean()) for order in (1, 3)
    )
    return References(unigram, trigram, len(counted), len(training))


def every_nth(sentences: Sentences, step: int) -> Sentences:
    """The first sentence and every `step`-th after it; their words are not counted."""
    if step == 1:
        return sentences
    return sentences.select(range(0, len(sentences), step))
