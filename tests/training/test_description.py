"""What is known of a run before its first step."""

import time

import numpy as np
import pytest
from conftest import IMAGE_RECIPE, digits
from support.runs import corpus, recipe

from textvae.data.batching import Sentences
from textvae.data.readers import Corpus
from textvae.objectives import Objective
from textvae.recipes import read_recipe
from textvae.training.description import duplicate_share, schedule_ends
from textvae.training.runs import train_run


class BegunError(Exception):
    """Ends a run before its first step."""


def begun(chosen, texts, folder) -> dict:
    """What a run reports before its first step."""

    def report(event, values):
        if event == "begin":
            raise BegunError(values)

    with pytest.raises(BegunError) as begin:
        train_run(chosen, texts, folder, report=report)
    return begin.value.args[0]


def sentences(rows: list[list[int]]) -> Sentences:
    flat = np.concatenate([np.array(row, np.int32) for row in rows])
    return Sentences(flat, np.cumsum([0, *map(len, rows)]), 0)


def test_facts_of_texts_are_counted(tmp_path):
    texts = ["the cat sees", "a dog", "the cat sees", "the cat sees", "the zebra sees", "a cat"] * 4
    texts = [*texts, "the cat " * 20]
    few = recipe().document() | {
        "tokenizer": {"kind": "word", "vocab_size": 9},
        "data": {"max_tokens": 9},
    }
    facts = begun(read_recipe(few, "few"), Corpus(texts, ["a cat"], [], "mine", []), tmp_path / "r")
    assert (facts["train"], facts["left_out"], facts["max_tokens"]) == (24, 1, 9)
    # Without begin of sentence: 4 of three words, 2 of two, and the end of each.
    assert facts["tokens"] == 4 * (4 * 4 + 2 * 3)
    assert facts["duplicates"] == pytest.approx(20 / 24)
    # the, cat, sees, a and one of dog and zebra fit beside the four special tokens.
    assert facts["unknown"] == pytest.approx(4 / facts["tokens"])
    assert facts["steps"] == 3 * facts["epochs"] // 3
    assert facts["schedules"] == [{"name": "kl_weight", "first": 0, "last": 0.15, "end": 1}]


def test_repeated_labelled_texts_are_no_duplicates(tmp_path):
    texts = [f"{first} {second}" for first in "abcdefgh" for second in "ijklmnop"]
    labels = {"train": ["odd", "even"] * 32, "valid": ["odd", "even"]}
    mine = Corpus(texts, ["a i", "b k"], [], "mine", [], labels)
    document = recipe().document() | {
        "data": {"label_column": "label", "labelled": 8, "repeat_labelled": 5}
    }
    facts = begun(read_recipe(document, "few"), mine, tmp_path / "r")
    assert (facts["train"], facts["repeated"], facts["duplicates"]) == (64 + 32, 32, 0)


def test_subword_tokenizers_have_no_unknown_tokens(tmp_path):
    document = recipe().document() | {"tokenizer": {"kind": "bpe", "vocab_size": 300}}
    assert begun(read_recipe(document, "bpe"), corpus(), tmp_path / "r")["unknown"] is None


def test_images_have_no_facts_of_texts(tmp_path):
    facts = begun(read_recipe(IMAGE_RECIPE, "digits"), digits(), tmp_path / "r")
    assert facts["train"] == 256 and facts["schedules"] == []
    assert "tokens" not in facts and "duplicates" not in facts


def test_every_schedule_of_an_objective_is_found():
    linear = {"kind": "linear", "steps": 10}
    term = {"kind": "posterior_kl", "of": "a", "to": "b", "weight": linear}
    spec = {"kind": "mmd", "kl_weight": 0.5, "mmd_weight": linear | {"end": 4}, "terms": [term]}
    ends = schedule_ends(Objective.build(spec, sizes={"z": 2}), 5)
    assert ends == [
        {"name": "mmd_weight", "first": 0, "last": 2, "end": 4},
        {"name": "terms.0.weight", "first": 0, "last": 0.5, "end": 1},
    ]


def test_duplicates_are_counted_among_the_first_texts():
    rows = sentences([[1, 5, 2], [1, 6, 2], [1, 5, 2], [1, 5, 5, 2], [1, 6, 2]])
    assert duplicate_share(rows, 5) == pytest.approx(2 / 5)
    assert duplicate_share(rows, 2) == 0


def test_duplicates_of_many_texts_are_counted_in_a_second():
    lengths = np.full(20_000, 20)
    many = Sentences(np.arange(400_000) % 1000, np.cumsum([0, *lengths]), 0)
    began = time.perf_counter()
    assert duplicate_share(many, 20_000) == pytest.approx(1 - 50 / 20_000)
    assert time.perf_counter() - began < 1
