"""What a step costs as batch, length, vocabulary, latent and layers grow; and on two processes.

Run: python benchmarks/scaling.py [--quick] [--plot scaling.png]. One dimension at a time, the
others at their base; the exponent is the slope of log cost over log size, 1 is proportional.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from models import sentence_vae
from overhead import trained
from texts import of_lengths, penn_lengths
from timing import Task, exponent, interleaved, median, table
from torch import nn

from textvae.config import TrainingConfig
from textvae.training.processes import process_rank
from textvae.vocabulary import UNK

BASE = {"batch": 32, "length": 24, "vocabulary": 10_000, "latent": 32, "layers": 1}
SIZES = {
    "batch": [4, 8, 16, 32, 64, 128],
    "length": [6, 12, 24, 48, 96],
    "vocabulary": [1000, 3000, 10_000, 30_000, 100_000],
    "latent": [8, 32, 128, 512],
    "layers": [1, 2, 4, 8],
}


RANKS = {
    "one process, one thread": (1, 1),
    "one, two threads": (1, 2),
    "two, one thread each": (2, 1),
}
"""Processes and threads of each."""


def task(kind: str, quick: bool, sizes: dict[str, int]) -> Task:
    """A training step on random texts of one length."""
    shape = {} if quick else {"hidden": 256}
    if kind == "lstm" and not quick:
        shape["embedding"] = 256
    model = sentence_vae(
        kind, sizes["vocabulary"], quick, sizes["latent"], layers=sizes["layers"], **shape
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    ids = torch.randint(UNK + 1, sizes["vocabulary"], (sizes["batch"], sizes["length"] + 1))

    def step() -> None:
        model(0, text=ids).value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def steps_of_ranks(rounds: int, quick: bool) -> dict[str, float]:
    """Milliseconds on the clock of a step on the same global batch, by number of processes."""
    found: dict[str, list[float]] = {name: [] for name in RANKS}
    for _ in range(rounds):
        for name, (processes, threads) in RANKS.items():
            launcher = [
                "-m",
                "torch.distributed.run",
                "--standalone",
                f"--nproc_per_node={processes}",
            ]
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, *launcher, __file__, "--rank", folder]
                done = subprocess.run(
                    [*command, *(["--quick"] if quick else [])],
                    env=os.environ | {"OMP_NUM_THREADS": str(threads)},
                    check=True,
                    capture_output=True,
                    text=True,
                )
            found[name].append(float(done.stdout))
    return {name: statistics.median(values) for name, values in found.items()}


def rank(folder: str, quick: bool) -> None:
    """Train as one of the processes; the first prints milliseconds a step."""
    vocab_size = 500 if quick else 10_000
    texts = of_lengths(penn_lengths(32 * 16), vocab_size)
    config = TrainingConfig(epochs=1, batch_size=32)
    steps = trained(sentence_vae("lstm", vocab_size, quick), texts, config, folder)
    if process_rank() == 0:
        print(1e3 * median(steps).wall)


def draw(found: dict[str, dict[str, list[float]]], path: Path) -> None:
    """A panel for each dimension, logarithmic on both axes."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullLocator

    figure, axes = plt.subplots(1, len(SIZES), figsize=(12, 2.6), sharey=True, layout="constrained")
    for axis, (name, sizes) in zip(axes, SIZES.items(), strict=True):
        for kind, costs in found.items():
            axis.loglog(sizes, [1e3 * s for s in costs[name]], marker="o", ms=3, label=kind)
        slopes = ", ".join(f"{exponent(sizes[-3:], c[name][-3:]):.2f}" for c in found.values())
        axis.set_title(f"{name}\nlast exponents {slopes}", fontsize="medium")
        axis.xaxis.set_minor_locator(NullLocator())
        ticks = [f"{n // 1000}k" if n >= 1000 else f"{n}" for n in sizes]
        axis.set_xticks(sizes, ticks)
    axes[0].set_ylabel("CPU ms a step")
    axes[0].legend()
    figure.savefig(path, dpi=80)


def main() -> None:
    """Print the tables; draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", type=Path, help="PNG to write")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script")
    parser.add_argument("--rank", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rank:
        return rank(arguments.rank, arguments.quick)
    found: dict[str, dict[str, list[float]]] = {}
    for kind in ("lstm", "transformer"):
        found[kind], rows = {}, []
        for name, sizes in SIZES.items():
            tasks = {str(n): task(kind, arguments.quick, {**BASE, name: n}) for n in sizes}
            costs = interleaved(tasks, arguments.rounds)
            spent = found[kind][name] = [c.cpu for c in costs.values()]
            slopes = exponent(sizes, spent), exponent(sizes[-3:], spent[-3:])
            each = ", ".join(f"{n:,}: {1e3 * s:.0f}" for n, s in zip(sizes, spent, strict=True))
            rows.append((name, *(f"{slope:.2f}" for slope in slopes), each))
        table(rows, [kind, "exponent", "last three", "CPU ms a step"])
    if arguments.plot:
        draw(found, arguments.plot)
    table(
        list(steps_of_ranks(arguments.rounds, arguments.quick).items()), ["processes", "ms a step"]
    )


if __name__ == "__main__":
    main()
