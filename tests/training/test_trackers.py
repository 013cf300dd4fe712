"""Where losses and metrics are logged: `train.report_to`."""

import pytest
from support.runs import assert_equal, corpus, recipe
from transformers import TrainerCallback
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from textvae.config import TRACKERS
from textvae.recipes import load_recipe, read_recipe
from textvae.registry import SpecError
from textvae.training.callbacks import trackers
from textvae.training.runs import train_run


class Recorder(TrainerCallback):
    """A tracker that keeps what it is given."""

    logged: list[dict] = []  # noqa: RUF012

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.logged.append({"run": args.run_name, **logs})


def test_every_tracker_is_known_to_transformers():
    assert TRACKERS.keys() <= INTEGRATION_TO_CALLBACK.keys()


def test_a_tracker_gets_losses_and_metrics(tmp_path, monkeypatch):
    monkeypatch.setitem(INTEGRATION_TO_CALLBACK, "wandb", Recorder)
    monkeypatch.setattr(Recorder, "logged", [])
    train_run(recipe(epochs=1, report_to=["wandb"]), corpus(), tmp_path / "mine")
    assert {log["run"] for log in Recorder.logged} == {"mine"}
    assert any("eval_nll" in log for log in Recorder.logged)
    assert not (tmp_path / "mine" / "tensorboard").exists()


def test_a_run_resumes_with_another_tracker(tmp_path, monkeypatch):
    monkeypatch.setitem(INTEGRATION_TO_CALLBACK, "wandb", Recorder)
    train_run(recipe(epochs=2), corpus(), tmp_path / "whole")

    def interrupt(event, values):
        if event == "step" and values["step"] == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(recipe(epochs=2), corpus(), tmp_path / "run", report=interrupt)
    other = recipe(epochs=2, report_to=["wandb"])
    train_run(other, corpus(), tmp_path / "run", resume=True)
    assert_equal(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("none", ["none", ["none"], []])
def test_none_logs_nowhere(none, tmp_path):
    silent = recipe(epochs=1, report_to=none)
    assert silent.train.report_to == [] == read_recipe(silent.document(), "again").train.report_to
    assert trackers(silent.train.report_to, tmp_path) == []


def test_one_name_is_a_list_of_one():
    assert load_recipe("lstm_lm", ["train.report_to=mlflow"]).train.report_to == ["mlflow"]
    assert load_recipe("lstm_lm").train.report_to == ["tensorboard"]


def test_an_unknown_tracker_is_refused_with_those_that_are_known():
    with pytest.raises(SpecError) as refusal:
        recipe(report_to=["tensorboard", "wandbb"])
    (line,) = refusal.value.problems
    assert "'wandbb' (did you mean 'wandb'? known: azure_ml" in line and "none" in line


def test_a_tracker_that_is_not_installed_is_refused_before_training(tmp_path, monkeypatch):
    class Missing(TrainerCallback):
        def __init__(self):
            raise RuntimeError("no such package")

    monkeypatch.setitem(INTEGRATION_TO_CALLBACK, "comet_ml", Missing)
    with pytest.raises(ValueError, match="comet_ml is not installed: pip install comet-ml"):
        train_run(recipe(report_to=["comet_ml"]), corpus(), tmp_path / "run")
    assert not (tmp_path / "run").exists() or not any((tmp_path / "run").iterdir())
