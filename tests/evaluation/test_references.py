"""Reference likelihoods: worked out by hand, and of some of the training texts."""

import math

import pytest

from textvae.evaluation.ngrams import numbered_words, word_sentences
from textvae.evaluation.references import references

NUMBERS = numbered_words("abc")


def test_references_worked_out_by_hand():
    training, held_out = (word_sentences(texts, NUMBERS) for texts in (["a b", "a c"], ["a b"]))
    found = references(training, held_out, len(NUMBERS) + 1)
    # See test_ngrams.py for these probabilities.
    assert found.unigram_nll == pytest.approx(math.log(54))
    assert found.trigram_nll == pytest.approx(-math.log(0.7 * 0.33125 * 0.6625))
    assert (found.texts, found.available) == (2, 2)


@pytest.mark.parametrize(("most_tokens", "texts"), [(40, 10), (39, 5), (20, 5), (19, 4), (1, 1)])
def test_of_many_training_texts_every_nth_is_counted(most_tokens, texts):
    # Ten texts of four tokens.
    training = word_sentences(["a b"] * 5 + ["a c"] * 5, NUMBERS)
    held_out = word_sentences(["a b"], NUMBERS)
    found = references(training, held_out, 4, most_tokens)
    assert (found.texts, found.available) == (texts, 10)
    step = math.ceil(40 / most_tokens)
    chosen = word_sentences((["a b"] * 5 + ["a c"] * 5)[::step], NUMBERS)
    assert found.trigram_nll == references(chosen, held_out, 4).trigram_nll
