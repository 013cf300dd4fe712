"""Metrics of generated text: reconstructions, samples, interpolations."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np

from textvae.data.words import Unit, in_units
from textvae.evaluation.ngrams import KneserNey, numbered_words, word_sentences

ORDER = 4
"""Longest n-gram of BLEU."""

REFERENCE = 20_000
"""Most training texts that the n-gram model of real text is trained on."""


@dataclass(frozen=True)
class Reconstruction:
    """How close decoded posterior means are to their texts.

    Args:
        bleu: corpus BLEU over words between whitespace, or over characters, 0 to 100.
        signature: sacrebleu's signature, its version and settings.
        exact: share of the texts that are reconstructed word for word.
        sentences: number of texts.

    Source: Papineni et al. 2002; Post 2018, arXiv:1804.08771.
    """

    bleu: float
    signature: str
    exact: float
    sentences: int


@dataclass(frozen=True)
class Style:
    """Diversity and fluency of a set of sentences; they depend on its size: compare equal sizes.

    Words are those between whitespace, or characters: see `Generation.unit`.

    Args:
        self_bleu: mean BLEU of a sentence with all others as references, 0 to 100: high when
            they resemble each other. Zhu et al. 2018, arXiv:1802.01886.
        distinct_1: different words / all words. Li et al. 2016, arXiv:1510.03055.
        distinct_2: the same of pairs of neighbouring words.
        duplicates: share of the sentences that repeat an earlier one.
        copied: share that is in the training texts; None when those are not given.
        forward_perplexity: of these sentences under an n-gram model of real text: low when they
            are fluent. Words with ends of sentence are the denominator, as in the next.
        reverse_perplexity: of real text under an n-gram model of these sentences: low when they
            are fluent and varied. Zhao et al. 2018, section 5, arXiv:1706.04223.
        sentences: their number.
        words: ends of sentence included.
    """

    self_bleu: float
    distinct_1: float
    distinct_2: float
    duplicates: float
    copied: float | None
    forward_perplexity: float
    reverse_perplexity: float
    sentences: int
    words: int


@dataclass(frozen=True)
class Smoothness:
    """How the decoded sentence changes on straight lines between pairs of posterior means.

    Distances are word edits. A pair whose ends decode to one sentence counts for `distinct` only.

    Args:
        path: sum of the distances from step to step / distance of the ends, mean over pairs: 1
            when no edit is undone.
        largest_step: largest distance of one step / distance of the ends, mean over pairs:
            1 / steps when the sentence changes evenly, 1 when all of it changes at once.
        distinct: different sentences / sentences of a line, mean over pairs.
        pairs: number of lines.
        moving: how many of them have ends that differ.
        steps: of a line; one less than its sentences.

    Source: the interpolations are those of Bowman et al. 2016, section 5.2, arXiv:1511.06349; the
    metrics are ours.
    """

    path: float | None
    largest_step: float | None
    distinct: float
    pairs: int
    moving: int
    steps: int


@dataclass(frozen=True)
class Generation:
    """Metrics of the texts that a model generates.

    Args:
        reconstruction: of the held-out texts; None without a latent, as `interpolation`.
        samples: from the prior.
        real: as many held-out sentences, the baseline of `samples`.
        interpolation: between posterior means of held-out texts.
        reference: sentences that the forward n-gram model is trained on.
        reference_is_training: whether those are training texts; else they are the scored.
        scored: held-out sentences that the reverse perplexity is of, none of them in `real`.
        unit: that all metrics count as a word: characters where blanks separate no words.
    """

    reconstruction: Reconstruction | None
    samples: Style
    real: Style
    interpolation: Smoothness | None
    reference: int
    reference_is_training: bool
    scored: int
    unit: Unit = "word"


def reconstruction(
    decoded: Sequence[str], texts: Sequence[str], unit: Unit = "word"
) -> Reconstruction:
    """How close decoded sentences are to the texts that they reconstruct."""
    from sacrebleu.metrics.bleu import BLEU

    # `force`: these texts have spaces before full stops, which sacrebleu warns of.
    bleu = BLEU(tokenize="none" if unit == "word" else "char", force=True)
    score = bleu.corpus_score(list(decoded), [list(texts)]).score
    same = sum(a.split() == b.split() for a, b in zip(decoded, texts, strict=True))
    return Reconstruction(score, str(bleu.get_signature()), same / len(texts), len(texts))


def compare_styles(
    samples: Sequence[str],
    real: Sequence[str],
    scored: Sequence[str],
    training: Iterable[str] | None = None,
    unit: Unit = "word",
) -> tuple[Style, Style, int]:
    """The style of samples and of as many real sentences, and the size of their reference.

    Args:
        samples: of a model.
        real: held-out sentences.
        scored: other held-out sentences, for the reverse perplexity.
        training: all training texts, if they are available; read three times. Of more than
            `REFERENCE`, the forward n-gram model is trained on every second, third, ...
        unit: that is counted as a word.
    """
    reference = scored if training is None else evenly_spread(training, REFERENCE)
    copied = None if training is None else {*samples, *real}.intersection(training)
    counted = [in_units(part, unit) for part in (samples, real, scored, reference)]
    # One vocabulary for all models: perplexities over different ones do not compare.
    numbers = numbered_words(*counted)
    outcomes = len(numbers) + 1
    rows = [word_sentences(part, numbers) for part in counted]
    forward = KneserNey(rows[3], outcomes)
    styles = []
    for texts, units, row in zip((samples, real), counted, rows, strict=False):
        styles.append(
            Style(
                self_bleu=self_bleu(units),
                distinct_1=distinct(units, 1),
                distinct_2=distinct(units, 2),
                duplicates=1 - len(set(texts)) / len(texts),
                copied=None if copied is None else sum(t in copied for t in texts) / len(texts),
                forward_perplexity=forward.perplexity(row),
                reverse_perplexity=KneserNey(row, outcomes).perplexity(rows[2]),
                sentences=len(texts),
                words=row.words,
            )
        )
    return styles[0], styles[1], len(reference)


def evenly_spread(texts: Iterable[str], most: int) -> list[str]:
    """At most `most` of the texts: every n-th, n as small as possible."""
    count = sum(1 for _ in texts)
    return list(islice(texts, 0, None, max(1, math.ceil(count / most))))


def ngrams(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """The n-grams of a text, in their order."""
    return [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]


def distinct(texts: Sequence[str], size: int) -> float:
    """Different n-grams / all n-grams of the texts; 0 when there is none."""
    grams = [gram for text in texts for gram in ngrams(text.split(), size)]
    return len(set(grams)) / max(1, len(grams))


def self_bleu(texts: Sequence[str]) -> float:
    """Mean sentence BLEU of each text against all others, 0 to 100, as sacrebleu defines it.

    An n-gram may match as often as the other text that has most of it does, so its two largest
    counts decide, and no two texts need be compared: time grows with the number of texts, where
    sacrebleu's grows with its square.

    Raises:
        ValueError: fewer than two texts.
    """
    from sacrebleu.metrics.bleu import BLEU

    if len(texts) < 2:
        raise ValueError(f"self-BLEU needs at least two texts (got {len(texts)})")
    rows = [text.split() for text in texts]
    counts = [Counter(gram for n in range(1, ORDER + 1) for gram in ngrams(row, n)) for row in rows]
    # Of each n-gram: the largest count, its text, and the largest count in other texts.
    largest: dict[tuple[str, ...], tuple[int, int, int]] = {}
    for number, row in enumerate(counts):
        for gram, count in row.items():
            first, holder, second = largest.get(gram, (0, -1, 0))
            if count > first:
                largest[gram] = (count, number, first)
            else:
                largest[gram] = (first, holder, max(second, count))
    lengths = Counter(map(len, rows))
    total = 0.0
    for number, (row, grams) in enumerate(zip(rows, counts, strict=True)):
        matched, totals = [0] * ORDER, [0] * ORDER
        for gram, count in grams.items():
            first, holder, second = largest[gram]
            matched[len(gram) - 1] += min(count, second if holder == number else first)
            totals[len(gram) - 1] += count
        others = [length for length, n in lengths.items() if n > (length == len(row))]
        nearest = min(others, key=lambda length: (abs(length - len(row)), length))
        score = BLEU.compute_bleu(
            matched, totals, len(row), nearest, smooth_method="exp", effective_order=True
        )
        total += score.score
    return total / len(texts)


def smoothness(lines: Sequence[Sequence[str]], unit: Unit = "word") -> Smoothness:
    """How sentences change along lines of equally many sentences, at least two each."""
    steps = len(lines[0]) - 1
    paths, largest = [], []
    for line in lines:
        rows = [sentence.split() for sentence in in_units(line, unit)]
        end_to_end = edit_distance(rows[0], rows[-1])
        if end_to_end:
            distances = [edit_distance(a, b) for a, b in pairwise(rows)]
            paths.append(sum(distances) / end_to_end)
            largest.append(max(distances) / end_to_end)
    return Smoothness(
        path=float(np.mean(paths)) if paths else None,
        largest_step=float(np.mean(largest)) if largest else None,
        distinct=float(np.mean([len(set(line)) / len(line) for line in lines])),
        pairs=len(lines),
        moving=len(paths),
        steps=steps,
    )


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Fewest insertions, deletions and replacements of words that make one the other.

    Source: Levenshtein 1966; the recursion of Wagner & Fischer 1974.
    """
    previous = list(range(len(second) + 1))
    for row, word in enumerate(first, 1):
        current = [row]
        for column, other in enumerate(second, 1):
            replaced = previous[column - 1] + (word != other)
            current.append(min(replaced, previous[column] + 1, current[-1] + 1))
        previous = current
    return previous[-1]
