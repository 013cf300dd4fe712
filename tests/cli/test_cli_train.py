"""`textvae train`: stored results, data formats, resuming, Ctrl-C and processes."""

import csv
import gzip
import json
import re
import shutil
import signal
import sys
from pathlib import Path

import pyarrow
import pytest
import torch
import yaml
from pyarrow import parquet
from safetensors.torch import load_file
from support.commands import (
    TINY,
    TINY_LM,
    in_a_process,
    sentences,
)

from textvae.cli.progress import TrainingDisplay


def test_train_says_all_of_it_and_stores_it(runs, textvae, tmp_path):
    answer = textvae("train", "--data", runs / "texts.txt", *TINY, "--json")
    assert answer.code == 0
    summary = answer.json
    assert summary == json.loads((tmp_path / "runs/bowman2016/results.json").read_text())
    assert len(summary["reconstructions"]) == len(summary["samples"]) == 3
    assert len(summary["interpolation"]) == 6
    assert {"nll", "kl", "active_units", "word_perplexity"} <= summary["metrics"].keys()
    assert "held out of 100 texts: 10 for validation and 12 for test" in answer.err
    assert summary["folder"] == "runs/bowman2016"
    again = textvae("train", "--data", runs / "texts.txt", *TINY)
    assert "saved in runs/bowman2016-2 after" in again.out
    for part in ("held-out metrics", "reconstructions", "samples from the prior", "interpolation"):
        assert part in again.out
    # The same seed, so the same model.
    first, second = (
        load_file(tmp_path / "runs" / name / "model.safetensors")
        for name in ("bowman2016", "bowman2016-2")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_default_recipe_is_sized_by_the_texts(textvae, tmp_path):
    (tmp_path / "mine.txt").write_text("".join(f"{text}\n" for text in sentences()[:150]))
    small = ("--set=encoders.text.hidden=8", "--set=decoders.text.hidden=8")
    answer = textvae("train", "--data", "mine.txt", *small, "--set=train.epochs=1", "--json")
    assert answer.code == 0 and answer.json["folder"] == "runs/sentence_vae"
    assert "sized for" in answer.err and "train.batch_size 16" in answer.err
    recipe = yaml.safe_load((tmp_path / "runs/sentence_vae/recipe.yaml").read_text())
    assert recipe["tokenizer"]["vocab_size"] == 500 and "auto" not in str(recipe)
    # The words of the training texts are saved with the model, and samples have no others.
    samples = textvae("sample", "runs/sentence_vae", "-n", 5, "--json").json["samples"]
    known, sampled = (set(re.findall("[a-z]+", " ".join(each))) for each in (sentences(), samples))
    assert sampled <= known
    assert textvae("train", "--resume", "--output", "runs/sentence_vae").code == 0


def test_settings_reach_the_model(runs):
    config = json.loads((runs / "vae/config.json").read_text())
    assert config["latents"] == [{"name": "z", "kind": "gaussian", "dim": 3, "given": ["text"]}]
    assert config["decoders"][0]["hidden"] == 12
    recipe = yaml.safe_load((runs / "vae/recipe.yaml").read_text())
    assert recipe["objective"] == {"kind": "elbo", "free_bits": 4}
    assert recipe["data"]["source"] == str(runs / "texts.txt")


def write_folder(path: Path, texts: list[str]) -> None:
    path.mkdir()
    with gzip.open(path / "train.txt.gz", "wt") as file:
        file.write("\n".join(texts[:80]))
    (path / "valid.txt").write_text("\n".join(texts[80:]))


def write_csv(path: Path, texts: list[str]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("stars", "review"), *((1, text) for text in texts)])


def write_jsonl(path: Path, texts: list[str]) -> None:
    path.write_text("\n".join(json.dumps({"review": text}) for text in texts))


def write_parquet(path: Path, texts: list[str]) -> None:
    parquet.write_table(pyarrow.table({"review": texts}), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("corpus", write_folder),
        ("reviews.csv", write_csv),
        ("reviews.jsonl", write_jsonl),
        ("reviews.parquet", write_parquet),
    ],
)
def test_train_reads_folders_and_tables(name, write, textvae, tmp_path):
    write(tmp_path / name, sentences())
    column = [] if name == "corpus" else ["--text-column", "review"]
    answer = textvae("train", "lstm_lm", "--data", name, *column, *TINY_LM, "--json")
    assert answer.code == 0, answer.err
    assert ("no validation" in answer.err) == (name != "corpus")
    assert "held out of" in answer.err
    assert answer.json["metrics"]["sentences"] == (8 if name == "corpus" else 12)
    # The run knows its data by itself.
    assert textvae("evaluate", "--json").json["sentences"] == answer.json["metrics"]["sentences"]


def test_resume_of_a_finished_run_changes_nothing(runs, textvae):
    shutil.copytree(runs / "lm", "runs/lm")
    before = load_file("runs/lm/model.safetensors")
    answer = textvae("train", "--resume", "--json")
    assert answer.code == 0, answer.err
    after = load_file("runs/lm/model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_ctrl_c_leaves_a_run_that_goes_on(runs, textvae, tmp_path, monkeypatch):
    step = TrainingDisplay.step

    def interrupt(self, values):
        step(self, values)
        if values["step"] == 7:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(TrainingDisplay, "step", interrupt)
    answer = textvae("train", "--data", runs / "texts.txt", *TINY, "--output", "mine")
    assert answer.code == 130 and answer.out == ""
    assert "textvae train --resume --output mine" in answer.err
    assert not (tmp_path / "mine/model.safetensors").exists()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    answer = textvae("train", "--resume", "--output", "mine")
    assert answer.code == 0 and "s of training since it was resumed" in answer.out
    resumed, whole = load_file("mine/model.safetensors"), load_file(runs / "vae/model.safetensors")
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_ctrl_c_after_training_names_resume(runs, textvae, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("textvae.analysis.summary.summarize_texts", interrupt)
    answer = textvae("train", "lstm_lm", "--data", runs / "texts.txt", *TINY_LM)
    assert answer.code == 130 and answer.out == ""
    assert "--resume --output runs/lstm_lm" in answer.err


def test_training_as_a_process(runs, tmp_path):
    data = runs / "texts.txt"
    command = [sys.executable, "-m", "textvae", "train", "lstm_lm", "--data", data, *TINY_LM]
    finished = in_a_process(*command, "--json", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    summary = json.loads(finished.stdout)
    # Nothing depends on what the process did before: the run of the fixture is the same.
    assert summary["metrics"] == json.loads((runs / "lm/results.json").read_text())["metrics"]
    assert "Traceback" not in finished.stderr and "Warning" not in finished.stderr


def test_a_run_goes_on_where_its_data_has_gone(textvae, tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(sentences()))
    assert textvae("train", "lstm_lm", "--data", "texts.txt", "-o", "run", *TINY_LM).code == 0
    (tmp_path / "texts.txt").rename(tmp_path / "moved.txt")
    assert "texts.txt" in textvae("train", "--resume", "--output", "run").errors[0]
    answer = textvae("train", "--resume", "--output", "run", "--data", "moved.txt")
    assert answer.code == 0, answer.err
    # The run knows its data by itself.
    assert textvae("evaluate", "run").code == 0


def test_resume_with_other_texts_is_refused(refused, textvae, tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(sentences()))
    assert textvae("train", "lstm_lm", "--data", "texts.txt", *TINY_LM).code == 0
    (tmp_path / "texts.txt").write_text("\n".join(sentences()[30:]))
    assert "was trained on other texts" in refused("train", "--resume")
