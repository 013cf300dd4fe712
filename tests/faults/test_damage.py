"""Damage on the disk: refused with a line, and the previous good checkpoint is used."""

import json
import random
import shutil
from pathlib import Path

import pytest
from support.runs import assert_equal, corpus, recipe

from textvae.api.sentence import SentenceVAE
from textvae.checkpoints import MANIFEST, CheckpointError, checkpoints
from textvae.training.runs import train_run

CHECKPOINT = (
    "config.json",
    "model.safetensors",
    "optimizer.pt",
    "scheduler.pt",
    "trainer_state.json",
)
MODEL = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def overfitting():
    """A recipe of four epochs whose second is the best: 8, 16, 24 and 32 steps."""
    return recipe(learning_rate=0.07, epochs=4, seed=16)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train_run(overfitting(), corpus(), folder)
    return folder


@pytest.fixture(scope="module")
def half(tmp_path_factory) -> Path:
    """A run that ended after step 26."""

    def stop(event, values):
        if event == "step" and values["step"] == 26:
            raise KeyboardInterrupt

    folder = tmp_path_factory.mktemp("half") / "run"
    with pytest.raises(KeyboardInterrupt):
        train_run(overfitting(), corpus(), folder, report=stop)
    return folder


def resumed(folder: Path) -> tuple[list[str], int]:
    """Resume; what was noted, and the first step that was taken."""
    notes, steps = [], []

    def report(event, values):
        if event == "note":
            notes.append(values["text"])
        if event == "step":
            steps.append(values["step"])

    train_run(overfitting(), corpus(), folder, resume=True, report=report)
    return notes, steps[0]


def flip(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, draw: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: draw.randrange(path.stat().st_size)])


HARMS = (flip, truncate)


def test_the_files_are_all_there_is(whole):
    assert {p.name for p in checkpoints(whole / "checkpoints")[-1].iterdir()} == {
        *CHECKPOINT,
        MANIFEST,
    }
    found = {p.name for p in whole.iterdir() if p.is_file()}
    assert found == {*MODEL, MANIFEST, "recipe.yaml", "run.json"}


def check_fallback(whole: Path, half: Path, run: Path, name: str, harm, draw) -> None:
    shutil.copytree(half, run)
    harm(checkpoints(run / "checkpoints")[-1] / name, draw)
    notes, first = resumed(run)
    assert len(notes) == 1 and "checkpoint-24 is left out: " in notes[0]
    assert first == 17
    assert_equal(whole, run)


def test_a_damaged_checkpoint_is_passed_over(whole, half, tmp_path):
    draw = random.Random(0)
    check_fallback(whole, half, tmp_path / "run", "optimizer.pt", flip, draw)


@pytest.mark.slow
@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", [*CHECKPOINT, MANIFEST])
def test_each_file_of_a_damaged_checkpoint(whole, half, tmp_path, name, harm):
    draw = random.Random(f"{name} {harm.__name__}")
    for number in range(5):
        check_fallback(whole, half, tmp_path / f"{number}", name, harm, draw)


def test_nothing_rests_on_a_damaged_best_checkpoint(whole, half, tmp_path):
    """The run ends with the weights of step 16, so without them it begins again."""
    run = shutil.copytree(half, tmp_path / "run")
    flip(run / "checkpoints/checkpoint-16/model.safetensors", random.Random(0))
    notes, first = resumed(run)
    assert "checkpoint-16, the best until then, is lost" in notes[0]
    assert notes[-1] == "no checkpoint is whole: training begins again" and first == 1
    assert_equal(whole, run)


def test_best_weights_that_are_damaged_meanwhile_are_not_kept(tmp_path):
    def harm(event, values):
        if event == "step" and values["step"] == 30:
            flip(tmp_path / "run/checkpoints/checkpoint-16/model.safetensors", random.Random(0))

    with pytest.raises(CheckpointError, match="checkpoint-16, the best checkpoint, is lost"):
        train_run(overfitting(), corpus(), tmp_path / "run", report=harm)
    assert not (tmp_path / "run/model.safetensors").exists()


def test_a_moved_run_ends_with_its_best_model(whole, tmp_path):
    """Where the last checkpoint stands already, nothing but its state says which was the best."""
    run = shutil.copytree(whole, tmp_path / "moved")
    (run / "model.safetensors").unlink()
    train_run(overfitting(), corpus(), run, resume=True)
    assert_equal(whole, run)


def test_what_a_killed_start_left_is_no_run(tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("run.json", ".recipe.yaml"):
        (tmp_path / "run" / name).write_text("{")
    train_run(recipe(epochs=1), corpus(), tmp_path / "run")
    assert (tmp_path / "run/model.safetensors").exists()


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", [*MODEL, MANIFEST])
def test_a_damaged_model_is_refused(whole, tmp_path, name, harm):
    draw = random.Random(f"{name} {harm.__name__}")
    SentenceVAE.from_pretrained(whole)
    for number in range(10):
        run = tmp_path / f"{number}"
        shutil.copytree(whole, run, ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
        harm(run / name, draw)
        with pytest.raises(CheckpointError, match="holds no sound model") as refused:
            SentenceVAE.from_pretrained(run)
        assert "\n" not in str(refused.value)


def test_a_model_saved_from_python_is_sealed(whole, tmp_path):
    SentenceVAE.from_pretrained(whole).save_pretrained(tmp_path / "copy")
    SentenceVAE.from_pretrained(tmp_path / "copy")
    assert set(json.loads((tmp_path / "copy" / MANIFEST).read_text())) == set(MODEL)
    flip(tmp_path / "copy/model.safetensors", random.Random(0))
    with pytest.raises(CheckpointError, match="model.safetensors is damaged"):
        SentenceVAE.from_pretrained(tmp_path / "copy")


@pytest.mark.parametrize("name", ["run.json", "recipe.yaml"])
def test_a_run_whose_description_is_damaged_is_not_resumed(half, tmp_path, name):
    run = shutil.copytree(half, tmp_path / "run")
    truncate(run / name, random.Random(0))
    with pytest.raises(ValueError) as refused:
        resumed(run)
    assert name in str(refused.value) or hasattr(refused.value, "problems")
