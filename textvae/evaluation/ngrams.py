"""An n-gram language model, interpolated Kneser-Ney: the probability of texts given others."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np

from textvae.data.batching import Sentences
from textvae.vocabulary import BOS, EOS, SPECIAL_TOKENS

DISCOUNT = 0.75
TOKENS = 2**18
"""Tokens whose probabilities are computed at once: some 30 MB."""


@dataclass(frozen=True)
class NGrams:
    """The n-grams of one length in some texts; a history is an n-gram a word shorter.

    Args:
        keys: of each n-gram, number of its history times number of ids plus id of its last word,
            (G,), rising.
        counts: occurrences of each, (G,).
        first: the token at which each ends for the first time, (G,).
        numbers: of the n-gram that ends at each token, (M,); -1 where the text is too short.
    """

    keys: np.ndarray
    counts: np.ndarray
    first: np.ndarray
    numbers: np.ndarray


class KneserNey:
    """p(word | the words before it), from the n-grams of some texts.

    p(w | h) = max(c(h w) - d, 0) / c(h .) + d N(h .) / c(h .) * p(w | h without its first word),
    with N(h .) the number of different words after h, and below everything the uniform
    distribution over the vocabulary. c counts n-grams of the highest order and those that begin a
    text; of the others, the different words before them. Of order 1 it is the distribution of the
    words in the texts, with d of each count for the uniform distribution.

    >>> numbers = numbered_words(["a dog", "a cow", "a cat"])
    >>> model = KneserNey(word_sentences(["a dog", "a cat"], numbers), len(numbers) + 1)
    >>> model.perplexity(word_sentences(["a dog"], numbers)) < model.perplexity(
    ...     word_sentences(["a cow"], numbers)
    ... )
    True

    Args:
        sentences: token ids from begin to end of each text, of words or of any tokenizer.
        outcomes: size of the vocabulary: ids that a text may have after its begin, its end
            included.
        order: most words of an n-gram.

    Source: Kneser & Ney 1995; Chen & Goodman 1999, section 2.7. One fixed discount d.
    """

    def __init__(self, sentences: Sentences, outcomes: int, order: int = 3):
        self.outcomes = outcomes
        self.size = int(sentences.ids.max(initial=0)) + 1
        ids, position = sentences.ids.astype(np.int64), positions(sentences)
        ngrams: list[NGrams] = []
        for length in range(1, order + 1):
            ends = position >= max(length - 1, 1)
            histories = histories_of(ids, ngrams[-1].numbers if length > 2 else ids, length)
            ngrams.append(ngrams_of(histories * self.size + ids, ends))
        # Of each length: the n-grams, their counts, and of each history the total of the counts
        # after it and the number of different words after it.
        self.levels: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        for length, grams in enumerate(ngrams, 1):
            counts = grams.counts
            if length < order:
                before = np.bincount(grams.numbers[ngrams[length].first], minlength=len(counts))
                begins = position[grams.first] == length - 1
                counts = np.where(begins, counts, before)
            history = grams.keys // self.size
            totals, followers = np.bincount(history, counts), np.bincount(history)
            self.levels.append((grams.keys, counts, totals, followers))

    def probabilities(self, sentences: Sentences) -> np.ndarray:
        """p of each token given those before it in its text, (M,); 1 for the begin of a text."""
        ids, position = sentences.ids.astype(np.int64), positions(sentences)
        probability = np.where(position > 0, 1 / self.outcomes, 1.0)
        numbers = ids
        for length, (keys, counts, totals, followers) in enumerate(self.levels, 1):
            history = histories_of(ids, numbers, length)
            seen = (position >= max(length - 1, 1)) & (history >= 0) & (history < len(totals))
            seen[seen] = totals[history[seen]] > 0
            # An id above all of the training texts would take the key of another history.
            wanted = np.where(seen & (ids < self.size), history * self.size + ids, -1)
            places = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
            known = keys[places] == wanted
            count = np.where(known, counts[places], 0)[seen]
            total, different = totals[history[seen]], followers[history[seen]]
            discounted = np.maximum(count - DISCOUNT, 0)
            probability[seen] = (discounted + DISCOUNT * different * probability[seen]) / total
            numbers = ids if length == 1 else np.where(known, places, -1)
        return probability

    def nll(self, sentences: Sentences) -> np.ndarray:
        """-log p of each text, (S,), nats, its end included."""
        parts = map(self.log_probabilities, in_parts(sentences, TOKENS))
        return -np.concatenate(list(parts))

    def log_probabilities(self, sentences: Sentences) -> np.ndarray:
        """log p of each text, (S,), nats, all of them at once."""
        return np.add.reduceat(np.log(self.probabilities(sentences)), sentences.offsets[:-1])

    def perplexity(self, sentences: Sentences) -> float:
        """exp(-log p of all texts / tokens), one end of sentence counted for each text."""
        return float(np.exp(self.nll(sentences).sum() / sentences.targets))


def in_parts(sentences: Sentences, tokens: int) -> Iterator[Sentences]:
    """The texts in order, in parts of at most so many tokens, or of one text; without words."""
    offsets, start = sentences.offsets, 0
    while start < len(sentences):
        within = int(np.searchsorted(offsets, offsets[start] + tokens, "right")) - 1
        stop = max(start + 1, within)
        ids = sentences.ids[offsets[start] : offsets[stop]]
        yield Sentences(ids, offsets[start : stop + 1] - offsets[start], words=0)
        start = stop


def ngrams_of(keys: np.ndarray, ends: np.ndarray) -> NGrams:
    """The n-grams that end at each token, by their keys, (M,), where `ends`, (M,), is true."""
    tokens = np.flatnonzero(ends)
    keys, first, gram, counts = np.unique(
        keys[tokens], return_index=True, return_inverse=True, return_counts=True
    )
    numbers = np.full(len(ends), -1)
    numbers[tokens] = gram
    return NGrams(keys, counts, tokens[first], numbers)


def histories_of(ids: np.ndarray, numbers: np.ndarray, length: int) -> np.ndarray:
    """The number of the history of the n-gram that ends at each token, (M,): see `NGrams`.

    Args:
        ids: of the tokens, (M,).
        numbers: of the n-grams a word shorter than `length` that end at each token, (M,).
        length: of the n-grams; those of length 1 have one history, the empty one.
    """
    return np.zeros_like(ids) if length == 1 else np.append(-1, numbers[:-1])


def positions(sentences: Sentences) -> np.ndarray:
    """The position of each token in its text, (M,), 0 for the begin."""
    starts = np.repeat(sentences.offsets[:-1], sentences.lengths)
    return np.arange(len(sentences.ids)) - starts


def numbered_words(*groups: Iterable[str]) -> dict[str, int]:
    """An id for each word between whitespace of some groups of texts, after the special tokens."""
    words = dict.fromkeys(word for texts in groups for text in texts for word in text.split())
    return {word: number for number, word in enumerate(words, len(SPECIAL_TOKENS))}


def word_sentences(texts: Iterable[str], numbers: Mapping[str, int]) -> Sentences:
    """Texts as the ids of their words between whitespace, from begin to end.

    Raises:
        KeyError: a word has no number.
    """
    rows = [[BOS, *(numbers[word] for word in text.split()), EOS] for text in texts]
    ids = np.fromiter(chain.from_iterable(rows), np.int32)
    offsets = np.cumsum([0, *map(len, rows)])
    return Sentences(ids, offsets, len(ids) - len(rows))
