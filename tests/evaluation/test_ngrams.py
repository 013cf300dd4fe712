"""The n-gram model is a distribution, and knows what it has seen."""

import math

import numpy as np
import pytest
from support.commands import sentences

from textvae.data.batching import Sentences
from textvae.data.tokenizers import train_tokenizer
from textvae.evaluation.ngrams import KneserNey, in_parts, numbered_words, word_sentences

TEXTS = ["a dog sees a cat", "a cat sees", "", "the dog", "a dog sees a cat"]
WORDS = ["a", "the", "dog", "cat", "sees", "cow", "bird"]
HISTORIES = ["", "a", "the", "sees a", "a dog", "cow", "cow a", "a dog sees a cat", "a dog sees a"]


def kneser_ney(texts, vocabulary, order=3):
    numbers = numbered_words(vocabulary)
    return KneserNey(word_sentences(texts, numbers), len(numbers) + 1, order), numbers


def probabilities(model, numbers, history: str) -> list[float]:
    """p of each word, and of the end, after the words that a text begins with."""
    texts = [f"{history} {word}" for word in numbers]
    rows = word_sentences([*texts, history], numbers)
    tokens = np.split(model.probabilities(rows), rows.offsets[1:-1])
    return [*(float(token[-2]) for token in tokens[:-1]), float(tokens[-1][-1])]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("history", HISTORIES)
def test_probabilities_sum_to_one(order, history):
    found = probabilities(*kneser_ney(TEXTS, WORDS, order), history)
    assert len(found) == len(WORDS) + 1 and min(found) > 0
    assert math.fsum(found) == pytest.approx(1, abs=1e-12)


def test_a_trigram_model_worked_out_by_hand():
    model, numbers = kneser_ney(["a b", "a c"], "abc", 3)
    # Different words before each: a, b, c one, the end two. (1 - 3/4 + 3/4 * 4/4) / 5 = 1/5.
    b, end = 1 / 5, 2 / 5
    # Both texts begin with a: (2 - 3/4 + 3/4 * 1/5) / 2. One word is before `a b` and `b end`.
    first, b_after_a, end_after_b = 0.7, (0.25 + 1.5 * b) / 2, 0.25 + 0.75 * end
    # `begin a` has two followers, once each; `a b` has one, once.
    expected = [first, (0.25 + 1.5 * b_after_a) / 2, 0.25 + 0.75 * end_after_b]
    assert model.probabilities(word_sentences(["a b"], numbers)) == pytest.approx([1, *expected])
    assert expected == pytest.approx([0.7, 0.33125, 0.6625])
    nll = model.nll(word_sentences(["a b", "a c"], numbers))
    assert nll == pytest.approx([-math.log(0.7 * 0.33125 * 0.6625)] * 2)


def test_a_unigram_model_worked_out_by_hand():
    model, numbers = kneser_ney(["a b", "a c"], "abc", 1)
    # a and the end twice of six, b and c once; each count gives 3/4 to the uniform distribution.
    rows = word_sentences(["a b"], numbers)
    assert model.probabilities(rows) == pytest.approx([1, 2 / 6, 1 / 6, 2 / 6])
    assert model.nll(rows)[0] == pytest.approx(math.log(54))


def test_a_history_that_was_never_seen_falls_back():
    model, numbers = kneser_ney(TEXTS, WORDS)
    shorter, _ = kneser_ney(TEXTS, WORDS, 2)
    unseen = probabilities(model, numbers, "cow a")
    # The bigram model's own counts after `a` are not those of a trigram model, its fallback.
    assert unseen == probabilities(model, numbers, "the a")
    assert unseen != probabilities(shorter, numbers, "cow a")
    assert probabilities(model, numbers, "cow") == probabilities(model, numbers, "bird cow")


def test_perplexity_counts_ends_of_sentence():
    model, numbers = kneser_ney(TEXTS, WORDS)
    rows = word_sentences(["a cow", ""], numbers)
    total = -sum(math.log(p) for p in model.probabilities(rows))
    assert model.perplexity(rows) == pytest.approx(math.exp(total / 4))
    assert model.nll(rows).sum() == pytest.approx(total)


def test_longer_histories_and_the_right_texts_help():
    texts = sentences()
    numbers = numbered_words(texts)
    held_out, outcomes = word_sentences(texts[80:], numbers), len(numbers) + 1
    train = word_sentences(texts[:80], numbers)
    found = [KneserNey(train, outcomes, order).perplexity(held_out) for order in (1, 2, 3)]
    assert found == sorted(found, reverse=True)
    backwards = word_sentences([" ".join(reversed(text.split())) for text in texts], numbers)
    assert KneserNey(backwards, outcomes).perplexity(word_sentences(texts, numbers)) > 2 * found[-1]


def test_no_text_can_spell_the_ends():
    model, numbers = kneser_ney(["<s> </s>"], ["<s> </s>"])
    assert math.fsum(probabilities(model, numbers, "")) == pytest.approx(1)
    assert len(numbers) == 2


def test_token_ids_of_a_word_tokenizer_are_its_words():
    texts = sentences()
    tokenizer = train_tokenizer("word", texts, 100)
    numbers = numbered_words(texts)
    ids = KneserNey(Sentences.encoded(tokenizer, texts[:60]), len(numbers) + 1)
    whole = KneserNey(word_sentences(texts[:60], numbers), len(numbers) + 1)
    assert ids.nll(Sentences.encoded(tokenizer, texts[60:])) == pytest.approx(
        whole.nll(word_sentences(texts[60:], numbers))
    )


@pytest.mark.parametrize("tokens", [1, 7, 40, 10_000])
def test_texts_in_parts_have_the_same_probabilities(tokens):
    many = sentences()[:60]
    numbers = numbered_words(many)
    model = KneserNey(word_sentences(many[:30], numbers), len(numbers) + 1)
    whole = word_sentences(many, numbers)
    parts = list(in_parts(whole, tokens))
    assert np.array_equal(np.concatenate([part.ids for part in parts]), whole.ids)
    assert all(len(part) == 1 or len(part.ids) <= tokens for part in parts)
    found = -np.concatenate([model.log_probabilities(part) for part in parts])
    assert np.array_equal(found, model.nll(whole)) and len(found) == 60
