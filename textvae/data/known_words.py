"""The words of the training texts: generation that puts no new words together from pieces."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from textvae.data.tokenizers import SPACE
from textvae.vocabulary import SPECIAL_TOKENS

if TYPE_CHECKING:
    from textvae.data.batching import Sentences

WORDS = "words.json"
"""File of a model's folder."""

LONGEST = 30
"""Letters in a row beyond which texts are taken to have no blanks between words."""


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
        texts = ["" if piece in SPECIAL_TOKENS else piece for piece in pieces]
        self.continues = torch.tensor([text[:1].isalpha() for text in texts])
        self.ends = [text[-1:].isalpha() for text in texts]
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
        begun = torch.tensor([token in self.children[0] for token in range(len(texts))])
        self.starts = begun | ~torch.tensor(self.ends)

    @property
    def words(self) -> list[list[int]]:
        """Token ids of each word, in the order of their first pieces."""
        found: list[list[int]] = []
        open_nodes: list[tuple[int, list[int]]] = [(0, [])]
        while open_nodes:
            node, word = open_nodes.pop()
            if word and self.complete[node]:
                found.append(word)
            open_nodes += [(child, [*word, t]) for t, child in self.children[node].items()]
        return sorted(found)

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

    def save(self, folder: Path) -> None:
        """Write the words into a model's folder."""
        (folder / WORDS).write_text(json.dumps(self.words, separators=(",", ":")), encoding="utf-8")


def known_words(pieces: Sequence[str], sentences: Sentences) -> KnownWords | None:
    """The words of encoded training texts; None where they have no blanks between words.

    Args:
        pieces: of the vocabulary, in the order of their ids.
        sentences: the training texts.
    """
    letters = [
        (False, False) if piece in SPECIAL_TOKENS else (piece[:1].isalpha(), piece[-1:].isalpha())
        for piece in pieces
    ]
    ids = sentences.ids
    continues, ends = (np.array(flags)[ids] for flags in zip(*letters, strict=True))
    # A word begins at a piece that ends in a letter and does not go on with the one before.
    goes_on = continues & np.concatenate([[False], ends[:-1]])
    begins = np.flatnonzero(ends & ~goes_on)
    breaks = np.flatnonzero(~goes_on)
    stops = np.append(breaks, len(ids))[np.searchsorted(breaks, begins, side="right")]
    words = {tuple(ids[start:stop].tolist()) for start, stop in zip(begins, stops, strict=True)}
    spelled = ["".join(pieces[token] for token in word).strip(SPACE) for word in words]
    if not words or np.mean([len(text) for text in spelled]) > LONGEST:
        return None
    return KnownWords(pieces, sorted(words))


def load_words(folder: Path, pieces: Sequence[str]) -> KnownWords | None:
    """The words in a model's folder; None where it has none.

    Raises:
        ValueError: the file holds something else.
    """
    path = folder / WORDS
    if not path.exists():
        return None
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
        assert all(0 <= token < len(pieces) for word in words for token in word)
        return KnownWords(pieces, words)
    except (AssertionError, TypeError, ValueError):
        raise ValueError(f"{path} is damaged: it holds no words of this vocabulary") from None
