"""Labels of texts, from the table to training, telling, sampling and judging."""

import json
import random

import numpy as np
import pytest
from support.commands import Answer, run_quietly

from textvae.api.sentence import SentenceVAE
from textvae.config import DataConfig, read_section
from textvae.data.labels import class_names, kept, numbered
from textvae.data.readers import DataError, read_corpus, read_labelled

WORDS = {
    "good": ["fine", "lovely", "great", "splendid"],
    "bad": ["awful", "poor", "dreadful", "stale"],
}
RECIPE = """
model:
  encoders: [{name: text, kind: counts, hidden: 24, layers: 1}]
  latents:
    - {name: y, kind: categorical, field: label, label_weight: 5.0, given: [text]}
    - {name: z, kind: gaussian, dim: 2, given: [text, y]}
  decoders: [{name: text, kind: lstm, hidden: 32, word_dropout: 0.5, given: [y, z]}]
objective: {kind: elbo, latent_weights: {z: 10.0}}
tokenizer: {kind: word, vocab_size: 100}
data: {label_column: taste, labelled: 20, repeat_labelled: 3}
train: {epochs: 20, batch_size: 16, learning_rate: 0.01}
"""


def rows(count, seed):
    draw = random.Random(seed)
    for _ in range(count):
        label = draw.choice(list(WORDS))
        text = f"the {draw.choice(['soup', 'tea'])} was {draw.choice(WORDS[label])} ."
        yield text, label


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of labelled texts and a run of a tiny M2 on them."""
    folder = tmp_path_factory.mktemp("labels")
    (folder / "data").mkdir()
    for seed, (split, count) in enumerate([("train", 200), ("valid", 40), ("test", 60)]):
        lines = [f"{text}\t{label}" for text, label in rows(count, seed)]
        text = "\n".join(["text\ttaste", *lines]) + "\n"
        (folder / "data" / f"{split}.tsv").write_text(text)
    (folder / "m2.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run_quietly("train", "m2.yaml", "--data", "data", "--output", "run") == 0
    return folder


@pytest.fixture
def textvae(capsys, monkeypatch, place):
    monkeypatch.chdir(place)

    def ask(*arguments):
        code = run_quietly(*arguments)
        return Answer(code, *capsys.readouterr())

    return ask


# Numbers of labels.


def test_names_are_in_order_and_blank_ones_are_missing():
    labels = ["b", "", "a", "b"]
    assert class_names(labels) == ["a", "b"]
    assert numbered(labels, ["a", "b"]).tolist() == [1, -1, 0, 1]
    with pytest.raises(DataError, match=r"unknown label 'c' .*known: a, b"):
        numbered(["c"], ["a", "b"])
    with pytest.raises(DataError, match="at least two different labels"):
        class_names(["a", "", "a"])


def test_kept_labels_are_even_among_classes_and_seeded():
    values = np.array([0] * 50 + [1] * 5 + [-1] * 10 + [2] * 30)
    left = kept(values, 24, seed=3)
    assert [int((left == c).sum()) for c in range(3)] == [10, 5, 9] or [
        int((left == c).sum()) for c in range(3)
    ] == [9, 5, 10]
    assert (left[left >= 0] == values[left >= 0]).all()
    assert np.array_equal(left, kept(values, 24, seed=3))
    assert not np.array_equal(left, kept(values, 24, seed=4))
    assert np.array_equal(kept(values, 85, seed=0), values)
    with pytest.raises(DataError, match="labelled is 86, and 85 rows have a label"):
        kept(values, 86, seed=0)


def test_some_texts_may_be_without_a_label(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\nx,1\ny,\nz,2\n")
    (tmp_path / "valid.jsonl").write_text('{"text": "x", "label": null}\n')
    corpus = read_corpus(str(tmp_path), label_column="label", test_fraction=0)
    assert list(corpus.train) == ["x", "y", "z"]
    assert corpus.labels == {"train": ["1", "", "2"], "valid": [""]}
    with pytest.raises(DataError, match="line 3: the label is missing"):
        read_labelled(str(tmp_path / "train.csv"))


def test_labels_go_with_their_texts_when_some_are_held_out(tmp_path):
    lines = "".join(f"text {n},label {n % 3}\n" for n in range(60))
    (tmp_path / "a.csv").write_text(f"text,label\n{lines}")
    corpus = read_corpus(str(tmp_path / "a.csv"), label_column="label", valid_fraction=0.2)
    same = read_corpus(str(tmp_path / "a.csv"), valid_fraction=0.2)
    assert (list(corpus.train), corpus.valid) == (list(same.train), same.valid)
    for split, texts in (("train", corpus.train), ("valid", corpus.valid)):
        for text, label in zip(texts, corpus.labels[split], strict=True):
            assert int(text.split()[1]) % 3 == int(label.split()[1])


def test_labels_of_a_text_file_stand_beside_it(tmp_path):
    (tmp_path / "train.txt").write_text("a b\nc d\n")
    (tmp_path / "train.labels.tsv").write_text("topic\tmood\nx\tsad\ny\tgay\n")
    found = read_labelled(str(tmp_path), label_column="mood")
    assert found["train"] == (["a b", "c d"], ["sad", "gay"])
    (tmp_path / "train.labels.tsv").write_text("topic\tmood\nx\tsad\n")
    with pytest.raises(DataError, match=r"a label for each text of train\.txt"):
        read_labelled(str(tmp_path), label_column="mood")


def test_a_number_of_labels_needs_their_column():
    assert "labelled needs label_column" in read_section(DataConfig, {"labelled": 3}, "data")[1][0]
    (said,) = read_section(DataConfig, {"repeat_labelled": 3}, "data")[1]
    assert "repeat_labelled needs label_column" in said


# A model that is taught them.


def test_training_keeps_labels_by_number_and_repeats_them(place, textvae):
    answer = textvae("train", "m2.yaml", "--data", "data", "-o", "short", "--set=train.epochs=1")
    assert answer.code == 0
    labels = [label for _, label in rows(200, 0)]
    counts = {label: labels.count(label) for label in WORDS}
    kept_of = f"bad 10 of {counts['bad']}, good 10 of {counts['good']}"
    assert f"20 of 200 labels are kept: {kept_of}; all of them: --set data.labelled=null" in (
        answer.err
    )
    assert "training on 240 texts" in answer.err and "accuracy" in answer.err


def test_it_tells_labels_of_texts_it_has_not_seen(place):
    vae = SentenceVAE.from_pretrained(place / "run")
    assert vae.labels == ["bad", "good"]
    pairs = list(rows(100, 9))
    found = vae.classify([text for text, _ in pairs])
    assert found.shape == (100, 2)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    right = [vae.labels[k] == label for k, (_, label) in zip(found.argmax(1), pairs, strict=True)]
    assert np.mean(right) > 0.9


def test_evaluate_counts_right_labels(textvae):
    metrics = textvae("evaluate", "run", "--samples", 5, "--label-column", "taste", "--json").json
    assert metrics["labelled"] == 60 and metrics["accuracy"] > 0.9 < metrics["macro_f1"]
    plain = textvae("evaluate", "run", "--samples", 5, "--json").json
    assert plain["accuracy"] is None and plain["nll"] == metrics["nll"]
    table = textvae("evaluate", "run", "--samples", 5, "--label-column", "taste").out
    assert "share of 60 labelled sentences" in table
    answer = textvae("evaluate", "run", "--label-column", "smell")
    assert answer.code == 2 and "no column 'smell'" in answer.errors[0]


def test_sentences_have_the_label_asked_for(textvae):
    for label in WORDS:
        found = textvae("sample", "run", "-n", 40, "--label", f"y={label}", "--json").json
        assert found["label"] == f"y={label}"
        carried = [any(word in text for word in WORDS[label]) for text in found["samples"]]
        assert np.mean(carried) > 0.8
    answer = textvae("sample", "run", "--label", "ugly")
    assert answer.code == 2 and "unknown label 'ugly'" in answer.errors[0]


def test_the_judge_sees_the_labels_and_says_how_good_it_is(textvae):
    result = textvae("judge", "run", "-n", 30, "--json").json
    assert result["classifier_accuracy"] > 0.9 and result["samples_per_label"] == 30
    assert result["carry_the_label"] == pytest.approx(np.mean(list(result["by_label"].values())))
    assert result["carry_the_label"] > 0.8


def test_a_model_without_labels_is_asked_for_none(place, textvae):
    settings = ["--set=train.epochs=1", "--set=decoders.text.hidden=8"]
    assert textvae("train", "lstm_lm", "--data", "data", "-o", "lm", *settings).code == 0
    for command in (
        ["sample", "lm", "--label", "good"],
        ["judge", "lm", "--label-column", "taste"],
        ["evaluate", "lm", "--label-column", "taste"],
    ):
        answer = textvae(*command)
        assert answer.code == 2 and len(answer.errors) == 1 and "label" in answer.errors[0]


VAE = (
    "bowman2016",
    *("--set=encoders.text.hidden=24", "--set=encoders.text.pooling=max", "--set=init_range=0.5"),
    *("--set=latents.z.dim=4", "--set=decoders.text.hidden=16", "--set=tokenizer.kind=word"),
    *("--set=objective={kind: elbo, free_bits: 6}", "--set=train.epochs=6"),
    "--set=train.learning_rate=0.02",
)


def test_labels_that_a_recipe_does_not_use_change_nothing(place, textvae):
    answer = textvae("train", *VAE, "--data", "data", "--label-column", "taste", "-o", "vae")
    assert answer.code == 0, answer.err
    (note,) = (line for line in answer.err.splitlines() if "does not use" in line)
    assert "labels in the column 'taste'; textvae evaluate --label-column taste" in note
    assert textvae("train", *VAE, "--data", "data", "-o", "plain").code == 0
    first, second = (place / name / "model.safetensors" for name in ("vae", "plain"))
    assert first.read_bytes() == second.read_bytes()
    metrics = textvae("evaluate", "vae", "--samples", 2, "--label-column", "taste", "--json").json
    held = [label for _, label in rows(60, 2)]
    train = [label for _, label in rows(200, 0)]
    majority = max(WORDS, key=train.count)
    assert metrics["probe_majority"] == pytest.approx(held.count(majority) / 60)
    assert metrics["probe_accuracy"] > metrics["probe_majority"] + 0.1
    assert (metrics["probe_texts"], metrics["probe_train_texts"]) == (60, 200)
    assert metrics["accuracy"] is None
    plain = textvae("evaluate", "plain", "--samples", 2, "--json").json
    assert plain["nll"] == metrics["nll"] and "probe_accuracy" not in plain
    table = textvae("evaluate", "vae", "--samples", 2, "--label-column", "taste").out
    assert "accuracy from z" in table and "majority label" in table


def test_the_column_of_labels_is_named_as_elsewhere(place, textvae):
    (place / "other.yaml").write_text(RECIPE.replace("label_column: taste", "label_column: mood"))
    settings = ["--data", "data", "--set=train.epochs=1", "--set=data.labelled=null"]
    answer = textvae("train", "other.yaml", *settings, "--label-column", "taste", "-o", "named")
    assert answer.code == 0, answer.err
    assert "200 texts have a label: bad" in answer.err
    answer = textvae("train", "other.yaml", *settings, "-o", "none")
    assert answer.code == 2 and "no column 'mood'" in answer.errors[0]
    answer = textvae("train", "--resume", "-o", "named", "--label-column", "taste")
    assert answer.code == 2 and "--label-column goes with --data" in answer.errors[0]


def test_labels_of_one_file_are_held_out_with_their_texts(place, textvae):
    lines = [f"{number} {text}\t{label}" for number, (text, label) in enumerate(rows(400, 5))]
    (place / "one.tsv").write_text("\n".join(["text\ttaste", *lines]) + "\n")
    answer = textvae("train", "m2.yaml", "--data", "one.tsv", "-o", "one", "--set=train.epochs=4")
    assert answer.code == 0, answer.err
    assert "40 for validation and 40 for test" in answer.err
    judged = textvae("control-accuracy", "one", "-n", 5, "--json").json
    assert judged["classifier_accuracy"] > 0.8
    assert (
        textvae("evaluate", "one", "--label-column", "taste", "--samples", 2, "--json").json[
            "labelled"
        ]
        == 40
    )
    arguments = ["--data", "one.tsv", "--label-column", "taste", "--labels-per-class", "5"]
    probed = textvae("probe", "one", *arguments, "--json")
    assert (probed.json["train_texts"], probed.json["test_texts"]) == (320, 40)
    assert "tested on the 40 texts that one held out" in probed.err


def test_a_claim_about_accuracy_is_measured_with_the_labels(place, textvae):
    options = ("--model", "run", "--samples", 2)
    (place / "plain.yaml").write_text(RECIPE)
    assert textvae("verify", "plain.yaml", *options, "--record", "r.json").code == 0
    data = json.loads((place / "r.json").read_text())["plain"]["data"]
    claim = {"metric": "accuracy", "test": ">=", "value": 0.9, "data": data, "samples": 2}
    claims = json.dumps([claim | {"source": "made by the test"}])
    (place / "claim.yaml").write_text(f"{RECIPE}\nclaim: {claims}\n")
    answer = textvae("verify", "claim.yaml", *options, "--json")
    assert answer.code == 0 and answer.json["holds"]
    assert answer.json["metrics"]["labelled"] == 60


def test_select_accuracy_needs_something_to_tell(place, textvae):
    settings = ["--set=train.select=accuracy", "--set=train.epochs=1"]
    answer = textvae("train", "lstm_lm", "--data", "data", "-o", "none", *settings)
    assert answer.code == 2 and "accuracy needs a latent that labels say" in answer.errors[0]


def test_a_resumed_run_refuses_other_labels(place, textvae):
    data = place / "data" / "valid.tsv"
    before = data.read_text()
    try:
        data.write_text(before.replace("\tbad", "\tgood", 1))
        answer = textvae("train", "--resume", "--output", "run")
        assert answer.code == 2 and "trained on other texts" in answer.errors[0]
    finally:
        data.write_text(before)


def test_what_a_run_says_at_its_end_holds_the_accuracy(place):
    stored = json.loads((place / "run" / "results.json").read_text())["metrics"]
    assert stored["labelled"] == 60 and 0 <= stored["accuracy"] <= 1
