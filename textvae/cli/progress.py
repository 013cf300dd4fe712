"""The lines that a terminal shows while a model trains."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from textvae import console
from textvae.console import duration, one_line, say, say_note

FEW_TEXTS = 1000
"""Training texts below which there is a warning."""


NEAR = 0.1
"""A schedule is near its end within this share of the larger of its ends."""


def facts_text(values: Mapping[str, Any]) -> str:
    """What a run will train on and for how long, an aligned line for each fact."""
    rows = []
    if "tokens" in values:
        tokens = f"{values['tokens']:,}, {values['tokens'] / values['train']:.1f} a text"
        unknown = values["unknown"]
        rows.append(("tokens", tokens + ("" if unknown is None else f"; {unknown:.1%} are <unk>")))
        rows.append(
            ("duplicates", f"{values['duplicates']:.1%} of the texts repeat an earlier one")
        )
        if values["left_out"]:
            reason = f"texts of over {values['max_tokens']:,} tokens"
            change = "--set data.max_tokens=N changes this"
            rows.append(("left out", f"{values['left_out']:,} {reason}; {change}"))
    rows.append(("steps", f"{values['steps']:,}, {values['steps'] // values['epochs']:,} an epoch"))
    for schedule in values["schedules"]:
        first, last, end = (f"{schedule[key]:.3g}" for key in ("first", "last", "end"))
        ends = f"{first} at first, {last} after the last step"
        rows.append(
            (schedule_name(schedule), ends + ("" if last == end else f", {end} in the end"))
        )
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {fact}" for name, fact in rows)


def run_warnings(values: Mapping[str, Any]) -> list[str]:
    """What of a run will not go well, known before its first step."""
    warnings = []
    for schedule in values["schedules"]:
        first, last, end = (schedule[key] for key in ("first", "last", "end"))
        if abs(end - last) > NEAR * max(abs(first), abs(end)):
            warnings.append(
                f"the {schedule_name(schedule)} ends at {last:.3g} of {end:.3g} after "
                f"{values['steps']:,} steps: raise train.epochs or bring the schedule forward"
            )
    texts = values["train"] - values.get("repeated", 0)
    if values["vocabulary"] and texts < FEW_TEXTS:
        warnings.append(f"{texts:,} training texts are too few to train a text generator well")
    return warnings


def schedule_name(schedule: Mapping[str, Any]) -> str:
    """A schedule's name in words, such as KL weight."""
    words = schedule["name"].replace(".", " ").split("_")
    return " ".join("KL" if word == "kl" else word for word in words)


class RemainingTime:
    """Estimates how long a training takes, from its steps since the first one here.

    Args:
        clock: the time in seconds.
    """

    SURE_STEPS, SURE_SECONDS = 20, 5.0
    """An estimate rests on so many steps, or on as many as so many seconds have."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.clock = clock
        self.began = clock()
        self.first_step = self.step = self.steps = 0
        self.first_time = self.began
        self.estimated = False

    def advance(self, step: int, steps: int) -> float | None:
        """Take note of a finished step; the estimate of all seconds where it is the first one."""
        if not self.steps:
            # The first step is left out: it is slower than the others.
            self.first_step, self.first_time = step, self.clock()
        self.step, self.steps = step, steps
        done, seconds = step - self.first_step, self.clock() - self.first_time
        if self.estimated or not (
            done >= self.SURE_STEPS or (done and seconds > self.SURE_SECONDS)
        ):
            return None
        self.estimated = True
        return self.clock() - self.began + self.left()

    def left(self) -> float:
        """Seconds to the last step; 0 where nothing is known."""
        done = self.step - self.first_step
        return (self.steps - self.step) * (self.clock() - self.first_time) / done if done else 0.0


class TrainingDisplay:
    """Progress bar of training, with a line for each validation.

    Args:
        quiet: print nothing.
        warning: the warning at an event, if any, of its name and values.
    """

    def __init__(
        self,
        quiet: bool = False,
        warning: Callable[[str, Mapping[str, Any]], str | None] = lambda event, values: None,
    ):
        self.quiet = quiet
        self.warning = warning
        self.row, self.kind = "sentence", "texts"
        self.epochs = 0
        self.time = RemainingTime()
        self.warned: set[str] = set()
        self.terminal = False
        self.progress: Any = None
        self.task: Any = None

    def __call__(self, event: str, values: Mapping[str, Any]) -> None:
        """Show one event of a run."""
        if not (self.quiet or console.QUIET):
            getattr(self, event)(values)
            if warning := self.warning(event, values):
                say(warning)

    def begin(self, values: Mapping[str, Any]) -> None:
        """Print what will be trained on and for how long, and start the bar."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self.close()  # of a pretraining run
        console = Console(stderr=True)
        of_text = bool(values["vocabulary"])
        self.row = "sentence" if of_text else "row" if values.get("table") else "image"
        self.kind = "rows" if values.get("table") else "texts" if of_text else "images"
        ids = f"{values['vocabulary']:,} token ids, " if of_text else ""
        say(
            f"training on {values['train']:,} {self.kind}, validating on {values['valid']:,}; "
            f"{ids}{values['parameters']:,} parameters, "
            f"{values['epochs']} epochs, {values['device']}"
        )
        say(facts_text(values))
        for warning in run_warnings(values):
            if warning not in self.warned:  # by a pretraining
                say(f"warning: {warning}")
                self.warned.add(warning)
        self.epochs, self.time = values["epochs"], RemainingTime()
        self.progress = Progress(
            TextColumn("step"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[terms]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.terminal = console.is_terminal
        self.task = self.progress.add_task("", total=values["steps"], terms="")
        self.progress.start()

    def step(self, values: Mapping[str, Any]) -> None:
        """Advance the bar; after some steps, print how long all of them take."""
        seconds = self.time.advance(values["step"], values["steps"])
        if seconds is not None:
            resumed = self.time.first_step > 1
            say(
                f"about {duration(self.time.left())} left"
                if resumed
                else f"about {duration(seconds)} in all"
            )
        if self.progress is not None:
            self.progress.update(self.task, completed=values["step"])

    def log(self, values: Mapping[str, Any]) -> None:
        """Show the loss next to the bar."""
        names = {"loss": "loss", "kl": "KL", "kl_weight": "weight"}
        terms = "  ".join(f"{n} {values[k]:.2f}" for k, n in names.items() if k in values)
        if self.progress is not None:
            self.progress.update(self.task, terms=terms)

    def validation(self, values: Mapping[str, Any]) -> None:
        """Print a line for a validation."""
        parts = [f"epoch {values['epoch']:.0f}/{self.epochs}", f"nll {values['nll']:.2f}"]
        parts.append(f"reconstruction {values['reconstruction_loss']:.2f}")
        if "active_units" in values:
            parts.append(f"KL {values['kl']:.2f}")
            parts.append(f"active units {values['active_units']:.0f}")
        if "kl_weight" in values and "active_units" in values:
            parts.append(f"KL weight {values['kl_weight']:.2g}")
        if "npmi" in values:
            parts.append(f"coherence {values['npmi']:.3f}")
        if "accuracy" in values:
            parts.append(f"accuracy {values['accuracy']:.3f}")
        if "micro_f1" in values:
            parts.append(f"micro-F1 {values['micro_f1']:.3f}")
        if "mrr" in values:
            parts.append(f"MRR {values['mrr']:.3f}")
        if left := self.time.left():
            parts.append(f"{duration(left)} left")
        say("  ".join(parts))

    def preview(self, values: Mapping[str, Any]) -> None:
        """Print reconstructions and samples of the last epoch on a terminal."""
        if not self.terminal:
            return
        rows = []
        for text, decoded in values["reconstructions"]:
            rows += [("text", text), ("reconstruction", decoded)]
        rows += [("sample", text) for text in values["samples"]]
        say("\n".join(f"  {name:<14}  {one_line(text)}" for name, text in rows))

    def sample(self, values: Mapping[str, Any]) -> None:
        """Print a sample of the prior from the middle of a long epoch."""
        say(f"a sample after {values['step']:,} steps: {one_line(values['text'])}")

    def note(self, values: Mapping[str, Any]) -> None:
        """Print a remark."""
        say_note(values["text"])

    def finished(self, values: Mapping[str, Any]) -> None:
        """Remove the bar; evaluation follows."""
        self.close()
        say(f"evaluating on held-out {self.kind} ...")

    def close(self) -> None:
        """Remove the bar."""
        if self.progress is not None:
            self.progress.stop()
