"""Conditional models from the command line: from a table to answers."""

import csv
import json

import pytest
from support.commands import answer, run_quietly
from support.rows import EVENTS, RECIPE, table, write_table

from textvae.cli.rows import rows_text


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    rows = table(200)
    write_table(folder / "rows.csv", {"source": rows["event"], "reply": rows["reply"]})
    (folder / "replies.yaml").write_text(RECIPE)
    command = ["train", folder / "replies.yaml", "--data", folder / "rows.csv"]
    assert run_quietly(*command, "--output", folder / "run") == 0
    return folder


def test_answers_to_one_condition_are_different(place, capsys):
    run = str(place / "run")
    code, out, _ = answer(capsys, "sample", run, "--given", f"event={EVENTS[0]}", "-n", "6")
    assert code == 0 and len(set(out.splitlines())) == 6
    code, out, _ = answer(
        capsys, "sample", run, "--given", f"event={EVENTS[0]}", "-n", "3", "--likeliest", "--json"
    )
    rows = json.loads(out)["samples"]
    assert code == 0 and [row["event"] for row in rows] == [EVENTS[0]] * 3
    assert rows[0]["nll"] <= rows[1]["nll"] <= rows[2]["nll"]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_table_of_conditions_becomes_a_table_of_answers(place, capsys, tmp_path, ending):
    write_table(tmp_path / "asked.csv", {"source": EVENTS, "note": ["x"] * 4})
    out = tmp_path / f"answers.{ending}"
    options = ["--given-file", str(tmp_path / "asked.csv"), "-n", "2", "--out", str(out)]
    code, said, err = answer(capsys, "sample", str(place / "run"), *options)
    assert code == 0 and "written to" in said and "1 column not used: note" in err
    if ending == "csv":
        rows = list(csv.DictReader(out.open(encoding="utf-8")))
    else:
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["source"] for row in rows] == [event for event in EVENTS for _ in range(2)]
    assert all(isinstance(row["reply"], str) for row in rows) and any(row["reply"] for row in rows)


def test_held_out_rows_are_evaluated(place, capsys):
    options = ["--samples", "2", "--generation", "--limit", "10"]
    code, out, err = answer(capsys, "evaluate", str(place / "run"), *options)
    assert code == 0 and "rows.csv: the test rows" in err
    for words in ("different of 10", "recall@10", "beam of 10", "3-gram nll"):
        assert words in out
    assert "marginal KL" not in out


def test_interpolations_and_reconstructions_take_a_condition(place, capsys):
    ends, condition = ["it is tired", "he is happy"], ["--given", f"event={EVENTS[1]}"]
    model = ["--model", str(place / "run")]
    code, out, _ = answer(capsys, "interpolate", *ends, "--steps", "3", *condition, *model)
    assert code == 0 and "0.50" in out
    code, out, _ = answer(capsys, "reconstruct", *ends, *condition, *model)
    assert code == 0 and out.count("->") == 2


def test_a_model_of_rows_is_diagnosed_and_compared(place, capsys):
    run, table = str(place / "run"), str(place / "rows.csv")
    code, out, _ = answer(capsys, "doctor", run, "--limit", "20", "--json")
    found = json.loads(out)
    assert code == 0 and found["positions"]["own"] and found["metrics"]["sentences"] == 20
    code, out, _ = answer(capsys, "compare", run, "--samples", "2", "--data", table, "--json")
    (metrics,) = json.loads(out)
    assert code == 0 and metrics["sentences"] == 200 and metrics["verdict"]


def test_losses_of_rows_are_shown_by_position(place, capsys, tmp_path):
    run, out = str(place / "run"), ["--out", str(tmp_path / "losses.png")]
    code, said, _ = answer(capsys, "positions", run, *out, "--recover", "--json")
    found = json.loads(said)
    assert code == 0 and found["texts"][0] == 47 and 0 <= found["exact_recovery"] <= 1
    longest = len(found["position"])
    code, said, _ = answer(capsys, "positions", run, *out, "--length", "4", "--json")
    assert code == 0 and json.loads(said)["texts"] == [json.loads(said)["texts"][0]] * 4
    code, _, err = answer(capsys, "positions", run, *out, "--length", str(longest + 1))
    assert code == 2 and f"no text has {longest + 1} targets" in err


def test_neighbours_of_a_row_are_rows(place, capsys):
    run = ["--model", str(place / "run")]
    code, out, _ = answer(capsys, "nearest", "3", "-n", "2", "--json", *run)
    found = json.loads(out)
    assert code == 0 and found["row"].keys() == {"event", "reply"}
    assert [each["number"] == 3 for each in found["nearest"]] == [False, False]
    assert found["nearest"][0]["distance"] <= found["nearest"][1]["distance"]
    for wrong in ("47", "it is tired", "-1"):
        code, _, err = answer(capsys, "nearest", *run, "--", wrong)
        assert code == 2 and "the number of a held-out row, 0 to 46" in err, wrong


def test_the_latents_of_rows_are_drawn(place, capsys, tmp_path):
    run, out = str(place / "run"), str(tmp_path)
    code, said, _ = answer(capsys, "latent", run, "--colour", "first-word", "--out", out)
    assert code == 0 and "47 of 47 texts" in said and (tmp_path / "pca-first-word.png").exists()
    data = ["--data", str(place / "rows.csv")]
    code, _, err = answer(capsys, "latent", run, "--label-column", "x", *data)
    assert code == 2 and "their columns are those of the run" in err


@pytest.mark.parametrize(
    "command, message",
    [
        (["sample"], "the model must be given event (missing: event)"),
        (["sample", "--given", "event"], "--given: must be FIELD=VALUE (got 'event')"),
        (
            ["sample", "--given", "evnt=a"],
            "unknown field 'evnt' (did you mean 'event'? known: event)",
        ),
        (["sample", "--given", "event="], "event[0] is blank: a text is needed"),
        (["sample", "--given", "event=a", "--given", "event=b"], "--given: event is given twice"),
        (["sample", "--given", "event=a", "--out", "x.png"], "--out must end in .csv, .jsonl"),
        (["sample", "--given", "event=a", "--given-file", "x.csv"], "give one of them"),
        (["interpolate", "a", "b"], "the model must be given event"),
        (["positions", "--text-column", "reply"], "the model reads several fields"),
        (["evaluate", "--text-column", "reply"], "the model reads several fields"),
    ],
)
def test_a_mistake_costs_one_line(place, capsys, tmp_path, monkeypatch, command, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = answer(capsys, *command, "--model", str(place / "run"))
    assert code == 2
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and message in errors[0]


@pytest.mark.parametrize(
    "options, message",
    [
        (["--field", "event"], "--field: must be FIELD=VALUE"),
        (["--field", "event=cause"], "no column 'cause' (known: source, reply)"),
        (["--text-column", "reply"], "name their columns with --field FIELD=COLUMN"),
        (["--set", "decoders.reply.field=answer"], "decoders.reply.field: unknown 'answer'"),
        (["--set", "decoders.reply.given=[z, reply]"], "which must be given to sample it"),
    ],
)
def test_a_mistake_in_columns_ends_training_with_one_line(
    place, capsys, tmp_path, options, message
):
    command = ["train", str(place / "replies.yaml"), "--data", str(place / "rows.csv")]
    code, _, err = answer(capsys, *command, *options, "--output", str(tmp_path / "run"))
    assert code == 2 and not (tmp_path / "run").exists()
    assert any(message in line for line in err.splitlines() if line.startswith("error: ")), err


def test_a_run_resumes_and_its_columns_can_be_named(place, capsys, tmp_path):
    rows = table(80)
    write_table(tmp_path / "other.csv", {"cause": rows["event"], "reply": rows["reply"]})
    command = ["train", str(place / "replies.yaml"), "--data", str(tmp_path / "other.csv")]
    run = ["--output", str(tmp_path / "run")]
    code, _, _ = answer(capsys, *command, "--field", "event=cause", *run, "--set", "train.epochs=1")
    assert code == 0
    code, _, err = answer(capsys, "train", "--resume", *run, "--set", "train.epochs=2")
    assert code == 0 and "had finished" not in err


def test_values_of_a_row_are_side_by_side_and_one_condition_is_not_repeated():
    rows = [{"event": "a b", "evidence": ["c", "d"], "code": "7", "reply": "e\tf", "nll": 2.5}]
    alone = {"event": "a b", "evidence": [["c", "d"]]}
    assert rows_text(rows, alone) == "    2.50  7 | e\\tf"
    several = {"event": ["a b", "x"], "evidence": [["c", "d"], ["y"]]}
    assert rows_text(rows, several) == "    2.50  a b | c / d | 7 | e\\tf"


@pytest.mark.parametrize("count", [0, -3])
@pytest.mark.parametrize("more", [[], ["--likeliest"]])
def test_fewer_than_one_answer_is_refused(place, capsys, count, more):
    options = ["--given", f"event={EVENTS[0]}", "-n", str(count), *more]
    code, out, err = answer(capsys, "sample", str(place / "run"), *options)
    assert (code, out) == (2, "")
    assert f"error: at least one sentence must be asked for (got {count})" in err


def test_a_label_that_the_model_lacks_is_refused_under_a_condition(place, capsys):
    options = ["--given", f"event={EVENTS[0]}", "--label", "glad"]
    code, _, err = answer(capsys, "sample", str(place / "run"), *options)
    assert code == 2 and "the model has no labels (got label 'glad')" in err
    code, _, err = answer(capsys, "sample", str(place / "run"), *options, "--likeliest")
    assert code == 2 and "--label goes without --likeliest" in err


def test_unknown_words_of_a_condition_are_named(place, capsys):
    given = f"event={EVENTS[0]} zebra"
    code, _, err = answer(capsys, "sample", str(place / "run"), "--given", given, "-n", "1")
    assert code == 0 and "unknown to the model: zebra" in err


def test_rows_are_encoded_with_their_columns(place, capsys, tmp_path):
    import numpy as np

    from textvae import SentenceVAE

    out = tmp_path / "z.npz"
    rows = table(12)
    columns = {"source": rows["event"], "reply": rows["reply"], "mood": ["a", "b"] * 6}
    write_table(tmp_path / "more.csv", columns)
    options = [str(tmp_path / "more.csv"), "--out", str(out)]
    code, said, err = answer(capsys, "encode", *options, "--model", str(place / "run"))
    assert code == 0 and said.startswith("12 rows, ") and "1 column not used: mood" in err
    vae = SentenceVAE.from_pretrained(place / "run")
    expected = vae.encode({"event": rows["event"], "reply": rows["reply"]})
    np.testing.assert_allclose(np.load(out)["mean"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "command", [["probe", "--data", "x.csv"], ["plug-in", "x.txt"], ["steer", "--data", "x.csv"]]
)
def test_commands_of_one_text_name_the_fields(place, capsys, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("text,label\na,b\n")
    (tmp_path / "x.txt").write_text("a\n")
    more = [str(place / "run")] if command[0] == "probe" else ["--model", str(place / "run")]
    more += ["--toward", "b"] if command[0] == "steer" else []
    code, _, err = answer(capsys, *command, *more)
    assert code == 2 and "reads several fields (event, reply): this command is for models" in err


def test_a_field_that_the_recipe_lacks_is_refused(place, capsys):
    options = ["--data", str(place / "rows.csv"), "--field", "replay=reply"]
    code, _, err = answer(capsys, "train", str(place / "replies.yaml"), *options)
    assert code == 2 and "--field: unknown field 'replay' (did you mean 'reply'" in err


def test_two_rows_are_enough_to_train_on(place, capsys, tmp_path):
    write_table(tmp_path / "two.csv", {"source": EVENTS[:2], "reply": ["so it is", "oh no"]})
    options = ["--data", str(tmp_path / "two.csv"), "--output", str(tmp_path / "run")]
    code, _, err = answer(capsys, "train", str(place / "replies.yaml"), *options)
    assert code == 0 and "validating on 1" in err
