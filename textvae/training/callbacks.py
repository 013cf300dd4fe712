"""Callbacks of a training: early stopping, order of the texts, progress, trackers, signals."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    TensorBoardCallback,
)

from textvae.config import TRACKERS
from textvae.console import SIGNALS
from textvae.data.batching import ShuffledBatches
from textvae.training.arguments import MONITORED

Report = Callable[[str, Mapping[str, Any]], None]
"""Called with the name of an event and its values."""


class Patience(TrainerCallback):
    """Early stopping after `patience` validations in a row without a new best.

    It counts the logged validations, which a checkpoint holds. transformers' own callback has a
    counter that starts anew when training resumes.

    Args:
        patience: number of validations.
        select: what validation calls best, see `TrainingConfig`.
    """

    def __init__(self, patience: int, select: str = "bound"):
        self.patience = patience
        self.metric = MONITORED[select]
        self.sign = 1 if select == "bound" else -1

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop training when the newest best is `patience` validations old."""
        logs = [log for log in state.log_history if self.metric in log]
        losses = [self.sign * log[self.metric] for log in logs]
        if len(losses) - 1 - losses.index(min(losses)) >= self.patience:
            control.should_training_stop = True


class OrderOfEpoch(TrainerCallback):
    """Sets the epoch of the batches, also after resuming in the middle of one."""

    def __init__(self, batches: ShuffledBatches):
        self.batches = batches

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set the epoch from the number of finished steps."""
        self.batches.epoch = state.global_step // self.batches.steps


class StepReport(TrainerCallback):
    """Reports each optimizer step; saves and stops once `stopped` is set."""

    def __init__(self, stopped: threading.Event, report: Report):
        self.stopped = stopped
        self.report = report
        self.steps_per_epoch = 1

    def on_train_begin(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Store the number of steps of an epoch."""
        self.steps_per_epoch = state.max_steps // state.num_train_epochs

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report the step; on request, save and stop."""
        self.report("step", {"step": state.global_step, "steps": state.max_steps})
        if self.stopped.is_set():
            control.should_save = True
            control.should_training_stop = True

    def on_epoch_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Skip the validation of an interrupted epoch: patience would count it as one more."""
        if self.stopped.is_set() and state.global_step % self.steps_per_epoch:
            control.should_evaluate = False
            control.should_save = False


def trackers(names: Sequence[str], folder: Path) -> list[TrainerCallback]:
    """A callback for each tracker; TensorBoard writes to `tensorboard` in the run's folder.

    Nothing is written before training begins.

    Args:
        names: of trackers, see `TRACKERS`.
        folder: of the run.

    Raises:
        ValueError: the package of one is not installed.
    """
    callbacks: list[TrainerCallback] = []
    for name in names:
        try:
            callbacks.append(INTEGRATION_TO_CALLBACK[name]())
        except (ImportError, RuntimeError, ValueError):
            raise ValueError(
                f"train.report_to: {name} is not installed: pip install {TRACKERS[name]}"
            ) from None
        if isinstance(callbacks[-1], TensorBoardCallback):
            callbacks[-1].logging_dir = str(folder / "tensorboard")
    return callbacks


@dataclass
class Stopped:
    """A request to stop.

    Args:
        event: set by the first signal.
        code: exit code of the command that the signal asks for.
    """

    event: threading.Event = field(default_factory=threading.Event)
    code: int = 0


@contextmanager
def interruptible() -> Iterator[Stopped]:
    """What the first Ctrl-C or SIGTERM sets; a second signal interrupts at once."""
    stopped = Stopped()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    owner = os.getpid()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(number: int, frame: Any) -> None:
        if number == signal.SIGTERM and os.getpid() != owner:
            os._exit(128 + number)  # a worker, which is ended by this signal
        stopped.code = 128 + number
        stopped.event.set()
        restore()

    # A handler that was not set from Python is None and cannot be restored.
    before = {n: h for n in SIGNALS if (h := signal.getsignal(n)) is not None}
    for number in before:
        signal.signal(number, stop)
    try:
        yield stopped
    finally:
        restore()
