"""The grammar's sums are exact, and the shipped corpus is what the grammar says."""

import json
import math
import random
import statistics
from pathlib import Path

import pytest

from textvae.corpus.english import english
from textvae.corpus.files import FACTORS, SIZES, write_corpus
from textvae.corpus.grammar import Grammar, Label, optional, sequence, uniform, weighted
from textvae.corpus.morphology import article, past, plural

DATA = Path(__file__).resolve().parents[2] / "data"


def lines(name: str) -> list[str]:
    return (DATA / name).read_text(encoding="utf-8").splitlines()


def tiny() -> Grammar:
    """Four sentences of probabilities 1/4, 1/4, 3/8 and 1/8."""
    noun = uniform(
        [sequence(Label("animal", "cat"), "cat"), sequence(Label("animal", "dog"), "dog")]
    )
    rest = weighted([(3, "it rains"), (1, "it snows")])
    return Grammar(sequence(uniform([sequence("the", noun), rest]), "."))


def test_tiny_grammar_is_known_by_hand():
    expected = {"the cat .": 1 / 4, "the dog .": 1 / 4, "it rains .": 3 / 8, "it snows .": 1 / 8}
    found = {sentence: math.exp(tiny().log_prob(sentence)) for sentence in expected}
    assert found == pytest.approx(expected)
    assert math.fsum(found.values()) == pytest.approx(1)
    by_hand = -sum(p * math.log(p) for p in expected.values())
    assert tiny().entropy() == pytest.approx(by_hand)
    assert tiny().mean_words() == pytest.approx(4)  # three words and the end
    assert tiny().marginal("animal") == pytest.approx({"cat": 0.25, "dog": 0.25, None: 0.5})


@pytest.mark.parametrize(
    "sentence", ["", "the cat", "the cat . .", "the cow .", "the  cat .", "\n"]
)
def test_what_the_grammar_cannot_say_has_probability_zero(sentence):
    assert tiny().log_prob(sentence) == -math.inf
    assert tiny().labels_of(sentence) is None


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        (uniform(["a b", sequence("a", "b")]), "a b"),
        (sequence(optional(0.5, "a"), optional(0.5, "a")), "a"),
        (uniform([sequence("a", uniform(["b", "c"]), "d"), "a c d"]), "a c d"),
        (uniform([sequence(Label("x", "0"), "a"), sequence(Label("x", "1"), "a")]), "a"),
    ],
)
def test_two_derivations_of_a_sentence_are_found(expression, sentence):
    grammar = Grammar(expression)
    assert f"{sentence} \n".startswith(grammar.ambiguity() or "nothing")
    with pytest.raises(ValueError, match="ambiguous"):
        grammar.entropy()


def test_log_prob_sums_over_derivations():
    grammar = Grammar(sequence(optional(0.5, "a"), optional(0.5, "a")))
    assert grammar.log_prob("a") == pytest.approx(math.log(0.5))
    assert grammar.log_prob("") == pytest.approx(math.log(0.25))


def test_bad_weights_and_a_factor_set_twice_are_errors():
    for weights in [(-1, 2), (0, 0), (math.nan, 1)]:
        with pytest.raises(ValueError, match="weight"):
            weighted([(weights[0], "a"), (weights[1], "b")])
    with pytest.raises(ValueError, match="twice"):
        Grammar(sequence(Label("x", "0"), Label("x", "1"), "a")).marginal("x")


def test_entropy_is_the_mean_surprisal_of_fresh_samples():
    grammar, rng = english(), random.Random(1)
    surprisals = [-grammar.log_prob(grammar.sample(rng)[0]) for _ in range(4000)]
    error = statistics.stdev(surprisals) / math.sqrt(len(surprisals))
    assert abs(statistics.fmean(surprisals) - grammar.entropy()) < 5 * error
    assert error < 0.2  # nats: else the comparison would say little


def test_factors_are_uniform_but_for_mood():
    values = dict(topic=6, sentiment=3, tense=3, number=2, length=3)
    assert english().factors() == sorted(FACTORS)
    for factor, count in values.items():
        assert sorted(english().marginal(factor).values()) == pytest.approx([1 / count] * count)
    assert english().marginal("mood") == pytest.approx({"statement": 0.75, "question": 0.25})


def test_shipped_files_are_what_the_generator_writes(tmp_path):
    write_corpus(tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == sorted(
        ["corpus.json", *(f"{s}{e}" for s in SIZES for e in (".txt", ".labels.tsv"))]
    )
    for name in written:
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes(), name


@pytest.mark.parametrize(("split", "step"), [("train", 20), ("valid", 1), ("test", 1)])
def test_shipped_labels_are_those_of_the_parse(split, step):
    """A sample of train is enough: its bytes are compared as a whole."""
    header, *rows = [row.split("\t") for row in lines(f"{split}.labels.tsv")]
    sentences = lines(f"{split}.txt")
    assert tuple(header) == FACTORS
    assert len(sentences) == len(rows) == SIZES[split]
    for sentence, row in list(zip(sentences, rows, strict=True))[::step]:
        assert english().labels_of(sentence) == dict(zip(header, row, strict=True)), sentence


def test_shipped_probabilities_are_finite_and_near_the_entropy():
    """Each split's mean surprisal is that of independent draws, of standard deviation below 9."""
    facts = json.loads((DATA / "corpus.json").read_text(encoding="utf-8"))
    for split, size in SIZES.items():
        stated = facts["mean_negative_log_prob_nats"][split]
        assert abs(stated - english().entropy()) < 5 * 9 / math.sqrt(size)
    surprisals = [-english().log_prob(sentence) for sentence in lines("valid.txt")]
    assert all(map(math.isfinite, surprisals)) and statistics.stdev(surprisals) < 9
    stated = facts["mean_negative_log_prob_nats"]["valid"]
    assert statistics.fmean(surprisals) == pytest.approx(stated, abs=1e-6)


def test_test_sentences_are_new():
    train = set(lines("train.txt"))
    shared = sum(sentence in train for sentence in lines("test.txt"))
    assert shared / SIZES["test"] < 0.02


def test_shipped_text_is_tokenized_english():
    vocabulary = set(english().vocabulary())
    for split in SIZES:
        for sentence in lines(f"{split}.txt"):
            words = sentence.split(" ")
            assert vocabulary.issuperset(words) and sentence == sentence.lower()
            assert words[-1] in (".", "?")
            for word, following in zip(words, words[1:], strict=False):
                if word in ("a", "an"):
                    vowel = following[0] in "aeiou" and following not in ("useful", "useless")
                    assert (word == "an") == (vowel or following == "hour"), sentence
                assert word != following


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("the waiter was rude .", "the waiter were rude ."),
        ("the waiters were rude .", "the waiters was rude ."),
        ("tom watched an original film .", "tom watched a original film ."),
        ("did anna order a fresh soup ?", "did anna ordered a fresh soup ?"),
        ("the soups were fresh , were n't they ?", "the soups were fresh , were n't it ?"),
        ("the chef was not very kind .", "the chef was not very rude ."),
        (
            "my sister hated these films because they were so dull .",
            "my sister hated these films because it was so dull .",
        ),
        (
            "tomorrow , the chef will be rude , and he will forget the bill .",
            "tomorrow , the chef will be rude , and he forgot the bill .",
        ),
    ],
)
def test_agreement(right, wrong):
    assert math.isfinite(english().log_prob(right))
    assert english().log_prob(wrong) == -math.inf


def test_inflection():
    assert [past(verb) for verb in ("plan", "try", "enjoy", "take notes", "serve")] == [
        "planned",
        "tried",
        "enjoyed",
        "took notes",
        "served",
    ]
    assert [plural(noun) for noun in ("city", "class", "child", "journey")] == [
        "cities",
        "classes",
        "children",
        "journeys",
    ]
    assert [article(word) for word in ("useful", "hour", "early", "new")] == ["a", "an", "an", "a"]
