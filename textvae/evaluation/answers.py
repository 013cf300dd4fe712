"""Metrics of texts that were written under conditions, beside the known ones."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from textvae.data.words import Unit
from textvae.evaluation.text import distinct, in_units


@dataclass(frozen=True)
class Answers:
    """n texts for each of some conditions.

    Args:
        different: different texts of n, mean over the conditions.
        recall: references of a condition that are among its n texts, word for word, as a share of
            all references.
        distinct_1: different words / words of all texts.
        distinct_2: the same for pairs of words.
        best_bleu: sentence BLEU of the best of n texts against all references of its condition, 0
            to 100, mean over the conditions.
        mean_bleu: the same, the mean of n texts.
        conditions: number of conditions.
        each: n.
        references: number of all references.

    Source: Li et al. 2016, arXiv:1510.03055 (distinct-n).
    """

    different: float
    recall: float
    distinct_1: float
    distinct_2: float
    best_bleu: float
    mean_bleu: float
    conditions: int
    each: int
    references: int


@dataclass(frozen=True)
class AnswerSets:
    """`Answers` of one model in several ways of writing.

    Args:
        sampled: z from the prior, each token drawn from its distribution.
        greedy: z from the prior, the most probable tokens; None for a model without a latent.
        beam: z at the mean of the prior, the n best of a beam of n; None of texts with parts.
        codes: the n most probable codes, the most probable tokens of each; None for a model without
            codes, or with a uniform prior.
        word_share: share of the texts of codes in which the word stands that their code is the
            class of; None for a model whose codes are no classes.
        random_word_share: the same with the word of a random class.
    """

    sampled: Answers
    greedy: Answers | None
    beam: Answers | None
    codes: Answers | None = None
    word_share: float | None = None
    random_word_share: float | None = None


def grouped(
    conditions: Sequence[tuple[str, ...]], texts: Sequence[str]
) -> dict[tuple[str, ...], list[str]]:
    """The different texts of each condition, in the order of the rows.

    >>> grouped([("a",), ("b",), ("a",)], ["x", "y", "z"])
    {('a',): ['x', 'z'], ('b',): ['y']}
    """
    found: dict[tuple[str, ...], list[str]] = {}
    for condition, text in zip(conditions, texts, strict=True):
        known = found.setdefault(condition, [])
        if text not in known:
            known.append(text)
    return found


def answers(
    written: Sequence[Sequence[str]], references: Sequence[Sequence[str]], unit: Unit = "word"
) -> Answers:
    """Metrics of the texts that were written under each condition.

    Args:
        written: n texts for each condition.
        references: the known texts of each condition, at least one.
        unit: that is counted as a word.

    Raises:
        ValueError: there is no condition.
    """
    if not written:
        raise ValueError("there is no condition to answer")
    pairs = [
        (list(map(normal, w)), list(map(normal, r)))
        for w, r in zip(written, references, strict=True)
    ]
    bleu = sentence_bleu(unit)
    scores = [[bleu(text, tuple(known)) for text in texts] for texts, known in pairs]
    every = in_units([text for texts, _ in pairs for text in texts], unit)
    total = sum(len(known) for _, known in pairs)
    return Answers(
        different=fmean(len(set(texts)) for texts, _ in pairs),
        recall=sum(text in texts for texts, known in pairs for text in known) / total,
        distinct_1=distinct(every, 1),
        distinct_2=distinct(every, 2),
        best_bleu=fmean(map(max, scores)),
        mean_bleu=fmean(map(fmean, scores)),
        conditions=len(pairs),
        each=max(len(texts) for texts, _ in pairs),
        references=total,
    )


def share_with_word(texts: Sequence[str], words: Sequence[str]) -> float:
    """The share of texts in which their word stands, in lower case.

    >>> share_with_word(["to be rich", "to win"], ["rich", "lose"])
    0.5
    """
    pairs = zip(texts, words, strict=True)
    return fmean(word.lower() in text.lower().split() for text, word in pairs)


def normal(text: str) -> str:
    """A text with one blank between words."""
    return " ".join(text.split())


def sentence_bleu(unit: Unit) -> Callable[[str, tuple[str, ...]], float]:
    """Sentence BLEU of a text against references, 0 to 100; remembered, since texts repeat.

    n-grams that a short text cannot have are left out (effective order).
    """
    from sacrebleu.metrics.bleu import BLEU

    bleu = BLEU(tokenize="none" if unit == "word" else "char", effective_order=True, force=True)

    @functools.lru_cache(maxsize=100_000)
    def score(text: str, known: tuple[str, ...]) -> float:
        return bleu.sentence_score(text, list(known)).score

    return score
