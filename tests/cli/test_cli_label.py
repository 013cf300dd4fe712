"""`textvae label`: the labels that a model predicts, of texts, images and rows."""

import csv
import json
import random

import numpy as np
import pytest
import yaml
from conftest import IMAGE_RECIPE, digits
from support.commands import run_quietly

from textvae.api.image import ImageVAE
from textvae.api.sentence import SentenceVAE
from textvae.api.table import TableVAE

WORDS = {"good": ["fine", "lovely", "great"], "bad": ["awful", "poor", "stale"]}
TRAIN = "train: {epochs: 12, batch_size: 16, learning_rate: 0.02, validation_samples: 1}"
CLASSES = f"""
model:
  encoders: [{{name: text, kind: attention, hidden: 12, heads: 2}}]
  latents: [{{name: y, kind: categorical, field: label, label_weight: 5.0, given: [text]}}]
  decoders: [{{name: text, kind: bag, hidden: 8, given: [y]}}]
objective: {{kind: elbo}}
tokenizer: {{kind: word, vocab_size: 100}}
data: {{label_column: taste}}
{TRAIN}
"""
SETS = f"""
model:
  encoders: [{{name: said, kind: bag, hidden: 12}}]
  latents: [{{name: y, kind: label_set, field: tags, label_weight: 20.0, given: [said]}}]
  decoders: [{{name: said, kind: bag, hidden: 8, given: [y]}}]
objective: {{kind: elbo}}
tokenizer: {{kind: word, vocab_size: 100}}
data: {{fields: {{said: {{}}, tags: {{kind: labels}}}}}}
{TRAIN.replace("validation_samples: 1", "select: micro_f1")}
"""
VECTORS = """
model:
  encoders: [{name: x, kind: mlp, hidden: [8]}]
  latents: []
  decoders: [{name: tags, kind: labels, given: [x]}]
objective: {kind: elbo}
data: {fields: {x: {kind: vector}, tags: {kind: labels}}}
train: {epochs: 30, batch_size: 32, learning_rate: 0.02}
"""


def reviews(count, seed):
    draw = random.Random(seed)
    for _ in range(count):
        label = draw.choice(list(WORDS))
        yield f"the {draw.choice(['soup', 'tea'])} was {draw.choice(WORDS[label])} .", label


def trained(folder, name, recipe, data):
    """A run of a recipe in a folder."""
    (folder / f"{name}.yaml").write_text(recipe)
    run = folder / name
    assert run_quietly("train", folder / f"{name}.yaml", "--data", data, "--output", run) == 0
    return run


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    lines = ["text,taste", *(f"{text},{label}" for text, label in reviews(300, 0))]
    (folder / "reviews.csv").write_text("\n".join(lines) + "\n")
    return trained(folder, "classes", CLASSES, folder / "reviews.csv")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    rows = [
        {"said": text, "tags": [label, *(["drink"] if "tea" in text else [])]}
        for text, label in reviews(300, 1)
    ]
    (folder / "said.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return trained(folder, "sets", SETS, folder / "said.jsonl")


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    height = np.random.default_rng(0).normal(0, 1, 240).round(3)
    lines = [f"{h},{'tall;any' if h > 0 else 'any'}".replace(";", ", ") for h in height]
    lines = [f'{line.split(",")[0]},"{line.split(",", 1)[1]}"' for line in lines]
    (folder / "people.csv").write_text("\n".join(["x,tags", *lines]) + "\n")
    return trained(folder, "vectors", VECTORS, folder / "people.csv")


def test_texts_have_their_class_and_its_probability(textvae, classes):
    texts = ["the soup was great .", "the tea was stale ."]
    found = textvae("label", *texts, "--model", classes, "--json").json
    assert [row["label"] for row in found["rows"]] == ["good", "bad"]
    probabilities = SentenceVAE.from_pretrained(classes).classify(texts).max(1)
    printed = [row["probability"] for row in found["rows"]]
    np.testing.assert_allclose(printed, probabilities, rtol=1e-5)
    lines = textvae("label", *texts, "--model", classes).out.splitlines()
    assert lines[0].split() == ["label", "probability", "text"]
    assert lines[1].split()[0] == "good" and lines[1].endswith(texts[0])


def test_the_words_of_most_weight_are_shown(textvae, classes):
    text = "the soup was great ."
    (found,) = textvae("label", text, "--model", classes, "--attention", "--json").json["rows"]
    (whole,) = SentenceVAE.from_pretrained(classes).attention([text])
    assert whole.tokens == (*text.split(), "</s>") and whole.weights.shape == (2, 6)
    np.testing.assert_allclose(whole.weights.sum(1), 1, rtol=1e-5)
    weights = dict(map(tuple, found["words"]))
    assert len(weights) == 5 and list(weights.values()) == sorted(weights.values(), reverse=True)
    assert weights["great"] == pytest.approx(float(whole.weights[:, 3].mean()))
    printed = textvae("label", text, "--model", classes, "--attention").out
    assert printed.startswith(text) and "\n  words  " in printed


def test_the_weights_of_a_text_do_not_depend_on_its_batch(classes):
    vae = SentenceVAE.from_pretrained(classes)
    texts = ["the tea was poor .", "the soup was fine and the tea was poor .", "tea"]
    for text, together in zip(texts, vae.attention(texts), strict=True):
        (alone,) = vae.attention([text])
        assert alone.tokens == together.tokens
        np.testing.assert_allclose(alone.weights, together.weights, rtol=1e-4, atol=1e-6)


def test_a_file_is_labelled_row_by_row(textvae, classes, tmp_path):
    pairs = list(reviews(40, 7))
    lines = ["note,text", *(f"{i},{text}" for i, (text, _) in enumerate(pairs))]
    (tmp_path / "new.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "labelled.csv"
    answer = textvae("label", "--model", classes, "--data", tmp_path / "new.csv", "--out", out)
    assert "40 rows -> " in answer.out and "1 column not used: note" in answer.err
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert list(rows[0]) == ["text", "label", "probability"]
    assert [row["text"] for row in rows] == [text for text, _ in pairs]
    assert (
        np.mean([row["label"] == label for row, (_, label) in zip(rows, pairs, strict=True)]) > 0.9
    )


def test_without_texts_the_held_out_ones_are_labelled(textvae, classes):
    rows = textvae("label", "--model", classes, "--json").json["rows"]
    assert len(rows) > 30 and {row["label"] for row in rows} == {"good", "bad"}


def test_sets_have_the_labels_above_the_threshold(textvae, sets):
    texts = ["the tea was awful .", "the soup was lovely ."]
    found = textvae("label", *texts, "--model", sets, "--threshold", 0.5, "--json").json
    assert [set(row["tags"]) for row in found["rows"]] == [{"bad", "drink"}, {"good"}]
    assert found["labels"] == ["bad", "drink", "good"]
    probabilities = SentenceVAE.from_pretrained(sets).label_sets({"said": texts})
    for row, own in zip(found["rows"], probabilities, strict=True):
        expected = [own[found["labels"].index(name)] for name in row["tags"]]
        np.testing.assert_allclose(row["probabilities"], expected, rtol=1e-5)
        assert row["probabilities"] == sorted(row["probabilities"], reverse=True)
    every = textvae("label", texts[0], "--model", sets, "--threshold", 0, "--json").json["rows"]
    assert len(every[0]["tags"]) == 3
    none = textvae("label", texts[0], "--model", sets, "--threshold", 1).out
    assert none.splitlines()[1] == "  tags  none"


def test_the_threshold_is_that_of_the_evaluation(textvae, sets, tmp_path):
    stored = json.loads((sets / "results.json").read_text())
    found = textvae("label", "the tea was awful .", "--model", sets)
    threshold = stored["metrics"]["label_sets"]["threshold"]
    assert f"labels above {threshold:.2f}, chosen on the validation rows" in found.err


def test_rows_of_a_table_keep_their_columns(textvae, vectors, tmp_path):
    (tmp_path / "new.csv").write_text("x,tags\n2.5,\n-2.5,tall\n")
    out = tmp_path / "labelled.jsonl"
    options = ("--threshold", 0.5, "--out", out)
    textvae("label", "--model", vectors, "--data", tmp_path / "new.csv", *options)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["x"] for row in rows] == [2.5, -2.5]
    # The labels of the file are not read.
    assert [set(row["tags"]) for row in rows] == [{"tall", "any"}, {"any"}]
    vae = TableVAE.from_pretrained(vectors)
    with pytest.raises(ValueError, match="taught no label"):
        vae.classify({"x": [[1.0]]})


def test_images_are_numbered(textvae, tmp_path):
    label = {"name": "y", "kind": "categorical", "field": "label", "given": ["image"]}
    model = IMAGE_RECIPE["model"] | {"latents": [label | {"label_weight": 5.0}]}
    decoders = [node | {"given": ["y"]} for node in IMAGE_RECIPE["model"]["decoders"]]
    recipe = IMAGE_RECIPE | {"model": model | {"decoders": decoders}}
    recipe |= {"data": {"modality": "image"}}
    columns = digits().test.columns
    values, labels = columns["image"].values[:, 0], columns["label"].values
    data = tmp_path / "digits.npz"
    np.savez(data, x_train=values, y_train=labels, x_test=values[:20], y_test=labels[:20])
    run = trained(tmp_path, "run", yaml.safe_dump(recipe), data)
    rows = textvae("label", "--model", run, "--data", data, "--json").json["rows"]
    assert [row["image"] for row in rows] == list(range(20))
    probabilities = ImageVAE.from_pretrained(run).classify(values[:20])
    np.testing.assert_allclose(
        [row["probability"] for row in rows], probabilities.max(1), rtol=1e-4
    )


def test_what_does_not_fit_is_refused(refused, classes, sets, vectors, tmp_path):
    texts = ("label", "the tea was poor .", "--model")
    assert "give texts or --data, not both" in str(refused(*texts, classes, "--data", tmp_path))
    assert "--threshold is for sets" in str(refused(*texts, classes, "--threshold", 0.3))
    assert "no encoder of the model weighs words" in str(refused(*texts, sets, "--attention"))
    assert "the label is predicted from x: name rows by --data" in str(refused(*texts, vectors))
    assert "--out must end in .csv, .jsonl" in str(refused(*texts, classes, "--out", "x.txt"))
    assert "--attention is for models of texts" in str(
        refused("label", "--model", vectors, "--attention")
    )


def test_a_model_without_labels_is_refused(refused, tmp_path):
    plain = """
model:
  encoders: [{name: text, kind: bag, hidden: 8}]
  latents: [{name: z, kind: gaussian, dim: 2, given: [text]}]
  decoders: [{name: text, kind: bag, hidden: 8, given: [z]}]
objective: {kind: elbo}
tokenizer: {kind: word, vocab_size: 100}
train: {epochs: 1}
"""
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text, _ in reviews(200, 3)))
    run = trained(tmp_path, "plain", plain, tmp_path / "texts.txt")
    assert "the model was taught no label" in str(refused("label", "tea", "--model", run))


def test_other_columns_are_kept_on_request_and_the_data_are_not_replaced(
    textvae, refused, classes, sets, tmp_path
):
    (tmp_path / "new.csv").write_text("id,text\n7,the soup was great .\n8,\n9,the tea was poor .\n")
    options = ("--data", tmp_path / "new.csv", "--keep", "id")
    rows = textvae("label", "--model", classes, *options, "--json").json["rows"]
    assert [(row["id"], row["label"]) for row in rows] == [("7", "good"), ("9", "bad")]
    (tmp_path / "turns.csv").write_text("id,said\n7,the soup was great .\n")
    options = ("--data", tmp_path / "turns.csv", "--keep", "id", "--threshold", 0.5)
    (row,) = textvae("label", "--model", sets, *options, "--json").json["rows"]
    assert (row["id"], row["tags"]) == ("7", ["good"])
    data = tmp_path / "new.csv"
    error = refused("label", "--model", classes, "--data", data, "--out", data)
    assert "--out would replace the data" in error
    assert "a text is blank" in refused("label", " ", "--model", classes)
    assert "--keep is for columns of --data" in refused(
        "label", "tea", "--keep", "id", "--model", classes
    )


def test_pictures_have_the_names_of_their_files(textvae, tmp_path):
    from PIL import Image

    label = {"name": "y", "kind": "categorical", "field": "label", "given": ["image"]}
    model = IMAGE_RECIPE["model"] | {"latents": [label | {"label_weight": 5.0}]}
    decoders = [node | {"given": ["y"]} for node in IMAGE_RECIPE["model"]["decoders"]]
    recipe = IMAGE_RECIPE | {"model": model | {"decoders": decoders}}
    recipe |= {"data": {"modality": "image", "valid_fraction": 0.1}}
    draw = np.random.default_rng(0)
    for number in range(40):
        place = tmp_path / "shapes" / ("dark" if number % 2 else "light")
        place.mkdir(parents=True, exist_ok=True)
        low = 0 if number % 2 else 150
        pixels = draw.integers(low, low + 100, (8, 8)).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.png")
        colours = np.stack([pixels] * 3, -1)
        (tmp_path / "colours").mkdir(exist_ok=True)
        Image.fromarray(colours).save(tmp_path / "colours" / f"{number}.png")
    run = trained(tmp_path, "run", yaml.safe_dump(recipe), tmp_path / "shapes")
    rows = textvae("label", "--model", run, "--data", tmp_path / "shapes", "--json").json["rows"]
    assert {row["image"] for row in rows} == {
        f"{'dark' if n % 2 else 'light'}/{n}.png" for n in range(40)
    }
    vae = ImageVAE.from_pretrained(run)
    for row in rows[::9]:
        pixels = np.asarray(Image.open(tmp_path / "shapes" / row["image"]))[None]
        assert row["probability"] == pytest.approx(vae.classify(pixels).max(), rel=1e-4)
    # Colours become grey, as the model reads them.
    answer = textvae("label", "--model", run, "--data", tmp_path / "colours", "--json")
    assert "colours are read as grey" in answer.err
    by_number = {row["image"].split("/")[-1]: row["label"] for row in rows}
    same = [row["label"] == by_number[row["image"].split("/")[-1]] for row in answer.json["rows"]]
    assert len(same) == 40 and all(same)


def test_samples_of_a_bag_are_at_temperature_one(classes, textvae, tmp_path):
    recipe = classes.parent / "classes.yaml"
    options = ("--data", classes.parent / "reviews.csv", "--set", "train.epochs=1")
    answer = textvae("train", recipe, *options, "--output", tmp_path / "run")
    assert "samples from the prior" in answer.out and "temperature" not in answer.out
