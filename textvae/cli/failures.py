"""Exit of the command line: one line and code 2 for an error that the user can correct."""

import sys
from typing import Any

import typer

from textvae.cli.app import app
from textvae.console import error_lines, is_full_disk, is_out_of_memory, say

# typer carries its own click since 0.29; this finds the base of usage errors in either.
UsageProblem: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; bad input ends with one line and exit code 2."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        # Without arguments click raises its help as an error.
        code = app(args=given or ["--help"], prog_name="textvae", standalone_mode=False)
        if code == INTERRUPTED:
            # typer returns this code after Ctrl-C.
            say("stopped")
    except UsageProblem as error:
        say(f"error: {' '.join(error.format_message().split())}")
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        say("stopped")
        code = INTERRUPTED
    except Exception as error:
        code = report_failure(error)
    sys.exit(code if isinstance(code, int) else 0)


def report_failure(error: Exception) -> int:
    """Print an error that a user can cause, one line for each mistake; return the exit code.

    Raises:
        Exception: any other, which is a bug.
    """
    from textvae.checkpoints import CheckpointError
    from textvae.data.readers import DataError

    known: tuple[type[Exception], ...] = (DataError, CheckpointError, ValueError, OSError)
    if type(error).__name__ == "InterruptedRunError":
        say(str(error))
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
