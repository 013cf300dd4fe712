"""Metrics of written text on sets with known answers, and against sacrebleu."""

import random
from itertools import pairwise

import pytest
from sacrebleu.metrics.bleu import BLEU
from support.commands import sentences

from textvae.evaluation import text
from textvae.evaluation.text import (
    compare_styles,
    distinct,
    edit_distance,
    evenly_spread,
    reconstruction,
    self_bleu,
    smoothness,
)

WORDS = ["a", "dog", "cat", "sees", "the", "."]


def random_texts(count: int, longest: int) -> list[str]:
    draw = random.Random(count)
    return [" ".join(draw.choices(WORDS, k=draw.randint(0, longest))) for _ in range(count)]


# Self-BLEU.


def by_sacrebleu(texts: list[str]) -> float:
    """Every text against all others, one by one."""
    bleu = BLEU(tokenize="none", effective_order=True, force=True)
    scores = [
        bleu.sentence_score(text, texts[:i] + texts[i + 1 :]).score for i, text in enumerate(texts)
    ]
    return sum(scores) / len(scores)


@pytest.mark.parametrize(("count", "longest"), [(2, 5), (3, 3), (10, 8), (40, 12), (60, 4)])
def test_self_bleu_is_that_of_sacrebleu(count, longest):
    texts = random_texts(count, longest)
    assert self_bleu(texts) == pytest.approx(by_sacrebleu(texts), abs=1e-9)


def test_self_bleu_penalizes_a_text_shorter_than_all_others():
    texts = ["a dog sees", *(f"a dog sees the cat {word}" for word in WORDS)]
    assert self_bleu(texts) == pytest.approx(by_sacrebleu(texts), abs=1e-9)


def test_self_bleu_of_real_sentences_is_that_of_sacrebleu():
    texts = sentences()[:50]
    assert self_bleu(texts) == pytest.approx(by_sacrebleu(texts), abs=1e-9)


def test_self_bleu_of_equal_and_of_disjoint_sentences():
    assert self_bleu(["the dog sees a cat ."] * 5) == pytest.approx(100)
    assert self_bleu(["a b c d e", "f g h i j", "k l m n o"]) == 0
    # One that stands alone lowers it by its share.
    assert self_bleu([*["the dog sees a cat ."] * 3, "p q r s"]) == pytest.approx(75)
    with pytest.raises(ValueError, match="at least two texts"):
        self_bleu(["alone"])


# Other metrics of style.


def test_distinct_counts_different_ngrams():
    texts = ["a b a b", "a c", "", "d"]
    assert distinct(texts, 1) == 4 / 7
    assert distinct(texts, 2) == 3 / 4  # ab ba ab, ac
    assert distinct(["a"] * 10, 1) == 0.1 and distinct(["a b"], 2) == 1
    assert distinct(["", "a"], 2) == 0


def test_styles_of_known_sets():
    texts = sorted(set(sentences()))
    real, scored, training = texts[:12], texts[12:24], texts[24:]
    samples = [real[0]] * 9 + training[:3]
    ours, held_out, reference = compare_styles(samples, real, scored, training)
    assert ours.duplicates == pytest.approx(8 / 12) and held_out.duplicates == 0
    assert ours.copied == 3 / 12 and held_out.copied == 0
    assert ours.sentences == held_out.sentences == 12 and reference == len(training)
    assert ours.words == sum(len(sample.split()) + 1 for sample in samples)
    assert ours.self_bleu > held_out.self_bleu and ours.distinct_1 < held_out.distinct_1
    assert ours.reverse_perplexity > held_out.reverse_perplexity


def test_samples_like_real_sentences_have_figures_like_theirs():
    texts = sentences()
    ours, held_out, _ = compare_styles(texts[:30], texts[:30], texts[30:60], texts[60:])
    assert ours == held_out


def test_words_in_no_order_are_not_fluent():
    texts = sentences()
    draw = random.Random(0)
    mixed = [" ".join(draw.sample(text.split(), len(text.split()))) for text in texts[:30]]
    ours, held_out, _ = compare_styles(mixed, texts[:30], texts[30:60], texts[60:])
    assert ours.forward_perplexity > 2 * held_out.forward_perplexity
    assert ours.reverse_perplexity > 2 * held_out.reverse_perplexity
    assert ours.distinct_1 == held_out.distinct_1


def test_scored_texts_are_the_reference_without_training():
    texts = sentences()
    ours, held_out, reference = compare_styles(texts[:10], texts[10:20], texts[20:])
    assert ours.copied is None is held_out.copied and reference == 80
    expected = compare_styles(texts[:10], texts[10:20], texts[20:], texts[20:])
    assert expected[0].forward_perplexity == ours.forward_perplexity


def test_much_training_text_is_thinned_out(monkeypatch):
    assert evenly_spread("abcdefg", 3) == ["a", "d", "g"]
    assert evenly_spread("abcdef", 3) == ["a", "c", "e"]
    assert evenly_spread("abc", 3) == ["a", "b", "c"]
    monkeypatch.setattr(text, "REFERENCE", 20)
    texts = sentences()
    *_, reference = compare_styles(texts[:10], texts[10:20], texts[20:30], texts[30:])
    assert reference == 18  # every fourth of 70


def test_characters_are_counted_where_there_are_no_words():
    texts = ["我们买书。", "他们买书。", "他看报。", "我看书。"] * 3
    spaced = [" ".join(text) for text in texts]
    found = compare_styles(texts[:4], texts[4:8], texts[8:], texts, "character")
    words = compare_styles(spaced[:4], spaced[4:8], spaced[8:], spaced)
    assert found == words and found[0].words == 22
    assert compare_styles(texts[:4], texts[4:8], texts[8:], texts)[0].words == 8
    assert smoothness([["他买书", "他看书", "他看报"]], "character") == smoothness(
        [["他 买 书", "他 看 书", "他 看 报"]]
    )


def test_bleu_of_characters_is_that_of_sacrebleu():
    texts, decoded = ["我们买了一本旧书。"], ["他们买了一本新书。"]
    found = reconstruction(decoded, texts, "character")
    assert found.bleu == BLEU(tokenize="char").corpus_score(decoded, [texts]).score > 0
    assert "tok:char" in found.signature and reconstruction(decoded, texts).bleu == 0


# Reconstructions.


def test_reconstruction_is_the_corpus_bleu_of_sacrebleu():
    texts = sentences()[:30]
    decoded = [*texts[:15], *sentences()[50:65]]
    found = reconstruction(decoded, texts)
    expected = BLEU(tokenize="none", force=True).corpus_score(decoded, [texts]).score
    assert found.bleu == expected and 0 < found.bleu < 100
    assert found.signature.startswith("nrefs:1|case:mixed|eff:no|tok:none|smooth:exp|version:")
    same = sum(a == b for a, b in zip(decoded, texts, strict=True))
    assert same >= 15 and found.exact == same / 30 and found.sentences == 30


def test_perfect_reconstruction_is_100_and_spaces_are_no_words():
    found = reconstruction(["a dog  sees a cat"], ["a dog sees a cat"])
    assert found.bleu == pytest.approx(100) and found.exact == 1


# Interpolations.


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ("", "", 0),
        ("", "a b", 2),
        ("a b c", "a b c", 0),
        ("a b c", "a x c", 1),
        ("a b c", "b c", 1),
        ("a b c d", "d a b c", 2),
        ("a b", "c d e", 3),
    ],
)
def test_edit_distance_counts_words(first, second, distance):
    assert edit_distance(first.split(), second.split()) == distance
    assert edit_distance(second.split(), first.split()) == distance


def test_smoothness_of_known_lines():
    even = ["a a a a", "b a a a", "b b a a", "b b b a", "b b b b"]
    jump = ["a a a a", "a a a a", "a a a a", "b b b b", "b b b b"]
    astray = ["a a a a", "c c c c", "a a a a", "b b b b", "b b b b"]
    still = ["a"] * 5
    assert smoothness([even]).path == 1 and smoothness([even]).largest_step == 0.25
    assert smoothness([jump]).path == 1 and smoothness([jump]).largest_step == 1
    assert smoothness([astray]).path == 3 and smoothness([astray]).distinct == 3 / 5
    found = smoothness([even, jump, astray, still])
    assert (found.pairs, found.moving, found.steps) == (4, 3, 4)
    assert found.path == pytest.approx(5 / 3) and found.largest_step == 0.75
    assert found.distinct == pytest.approx((5 + 2 + 3 + 1) / 20)
    nothing = smoothness([still])
    assert nothing.path is None is nothing.largest_step and nothing.distinct == 0.2


def test_a_way_is_never_shorter_than_straight():
    lines = [random_texts(9, 7) for _ in range(20)]
    for line in lines:
        rows = [sentence.split() for sentence in line]
        way = sum(edit_distance(a, b) for a, b in pairwise(rows))
        assert way >= edit_distance(rows[0], rows[-1])
