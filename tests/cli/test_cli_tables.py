"""Tables of numbers from the command line: one command to train, and tables that come back."""

import csv
import json

import numpy as np
import pytest
from support.commands import answer, run_quietly
from support.rows import write_table

from textvae import TableVAE

RECIPE = """
model:
  encoders:
    - {name: x, kind: mlp, hidden: [16]}
    - {name: tags, kind: labels, dim: 4}
  latents: [{name: z, kind: gaussian, dim: 2, given: [x, tags]}]
  decoders:
    - {name: x, kind: mlp, hidden: [16], given: [z], likelihood: {kind: gaussian, variance: shared}}
    - {name: city, kind: label, given: [z]}
    - {name: tags, kind: labels, rank: 2, given: [z]}
objective: {kind: elbo}
data: {fields: {x: {kind: vector}, city: {kind: label}, tags: {kind: labels}}}
train: {epochs: 2, batch_size: 32, learning_rate: 0.01}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    draw = np.random.default_rng(0)
    height, weight = draw.normal(170, 10, 240), draw.normal(70, 5, 240)
    columns = {
        "name": [f"p{i}" for i in range(240)],
        "height": height.round(2),
        "weight": weight.round(2),
        "city": draw.choice(["here", "there"], 240),
        "tags": ["tall, old" if h > 170 else "[]" if i % 3 else "" for i, h in enumerate(height)],
    }
    write_table(folder / "people.csv", columns)
    (folder / "people.yaml").write_text(RECIPE)
    command = ["train", folder / "people.yaml", "--data", folder / "people.csv"]
    assert run_quietly(*command, "--output", folder / "run") == 0
    return folder


def test_a_sampled_table_has_the_columns_and_the_units_of_the_data(place, capsys, tmp_path):
    out = tmp_path / "made.csv"
    code, _, _ = answer(capsys, "sample", str(place / "run"), "-n", "300", "--out", str(out))
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert code == 0 and list(rows[0]) == ["height", "weight", "city", "tags"]
    heights = np.array([float(row["height"]) for row in rows])
    assert abs(heights.mean() - 170) < 5 and 5 < heights.std() < 20
    assert {row["city"] for row in rows} == {"here", "there"}
    assert all(set(json.loads(row["tags"])) <= {"tall", "old"} for row in rows)
    command = ["train", place / "people.yaml", "--data", out, "--output", tmp_path / "again"]
    assert run_quietly(*command, "--set", "train.epochs=1") == 0


def test_held_out_rows_are_evaluated(place, capsys):
    code, out, err = answer(capsys, "evaluate", str(place / "run"), "--samples", "3")
    assert code == 0 and "people.csv: the test rows" in err
    written = "of x (2 standardised numbers), city (2 classes), tags (a set of 2 labels)"
    assert written in out and "100 draws of a probit's noise" in out
    assert "micro-F1" not in out  # nothing is given that could predict the tags
    options = ["--data", str(place / "people.csv"), "--limit", "20", "--samples", "2", "--json"]
    code, out, _ = answer(capsys, "evaluate", str(place / "run"), *options)
    assert code == 0 and json.loads(out)["table_rows"] == 20


def test_rows_are_encoded_in_their_order(place, capsys, tmp_path):
    table, out = place / "people.csv", tmp_path / "z.npz"
    code, said, _ = answer(
        capsys, "encode", str(table), "--model", str(place / "run"), "--out", str(out)
    )
    assert code == 0 and "240 rows, 2 dimensions" in said
    rows = list(csv.DictReader(table.open(encoding="utf-8")))[5:7]
    vae = TableVAE.from_pretrained(place / "run")
    numbers = np.array([[float(row["height"]), float(row["weight"])] for row in rows])
    found = vae.encode({"x": numbers, "tags": [row["tags"] for row in rows]})
    np.testing.assert_allclose(np.load(out)["mean"][5:7], found, atol=1e-5)


def test_samples_follow_their_seed_and_a_saved_copy(place, tmp_path):
    vae = TableVAE.from_pretrained(place / "run")
    rows = vae.sample(3, seed=1)
    assert rows == vae.sample(3, seed=1) != vae.sample(3, seed=2)
    vae.save_pretrained(tmp_path / "copy")
    assert TableVAE.from_pretrained(tmp_path / "copy").sample(3, seed=1) == rows


@pytest.mark.parametrize("command", [["nearest", "a"], ["interpolate", "a", "b"]])
def test_commands_of_texts_say_that_the_model_is_of_tables(place, capsys, command):
    code, _, err = answer(capsys, *command, "--model", str(place / "run"))
    assert code == 2 and "is a model of tables" in err


def test_a_likelihood_that_does_not_fit_the_values_is_refused(place, capsys):
    beta = ["--set", "decoders.x.likelihood={kind: beta}"]
    changes = ["--set", "data.fields.x.values=counts", *beta]
    code, _, err = answer(capsys, "show", str(place / "people.yaml"), *changes)
    assert code == 2 and "beta is no density of counts values (allowed: gaussian, poisson" in err


def test_generation_is_refused_for_tables(place, capsys):
    code, _, said = answer(capsys, "evaluate", str(place / "run"), "--generation")
    assert code == 2 and "this is a model of tables; the option is for texts" in said


def test_a_class_as_latent_is_measured_and_sampled(place, textvae):
    recipe = """
model:
  encoders: [{name: x, kind: mlp, hidden: [16]}]
  latents:
    - {name: city, kind: categorical, field: city, label_weight: 5.0, given: [x]}
    - {name: z, kind: gaussian, dim: 2, given: [x, city]}
  decoders:
    - {name: x, kind: mlp, hidden: [16], given: [z, city],
       likelihood: {kind: gaussian, variance: shared}}
objective: {kind: elbo}
data: {fields: {x: {kind: vector}, city: {kind: label}}}
train: {epochs: 2, batch_size: 32, learning_rate: 0.01}
"""
    (place / "m2.yaml").write_text(recipe)
    run = place / "m2"
    command = ["train", place / "m2.yaml", "--data", place / "people.csv", "--output", run]
    assert run_quietly(*command) == 0
    found = textvae("evaluate", run, "--samples", 2, "--json").json
    assert found["labelled"] == found["table_rows"] and 0 <= found["accuracy"] <= 1
    rows = textvae("label", "--model", run, "--json").json["rows"]
    assert len(rows) == found["table_rows"] and {"height", "weight", "city"} <= set(rows[0])
    sampled = textvae("sample", run, "-n", 60, "--json").json["samples"]
    assert {row["city"] for row in sampled} == {"here", "there"}
    other = textvae("compare", run, place / "run")
    assert "metrics are of different texts or fields" in other.err
