"""The same seed gives the same bits: in any process, with any hash seed, with any workers."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.runs import assert_equal, corpus, recipe

from textvae.training.folders import InterruptedRunError
from textvae.training.runs import train_run

SMALL = ["--set=encoders.text.hidden=8", "--set=decoders.text.hidden=8", "--set=latents.z.dim=2"]
SHORT = ["--set=tokenizer.vocab_size=300", "--set=train.epochs=1", "--device=cpu"]


def press_at(step: int):
    def press(event, values):
        if event == "step" and values["step"] == step:
            signal.raise_signal(signal.SIGINT)

    return press


def test_workers_change_nothing(tmp_path):
    train_run(recipe(epochs=2), corpus(), tmp_path / "none")
    train_run(recipe(epochs=2, workers=2), corpus(), tmp_path / "two")
    assert_equal(tmp_path / "none", tmp_path / "two")


@pytest.mark.slow
def test_workers_change_nothing_after_an_interruption(tmp_path):
    train_run(recipe(), corpus(), tmp_path / "none")
    with pytest.raises(InterruptedRunError):
        train_run(recipe(workers=2), corpus(), tmp_path / "parts", report=press_at(11))
    train_run(recipe(workers=2), corpus(), tmp_path / "parts", resume=True)
    assert_equal(tmp_path / "none", tmp_path / "parts")


def launch(place: Path, name: str, **environment: str) -> subprocess.Popen:
    """A process of its own, from its first import on."""
    command = [sys.executable, "-m", "textvae", "train", "--data", place / "texts.txt"]
    return subprocess.Popen(
        [*command, "--output", place / name, *SMALL, *SHORT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "TEXTVAE_CACHE": str(place / f"cache-{name}")}
        | environment,
    )


@pytest.fixture
def place(tmp_path) -> Path:
    (tmp_path / "texts.txt").write_text("\n".join(corpus().train))
    return tmp_path


@pytest.mark.slow
def test_processes_and_hash_seeds_change_nothing(place):
    for seed in ("0", "1", "4242"):
        process = launch(place, seed, PYTHONHASHSEED=seed)
        _, said = process.communicate()
        assert process.returncode == 0, said
    for name in ("model.safetensors", "tokenizer.json", "config.json", "recipe.yaml"):
        first, *others = ((place / seed / name).read_bytes() for seed in ("0", "1", "4242"))
        assert others == [first, first], name


@pytest.mark.slow
def test_ctrl_c_while_a_process_starts(place):
    """Most of a short command is spent importing."""
    draw = random.Random(0)
    began = time.monotonic()
    launch(place, "whole").communicate()
    seconds = time.monotonic() - began
    for number in range(20):
        process = launch(place, f"{number}")
        time.sleep(draw.uniform(0.1, seconds))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        if "saved in" in out:  # too late
            continue
        assert process.returncode == 130 and out == "", err
        assert "Traceback" not in err and err.splitlines()[-1].startswith("stopped"), err
