"""The n-gram model is a distribution, and knows what it has seen."""

import math

import pytest
from support.commands import sentences

from textvae.evaluation.ngrams import BEGIN, DISCOUNT, END, KneserNey

TEXTS = ["a dog sees a cat", "a cat sees", "", "the dog", "a dog sees a cat"]
WORDS = {"a", "the", "dog", "cat", "sees", "cow"}
HISTORIES = [[BEGIN], [BEGIN, "a"], ["a"], ["sees", "a"], ["a", "dog"], ["cow"], ["cow", "a"], []]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("history", HISTORIES, ids=str)
def test_probabilities_sum_to_one(order, history):
    model = KneserNey(TEXTS, WORDS, order)
    found = [model.probability(word, history) for word in model.vocabulary]
    assert len(found) == len(WORDS) + 1 and min(found) > 0
    assert math.fsum(found) == pytest.approx(1, abs=1e-12)


def test_probabilities_are_those_of_the_equation():
    model = KneserNey(["a b", "a c"], "abc", 2)
    # Words after two different ones: the end (after b, c); after one: a, b, c.
    lowest = {"a": (0.25 + 3 * 0.25) / 5, END: (1.25 + 3 * 0.25) / 5}
    assert model.probability("a", []) == pytest.approx(lowest["a"])
    assert model.probability(END, []) == pytest.approx(lowest[END])
    # "a" begins both texts and is followed by two words, once each.
    assert model.probability("a", [BEGIN]) == pytest.approx(
        (2 - DISCOUNT + DISCOUNT * lowest["a"]) / 2
    )
    assert model.probability("a", ["a"]) == pytest.approx(2 * DISCOUNT * lowest["a"] / 2)


def test_a_history_that_was_never_seen_falls_back():
    model = KneserNey(TEXTS, WORDS)
    assert model.probability("cat", ["cow", "a"]) == model.probability("cat", ["a"])
    assert model.probability("cat", ["cow"]) == model.probability("cat", [])


def test_perplexity_counts_ends_of_sentence():
    model = KneserNey(TEXTS, WORDS)
    total = sum(
        math.log(model.probability(word, history))
        for word, history in [
            ("a", [BEGIN]),
            ("cow", [BEGIN, "a"]),
            (END, ["a", "cow"]),
            (END, [BEGIN]),
        ]
    )
    assert model.perplexity(["a cow", ""]) == pytest.approx(math.exp(-total / 4))


def test_longer_histories_and_the_right_texts_help():
    texts = sentences()
    words = {word for text in texts for word in text.split()}
    found = [KneserNey(texts[:80], words, order).perplexity(texts[80:]) for order in (1, 2, 3)]
    assert found == sorted(found, reverse=True)
    backwards = [" ".join(reversed(text.split())) for text in texts]
    assert KneserNey(backwards, words).perplexity(texts) > 2 * found[-1]


def test_no_text_can_spell_the_ends():
    model = KneserNey(["<s> </s>"], ["<s>", "</s>"])
    assert math.fsum(model.probability(w, [BEGIN]) for w in model.vocabulary) == pytest.approx(1)
    assert len(model.vocabulary) == 3
