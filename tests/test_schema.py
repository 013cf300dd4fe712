"""The JSON Schema of recipes: it allows what is a recipe, and is the one that is shipped."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from support.json_schema import is_valid
from support.recipes import documents

from textvae.config import TRACKERS
from textvae.console import json_text
from textvae.recipes import (
    apply_override,
    check_model,
    load_recipe,
    parse_yaml,
    read_recipe,
    shipped_recipes,
)
from textvae.registry import SpecError
from textvae.schema import FILE, recipe_schema

SCHEMA = recipe_schema()
RECIPES = shipped_recipes()


def document(name: str) -> dict:
    return parse_yaml(RECIPES[name].read_text(encoding="utf-8"), name)


def allowed(value) -> bool:
    return is_valid(value, SCHEMA, SCHEMA["$defs"])


def is_recipe(value: dict) -> bool:
    try:
        check_model(read_recipe(copy.deepcopy(value), "mine"))
    except SpecError:
        return False
    return True


def test_shipped_schema_is_current():
    path = RECIPES["bowman2016"].with_name(FILE)
    current = json_text(SCHEMA) + "\n"
    assert path.read_text(encoding="utf-8") == current, "run: python benchmarks/pages.py"


@pytest.mark.parametrize("name", RECIPES)
def test_shipped_recipe_names_the_schema_and_is_allowed_by_it(name):
    first = RECIPES[name].read_text(encoding="utf-8").splitlines()[0]
    place = first.removeprefix("# yaml-language-server: $schema=")
    assert place != first and (RECIPES[name].parent / place).is_file()
    assert allowed(document(name))
    assert allowed(json.loads(json.dumps(load_recipe(name).document())))


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(documents())
def test_every_recipe_is_allowed(value):
    value = json.loads(json.dumps(value))
    if is_recipe(value):
        assert allowed(value)


MISTAKES = {
    "train.epoch": 3,
    "train.epochs": 0,
    "train.optimizer": "adam",
    "train.report_to": "wandbb",
    "train.lagging": {"step": 3},
    "data.label_colum": "label",
    "data.test_fraction": 1.0,
    "tokenizer.kind": "bytes",
    "tokenizer.vocab_size": "automatic",
    "purpose": "topic",
    "paper": 2016,
    "model.init_range": -1,
    "model.decoder": [],
    "model.refinement": {"steps": 0},
    "encoders.text.kind": "lstmm",
    "encoders.text.hiden": 3,
    "encoders.text.noise": {"kind": "drop", "rate": 2},
    "latents.z.dim": "32",
    "latents.z.given": [],
    "latents.z.prior": {"components": 5},
    "latents.z.prior.kind": "mixed",
    "decoders.text.auxiliary": 0,
    "decoders.text.word_dropout": 1.5,
    "objective.kind": "elbow",
    "objective.kl_weight": -1,
    "objective.kl_weight.kind": "linaer",
    "objective.terms": [{"kind": "posterior_kl", "of": "z"}],
    "pretrain": {"transfer": ["encoders"], "train": {"epoch": 1}},
    "claim": [{"metric": "kl", "test": "<", "value": 1.0, "source": "x", "data": "y"}],
}


@pytest.mark.parametrize("key", MISTAKES)
def test_a_value_that_is_no_recipe_is_not_allowed(key):
    value = document("bowman2016")
    apply_override(value, f"{key}={json.dumps(MISTAKES[key])}")
    assert not is_recipe(value) and not allowed(value)


SOUND = {
    "train.report_to": "none",
    "train.report_to ": [*TRACKERS],
    "train.clip": 5.0,
    "encoders.text.dropout": "auto",
    "latents.z.prior": {"given": []},
    "latents.z.prior ": {"fitted": True},
    "latents.z.prior  ": {"kind": "mixture", "components": 5},
    "objective.kl_weight": 0.5,
    "objective.terms": [{"kind": "posterior_kl", "of": "z", "to": "z", "weight": 0.1}],
    "pretrain": {"run": "runs/x", "transfer": {"encoders.text": "decoders.text"}},
    "claim": None,
}


@pytest.mark.parametrize("key", SOUND)
def test_other_ways_to_write_a_recipe_are_allowed(key):
    value = document("bowman2016")
    apply_override(value, f"{key.strip()}={json.dumps(SOUND[key])}")
    assert is_recipe(value) and allowed(value)


def test_keys_have_the_line_of_the_docstring():
    epochs = SCHEMA["$defs"]["TrainingConfig"]["properties"]["epochs"]
    assert epochs["description"].startswith("passes over the training texts")
    linear = next(
        kind
        for kind in SCHEMA["$defs"]["Schedule"]["anyOf"]
        if kind.get("properties", {}).get("kind") == {"const": "linear"}
    )
    assert linear["properties"]["start"]["description"] == "weight before it."
    assert linear["properties"]["start"]["default"] == 0.0


def test_command_prints_and_writes_the_schema(textvae, refused, tmp_path):
    assert textvae("schema").json == SCHEMA
    answer = textvae("schema", "--out", "mine.json", "--json")
    assert answer.json == {"out": "mine.json"}
    assert json.loads((tmp_path / "mine.json").read_text(encoding="utf-8")) == SCHEMA
    assert "--out must end in .json" in refused("schema", "--out", "mine.yaml")


def test_a_comment_changes_no_recipe(tmp_path):
    path = tmp_path / "mine.yaml"
    lines = RECIPES["bowman2016"].read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if line[0] != "#"), encoding="utf-8")
    mine, shipped = load_recipe(str(path)), load_recipe("bowman2016")
    assert mine.document() == shipped.document() and mine.yaml() == shipped.yaml()
    assert mine.trains_as(shipped)
    assert Path(RECIPES["bowman2016"]).read_text(encoding="utf-8") != path.read_text("utf-8")
