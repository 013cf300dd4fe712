"""Training of dialogues: from a table to a run, resumed to the same bits."""

import json

import pytest
from safetensors.torch import load_file
from support.commands import run_quietly
from support.dialogues import RECIPE, dialogues, write_dialogues
from support.runs import assert_equal

from textvae.recipes import check_model, read_recipe
from textvae.registry import SpecError


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dialogues")
    write_dialogues(folder / "rows.jsonl", dialogues(160))
    (folder / "dialogues.yaml").write_text(read_recipe(RECIPE, "dialogues").yaml())
    command = ["train", folder / "dialogues.yaml", "--data", folder / "rows.jsonl"]
    assert run_quietly(*command, "--device", "cpu", "--output", folder / "run") == 0
    return folder


def test_a_resumed_run_equals_an_uninterrupted_one(place):
    command = ["train", place / "dialogues.yaml", "--data", place / "rows.jsonl", "--device", "cpu"]
    short = place / "short"
    assert run_quietly(*command, "--set", "train.epochs=1", "--output", short) == 0
    again = ["train", "--resume", "--output", short, "--set", "train.epochs=2", "--device", "cpu"]
    assert run_quietly(*again) == 0
    assert_equal(short, place / "run")


def test_a_run_knows_the_counts_of_its_turns(place):
    config = json.loads((place / "run/config.json").read_text())
    counts = config["observed"]["turn"]["counts"]
    assert set(counts) == {"1", "2", "3", "4"} and config["observed"]["text"] == {"plate": "turn"}
    assert load_file(place / "run/model.safetensors")["encoders.past.lstm.weight_hh_l0"].any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train": {"compile": "default"}}, "train.compile: not with plates"),
        (
            {"data": {"fields": RECIPE["data"]["fields"] | {"text": {}}}},
            "reads the parts of a plate",
        ),
    ],
)
def test_recipes_that_do_not_fit_are_refused(change, words):
    with pytest.raises(SpecError) as error:
        check_model(read_recipe(RECIPE | change, "dialogues"))
    assert words in str(error.value)
