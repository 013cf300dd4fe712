"""Metrics of written trees in brackets, and of texts that are written from them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from textvae.evaluation.text import edit_distance

CLOSE = ")"
"""The token that ends a constituent; one that begins with `(` starts one."""


@dataclass(frozen=True)
class Trees:
    """Metrics of the trees of one field, such as `(S (NP DT NN ) (VP VBZ ) )`, without words.

    Args:
        balanced: share of the trees from the prior that are balanced, each token drawn.
        greedy_balanced: the same where each token is the most probable one.
        tag_distance: edits between the tags of a text, greedy, that is written from the latents of
            one row and the tree of another, and the tags of that tree; the mean over rows. None
            where no text is written from the tree, or words and tags are not as many.
        random_tag_distance: the same to the tags of a third row's tree.
        tag_gain: 1 - tag distance / that of the third row's: 0 for a text that ignores its tree.
        written: trees from the prior, in either way.
        swapped: rows with the tree of another one.
    """

    balanced: float
    greedy_balanced: float
    tag_distance: float | None
    random_tag_distance: float | None
    tag_gain: float | None
    written: int
    swapped: int


def is_balanced(tree: str) -> bool:
    """Whether a text is one tree: each bracket closed, and nothing after the last.

    >>> [is_balanced(tree) for tree in ("(S (NP NN ) )", "(S (NP NN )", "(S ) (S )", "NN")]
    [True, False, False, False]
    """
    depth, tokens = 0, tree.split()
    for number, token in enumerate(tokens, start=1):
        depth += token.startswith("(") - (token == CLOSE)
        if depth <= 0 and number < len(tokens):
            return False
    return bool(tokens) and depth == 0 and tokens[-1] == CLOSE


def tags_of(tree: str) -> list[str]:
    """The leaves of a tree: what is no bracket.

    >>> tags_of("(S (NP DT NN ) . )")
    ['DT', 'NN', '.']
    """
    return [token for token in tree.split() if not token.startswith("(") and token != CLOSE]


def share_balanced(trees: Sequence[str]) -> float:
    """The share of texts that are balanced trees."""
    return fmean(map(is_balanced, trees))


def word_tags(texts: Sequence[str], trees: Sequence[str]) -> dict[str, str]:
    """The most frequent tag of each word, the first in the alphabet of several.

    Rows whose tree has not one tag for each word do not count.

    >>> word_tags(["a dog", "a b c"], ["(NP DT NN )", "(NP DT )"])
    {'a': 'DT', 'dog': 'NN'}
    """
    counts: dict[str, Counter[str]] = {}
    for text, tree in zip(texts, trees, strict=True):
        words, tags = text.split(), tags_of(tree)
        if len(words) == len(tags):
            for word, tag in zip(words, tags, strict=True):
                counts.setdefault(word, Counter())[tag] += 1
    return {word: min(each, key=lambda t: (-each[t], t)) for word, each in counts.items()}


def tag_distance(texts: Sequence[str], trees: Sequence[str], tags: Mapping[str, str]) -> float:
    """The mean edits between the tags of texts and those of trees.

    Args:
        texts: whose words without a known tag have none in common with any tree.
        trees: one for each text.
        tags: of words.
    """
    pairs = zip(texts, trees, strict=True)
    return fmean(
        edit_distance([tags.get(word, "") for word in text.split()], tags_of(tree))
        for text, tree in pairs
    )
