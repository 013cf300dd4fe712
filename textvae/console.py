"""Output of commands: tables, JSON, progress and one-line errors."""

import codecs
import errno
import json
import math
import os
import re
import signal
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters that move the cursor, end a line, or change the direction of a text or a terminal."""

LONGEST_LINE, MOST_LINES = 1000, 20
"""Characters of an error, and mistakes that are listed."""

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
"""Exit codes after Ctrl-C and after SIGTERM."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM, with which a cluster ends a job: handled as Ctrl-C but for the exit code."""


def exit_code(stop: KeyboardInterrupt) -> int:
    """The exit code of a command that was stopped."""
    return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED


def visible(text: str) -> str:
    r"""A text on one line, with control characters and line ends as escapes.

    >>> print(visible("\x1b[31mred\nline"))
    \x1b[31mred\nline
    """
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def quoted(value: Any, width: int = 100) -> str:
    """A value as `repr` writes it, cut to a width; a large one takes no longer than a small one.

    >>> quoted({"kind": ["a"] * 10**6}, 22)
    "{'kind': ['a', 'a' ..."
    """
    text = ""
    for part in parts_of(value, width):
        text += part
        if len(text) > width:
            return f"{text[: width - 4]} ..."
    return text


def parts_of(value: Any, width: int) -> Iterator[str]:
    """The parts of a value's `repr`, one after the other; long strings are cut to the width."""
    if isinstance(value, dict | list | tuple):
        ends = "{}" if isinstance(value, dict) else "[]" if isinstance(value, list) else "()"
        yield ends[0]
        for number, each in enumerate(value):
            yield ", " if number else ""
            yield from parts_of(each, width)
            if isinstance(value, dict):
                yield ": "
                yield from parts_of(value[each], width)
        yield "," + ends[1] if isinstance(value, tuple) and len(value) == 1 else ends[1]
    elif isinstance(value, str | bytes):
        yield repr(value[: width + 1])
    else:
        try:
            yield repr(value)
        except ValueError:  # Python writes no whole number of over 4,300 digits
            yield f"a number of {value.bit_length():,} bits"


QUIET = False
"""Whether messages and progress are left out, see `quiet`."""

BARS = ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")
"""Variables that keep the libraries of the hub, once they are imported, from drawing progress."""


def say(text: str = "") -> None:
    """Print a message on standard error, unless it is `quiet`; results go to standard output."""
    if not QUIET:
        print_lines(text, sys.stderr)


@contextmanager
def quiet(wanted: bool = True) -> Iterator[None]:
    """Leave out notes, warnings and progress, as `-q` asks; they are all that `say` prints.

    An error ends a command, and with it this: `textvae.cli.main` prints it afterwards.

    Args:
        wanted: False changes nothing.
    """
    global QUIET
    if not wanted:
        yield
        return
    before, variables = QUIET, {name: os.environ.get(name) for name in BARS}
    QUIET = True
    os.environ.update(dict.fromkeys(BARS, "1"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        QUIET = before
        for name, value in variables.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def say_note(text: str) -> None:
    """Print a remark on standard error, on one line."""
    say(f"note: {visible(text)}")


def print_lines(text: str, stream: TextIO) -> None:
    """Print lines whose control characters are escapes, see `print_encoded`."""
    print_encoded("\n".join(map(visible, text.split("\n"))), stream)


def print_encoded(text: str, stream: TextIO) -> None:
    """Print a text; characters that the encoding of the stream lacks are escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def is_unicode(stream: TextIO) -> bool:
    """Whether a stream's encoding has every character."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return codecs.lookup(encoding).name.startswith("utf")


def table(rows: Iterable[Sequence[Any]], header: Sequence[str] = ()) -> str:
    """Rows in aligned columns; columns of numbers are aligned to the right."""
    cells = [[shown(cell) for cell in row] for row in rows]
    lines = ([[*map(visible, header)]] if header else []) + cells
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


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(value: Any) -> str:
    """A value as a table cell; floats have three decimals, none from 1,000 on."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if abs(value) < 1000:
            return f"{value:.3f}"
        return f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.3e}"
    if isinstance(value, int):
        return f"{value:,}"
    return visible(str(value))


def is_number(cell: str) -> bool:
    """Whether a cell is a number."""
    return re.sub(r"[,.%-]|e\+", "", cell).isdigit()


def emit(result: Any, as_json: bool, text: str) -> None:
    """Print a result on standard output, as JSON or as text.

    JSON is ASCII where the encoding of standard output lacks characters, so that it can be read
    back; text has escapes there.
    """
    if as_json:
        print_encoded(json_text(result, not is_unicode(sys.stdout)), sys.stdout)
    else:
        print_lines(text, sys.stdout)


def json_text(result: Any, ascii_only: bool = False) -> str:
    """A result as JSON; infinities and NaN, which JSON lacks, become null.

    Control characters are escapes, and so are halves of surrogate pairs, which UTF-8 lacks.
    """
    text = json.dumps(finite(result), indent=1, ensure_ascii=ascii_only, allow_nan=False)
    lines = (
        CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in text.split("\n")
    )
    return "\n".join(lines).encode("utf-8", "backslashreplace").decode("utf-8")


def finite(value: Any) -> Any:
    """A value in which numbers that are not finite are None, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, list | tuple) else value


def error_lines(error: BaseException) -> list[str]:
    """The messages of an error, one line for each mistake; of many mistakes the first ones."""
    problems = getattr(error, "problems", None)
    if problems:
        lines = [error_line(str(problem)) for problem in problems[:MOST_LINES]]
        more = len(problems) - MOST_LINES
        return lines + ([f"and {more:,} more like these"] if more > 0 else [])
    if is_full_disk(error):
        return ["the disk is full; what was saved before is whole"]
    if is_out_of_memory(error):
        return ["there is not enough memory: try a smaller model or train.batch_size"]
    if isinstance(error, OSError) and error.filename:
        return [error_line(f"{error.filename}: {error.strerror}")]
    return [error_line(str(error)) or type(error).__name__]


def error_line(text: str) -> str:
    """A message on one line, at most `LONGEST_LINE` characters before they are escaped."""
    line = " ".join(text.split())
    return visible(line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 4]} ...")


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


def duration(seconds: float) -> str:
    """A duration in words, rounded: 45 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    tens = round(seconds / 10)
    if tens < 360:
        minutes, rest = divmod(tens, 6)
        return f"{minutes} min" + (f" {10 * rest} s" if rest else "")
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h" + (f" {minutes} min" if minutes else "")


def one_line(text: str, width: int = 100) -> str:
    """A text on one line, cut to a width."""
    return textwrap.shorten(text, width, placeholder=" ...")


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
        if not (self.quiet or QUIET):
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
