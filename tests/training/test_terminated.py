"""SIGTERM ends a command as Ctrl-C does: saved, one line, no traceback, code 143."""

import os
import signal
import subprocess
import sys
import time

import pytest
from support.commands import TINY
from support.runs import assert_equal, corpus, recipe

from textvae.training.callbacks import interruptible
from textvae.training.folders import InterruptedRunError
from textvae.training.runs import train_run

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def at(event, number, wanted="step", step=3):
    def report(event, values):
        if event == wanted and values.get("step", step) == step:
            signal.raise_signal(number)

    return report


@pytest.mark.parametrize(("number", "code"), CODES.items())
def test_a_signal_saves_and_the_run_goes_on(tmp_path, number, code):
    train_run(recipe(), corpus(), tmp_path / "whole")
    handlers = [signal.getsignal(each) for each in CODES]
    with pytest.raises(InterruptedRunError, match="--resume") as stopped:
        train_run(recipe(), corpus(), tmp_path / "run", report=at("step", number))
    assert stopped.value.code == code
    assert [signal.getsignal(each) for each in CODES] == handlers
    steps = []
    train_run(
        recipe(),
        corpus(),
        tmp_path / "run",
        resume=True,
        report=lambda event, values: steps.append(values["step"]) if event == "step" else None,
    )
    assert steps[0] == 4
    assert_equal(tmp_path / "whole", tmp_path / "run")


def test_a_worker_ends_with_the_signal():
    with interruptible() as stopped:
        pid = os.fork()
        if pid == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 143
    assert not stopped.event.is_set()


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"the dog saw {n % 7} cats .\n" for n in range(120)))
    return path


MOMENTS = {
    "reading": "textvae.training.run_data.corpus_of",
    "making the tokenizer": "textvae.training.runs.prepared",
    "making the model": "textvae.training.runs.build_model",
    "saving": "textvae.training.runs.save_finished",
    "evaluating": "textvae.analysis.summary.summarize_run",
}


@pytest.mark.parametrize(("number", "code"), CODES.items())
@pytest.mark.parametrize("where", MOMENTS.values(), ids=MOMENTS)
def test_a_training_is_stopped_at_any_moment(texts, textvae, monkeypatch, number, code, where):
    def stop(*arguments, **options):
        signal.raise_signal(number)
        raise AssertionError("goes on")

    with monkeypatch.context() as patch:
        patch.setattr(where, stop)
        answer = textvae("train", "--data", texts, "--output", "run", *TINY, "--device", "cpu")
    assert answer.code == code
    assert "Traceback" not in answer.err
    assert answer.err.splitlines()[-1].startswith("stopped")
    resumable = (texts.parent / "run/recipe.yaml").exists()
    assert resumable == ("--resume" in answer.err) == (where != MOMENTS["reading"])
    if not resumable:
        assert not (texts.parent / "run").exists()


@pytest.mark.parametrize(("number", "code"), CODES.items())
def test_other_commands_are_stopped_too(runs, textvae, monkeypatch, number, code):
    def stop(*arguments, **options):
        signal.raise_signal(number)
        raise AssertionError("goes on")

    monkeypatch.setattr("textvae.api.sentence.SentenceVAE.sample_rows", stop)
    answer = textvae("sample", runs / "vae")
    assert (answer.code, answer.out, answer.err.split()) == (code, "", ["stopped"])
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_error_that_a_library_makes_of_the_signal_is_no_traceback(textvae, runs, monkeypatch):
    def stop(*arguments, **options):
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("cannot import name") from None

    monkeypatch.setattr("textvae.api.sentence.SentenceVAE.sample_rows", stop)
    answer = textvae("sample", runs / "vae")
    assert (answer.code, answer.err.split()) == (143, ["stopped"])


def test_a_handler_around_the_command_is_left_alone(textvae, monkeypatch):
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        monkeypatch.setattr(
            "textvae.recipe_index.recipe_headers", lambda: signal.raise_signal(signal.SIGTERM) or []
        )
        assert textvae("recipes").code == 2
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 1, 2, 3, 4, 6])
def test_a_process_is_stopped_without_a_traceback(texts, tmp_path, seconds):
    command = [sys.executable, "-m", "textvae", "train", "--data", str(texts), "--output", "run"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    time.sleep(seconds)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    # Before the command line is imported the signal ends the interpreter itself.
    assert process.returncode in (143, -signal.SIGTERM)
    assert "Traceback" not in errors and "Exception ignored" not in errors
