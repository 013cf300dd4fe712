"""The held-out data of a run, read again: where its file has grown, and of former runs."""

import json
import random
import shutil

import pytest
import yaml
from support.commands import TINY_LM, sentences

from textvae.data.readers import Corpus, read_corpus
from textvae.training.folders import RunError, fingerprint, saved_recipe
from textvae.training.run_data import held_out_texts, run_corpus
from textvae.training.run_images import held_out_images


@pytest.fixture
def run(runs, tmp_path, textvae):
    """A copy of a run, with its data in a file of its own."""
    shutil.copytree(runs / "lm", tmp_path / "run")
    data = tmp_path / "texts.txt"
    data.write_text((runs / "texts.txt").read_text())
    edit_data_section(tmp_path / "run", lambda section: section.update(source=str(data)))
    return tmp_path / "run"


def edit_data_section(run, change):
    document = yaml.safe_load((run / "recipe.yaml").read_text())
    change(document["data"])
    (run / "recipe.yaml").write_text(yaml.safe_dump(document))


def as_former(run):
    """The folder as version 0.1 wrote it: 5 % are held out by row, and no test texts."""
    lines = sentences()
    held = sorted(random.Random(0).sample(range(100), 5))

    def change(section):
        del section["test_fraction"], section["split_by"]
        section["valid_fraction"] = 0.05

    edit_data_section(run, change)
    state = json.loads((run / "run.json").read_text())
    del state["held_out"], state["test_fingerprint"]
    valid = [lines[row] for row in held]
    train = [text for row, text in enumerate(lines) if row not in held]
    state["fingerprint"] = fingerprint(Corpus(train, valid, [], "", []))
    (run / "run.json").write_text(json.dumps(state))
    return valid


def test_evaluation_reads_the_split_that_training_chose(run):
    corpus = run_corpus(str(run))
    state = json.loads((run / "run.json").read_text())
    assert corpus.held_out == state["held_out"] and corpus.notes == []
    rows = held_out_texts(str(run), None)
    assert rows.texts == corpus.test and len(rows.texts) == 12
    assert rows.notes == [f"{run.parent / 'texts.txt'}: the test texts"]
    assert not set(corpus.test) & {*corpus.train, *corpus.valid}


def test_a_grown_file_gives_no_text_that_was_trained_on(run):
    trained = set(run_corpus(str(run)).train)
    data = run.parent / "texts.txt"
    with data.open("a") as file:
        file.write("".join(f"new text {number} .\n" for number in range(900)))
    rows = held_out_texts(str(run), None)
    assert not trained & set(rows.texts)
    assert (
        f"{data} has changed since training: the test data are held out by content"
        in (rows.notes[1])
    )
    anew = read_corpus(str(data))
    assert trained & {*anew.valid, *anew.test}  # as a choice by the size of the file would


def test_changed_test_texts_are_said(run):
    before = held_out_texts(str(run), None).texts
    data = run.parent / "texts.txt"
    data.write_text("".join(f"{text}\n" for text in sentences() if text != before[0]))
    rows = held_out_texts(str(run), None)
    assert set(rows.texts) == set(before) - {before[0]}
    assert rows.notes[1] == f"{data}: the test data have changed since training"


def test_a_former_run_is_evaluated_on_its_former_texts(run, textvae):
    held = as_former(run)
    assert saved_recipe(run).data.split_by == "row"
    assert held_out_texts(str(run), None).texts == held
    assert textvae("evaluate", "run", "--json").json["sentences"] == 5


def test_a_former_run_of_a_grown_file_is_refused(run, refused):
    held = as_former(run)
    assert held_out_texts(str(run), None).texts == held
    with (run.parent / "texts.txt").open("a") as file:
        file.write("one more text .\n")
    with pytest.raises(RunError, match=r"has changed since .*not known any more.*--data"):
        held_out_texts(str(run), None)
    assert "--data" in refused("evaluate", "run")


def test_a_former_run_resumes(run, textvae, runs):
    shutil.rmtree(run)
    former = ["--set=data.split_by=row", "--set=data.test_fraction=0"]
    settings = [*TINY_LM, *former, "--set=data.valid_fraction=0.05"]
    assert textvae("train", "lstm_lm", "--data", "texts.txt", "-o", "run", *settings).code == 0
    held = as_former(run)
    assert run_corpus(str(run)).valid == held
    answer = textvae("train", "--resume", "--output", "run")
    assert answer.code == 0, answer.err
    assert held_out_texts(str(run), None).texts == held


def test_the_file_of_the_training_is_noted(run):
    data = str(run.parent / "texts.txt")
    rows = held_out_texts(str(run), data)
    assert len(rows.texts) == 100 and "was trained on most of it" in rows.notes[0]
    (run.parent / "other.txt").write_text("a text\n")
    assert held_out_texts(str(run), str(run.parent / "other.txt")).notes == []


def test_damaged_facts_are_one_line(run, refused):
    state = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(state | {"held_out": {"seed": 0}}))
    assert "run.json: held_out: no facts of held-out rows" in refused("evaluate", "run")


def test_images_of_a_run_are_those_that_training_held_out(image_run):
    rows, notes = held_out_images(str(image_run))
    assert len(rows) == 300 and notes == ["scikit-learn's 8 x 8 digits: the test images"]
    facts = json.loads((image_run / "run.json").read_text())["held_out"]
    assert facts["hashes_below"].keys() == {"valid"}
