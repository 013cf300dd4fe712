"""The words of the training texts: generation that puts no new words together from pieces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from textvae.data.words import separated_by_blanks
from textvae.vocabulary import EOS, SPECIAL_TOKENS

if TYPE_CHECKING:
    from textvae.data.batching import Sentences

BYTE = re.compile(r"<0x([0-9A-F]{2})>")
"""A piece that is one byte of UTF-8."""


def letters_at_ends(pieces: Sequence[str]) -> list[tuple[bool, bool]]:
    """Whether each piece begins, and whether it ends, with a letter; no special token does.

    A byte, which spells what the vocabulary lacks, counts as a letter beyond ASCII.
    """
    texts = ["" if piece in SPECIAL_TOKENS else spelled(piece) for piece in pieces]
    return [(text[:1].isalpha(), text[-1:].isalpha()) for text in texts]


def spelled(piece: str) -> str:
    """The text of a piece; of a byte beyond ASCII, some letter."""
    byte = BYTE.fullmatch(piece)
    if byte is None:
        return piece
    number = int(byte[1], 16)
    return chr(number) if number < 128 else "\u00e9"


class KnownWords:
    """Which pieces may follow so that each run of letters is one of the training texts.

    A word here is a run of letters, "don't" has two, or any other piece by itself: digits and signs
    of the training texts follow each other in any order. What is allowed
    depends on the pieces since the last sign or blank alone, a node of the tree of all words;
    0 is its root, where no word has begun.

    Args:
        pieces: of the vocabulary, (V,), in the order of their ids.
        words: token ids of each word.

    >>> pieces = ["<pad>", "<s>", "</s>", "▁d", "og", "own", "!"]
    >>> known = KnownWords(pieces, [[3, 4], [3, 5], [6]])
    >>> node = known.advance([0], [3])
    >>> [piece for piece, allowed in zip(pieces, known.allowed(node)[0]) if allowed]
    ['og', 'own']
    """

    def __init__(self, pieces: Sequence[str], words: Iterable[Sequence[int]]):
        letters = letters_at_ends(pieces)
        self.continues = torch.tensor([begins for begins, _ in letters])
        self.ends = [ends for _, ends in letters]
        self.children: list[dict[int, int]] = [{}]
        self.complete = [True]
        for word in words:
            node = 0
            for token in word:
                following = self.children[node]
                if token not in following:
                    following[token] = len(self.children)
                    self.children.append({})
                    self.complete.append(False)
                node = following[token]
            self.complete[node] = True
        # A text may end after any word.
        starts = self.children[0].keys() | {EOS}
        self.starts = torch.tensor([token in starts for token in range(len(letters))])
        self.after_word = self.starts & ~self.continues

    def allowed(self, nodes: Sequence[int]) -> Tensor:
        """Which pieces may come next, (N, V), bool.

        Args:
            nodes: of the tree, one for each text.
        """
        rows = torch.zeros(len(nodes), len(self.starts), dtype=torch.bool)
        for row, node in zip(rows, nodes, strict=True):
            if node == 0:
                row |= self.starts
                continue
            if self.complete[node]:
                row |= self.after_word
            if self.children[node]:
                row[list(self.children[node])] = True
        return rows

    def advance(self, nodes: Sequence[int], tokens: Sequence[int]) -> list[int]:
        """The nodes after one more piece of each text."""
        return [self.after(node, token) for node, token in zip(nodes, tokens, strict=True)]

    def after(self, node: int, token: int) -> int:
        """The node after a piece."""
        if node and bool(self.continues[token]):
            return self.children[node].get(token, 0)
        return self.children[0].get(token, 0) if self.ends[token] else 0


def words_of(pieces: Sequence[str], sentences: Sentences) -> list[list[int]] | None:
    """Token ids of each word in encoded texts; None where blanks separate no words.

    That is, each run of letters, and each piece that ends in no letter.

    Args:
        pieces: of the vocabulary, in the order of their ids.
        sentences: the texts.
    """
    ids = sentences.ids
    continues, ends = np.array(letters_at_ends(pieces)).T[:, ids]
    # A run of letters begins at a piece that ends in one and does not go on with the one before.
    goes_on = continues & np.concatenate([[False], ends[:-1]])
    begins, breaks = np.flatnonzero(ends & ~goes_on), np.flatnonzero(~goes_on)
    stops = np.append(breaks, len(ids))[np.searchsorted(breaks, begins, side="right")]
    words = {tuple(ids[start:stop].tolist()) for start, stop in zip(begins, stops, strict=True)}
    if not separated_by_blanks("".join(spelled(pieces[int(token)]) for token in w) for w in words):
        return None
    signs = {(token,) for token in np.unique(ids[~ends]).tolist()}
    return sorted(map(list, words | signs))
