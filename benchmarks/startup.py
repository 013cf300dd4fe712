"""Start-up: commands against the import of torch, and `textvae --help` against that of typer.

Run: python benchmarks/startup.py. Each start is a process of its own, all of them in turn. A small
model is trained first, for the commands that load one.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

TYPER, TORCH = ["-c", "import typer"], ["-c", "import torch"]
LOAD = "from textvae import SentenceVAE; SentenceVAE.from_pretrained('run')"
CLI = ["-m", "textvae"]

HELP = {
    "textvae --help": [*CLI, "--help"],
    "textvae train --help": [*CLI, "train", "--help"],
    "textvae recipes": [*CLI, "recipes"],
    "textvae show bowman2016": [*CLI, "show", "bowman2016"],
}
"""Compared with `import typer`."""

MODEL = {
    "from textvae import SentenceVAE": ["-c", "from textvae import SentenceVAE"],
    "SentenceVAE.from_pretrained": ["-c", LOAD],
    "textvae sample -n 1": [*CLI, "sample", "run", "-n", "1", "--max-new-tokens", "20"],
    "textvae encode, 50 lines": [*CLI, "encode", "texts.txt", "--model", "run"],
    "textvae interpolate": [*CLI, "interpolate", "my dog", "the cat", "--model", "run"],
}
"""Compared with `import torch`."""

MISTAKES = {
    "train --data missing.csv": [*CLI, "train", "--data", "missing.csv"],
    "train --set train.epoch=3": [*CLI, "train", "--set", "train.epoch=3"],
    "sample nowhere": [*CLI, "sample", "nowhere"],
    "sample --num-beams 3 --top-k 4": [*CLI, "sample", "--num-beams", "3", "--top-k", "4"],
    "encode missing.txt": [*CLI, "encode", "missing.txt"],
    "evaluate --data missing.csv": [*CLI, "evaluate", "--data", "missing.csv"],
    "train --set latents.z.dimm=3": [*CLI, "train", "--set", "latents.z.dimm=3"],
}
"""End with exit code 2; all but the last without torch."""


@dataclass(frozen=True)
class Start:
    """Seconds of one process: on the clock, and of user CPU time."""

    wall: float
    user: float


def start(command: list[str], folder: Path) -> Start:
    """What one process costs."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    root = Path(__file__).resolve().parent.parent
    environment = os.environ | {"PYTHONPATH": str(root), "HF_HUB_OFFLINE": "1"}
    result = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, check=False
    )
    if result.returncode not in (0, 2):
        raise RuntimeError(result.stderr.decode())
    user = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    return Start(time.perf_counter() - wall, user)


def print_table(against: str, cases: Mapping[str, list[str]], folder: Path, rounds: int) -> None:
    """Print the median cost of each case, and its ratio to the first; they take turns."""
    found: dict[str, list[Start]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, command in cases.items():
            found[name].append(start(command, folder))
    user = {name: median(each.user for each in starts) for name, starts in found.items()}
    print(f"\n{against:34}{'wall s':>8}{'user s':>8}{'least':>8}{'ratio':>8}")
    for name, starts in found.items():
        wall, least = median(s.wall for s in starts), min(s.user for s in starts)
        ratio = user[name] / user[next(iter(cases))]
        print(f"{name:34}{wall:8.2f}{user[name]:8.2f}{least:8.2f}{ratio:8.2f}")


def train(folder: Path) -> None:
    """Train a small model in the folder's `run`, on texts in `texts.txt`."""
    lines = [
        f"the {noun} saw {number} of them ." for noun in ("dog", "cat") for number in range(25)
    ]
    (folder / "texts.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = ["train.epochs=1", "tokenizer.vocab_size=400"]
    options = [word for setting in settings for word in ("--set", setting)]
    start([*CLI, "train", "--data", "texts.txt", "--output", "run", *options], folder)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="three rounds")
    arguments = parser.parse_args()
    rounds = 3 if arguments.quick else arguments.rounds
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        train(folder)
        print_table("without a model", {"import typer": TYPER} | HELP, folder, rounds)
        print_table("with a model", {"import torch": TORCH} | MODEL, folder, rounds)
        print_table("mistakes", {"import torch": TORCH} | MISTAKES, folder, rounds)


if __name__ == "__main__":
    main()
