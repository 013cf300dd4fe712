"""Output of commands: tables, JSON, progress and one-line errors."""

import errno
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


def say(text: str = "") -> None:
    """Print a message on standard error; standard output contains results only."""
    print(text, file=sys.stderr, flush=True)


def table(rows: Iterable[Sequence[Any]], header: Sequence[str] = ()) -> str:
    """Rows in aligned columns; columns of numbers are aligned to the right."""
    cells = [[shown(cell) for cell in row] for row in rows]
    lines = ([list(header)] if header else []) + cells
    if not lines:
        return ""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    numeric = [
        all(is_number(line[column]) for line in cells) and bool(cells)
        for column in range(len(widths))
    ]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    )


def shown(value: Any) -> str:
    """A value as a table cell; floats have three decimals, or none from 1,000 on."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def is_number(cell: str) -> bool:
    """Whether a cell is a number."""
    return cell.replace(",", "").replace(".", "").replace("-", "").replace("%", "").isdigit()


def emit(result: Any, as_json: bool, text: str) -> None:
    """Print a result on standard output, as JSON or as text."""
    print(json_text(result) if as_json else text, flush=True)


def json_text(result: Any) -> str:
    """A result as JSON; infinities and NaN, which JSON lacks, become null."""
    return json.dumps(finite(result), indent=1, ensure_ascii=False, allow_nan=False)


def finite(value: Any) -> Any:
    """A value in which numbers that are not finite are None, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, list | tuple) else value


def error_lines(error: BaseException) -> list[str]:
    """The messages of an error, one line for each mistake."""
    problems = getattr(error, "problems", None)
    if problems:
        return [" ".join(str(problem).split()) for problem in problems]
    if is_full_disk(error):
        return ["the disk is full; what was saved before is whole"]
    if is_out_of_memory(error):
        return ["there is not enough memory: try a smaller model or train.batch_size"]
    if isinstance(error, OSError) and error.filename:
        return [f"{error.filename}: {error.strerror}"]
    return [" ".join(str(error).split()) or type(error).__name__]


def is_full_disk(error: BaseException) -> bool:
    """Whether the disk is full; safetensors and torch raise errors without an errno."""
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    words = (
        "No space left on device",
        "File too large",
        "PytorchStreamWriter failed",
        ". unexpected pos ",
        "iostream error",
    )
    return getattr(error, "errno", None) in numbers or any(part in str(error) for part in words)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of the machine or its GPU is exhausted."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


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
        self.row = "sentence"
        self.progress: Any = None
        self.task: Any = None

    def __call__(self, event: str, values: Mapping[str, Any]) -> None:
        """Show one event of a run."""
        if not self.quiet:
            getattr(self, event)(values)
            if warning := self.warning(event, values):
                say(warning)

    def begin(self, values: Mapping[str, Any]) -> None:
        """Print the sizes of data and model, and start the bar."""
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
        self.row = "sentence" if of_text else "image"
        kind, ids = (
            ("texts", f"{values['vocabulary']:,} token ids, ") if of_text else ("images", "")
        )
        say(
            f"training on {values['train']:,} {kind}, validating on {values['valid']:,}; "
            f"{ids}{values['parameters']:,} parameters, "
            f"{values['epochs']} epochs, {values['device']}"
        )
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
        self.task = self.progress.add_task("", total=values["steps"], terms="")
        self.progress.start()

    def step(self, values: Mapping[str, Any]) -> None:
        """Advance the bar."""
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
        parts = [f"epoch {values['epoch']:.0f}", f"nll {values['nll']:.2f}"]
        parts.append(f"reconstruction {values['reconstruction_loss']:.2f}")
        if "active_units" in values:
            parts.append(f"KL {values['kl']:.2f}")
            parts.append(f"active units {values['active_units']:.0f}")
        if "kl_weight" in values and "active_units" in values:
            parts.append(f"KL weight {values['kl_weight']:.2f}")
        if "npmi" in values:
            parts.append(f"coherence {values['npmi']:.3f}")
        if "accuracy" in values:
            parts.append(f"accuracy {values['accuracy']:.3f}")
        say("  ".join(parts))

    def note(self, values: Mapping[str, Any]) -> None:
        """Print a remark."""
        say(f"note: {values['text']}")

    def finished(self, values: Mapping[str, Any]) -> None:
        """Remove the bar; evaluation follows."""
        self.close()
        say(f"evaluating on held-out {'texts' if self.row == 'sentence' else 'images'} ...")

    def close(self) -> None:
        """Remove the bar."""
        if self.progress is not None:
            self.progress.stop()
