"""A process that has imported everything and forks a `textvae` command in a moment.

Its children are processes of their own: they are killed, interrupted and run out of disk like any
other, without the seconds that importing takes.
"""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HANGS = 300
"""Seconds after which a child counts as hanging; it then ends with SIGALRM."""


@dataclass(frozen=True)
class Answer:
    """What a child left behind: exit code or negative signal, what it said, file operations."""

    code: int
    out: str
    err: str
    operations: int

    @property
    def last(self) -> str:
        """The last line on standard error."""
        return (self.err.splitlines() or [""])[-1]


class Nursery:
    """The parent's side: orders go in as lines of JSON, and process ids come out.

    Args:
        place: folder for what the children print.
    """

    def __init__(self, place: Path):
        place.mkdir(parents=True, exist_ok=True)
        self.place = place
        self.started = 0
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1",
            "TEXTVAE_CACHE": str(place / "cache"),
        }
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def ask(self, **order: Any) -> dict[str, Any]:
        """Send an order; its answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def start(
        self,
        *arguments: object,
        watched: Path,
        at: Sequence[int] = (),
        signal: int = 0,
        bytes: int = 0,
    ) -> "Child":
        """Begin a command.

        Args:
            arguments: of `textvae`.
            watched: folder whose file operations are counted: opening, renaming, making, removing.
            at: numbers of the operations that bring the signal, from 1.
            signal: that the child gets then.
            bytes: largest file that the child may write; 0 for any.
        """
        self.started += 1
        said = self.place / f"child-{self.started}"
        order = {
            "arguments": [str(argument) for argument in arguments],
            "said": str(said),
            "watched": str(watched),
            "at": list(at),
            "signal": signal,
            "bytes": bytes,
        }
        return Child(self, self.ask(**order)["pid"], said)

    def run(self, *arguments: object, watched: Path, **options: Any) -> Answer:
        """A command from beginning to end."""
        return self.start(*arguments, watched=watched, **options).wait()

    def close(self) -> None:
        """End the nursery."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


@dataclass
class Child:
    """A command that runs."""

    nursery: Nursery
    pid: int
    said: Path

    def send(self, number: int) -> None:
        """Give it a signal; nothing happens when it has ended."""
        # Nobody else can have its id: the nursery has not waited for it yet.
        os.kill(self.pid, number)

    def ended(self) -> bool:
        """Whether it has ended, waited for or not."""
        state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "Z"

    def wait(self) -> Answer:
        """What it left behind, once it has ended."""
        code = self.nursery.ask(wait=self.pid)["code"]
        out, err = (self.said.with_suffix(s).read_text(errors="replace") for s in (".out", ".err"))
        counted = self.said.with_suffix(".count")
        return Answer(code, out, err, counted.stat().st_size if counted.exists() else 0)


def serve() -> None:
    """Fork a child for each order; wait for those that are asked about."""
    import torch

    torch.set_num_threads(1)
    # What training and looking at a model import, also what they import late.
    import accelerate
    import matplotlib.pyplot
    import sentencepiece
    import transformers.models.auto
    from rich import console, progress
    from torch.utils import tensorboard

    from textvae import plots
    from textvae.analysis import summary

    assert all(
        (accelerate, matplotlib, sentencepiece, transformers, console, progress, tensorboard)
    )
    assert plots and summary
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            live(**order)
        print(json.dumps({"pid": pid}), flush=True)


def live(
    arguments: list[str], said: str, watched: str, at: list[int], signal: int, bytes: int
) -> None:
    """Be a child: run the command as the interpreter would, then end."""
    import resource
    from signal import SIG_DFL, SIGALRM, alarm
    from signal import signal as handle

    handle(SIGALRM, SIG_DFL)
    alarm(HANGS)
    for descriptor, name in ((0, os.devnull), (1, f"{said}.out"), (2, f"{said}.err")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o644), descriptor)
    counted = os.open(f"{said}.count", os.O_WRONLY | os.O_CREAT)
    if bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes, bytes))
    seen = 0

    def watch(event: str, values: tuple) -> None:
        nonlocal seen
        if event not in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"):
            return
        if isinstance(values[0], str | os.PathLike) and os.fspath(values[0]).startswith(watched):
            os.write(counted, b".")
            seen += 1
            if seen in at:
                os.kill(os.getpid(), signal)

    sys.addaudithook(watch)
    code = 1
    try:
        from textvae.cli import main

        main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
