"""Texts for benchmarks: random words with the lengths of the Penn Treebank, or real ones."""

from collections.abc import Iterator

import numpy as np
import torch

from textvae.data.batching import Sentences
from textvae.data.readers import read_corpus
from textvae.data.tokenizers import train_tokenizer
from textvae.vocabulary import BOS, EOS, UNK

SHARES = (0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995, 1)
WORDS = (1, 4, 6, 9, 12, 15, 18, 20, 23, 26, 29, 34, 39, 45, 54, 82)
"""Words of a sentence at each share of the Penn Treebank's training set: mean 21, longest 82."""


def penn_lengths(count: int) -> np.ndarray:
    """Words of each of `count` sentences, (S,), int64; the same every time."""
    spread = (np.arange(count) + 0.5) / count
    return np.random.default_rng(0).permutation(
        np.interp(spread, SHARES, WORDS).round().astype(int)
    )


def of_lengths(words: np.ndarray, vocab_size: int, seed: int = 0) -> Sentences:
    """Sentences of random words, as frequent as their rank says (Zipf's law)."""
    random = np.random.default_rng(seed)
    ranks = np.arange(1, vocab_size - UNK)
    offsets = np.concatenate([[0], np.cumsum(words + 2)])
    ids = random.choice(ranks, offsets[-1], p=1 / ranks / (1 / ranks).sum()) + UNK
    ids[offsets[:-1]], ids[offsets[1:] - 1] = BOS, EOS
    return Sentences(ids.astype(np.int32), offsets, int((words + 1).sum()))


def sentences(data: str | None, vocab_size: int, count: int) -> tuple[Sentences, Sentences, int]:
    """Training and held-out sentences, and the vocabulary's size.

    Args:
        data: folder or file to read; None for random words with the lengths of the Penn Treebank.
        vocab_size: number of token ids.
        count: training sentences with random words.
    """
    if data is None:
        train = of_lengths(penn_lengths(count), vocab_size)
        return train, of_lengths(penn_lengths(256), vocab_size, 1), vocab_size
    corpus = read_corpus(data)
    tokenizer = train_tokenizer("word", corpus.train, vocab_size)
    train, valid = (Sentences.encoded(tokenizer, texts) for texts in (corpus.train, corpus.valid))
    return train, first(valid, 256), len(tokenizer)


def first(texts: Sentences, count: int) -> Sentences:
    """The first sentences."""
    offsets = texts.offsets[: count + 1]
    return Sentences(texts.ids[: offsets[-1]], offsets, int(offsets[-1] - len(offsets) + 1))


def equal_lengths(texts: Sentences, size: int, seed: int) -> Iterator[torch.Tensor]:
    """Batches in random order of texts of equal length, (B, T); nothing is padded.

    A length with fewer texts than `size` is one batch, and so is what remains of others.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(texts))
    order = order[np.argsort(texts.lengths[order], kind="stable")]
    ends = np.flatnonzero(np.diff(texts.lengths[order])) + 1
    batches = [
        rows[start : start + size]
        for rows in np.split(order, ends)
        for start in range(0, len(rows), size)
    ]
    for number in random.permutation(len(batches)):
        yield texts.collate([texts[row] for row in batches[number]])["text"]
