"""Settings of a run beside its recipe's, also where its first training was a run of its own."""

import copy
from pathlib import Path

import pytest
import yaml
from support.commands import trained_runs

from textvae.analysis.settings import (
    is_run_of,
    other_settings,
    recipe_for,
    settings_of,
    trained_on,
    without_open,
)
from textvae.recipes import load_recipe, read_recipe
from textvae.training.folders import RunError, saved_recipe


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return trained_runs(tmp_path_factory)


def test_a_run_that_began_with_a_run_is_of_the_recipe_that_trains_both(runs, tmp_path):
    """Its first training is compared where it stands."""
    document = yaml.safe_load((runs / "vae/recipe.yaml").read_text())
    config = {"objective": document["objective"], "transfer": ["encoders"]}
    whole = read_recipe(document | {"pretrain": config}, "whole")
    parts = read_recipe(document | {"pretrain": config | {"run": str(runs / "vae")}}, "parts")
    assert is_run_of(parts, whole) and is_run_of(parts, parts) and is_run_of(whole, whole)
    assert other_settings(settings_of(parts), whole) is None
    longer = read_recipe(document | {"pretrain": config | {"train": {"epochs": 9}}}, "longer")
    assert other_settings(settings_of(parts), longer) == (
        "other settings: pretrain.train.epochs 2 (recipe: 9)"
    )
    first = [
        config | {"objective": {"kind": "elbo", "kl_weight": 0.5}},
        config | {"model": {"encoders": [document["model"]["encoders"][0] | {"hidden": 99}]}},
        config | {"transfer": ["latents"]},
    ]
    for other in first:
        assert not is_run_of(parts, read_recipe(document | {"pretrain": other}, "other"))
    moved = config | {"run": str(tmp_path / "moved")}
    with pytest.raises(RunError, match="moved holds no run"):
        is_run_of(read_recipe(document | {"pretrain": moved}, "moved"), whole)


def test_a_recipe_that_begins_with_a_run_of_another_needs_no_folder():
    first = load_recipe("lstm_lm_ptb")
    began = {"run": "nowhere/lstm_lm_ptb", "transfer": ["decoders"]}
    recipe = read_recipe(first.document() | {"pretrain": began}, "second")
    stored = settings_of(first) | {"pretrain": settings_of(first)}
    assert other_settings(stored, recipe) is None
    stored["pretrain"] = {"train": {"epochs": 1}}
    assert other_settings(stored, recipe) == (
        f"other settings: pretrain.train.epochs 1 (recipe: {first.train.epochs})"
    )


def test_training_data_are_those_of_both_trainings(runs):
    assert len(trained_on(str(runs / "vae"))) == 1
    assert trained_on(str(runs / "vae")) == trained_on(str(runs / "lm"))


def test_a_recipe_without_open_sizes_is_taken_as_it_is(runs):
    recipe = saved_recipe(runs / "vae")
    assert recipe_for(recipe, "no folder") is recipe


def test_a_changed_recipe_is_other_settings_for_what_is_stored():
    recipe = load_recipe("lstm_lm_ptb")
    stored = settings_of(recipe) | {"graph": "another"}
    assert other_settings(settings_of(recipe), recipe) is None
    assert other_settings(stored, recipe) == (
        "other settings: the recipe's model or objective was another"
    )
    assert other_settings({"train": {"clip": 1.0}}, recipe) == (
        "other settings: train.max_grad_norm 1.0 (recipe: 5.0)"
    )


def test_keys_that_a_later_version_adds_are_no_other_settings():
    recipe = load_recipe("textvae_triples")
    settings = copy.deepcopy(settings_of(recipe))
    assert other_settings(settings, recipe) is None
    for field in settings["reading"]["fields"].values():
        field.pop("plate")
    assert other_settings(settings, recipe) is None
    settings["reading"]["fields"]["subject"]["column"] = "s"
    assert other_settings(settings, recipe).startswith("other settings: data.fields")


def test_without_open_leaves_other_values_alone():
    assert without_open({"a": None, "b": {"c": None, "d": 0}}) == {"b": {"d": 0}}
    assert without_open([None]) == [None] and without_open(None) is None
