"""Sizes that a recipe leaves open follow from the training texts."""

import copy

import pytest

from textvae.recipes import check_model, load_recipe, read_recipe
from textvae.registry import SpecError
from textvae.sizing import (
    as_saved,
    batch_size,
    count_words,
    dropout_rate,
    epoch_count,
    leaves_open,
    open_sizes,
    sized,
    vocabulary_size,
)

OPEN = {
    "model": {
        "encoders": [{"name": "text", "kind": "lstm", "hidden": 8, "dropout": "auto"}],
        "latents": [{"name": "z", "kind": "gaussian", "dim": 2, "given": ["text"]}],
        "decoders": [{"name": "text", "kind": "lstm", "hidden": 8, "given": ["z"]}],
    },
    "objective": {"kind": "elbo"},
    "tokenizer": {"kind": "bpe", "vocab_size": "auto"},
    "train": {"epochs": "auto", "batch_size": 16},
}


def epochs_of(texts):
    """Epochs for texts of ten words."""
    return epoch_count(texts, 10 * texts)


def test_longer_texts_have_fewer_epochs():
    assert epoch_count(2_000, 50_000) < epochs_of(2_000) < 40


@pytest.mark.parametrize(
    ("size", "few", "many", "grows"),
    [
        (vocabulary_size, 3_000, 500_000, 1),
        (epochs_of, 400, 200_000, -1),
        (dropout_rate, 5_000, 500_000, -1),
        (batch_size, 500, 50_000, 1),
    ],
)
def test_sizes_go_one_way_and_stay_in_their_range(size, few, many, grows):
    values = [size(count) * grows for count in (1, few, 5_000, 20_000, many, 10**9)]
    assert values == sorted(values) and values[0] < values[-1]
    assert size(10**9) == size(10**10)


def test_the_shipped_corpus_is_trained_for_five_epochs():
    assert sized(read_recipe(OPEN, "open"), 20_000, 180_000).train.epochs == 5
    other = read_recipe(OPEN | {"data": {"source": "mine.txt"}}, "open")
    assert sized(other, 20_000, 180_000).train.epochs == epoch_count(20_000, 180_000) > 5


def test_open_sizes_are_named_and_filled():
    recipe = read_recipe(OPEN | {"data": {"source": "mine.txt"}}, "open")
    assert open_sizes(recipe) == ["train.epochs", "tokenizer.vocab_size", "encoders.text.dropout"]
    fixed = sized(recipe, 2_000, 18_000)
    assert not leaves_open(fixed)
    assert fixed.train.epochs == epoch_count(2_000, 18_000)
    assert fixed.tokenizer.vocab_size == vocabulary_size(18_000)
    assert fixed.model["encoders"][0]["dropout"] == dropout_rate(18_000)
    assert recipe.train.epochs == "auto", "the recipe itself is as before"


def test_a_recipe_without_open_sizes_is_returned_as_it_is():
    recipe = load_recipe("kingma2016_free_bits")
    assert sized(recipe, 5, 50) is recipe


@pytest.mark.parametrize(("floor", "texts", "epochs"), [(3, 160, 10), (3, 1_600, 3), (12, 160, 12)])
def test_steps_are_whole_epochs_and_no_fewer_than_the_epochs_given(floor, texts, epochs):
    document = copy.deepcopy(OPEN) | {"train": {"epochs": floor, "steps": 99, "batch_size": 16}}
    fixed = sized(read_recipe(document, "r"), texts, 1)
    assert (fixed.train.epochs, fixed.train.steps) == (epochs, None)


def test_a_resumed_recipe_has_the_sizes_of_its_run():
    recipe = read_recipe(OPEN, "open")
    run = sized(recipe, 700, 5_000)
    assert as_saved(recipe, run).document() == run.document()
    other = read_recipe({**OPEN, "objective": {"kind": "elbo", "kl_weight": 0.5}}, "open")
    assert as_saved(other, run).document() != run.document()


def test_a_recipe_with_open_sizes_is_checked_before_there_is_a_corpus():
    document = copy.deepcopy(OPEN)
    check_model(read_recipe(document, "open"))
    document["model"]["encoders"][0]["hiden"] = 8
    with pytest.raises(SpecError, match="hiden"):
        check_model(read_recipe(document, "open"))


@pytest.mark.parametrize("override", ["train.epochs=automatic", "tokenizer.vocab_size=2.5"])
def test_what_is_no_size_is_refused_in_one_line(override):
    with pytest.raises(SpecError) as raised:
        load_recipe("bowman2016", [override])
    assert len(raised.value.problems) == 1 and "or 'auto'" in raised.value.problems[0]


def test_texts_without_blanks_have_a_word_for_every_six_characters():
    assert count_words(["a b c", "d"]) == 4
    assert count_words(["x" * 60]) == 10
