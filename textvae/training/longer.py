"""More epochs for a run that has begun: whether it can go on, and how to train on if not."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textvae.checkpoints import checkpoints
from textvae.config import TrainingConfig
from textvae.recipes import Recipe

if TYPE_CHECKING:
    from textvae.objectives.schedules import Schedule

LENGTHS = ("epochs",)
"""Keys of `train` that a resumed run may raise."""

FALLING = ("linear", "cosine")
"""Schedules of the learning rate that end at zero, in the last planned step."""


def falling_rate(recipe: Recipe) -> str | None:
    """That the learning rate falls to zero."""
    schedule = recipe.train.schedule
    if schedule not in FALLING:
        return None
    return f"the learning rate falls to zero over the planned training (train.schedule: {schedule})"


def relative_warmup(recipe: Recipe) -> str | None:
    """That the warm-up of the learning rate depends on the planned length of the training."""
    if not recipe.train.warmup_ratio:
        return None
    return "the warm-up is a share of the planned training (train.warmup_ratio)"


def relative_schedule(recipe: Recipe) -> str | None:
    """That a weight of the objective depends on the planned length of the training."""
    if any(schedule.is_relative for schedule in schedules_in(recipe.objective)):
        return "a weight of the objective is given as a share of the planned training"
    return None


def schedules_in(spec: Any) -> Iterator["Schedule"]:
    """The schedules in the specification of an objective."""
    from textvae.objectives.schedules import Schedule

    if isinstance(spec, Mapping):
        if Schedule.named(spec.get("kind")) is not None and not Schedule.check(spec):
            yield Schedule.build(spec)
        else:
            yield from (schedule for value in spec.values() for schedule in schedules_in(value))
    elif isinstance(spec, list | tuple):
        yield from (schedule for value in spec for schedule in schedules_in(value))


def last_epochs_averaged(recipe: Recipe) -> str | None:
    """That the mean of the weights begins some epochs before the planned end."""
    averaging = recipe.train.averaging
    if averaging is None or averaging.epochs is None:
        return None
    return "the weights of the last planned epochs are averaged (train.averaging.epochs)"


def longer_first_training(recipe: Recipe) -> str | None:
    """That the first training would have been longer too."""
    first = recipe.pretrain
    if first is None or first.run is not None or first.train.keys() & {"epochs", "steps"}:
        return None
    return "its first training would have been longer too (pretrain.train has no epochs)"


CHECKS: tuple[Callable[[Recipe], str | None], ...] = (
    falling_rate,
    relative_warmup,
    relative_schedule,
    last_epochs_averaged,
    longer_first_training,
)
"""Each says why training for longer is not the same as a longer training; None if it is."""


def reason_against_longer(recipe: Recipe) -> str | None:
    """Why a run cannot go on for longer than planned; None where it can.

    It can where a step does not depend on the number of planned steps: then it ends with the same
    weights as a training that was planned to be as long from the start.
    """
    return next((reason for check in CHECKS if (reason := check(recipe))), None)


def differs_in_length(recipe: Recipe, saved: Recipe) -> bool:
    """Whether a recipe is another only in the length of its training."""
    lengths = {key: getattr(saved.train, key) for key in LENGTHS}
    same = replace(recipe, train=recipe.train.model_copy(update=lengths))
    return same.trains_as(saved) and not recipe.trains_as(saved)


def refusal(recipe: Recipe, saved: Recipe, folder: Path) -> str | None:
    """Why a run cannot take the length of a recipe, and how to go on instead; None where it can."""
    new, old = recipe.train.epochs, saved.train.epochs
    if isinstance(new, int) and isinstance(old, int) and new <= old:
        return f"{folder} is planned for {old} epochs: --set train.epochs names more (got {new})"
    if (reason := reason_against_longer(saved)) is not None:
        return f"{folder} cannot go on for longer: {reason}; {instead(new)}"
    if has_stopped_early(newest_state(folder), saved.train):
        patience = f"train.patience: {saved.train.patience}"
        return f"{folder} stopped before its planned end ({patience}): more epochs change nothing"
    return None


def instead(epochs: int | str) -> str:
    """How to train on where a run cannot go on."""
    return (
        f"train a new run with --set train.epochs={epochs}, or one that begins with its weights "
        "(pretrain.run)"
    )


def how_to_train_longer(recipe: Recipe, folder: Path) -> str:
    """How to train a finished run for more epochs."""
    epochs = recipe.train.epochs
    more = 2 * epochs if isinstance(epochs, int) else "N"
    if (reason := reason_against_longer(recipe)) is not None:
        return f"it cannot go on for more epochs: {reason}; {instead(more)}"
    if has_stopped_early(newest_state(folder), recipe.train):
        return f"it stopped early (train.patience: {recipe.train.patience})"
    return f"for more epochs: textvae train --resume --output {folder} --set train.epochs={more}"


def newest_state(folder: Path) -> Mapping[str, Any]:
    """The state of transformers in the newest checkpoint of a run; empty where there is none."""
    try:
        path = checkpoints(folder / "checkpoints")[-1] / "trainer_state.json"
        return json.loads(path.read_text(encoding="utf-8"))
    except (IndexError, OSError, ValueError):
        return {}


def has_ended(recipe: Recipe, folder: Path) -> bool:
    """Whether a run has trained as long as its recipe plans, or has stopped early."""
    state = newest_state(folder)
    if not state or has_stopped_early(state, recipe.train):
        return True
    planned, reached = recipe.train.epochs, state.get("num_train_epochs", 0)
    is_longer = isinstance(planned, int) and planned > reached
    return not is_longer and state["global_step"] >= state["max_steps"]


def has_stopped_early(state: Mapping[str, Any], config: TrainingConfig) -> bool:
    """Whether a run in this state has stopped for lack of a better validation."""
    if config.patience is None or not state:
        return False
    from transformers import TrainerControl, TrainerState

    from textvae.training.callbacks import Patience

    control, history = TrainerControl(), TrainerState(log_history=list(state["log_history"]))
    patience = Patience(config.patience, config.select)
    if any(patience.metric in log for log in history.log_history):
        patience.on_evaluate(None, history, control)  # type: ignore[arg-type]
    return control.should_training_stop
