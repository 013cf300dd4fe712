"""Exit of the command line: one line and code 2 for an error that the user can correct."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from textvae.cli.app import app
from textvae.console import (
    INTERRUPTED,
    TERMINATED,
    Terminated,
    error_line,
    error_lines,
    is_full_disk,
    is_out_of_memory,
    say,
)

# typer carries its own click since 0.29; this finds the base of usage errors in either.
UsageProblem: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; bad input ends with one line and exit code 2.

    Ctrl-C ends a command with one line and code 130, SIGTERM with code 143.
    """
    given = sys.argv[1:] if arguments is None else arguments
    with terminable() as received:
        try:
            code = run(given)
            if code == INTERRUPTED:
                # typer returns this code after Ctrl-C.
                say("stopped")
        except UsageProblem as error:
            say(f"error: {error_line(error.format_message())}")
            code = 2
        except (KeyboardInterrupt, typer.Abort):
            say("stopped")
            code = INTERRUPTED
        except Exception as error:
            code = report_failure(error, bool(received))
    if received and code == INTERRUPTED:
        code = TERMINATED
    sys.exit(code if isinstance(code, int) else 0)


def run(given: list[str]) -> Any:
    """Run a command; the result is its exit code, or None."""
    if given == ["recipes"]:
        # typer 0.29 imports pydantic to read options: that takes as long as listing the recipes.
        from textvae.cli.recipes import recipes

        return recipes()
    # Without arguments click raises its help as an error.
    return app(args=given or ["--help"], prog_name="textvae", standalone_mode=False)


@contextmanager
def terminable() -> Iterator[list[int]]:
    """Let SIGTERM interrupt as Ctrl-C does; its number is in the list once it was received.

    A program around this one that handles or ignores the signal is left alone.
    """
    received: list[int] = []
    main_thread = threading.current_thread() is threading.main_thread()
    if not main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield received
        return
    owner = os.getpid()

    def stop(number: int, frame: Any) -> None:
        if os.getpid() != owner:
            os._exit(TERMINATED)  # a worker, which is ended by this signal
        received.append(number)
        raise Terminated

    signal.signal(signal.SIGTERM, stop)
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def report_failure(error: Exception, terminated: bool = False) -> int:
    """Print an error that a user can cause, one line for each mistake; return the exit code.

    Args:
        error: that ended the command.
        terminated: whether SIGTERM was received; libraries turn it into errors of their own.

    Raises:
        Exception: any other, which is a bug.
    """
    from textvae.checkpoints import CheckpointError
    from textvae.data.readers import DataError

    known: tuple[type[Exception], ...] = (DataError, CheckpointError, ValueError, OSError)
    if type(error).__name__ == "InterruptedRunError":
        say(error_line(str(error)))
        return getattr(error, "code", INTERRUPTED)
    if terminated:
        say("stopped")
        return INTERRUPTED
    if not (
        isinstance(error, known)
        or type(error).__name__ == "NonFiniteLossError"
        or is_full_disk(error)
        or is_out_of_memory(error)
    ):
        raise error
    for line in error_lines(error):
        say(f"error: {line}")
    return 2
