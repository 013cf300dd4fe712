"""The record of a finished training: its steps, its KL weight, its validations."""

from pathlib import Path
from typing import Any

from textvae.checkpoints import checkpoints, read_object
from textvae.evaluation.verdict import FORESEEABLE, TrainingRecord
from textvae.objectives import Objective
from textvae.objectives.schedules import Schedule
from textvae.recipes import Recipe
from textvae.registry import arguments
from textvae.training.folders import RESULTS, TRAINER_STATE, RunError, saved_recipe

LEFT_OUT = ("runtime", "samples_per_second", "steps_per_second", "kl_weight_end")
"""Logged values of a validation that the record leaves out."""


def training_of(model: str | Path) -> TrainingRecord | None:
    """The record of a run, stored or from its newest checkpoint; None where neither has one."""
    folder = Path(model)
    try:
        return TrainingRecord.read(read_object(folder / RESULTS)["training"])
    except (OSError, ValueError, KeyError, TypeError):
        return record_of_checkpoint(folder)


def record_of_checkpoint(folder: Path) -> TrainingRecord | None:
    """The record in the newest checkpoint of a run; None where there is none."""
    for checkpoint in reversed(checkpoints(folder / "checkpoints")):
        try:
            state = read_object(checkpoint / TRAINER_STATE)
            return record_of(state, planned_kl_weight(folder))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def record_of(state: dict[str, Any], planned: float | None = None) -> TrainingRecord | None:
    """The record in the state of a Trainer; None before the first validation.

    Args:
        state: as transformers writes it.
        planned: the KL weight that the schedule ends with, where the log lacks it.

    Raises:
        KeyError: it is no such state.
    """
    logs = [log for log in state["log_history"] if "eval_loss" in log]
    if not logs:
        return None
    rows = tuple(validation_row(log) for log in logs)
    return TrainingRecord(
        steps=int(state["global_step"]),
        epochs=round(state["epoch"]),
        kl_weight=rows[-1].get("kl_weight"),
        kl_weight_end=logs[-1].get("eval_kl_weight_end", planned),
        validation=rows,
    )


def validation_row(log: dict[str, Any]) -> dict[str, float]:
    """Epoch, step and metrics of a validation, under their names."""
    metrics = {key.removeprefix("eval_"): log[key] for key in log if key.startswith("eval_")}
    kept = {name: value for name, value in metrics.items() if name not in LEFT_OUT}
    return {"epoch": log["epoch"], "step": log["step"], **kept}


def planned_kl_weight(folder: Path) -> float | None:
    """The KL weight that the schedule of a run ends with; None without one."""
    try:
        schedule = kl_schedule(saved_recipe(folder))
    except RunError:
        return None
    return None if schedule is None else schedule(FORESEEABLE)


def kl_schedule(recipe: Recipe) -> Schedule | None:
    """The schedule of the KL weight of a recipe's objective; None if it has none."""
    return schedule_of(recipe, "kl_weight")


def schedule_of(recipe: Recipe, name: str) -> Schedule | None:
    """The schedule of an argument of a recipe's objective; None if it has no such argument."""
    parameters, _ = arguments(Objective.kinds[recipe.objective["kind"]])
    if name not in parameters:
        return None
    given = recipe.objective.get(name, parameters[name].default)
    schedule = given if isinstance(given, Schedule) else Schedule.build(given)
    # Where it is in shares of training: what it starts and ends with depends on no length.
    return schedule.plan(1)
