"""Schedules, early stopping and the model that is kept."""

import math

import pytest
import torch
from support.runs import assert_equal, corpus, recipe
from transformers import TrainerCallback, TrainingArguments

from textvae.checkpoints import checkpoints
from textvae.config import TrainingConfig
from textvae.training import runs
from textvae.training.arguments import training_arguments
from textvae.training.callbacks import trackers
from textvae.training.runs import train_run
from textvae.training.trainer import NonFiniteLossError


def test_patience_does_not_begin_anew(tmp_path):
    """A learning rate that spoils the model: the first validation stays the best."""
    spoiled = recipe(epochs=8, optimizer="sgd", learning_rate=30.0, max_grad_norm=1.0, patience=3)
    ends = []

    def report(event, values):
        if event == "validation":
            ends.append((values["step"], values["loss"]))
        if event == "step" and values["step"] == 25 and folder.name == "run":
            raise KeyboardInterrupt

    folder = tmp_path / "whole"
    train_run(spoiled, corpus(), folder, report=report)
    whole, best = ends.copy(), min(loss for _, loss in ends)
    assert ends[-1][0] == 8 * (3 + [loss for _, loss in ends].index(best) + 1) < 64
    ends.clear()
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train_run(spoiled, corpus(), folder, report=report)
    folder = tmp_path / "resumed"
    (tmp_path / "run").rename(folder)
    train_run(spoiled, corpus(), folder, resume=True, report=report)
    assert ends == whole


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_the_learning_rate_rises_and_falls_step_by_step(schedule, monkeypatch, tmp_path):
    rates = []

    class Rates(TrainerCallback):
        def on_step_begin(self, args, state, control, optimizer=None, **kwargs):
            rates.append(optimizer.param_groups[0]["lr"])

    monkeypatch.setattr(runs, "trackers", lambda *given: [*trackers(*given), Rates()])
    config = {"schedule": schedule, "warmup_steps": 6, "learning_rate": 0.01}
    train_run(recipe(**config, optimizer="adamw", weight_decay=0.1), corpus(), tmp_path / "run")
    way = [(step - 6) / 18 for step in range(6, 24)]
    after = {
        "constant": [1.0 for _ in way],
        "linear": [1 - share for share in way],
        "cosine": [0.5 * (1 + math.cos(math.pi * share)) for share in way],
    }[schedule]
    expected = [step / 6 for step in range(6)] + after
    assert rates == pytest.approx([0.01 * rate for rate in expected])


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_best_model_is_kept_or_the_last(tmp_path, keep):
    """A learning rate that spoils the model after the first epoch or so."""
    losses = {}

    def report(event, values):
        if event == "validation":
            losses[values["step"]] = values["loss"]

    spoiled = recipe(optimizer="sgd", learning_rate=30.0, max_grad_norm=1.0, keep=keep, seed=1)
    train_run(spoiled, corpus(), tmp_path / "run", report=report)
    best = min(losses, key=losses.__getitem__)
    assert best < 24
    step = best if keep == "best" else 24
    assert_equal(tmp_path / "run", tmp_path / "run" / "checkpoints" / f"checkpoint-{step}")


@pytest.mark.parametrize(("select", "mode"), [("bound", "min"), ("accuracy", "max")])
def test_plateau_monitors_the_metric_of_selection(select, mode, tmp_path):
    config = TrainingConfig(schedule="plateau", select=select)
    arguments = training_arguments(config, tmp_path, 1, "cpu").lr_scheduler_kwargs
    assert arguments == {"factor": 0.5, "patience": 0, "mode": mode}


def test_a_process_has_one_gpu_of_several(tmp_path, monkeypatch):
    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda arguments: 4))
    assert training_arguments(TrainingConfig(), tmp_path, 1, None)._n_gpu == 1


@pytest.mark.parametrize("optimizer,schedule", [("sgd", "plateau"), ("adamw", "cosine")])
def test_optimizers_and_schedules_train(tmp_path, optimizer, schedule):
    chosen = recipe(optimizer=optimizer, schedule=schedule, learning_rate=0.1, patience=2)
    losses = []
    train_run(
        chosen,
        corpus(),
        tmp_path / "run",
        report=lambda event, v: losses.append(v["loss"]) if event == "validation" else None,
    )
    assert min(losses[1:]) < losses[0]


def test_non_finite_loss_names_the_step_and_keeps_checkpoints(tmp_path):
    def poison(event, values):
        if event == "validation":
            # The next step reads a weight that is not a number.
            for parameter in trained.parameters():
                parameter.data.fill_(float("nan"))

    built = runs.build_model
    trained: torch.nn.Module

    def build(*arguments):
        nonlocal trained
        trained = built(*arguments)
        return trained

    runs.build_model = build
    try:
        with pytest.raises(NonFiniteLossError, match="step 8"):
            train_run(recipe(), corpus(), tmp_path / "run", report=poison)
    finally:
        runs.build_model = built
    assert checkpoints(tmp_path / "run" / "checkpoints")


@pytest.mark.parametrize("limit", [0.0, 0.1])
def test_the_log_has_the_norm_of_the_gradients(limit, monkeypatch, tmp_path):
    norms, logged = [], {}

    class Norms(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
            gradients = [p.grad for p in model.parameters() if p.grad is not None]
            norms.append(torch.nn.utils.get_total_norm(gradients).item())

    def report(event, values):
        if event == "log":
            logged[values["step"]] = values["grad_norm"]

    monkeypatch.setattr(runs, "trackers", lambda *given: [*trackers(*given), Norms()])
    train_run(recipe(epochs=7, max_grad_norm=limit), corpus(), tmp_path / "run", report=report)
    assert len(norms) == 56 and list(logged) == [50]
    if limit:  # the norm before clipping is logged, and the callback sees it clipped
        assert norms[49] == pytest.approx(limit, rel=1e-4) and logged[50] > limit
    else:
        assert logged[50] == pytest.approx(norms[49], rel=1e-5)
