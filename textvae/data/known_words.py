"""The words of the training texts: generation that puts no new words together from pieces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from textvae.data.words import separated_by_blanks
from textvae.vocabulary import SPECIAL_TOKENS

if TYPE_CHECKING:
    from textvae.data.batching import Sentences


def letters_at_ends(pieces: Sequence[str]) -> list[tuple[bool, bool]]:
    """Whether each piece begins, and whether it ends, with a letter; no special token does."""
    texts = ["" if piece in SPECIAL_TOKENS else piece for piece in pieces]
    return [(text[:1].isalpha(), text[-1:].isalpha()) for text in texts]


class KnownWords:
    """Which pieces may follow so that each run of letters is one of the training texts.

    A word here is a run of letters: "don't" has two. Digits and signs are free. What is allowed
    depends on the pieces since the last sign or blank alone, a node of the tree of all words;
    0 is its root, where no word has begun.

    Args:
        pieces: of the vocabulary, (V,), in the order of their ids.
        words: token ids of each word.

    >>> known = KnownWords(["<unk>", "▁d", "og", "own", "!"], [[1, 2], [1, 3]])
    >>> node = known.advance([0], [1])
    >>> known.allowed(node).tolist()
    [[False, False, True, True, False]]
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
        begun = torch.tensor([token in self.children[0] for token in range(len(letters))])
        self.starts = begun | ~torch.tensor(self.ends)

    def allowed(self, nodes: Sequence[int]) -> Tensor:
        """Which pieces may come next, (N, V), bool.

        Args:
            nodes: of the tree, one for each text.
        """
        rows = torch.zeros(len(nodes), len(self.starts), dtype=torch.bool)
        after_word = self.starts & ~self.continues
        for row, node in zip(rows, nodes, strict=True):
            if node == 0:
                row |= self.starts
                continue
            if self.complete[node]:
                row |= after_word
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
    """Token ids of each run of letters in encoded texts; None where blanks separate no words.

    Args:
        pieces: of the vocabulary, in the order of their ids.
        sentences: the texts.
    """
    ids = sentences.ids
    continues, ends = np.array(letters_at_ends(pieces)).T[:, ids]
    # A word begins at a piece that ends in a letter and does not go on with the one before.
    goes_on = continues & np.concatenate([[False], ends[:-1]])
    begins, breaks = np.flatnonzero(ends & ~goes_on), np.flatnonzero(~goes_on)
    stops = np.append(breaks, len(ids))[np.searchsorted(breaks, begins, side="right")]
    words = {tuple(ids[start:stop].tolist()) for start, stop in zip(begins, stops, strict=True)}
    spelled = ("".join(pieces[token] for token in word) for word in words)
    return sorted(map(list, words)) if separated_by_blanks(spelled) else None
