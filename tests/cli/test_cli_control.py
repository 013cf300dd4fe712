"""`plug-in`, `sample --plug-in`, `steer`, `arithmetic` and `traverse`."""

import csv
from pathlib import Path

import numpy as np
import pytest
from support.commands import sentences
from support.models import image_vae

from textvae.api.sentence import SentenceVAE
from textvae.checkpoints import digest

DOGS = sorted({text for text in sentences() if text.startswith(("the dog", "a cat"))})
OTHERS = sorted(set(sentences()) - set(DOGS))


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    """A folder to work in, with texts that have an attribute, texts without, and a table."""
    monkeypatch.chdir(tmp_path)
    Path("dogs.txt").write_text("\n".join(DOGS) + "\n\n")
    Path("others.txt").write_text("\n".join(OTHERS) + "\n")
    with Path("labelled.csv").open("w", newline="") as file:
        rows = [(text, "animal") for text in DOGS] + [(text, "person") for text in OTHERS]
        csv.writer(file).writerows([("text", "label"), *rows, ("the dog .", "")])
    return tmp_path


@pytest.fixture
def plug_in(runs, textvae, files):
    """`plug-in` with few steps."""

    def train(*arguments):
        return textvae("plug-in", *arguments, "-m", runs / "vae", "--steps", "30")

    return train


def test_plug_in_is_saved_and_sampled(runs, textvae, plug_in):
    before = digest(runs / "vae/model.safetensors")
    answer = plug_in("dogs.txt", "--not", "others.txt", "--json")
    assert answer.json["out"] == "plug_ins/dogs" and len(answer.json["samples"]) == 5
    assert (answer.json["texts"], answer.json["others"]) == (len(DOGS), len(OTHERS))
    assert digest(runs / "vae/model.safetensors") == before
    sample = ["sample", runs / "vae", "--plug-in", "plug_ins/dogs", "-n", 5, "--json"]
    greedy = textvae(*sample).json
    assert greedy["samples"] == answer.json["samples"]
    assert greedy["plug_in"] == "plug_ins/dogs"
    drawn = [textvae(*sample, "--temperature", 2, "--seed", seed).json for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != greedy and drawn[1]["samples"] != drawn[2]["samples"]


def test_plug_in_prints_whether_codes_hold_the_attribute(runs, textvae, files):
    held = textvae("plug-in", "dogs.txt", "--not", "others.txt", "-m", runs / "dead", "--steps", 5)
    assert "warning: the model's codes do not hold the attribute" in held.err
    assert "accuracy of a linear probe on codes" in held.out
    alone = textvae("plug-in", "dogs.txt", "-m", runs / "dead", "--steps", 5)
    assert "without --not FILE it is not known" in alone.err and "probe" not in alone.out


def test_plug_in_of_another_model_is_refused(runs, refused, plug_in):
    plug_in("dogs.txt")
    message = refused("sample", runs / "dead", "--plug-in", "plug_ins/dogs")
    assert "belongs to another model" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plug-in", "few.txt", "-m", "RUNS/vae"], "at least 10 different texts"),
        (["plug-in", "nowhere.txt", "-m", "RUNS/vae"], "nowhere.txt"),
        (["plug-in", "dogs.txt", "--not", "dogs.txt", "-m", "RUNS/vae"], "must differ"),
        (["plug-in", "dogs.txt", "-m", "RUNS/lm"], "it is a language model"),
        (["plug-in", "dogs.txt", "-m", "RUNS/vae", "-o", "."], "holds other files"),
        (["plug-in", "dogs.txt", "-m", "RUNS/vae", "--gamma", "2"], "gamma: must be from 0 to 1"),
        (["sample", "RUNS/vae", "--plug-in", "."], "holds no plug-in"),
        (["steer", "RUNS/vae", "--data", "labelled.csv", "--toward", "animl"], "animal"),
        (
            ["steer", "RUNS/vae", "--data", "labelled.csv", "--toward", "animal", "--strength=-1"],
            "strength: must be above 0",
        ),
        (["steer", "RUNS/lm", "--data", "labelled.csv", "--toward", "animal"], "language model"),
        (["arithmetic", "a dog", "a cat", "-m", "RUNS/vae"], "with + or - between them"),
        (["arithmetic", "a dog", "-", "-m", "RUNS/vae"], "with + or - between them"),
        (["arithmetic", "+", "-", "a dog", "-m", "RUNS/vae"], "with + or - between them"),
        (["arithmetic", " ", "-m", "RUNS/vae"], "must not be blank"),
        (["traverse", "the dog .", "--dimension", "3", "-m", "RUNS/vae"], "from 0 to 2"),
        (["traverse", "the dog .", "--dimension", "-1", "-m", "RUNS/vae"], "from 0 to 2"),
        (["traverse", "the dog .", "-m", "RUNS/lm"], "language model"),
    ],
)
def test_bad_input_is_one_line(arguments, message, runs, refused, files):
    Path("few.txt").write_text("the dog .\na cat .\n")
    assert message in refused(*(word.replace("RUNS", str(runs)) for word in arguments))


def test_image_models_are_refused(refused, files):
    image_vae().save_pretrained("images")
    for command in (
        ["plug-in", "dogs.txt", "-m", "images"],
        ["steer", "images", "--data", "labelled.csv", "--toward", "animal"],
        ["arithmetic", "a dog", "-m", "images"],
        ["traverse", "a dog", "-m", "images"],
    ):
        assert "is a model of images" in refused(*command)
    assert "is for models of texts" in refused("sample", "images", "--plug-in", "plug")


def test_steer_is_that_of_python(runs, textvae, files):
    answer = textvae(
        *["steer", runs / "vae", "-d", "labelled.csv", "--toward", "animal", "-n", 4, "--json"]
    )
    vae = SentenceVAE.from_pretrained(runs / "vae")
    labels = ["animal"] * len(DOGS) + ["person"] * len(OTHERS)
    expected = vae.steer([*DOGS, *OTHERS], labels, "animal", 4)
    assert answer.json["sentences"] == expected.sentences
    assert answer.json["holding"] == expected.holding.result()
    assert "accuracy of a linear probe" in answer.err


def test_arithmetic_on_sentences_and_files(runs, textvae, files):
    vae = SentenceVAE.from_pretrained(runs / "vae")
    command = ["arithmetic", "the dog saw the soup .", "-", "others.txt", "+", "dogs.txt"]
    given = textvae(*command, "-m", runs / "vae", "--strength", "2", "--json").json
    expected = vae.arithmetic(["the dog saw the soup .", DOGS], [OTHERS], strength=2)
    assert given["sentence"] == expected.sentence and given["terms"] == command[1:]
    assert given["distance"] >= 0 and given["typical"] >= 0
    far = textvae(*command, "-m", runs / "vae", "--strength", "500")
    assert "farther from the texts than 95%" in far.err
    assert "distance to the nearest held-out text" in far.out


def test_traverse_moves_the_dimensions_that_vary_most(runs, textvae, files):
    command = ["traverse", "the dog saw the soup .", "-m", runs / "vae", "--data", "dogs.txt"]
    given = textvae(*command, "--json").json
    vae = SentenceVAE.from_pretrained(runs / "vae")
    codes = vae.encode(DOGS)
    assert [row["dimension"] for row in given] == np.argsort(-codes.std(0)).tolist()[:3]
    row = given[0]
    axis = row["dimension"]
    ends = codes.mean(0)[axis] + np.array([-3, 3]) * codes.std(0)[axis]
    assert np.allclose([row["values"][0], row["values"][-1]], ends, atol=1e-4)
    assert row["sentences"] == vae.traverse(command[1], axis, row["values"])
    chosen = textvae(*command, "--dimension", 1, "--steps", 3, "--json").json
    assert [(row["dimension"], len(row["sentences"])) for row in chosen] == [(1, 3)]
