"""Metrics of texts under conditions, by hand."""

import pytest
from sacrebleu.metrics.bleu import BLEU

from textvae.evaluation.answers import answers, grouped

WRITTEN = [["a b c", "a b c", "d  e"], ["x y", "z", "x z"]]
KNOWN = [["a b c", "d e", "q"], ["y x"]]


def test_texts_are_counted_as_defined():
    found = answers(WRITTEN, KNOWN)
    assert found.different == pytest.approx((2 + 3) / 2)
    assert found.recall == pytest.approx(2 / 4)
    assert (found.conditions, found.each, found.references) == (2, 3, 4)
    # 13 words, of which a b c d e x y z; 8 pairs, of which ab bc de xy xz.
    assert found.distinct_1 == pytest.approx(8 / 13)
    assert found.distinct_2 == pytest.approx(5 / 7)


def test_bleu_is_that_of_each_text_against_all_that_are_known():
    found = answers(WRITTEN, KNOWN)
    bleu = BLEU(tokenize="none", effective_order=True)
    scores = [
        [bleu.sentence_score(" ".join(text.split()), known).score for text in texts]
        for texts, known in zip(WRITTEN, KNOWN, strict=True)
    ]
    assert found.best_bleu == pytest.approx(sum(map(max, scores)) / 2)
    assert found.mean_bleu == pytest.approx(sum(sum(each) / 3 for each in scores) / 2)
    assert scores[0][0] == pytest.approx(100)


def test_known_texts_of_a_condition_are_different():
    assert grouped([("a",), ("a",), ("b",)], ["x", "x", "y"]) == {("a",): ["x"], ("b",): ["y"]}


def test_there_must_be_a_condition():
    with pytest.raises(ValueError, match="no condition"):
        answers([], [])
