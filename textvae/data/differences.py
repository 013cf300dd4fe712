"""Words that two texts share, and words in which they differ."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import groupby
from typing import NamedTuple

from textvae.data.words import in_units, unit_of

MOST_WORDS = 500
"""Words of a text that are compared; all others count as different."""


class Run(NamedTuple):
    """Words of a text that stand side by side.

    Args:
        text: the words.
        shared: whether the other text has them too, in this order.
    """

    text: str
    shared: bool


def compare_words(first: str, second: str) -> tuple[list[Run], list[Run]]:
    """Both texts as runs of words that are shared or not; characters where no blanks separate.

    >>> own, other = compare_words("the soup was cold .", "the soup is cold .")
    >>> [run.text for run in own], [run.shared for run in own]
    (['the soup', 'was', 'cold .'], [True, False, True])
    """
    unit = unit_of([first, second])
    sides = [text.split() for text in in_units((first, second), unit)]
    matcher = SequenceMatcher(None, *(words[:MOST_WORDS] for words in sides), autojunk=False)
    blocks = matcher.get_matching_blocks()
    shared = [
        {place + step for block in blocks for place in (block[side],) for step in range(block.size)}
        for side in (0, 1)
    ]
    joint = " " if unit == "word" else ""
    own, other = (runs(words, places, joint) for words, places in zip(sides, shared, strict=True))
    return own, other


def runs(words: Sequence[str], shared: set[int], joint: str) -> list[Run]:
    """Words as runs; the places of the shared ones are given."""
    groups = groupby(range(len(words)), key=lambda place: place in shared)
    return [Run(joint.join(words[place] for place in places), key) for key, places in groups]
