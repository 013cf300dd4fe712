"""The mean of the weights is validated, kept and resumed."""

import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.runs import assert_equal, corpus, recipe, weights

from textvae.data.batching import Sentences
from textvae.data.tokenizers import load_tokenizer
from textvae.training import runs
from textvae.training.folders import (
    InterruptedRunError,
)
from textvae.training.runs import build_model, train_run
from textvae.training.trainer import AVERAGED
from textvae.training.validation import validate


@pytest.fixture
def built(monkeypatch):
    """The models that runs build, in their order."""
    models = []

    def build(*arguments):
        models.append(build_model(*arguments))
        return models[-1]

    monkeypatch.setattr(runs, "build_model", build)
    return models


MEANS = {
    "exponential": {"decay": 0.8},
    "uniform": {"kind": "uniform", "epochs": 2},
    "late": {"decay": 0.5, "epochs": 1},
}


@pytest.mark.parametrize("kind", MEANS)
@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_mean_of_the_weights_is_validated_and_kept(kind, keep, built, tmp_path):
    averaging, seen, losses = MEANS[kind], [], {}

    def report(event, values):
        if event == "step":
            seen.append({name: value.clone() for name, value in built[0].state_dict().items()})
        if event == "validation":
            losses[values["step"]] = values["loss"]

    config = recipe(averaging=averaging, keep=keep)
    model, _ = train_run(config, corpus(), tmp_path / "run", report=report)
    first = {"exponential": 0, "uniform": 8, "late": 16}[kind]
    best = min(losses, key=losses.__getitem__) if keep == "best" else 24
    assert best > first, "what is kept is a mean"
    for name, value in weights(tmp_path / "run").items():
        mean = seen[first][name]
        for number, weight in enumerate(w[name] for w in seen[first + 1 : best]):
            share = 1 / (number + 2) if kind == "uniform" else 1 - averaging["decay"]
            mean = mean + share * (weight - mean)
        torch.testing.assert_close(value, mean)
        assert not torch.equal(value, seen[best - 1][name])
    valid = Sentences.encoded(load_tokenizer(tmp_path / "run"), corpus().valid)
    assert validate(model, valid, 1)["loss"] == pytest.approx(losses[best], abs=1e-4)


@pytest.mark.parametrize("step", [5, 11, 21])
def test_the_mean_of_the_weights_is_resumed(step, tmp_path):
    averaging = {"kind": "uniform", "epochs": 2}

    def press(event, values):
        if event == "step" and values["step"] == step:
            signal.raise_signal(signal.SIGINT)

    train_run(recipe(averaging=averaging), corpus(), tmp_path / "whole")
    with pytest.raises(InterruptedRunError):
        train_run(recipe(averaging=averaging), corpus(), tmp_path / "run", report=press)
    held = (tmp_path / "run" / "checkpoints" / f"checkpoint-{step}" / AVERAGED).exists()
    assert held == (step > 8)
    train_run(recipe(averaging=averaging), corpus(), tmp_path / "run", resume=True)
    assert_equal(tmp_path / "whole", tmp_path / "run")
    last = Path("checkpoints/checkpoint-24")
    means = [load_file(tmp_path / name / last / AVERAGED) for name in ("whole", "run")]
    assert means[0]["n_averaged"] == 16
    assert all(torch.equal(means[1][name], value) for name, value in means[0].items())
