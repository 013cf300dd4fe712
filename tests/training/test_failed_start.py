"""A start that fails removes what it made, and nothing else; links are not followed to delete."""

import shutil

import pytest
from support.runs import assert_equal, corpus, recipe

from textvae.checkpoints import checkpoints, discard
from textvae.data.readers import DataError
from textvae.training.folders import OccupiedError, RunError, folder_lock
from textvae.training.runs import train_run

TRUE_ERROR = "the true error"


@pytest.fixture(params=["prepared", "initial_model"])
def failing(request, monkeypatch):
    """A start that fails before or after its tokenizer is written; what to do meanwhile."""
    from textvae.training import runs

    def start(folder, meanwhile=lambda folder: None, error=DataError):
        def fail(*arguments):
            assert (folder / "recipe.yaml").exists()
            if request.param == "initial_model":
                assert (folder / "tokenizer/tokenizer.json").exists()
            meanwhile(folder)
            raise error(TRUE_ERROR)

        with monkeypatch.context() as patch:
            patch.setattr(runs, request.param, fail)
            with pytest.raises(error, match=TRUE_ERROR):
                train_run(recipe(epochs=1), corpus(), folder)

    return start


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_what_was_made_is_removed(failing, tmp_path):
    failing(tmp_path / "a/b/run")
    assert names(tmp_path) == []


def test_a_folder_that_was_there_stays(failing, tmp_path):
    (tmp_path / "a/run").mkdir(parents=True)
    failing(tmp_path / "a/run")
    assert names(tmp_path) == ["a", "a/run"]


@pytest.mark.parametrize("name", ["notes.txt", "tokenizer/notes.txt", "checkpoints/checkpoint-1/x"])
@pytest.mark.parametrize("there", [True, False])
def test_what_others_put_there_stays(failing, tmp_path, name, there):
    folder = tmp_path / "run"
    if there:
        folder.mkdir()

    def put(folder):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("precious")

    failing(folder, put)
    assert (folder / name).read_text() == "precious"
    assert [path.name for path in folder.rglob("*") if path.is_file()] == [(folder / name).name]


def test_a_parent_that_others_use_stays(failing, tmp_path):
    failing(tmp_path / "runs/a", lambda folder: (folder.parent / "b").mkdir())
    assert names(tmp_path) == ["runs", "runs/b"]


def test_behind_a_link_the_folder_stays(failing, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to("far")
    failing(tmp_path / "link", lambda folder: (folder / "notes.txt").write_text("precious"))
    assert names(tmp_path) == ["far", "far/notes.txt", "link"]


def test_the_working_directory_stays(failing, tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    failing(Path())
    assert names(tmp_path) == []


def test_a_link_in_the_place_of_a_folder_is_not_followed(failing, tmp_path):
    whole = tmp_path / "other"
    train_run(recipe(epochs=1), corpus(), whole)
    before = names(whole)

    def swap(folder):
        for name in ("tokenizer", "checkpoints"):
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).symlink_to(whole / name)

    failing(tmp_path / "run", swap)
    assert names(whole) == before


def test_ctrl_c_leaves_a_run_that_can_be_resumed(failing, tmp_path):
    train_run(recipe(epochs=1), corpus(), tmp_path / "whole")
    failing(tmp_path / "run", error=KeyboardInterrupt)
    train_run(recipe(epochs=1), corpus(), tmp_path / "run", resume=True)
    assert_equal(tmp_path / "whole", tmp_path / "run")


def test_a_run_that_was_there_is_not_touched(tmp_path):
    train_run(recipe(epochs=1), corpus(), tmp_path / "run")
    before = names(tmp_path)
    with pytest.raises(RunError, match="holds a run already"):
        train_run(recipe(epochs=1), corpus(), tmp_path / "run")
    with pytest.raises(RunError, match="another recipe"):
        train_run(recipe(epochs=1, seed=3), corpus(), tmp_path / "run", resume=True)
    assert names(tmp_path) == before


def test_the_folder_of_another_process_stays(tmp_path):
    (tmp_path / "run").mkdir()
    with folder_lock(tmp_path / "run"), pytest.raises(OccupiedError):
        train_run(recipe(epochs=1), corpus(), tmp_path / "run")
    assert names(tmp_path) == ["run"]


def test_what_a_killed_write_left_is_no_run(tmp_path):
    (tmp_path / "run").mkdir()
    for name in (".run.json.0a1b2c3d.part", ".recipe.yaml.0a1b2c3d.part"):
        (tmp_path / "run" / name).write_text("{")
    train_run(recipe(epochs=1), corpus(), tmp_path / "run")
    assert (tmp_path / "run/model.safetensors").exists()


@pytest.mark.parametrize("name", ["checkpoints", "tokenizer", "pretrain"])
def test_a_linked_part_of_a_run_is_refused(tmp_path, name):
    other, run = tmp_path / "other", tmp_path / "run"
    train_run(recipe(epochs=2), corpus(), other)
    train_run(recipe(epochs=2), corpus(), run)
    (other / name).mkdir(exist_ok=True)
    before = names(other)
    shutil.rmtree(run / name, ignore_errors=True)
    (run / name).symlink_to(other / name)
    with pytest.raises(RunError, match="is a link") as refused:
        train_run(recipe(epochs=2), corpus(), run, resume=True)
    assert str(refused.value).startswith(f"{run / name} is a link")
    assert names(other) == before


def test_of_a_linked_checkpoint_the_link_is_removed(tmp_path):
    far = tmp_path / "far/checkpoint-8"
    far.mkdir(parents=True)
    (far / "weights").write_text("precious")
    (tmp_path / "near").mkdir()
    (tmp_path / "near/checkpoint-8").symlink_to(far)
    (path,) = checkpoints(tmp_path / "near")
    discard(path)
    assert names(tmp_path) == ["far", "far/checkpoint-8", "far/checkpoint-8/weights", "near"]
