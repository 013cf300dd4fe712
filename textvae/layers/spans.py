"""Where the token ids of one text stand inside another text."""

from dataclasses import dataclass

import torch
from torch import Tensor

from textvae.layers.noise import is_word
from textvae.vocabulary import PAD


@dataclass(frozen=True)
class Spans:
    """Runs of positions, one for each of B texts.

    Args:
        found: whether there is one, (B,), bool.
        start: its first position, (B,), int64; 0 where there is none.
        end: its last position, (B,), int64; 0 where there is none.
    """

    found: Tensor
    start: Tensor
    end: Tensor

    def inside(self, length: int) -> Tensor:
        """True at the positions of the spans, (B, L), bool; nowhere where there is none."""
        position = torch.arange(length, device=self.start.device)
        within = (position >= self.start[:, None]) & (position <= self.end[:, None])
        return within & self.found[:, None]


def find_spans(parts: Tensor, wholes: Tensor) -> Spans:
    """The first place of each text's words among the ids of another text.

    SentencePiece cuts a word between blanks alike wherever it stands, as the blank belongs to it;
    a word that touches punctuation may be cut in another way, and is then not found. Two `<unk>`
    are equal.

    Args:
        parts: token ids of the texts to find, (B, T), int64: begin, words, end, padding.
        wholes: token ids of the texts to look in, (B, L), int64.

    >>> found = find_spans(torch.tensor([[1, 5, 6, 2]]), torch.tensor([[1, 4, 5, 6, 2]]))
    >>> found.start.item(), found.end.item()
    (2, 3)
    """
    words = parts[:, 1:]
    count = is_word(words).sum(1)
    # What has more words than the whole is nowhere in it.
    width = max(1, min(int(count.max()), wholes.shape[1]))
    words = words[:, :width]
    tail = wholes.new_full((len(wholes), width - 1), PAD)
    windows = torch.cat([wholes, tail], 1).unfold(1, width, 1)
    unread = torch.arange(width, device=parts.device) >= count[:, None]
    equal = ((windows == words[:, None]) | unread[:, None]).all(-1)
    equal &= ((count > 0) & (count <= width))[:, None]
    found = equal.any(1)
    start = equal.int().argmax(1)
    return Spans(found, start, torch.where(found, start + count - 1, 0))


def word_positions(ids: Tensor, mask: Tensor) -> Tensor:
    """True at the words of texts, (B, L), bool; at every token of a text that has none.

    Args:
        ids: token ids, (B, L), int64.
        mask: True where a position holds a token, (B, L), bool.
    """
    words = is_word(ids) & mask
    return torch.where(words.any(1, keepdim=True), words, mask)
