"""Noise on token ids, for the inputs of encoders and decoders in training."""

from dataclasses import dataclass

import torch
from pydantic import PositiveInt
from torch import Tensor

from textvae.registry import Component, Rate
from textvae.vocabulary import BOS, EOS, PAD, UNK


class Noise(Component):
    """Token ids, (B, T), int64, with some of their words changed; begin, end and padding stay.

    >>> Noise.build({"kind": "drop", "rate": 0.5})(torch.tensor([[1, 5, 6, 7, 2]])).shape
    torch.Size([1, 5])

    Source: Shen et al. 2020, section 3, arXiv:1905.12777.
    """

    def __call__(self, ids: Tensor) -> Tensor:
        """The changed ids, (B, T)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Keep(Noise, kind="none"):
    """No noise."""

    def __call__(self, ids: Tensor) -> Tensor:
        """The ids as they are."""
        return ids


NO_NOISE = Keep()


@dataclass(frozen=True)
class Drop(Noise, kind="drop"):
    """Each word is taken out with probability `rate`; those after it move up."""

    rate: Rate = 0.3

    def __call__(self, ids: Tensor) -> Tensor:
        """The changed ids, (B, T), as wide as before."""
        gone = chosen_words(ids, self.rate)
        order = gone.long().argsort(dim=1, stable=True)
        return ids.masked_fill(gone, PAD).gather(1, order)


@dataclass(frozen=True)
class Blank(Noise, kind="blank"):
    """Each word becomes `<unk>` with probability `rate`."""

    rate: Rate = 0.3

    def __call__(self, ids: Tensor) -> Tensor:
        """The changed ids, (B, T)."""
        return drop_words(ids, self.rate)


@dataclass(frozen=True)
class Substitute(Noise, kind="substitute"):
    """Each word becomes a random word of the batch with probability `rate`.

    Shen et al. draw it from the vocabulary evenly; this keeps the frequencies of words.
    """

    rate: Rate = 0.3

    def __call__(self, ids: Tensor) -> Tensor:
        """The changed ids, (B, T)."""
        words = ids[is_word(ids)]
        if not len(words):
            return ids
        drawn = words[torch.randint(len(words), ids.shape, device=ids.device)]
        return torch.where(chosen_words(ids, self.rate), drawn, ids)


@dataclass(frozen=True)
class Shuffle(Noise, kind="shuffle"):
    """Words change places, each by at most `distance` positions.

    Sorts positions i + U(0, distance + 1), as Lample et al. 2018, section 2.3, arXiv:1711.00043.
    """

    distance: PositiveInt = 3

    def __call__(self, ids: Tensor) -> Tensor:
        """The changed ids, (B, T)."""
        position = torch.arange(ids.shape[1], device=ids.device, dtype=torch.float32)
        moved = position + (self.distance + 1) * torch.rand(ids.shape, device=ids.device)
        # Begin comes before every word, end and padding after, in their order.
        word = is_word(ids)
        key = torch.where(word, moved, position + 2.0 * (ids.shape[1] + self.distance))
        key = key.masked_fill(ids == BOS, -1.0)
        return ids.gather(1, key.argsort(dim=1, stable=True))


def is_word(ids: Tensor) -> Tensor:
    """Whether each id is a word: none of begin, end and padding."""
    return (ids != BOS) & (ids != EOS) & (ids != PAD)


def chosen_words(ids: Tensor, rate: float) -> Tensor:
    """Whether each id is a word that the noise falls on, (B, T), bool, independently."""
    return (torch.rand(ids.shape, device=ids.device) < rate) & is_word(ids)


def drop_words(ids: Tensor, rate: float) -> Tensor:
    """Ids with a share `rate` of the words replaced by `<unk>`, each independently.

    Source: Bowman et al. 2016, section 3.1, arXiv:1511.06349 (their keep rate k is 1 - rate).
    """
    return ids if rate == 0.0 else ids.masked_fill(chosen_words(ids, rate), UNK)


def drop_word_types(embedded: Tensor, ids: Tensor, rate: float, vocab_size: int) -> Tensor:
    """Embeddings, (..., E), of ids, (...), with a share of all words made zero, the others scaled.

    A word is dropped wherever it stands in the batch. This is dropout of the embedding matrix by
    rows; `drop_words` replaces words at single places.

    Source: Gal & Ghahramani 2016, section 4.2, arXiv:1512.05287; for a whole batch as in Merity et
    al. 2018, section 4.3, arXiv:1708.02182.
    """
    if rate == 0.0:
        return embedded
    kept = embedded.new_empty(vocab_size).bernoulli_(1 - rate) / (1 - rate)
    return embedded * kept[ids][..., None]
