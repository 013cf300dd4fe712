"""Output of commands: tables, JSON, notes and one-line errors."""

import codecs
import errno
import json
import math
import os
import re
import signal
import sys
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
