"""Dialogues from the command line: from a jsonl file to sampled dialogues."""

import json
import re

import numpy as np
import pytest
from support.commands import answer, run_quietly
from support.dialogues import RECIPE, dialogues, write_dialogues

from textvae.api.sentence import SentenceVAE
from textvae.explore.loading import explorer_of_texts
from textvae.recipes import read_recipe
from textvae.training.run_data import stored_metrics


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dialogues")
    write_dialogues(folder / "rows.jsonl", dialogues(160))
    (folder / "dialogues.yaml").write_text(read_recipe(RECIPE, "dialogues").yaml())
    command = ["train", folder / "dialogues.yaml", "--data", folder / "rows.jsonl"]
    assert run_quietly(*command, "--output", folder / "run") == 0
    return folder


def test_sampled_dialogues_can_be_trained_on(place, capsys, tmp_path):
    out = tmp_path / "sampled.jsonl"
    code, said, _ = answer(capsys, "sample", str(place / "run"), "-n", "40", "--out", str(out))
    assert code == 0 and "40 rows" in said
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert all(turn.keys() == {"text", "speaker"} for row in rows for turn in row["turns"])
    # A model of two epochs may write an empty text, which is no part to train on.
    sound = [row for row in rows if all(turn["text"] for turn in row["turns"])]
    write_dialogues(out, sound)
    first = ["train", str(place / "dialogues.yaml"), "--data", str(out)]
    assert run_quietly(*first, "--set", "train.epochs=1", "--output", tmp_path / "again") == 0


def test_a_dialogue_is_printed_turn_by_turn(place, capsys):
    code, said, _ = answer(capsys, "sample", str(place / "run"), "-n", "3", "--seed", "1")
    first, *others = said.strip("\n").split("\n\n")
    mood, *turns = first.splitlines()
    assert code == 0 and len(others) == 2 and mood in ("calm", "glad")
    assert turns and all(turn.startswith("  ") and " | " in turn for turn in turns)


def test_dialogues_are_evaluated_with_their_number_of_turns(place, capsys):
    options = ["--samples", "2", "--generation", "--limit", "10"]
    code, said, _ = answer(capsys, "evaluate", str(place / "run"), *options)
    assert code == 0 and "turns each (mean)" in said and "KL of words" in said
    code, said, _ = answer(capsys, "evaluate", str(place / "run"), *options, "--json")
    found = json.loads(said)
    assert found["written"]["real"]["parts"] == found["parts"]
    assert 0 < found["written"]["samples"]["distinct_2"] <= 1


def test_held_out_dialogues_are_rebuilt_by_number(place, capsys):
    code, said, _ = answer(capsys, "reconstruct", "0", "2", "--model", str(place / "run"), "--json")
    found = json.loads(said)
    assert code == 0 and len(found) == 2
    for each in found:
        assert len(each["row"]["text"]) == len(each["reconstruction"]["text"])


def test_latents_of_dialogues_and_turns_are_written(place, capsys, tmp_path):
    out = tmp_path / "z.npz"
    options = ["--model", str(place / "run"), "--out", str(out)]
    code, said, _ = answer(capsys, "encode", str(place / "rows.jsonl"), *options)
    found = np.load(out)
    assert code == 0 and "160 rows" in said and found["z_mean"].shape == (160, 3)
    assert len(found["words_scale"]) == found["turn"].sum()


def test_a_model_of_dialogues_is_diagnosed_by_its_latents_of_whole_rows(place, capsys):
    code, said, _ = answer(capsys, "doctor", str(place / "run"), "--json")
    metrics = json.loads(said)["metrics"]
    assert code == 0 and metrics["whole_kl"] == metrics["latent_kls"]["z"] < metrics["kl"]
    code, said, _ = answer(capsys, "doctor", str(place / "run"))
    assert code == 0 and "both of the latents of whole rows" in said


def test_losses_are_shown_by_position_within_a_turn(place, capsys, tmp_path):
    run, out = str(place / "run"), ["--out", str(tmp_path / "losses.png")]
    code, said, _ = answer(capsys, "positions", run, *out, "--json")
    found = json.loads(said)
    _, evaluated, _ = answer(capsys, "evaluate", run, "--samples", "1", "--json")
    assert code == 0 and sum(found["texts"]) == json.loads(evaluated)["tokens"]
    code, _, err = answer(capsys, "positions", run, *out, "--recover")
    assert code == 2 and "recover: the texts have parts" in err


def test_neighbours_and_pictures_are_of_whole_dialogues(place, capsys, tmp_path):
    run = str(place / "run")
    code, said, _ = answer(capsys, "nearest", "0", "-n", "1", "--model", run)
    assert code == 0 and said.startswith("row 0\n") and ", distance " in said
    code, said, _ = answer(capsys, "latent", run, "--colour", "label", "--out", str(tmp_path))
    assert code == 0 and "3 dimensions" in said and (tmp_path / "pca-label.png").exists()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["reconstruct", "where is the bank", "--model"], "give the number of a held-out row"),
        (["interpolate", "a", "b", "--model"], "rows with parts"),
        (["nearest", "a", "--model"], "several fields"),
        (["encode", "rows.jsonl", "--out", "z.npy", "--model"], ".npz"),
    ],
)
def test_commands_for_single_texts_refuse(place, capsys, monkeypatch, command, words):
    monkeypatch.chdir(place)
    code, _, said = answer(capsys, *command, "run")
    errors = [line for line in said.splitlines() if line.startswith("error")]
    assert code == 2 and len(errors) == 1 and words in errors[0], said


def test_dialogues_are_explored_and_coloured_by_a_column_beside_the_fields(place, tmp_path):
    run = str(place / "run")
    vae = SentenceVAE.from_pretrained(run)
    explorer = explorer_of_texts(vae, run, None, "text", [], 5, 0)
    assert re.fullmatch(r"run: 5 of \d+ held-out rows, z of 3", explorer.summary())
    own = explorer.model()
    assert own["columns"][0]["name"] == "mood"
    kl = next(each for each in own["figures"] if each["name"] == "KL of whole rows")
    assert kl["value"] == stored_metrics(run)["latent_kls"]["z"]
    rows = [row | {"town": ["Exeter", "Rome"][n % 2]} for n, row in enumerate(dialogues(12))]
    table = str(write_dialogues(tmp_path / "rows.jsonl", rows))
    found = explorer_of_texts(vae, run, table, "text", ["town"], 100, 0)
    assert found.explored.rows.labels["town"] == [row["town"] for row in rows]
    assert found.point(3)["labels"] == {"mood": rows[3]["mood"], "town": "Rome"}
    with pytest.raises(ValueError, match="their columns are those of the run"):
        explorer_of_texts(vae, run, table, "words", [], 100, 0)


def test_one_object_with_parts_is_a_row(tmp_path):
    from textvae.config import FieldConfig
    from textvae.data.tables import read_table_split

    fields = {"text": FieldConfig(plate="turn", column="turns.text")}
    for ending in ("json", "jsonl"):
        path = tmp_path / f"one.{ending}"
        path.write_text('{"turns": [{"text": "hello"}, {"text": "good day"}]}\n')
        table, _ = read_table_split(str(path), fields)
        assert table.columns["text"] == [("hello", "good day")]
