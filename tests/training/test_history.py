"""The record of a training: from results, from a checkpoint, and where there is neither."""

import json

import pytest
from support.commands import copy_run, trained_runs
from support.runs import corpus, recipe

from textvae.evaluation.verdict import TrainingRecord
from textvae.recipes import load_recipe
from textvae.training.history import kl_schedule, record_of, schedule_of, training_of
from textvae.training.runs import train_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return trained_runs(tmp_path_factory)


def test_a_checkpoint_holds_the_record(tmp_path):
    # 3 epochs of 8 steps; the KL weight is 1 from step 20 on.
    train_run(recipe(), corpus(), tmp_path / "run")
    record = training_of(tmp_path / "run")
    assert (record.steps, record.epochs) == (24, 3)
    assert (record.kl_weight, record.kl_weight_end) == (1.0, 1.0)
    assert [row["step"] for row in record.validation] == [8, 16, 24]
    assert [row["kl_weight"] for row in record.validation] == [0.4, 0.8, 1.0]
    assert all({"epoch", "nll", "kl", "active_units"} <= row.keys() for row in record.validation)
    train_run(recipe(epochs=2), corpus(), tmp_path / "short")
    assert training_of(tmp_path / "short").unfinished and not record.unfinished


def test_results_hold_the_record_without_checkpoints(runs, tmp_path):
    copy_run(runs / "vae", tmp_path / "vae")
    stored = json.loads((tmp_path / "vae/results.json").read_text())["training"]
    record = training_of(tmp_path / "vae")
    assert record == training_of(runs / "vae") == TrainingRecord.read(stored)
    assert record.epochs == len(record.validation) == 2


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"training": 3}', '{"training": {}}'])
def test_results_without_a_record_are_passed_over(content, tmp_path):
    (tmp_path / "results.json").write_text(content)
    assert training_of(tmp_path) is None
    assert training_of(tmp_path / "none") is None


def test_logs_of_older_versions_lack_the_planned_weight():
    log = {"epoch": 1.0, "step": 9, "eval_loss": 3.0, "eval_nll": 2.0, "eval_kl_weight": 0.1}
    state = {"log_history": [log], "global_step": 9, "epoch": 1.0}
    assert record_of(state).kl_weight_end is None
    assert record_of(state, 1.0).unfinished
    assert record_of(state | {"log_history": []}) is None


def test_schedules_of_recipes():
    assert kl_schedule(load_recipe("bowman2016_inputless")).plan(1000)(150) == 0.5
    assert kl_schedule(load_recipe("kingma2016_free_bits"))(0) == 1
    assert kl_schedule(load_recipe("burgess2018_target_rate")) is None
    assert schedule_of(load_recipe("burgess2018_target_rate"), "weight")(0) == 2
