"""Start-up: `textvae --help` against the import of the library that reads its command line.

Run: python benchmarks/startup.py. Each start is a process of its own, all of them in turn.
"""

import argparse
import resource
import subprocess
import sys
import time

from timing import Cost, median, table

COMMANDS = {
    "python -c 'import typer'": ["-c", "import typer"],
    "textvae --help": ["-m", "textvae", "--help"],
    "textvae train --help": ["-m", "textvae", "train", "--help"],
    "python -c 'import torch'": ["-c", "import torch"],
}


def start(command: list[str]) -> Cost:
    """What one process costs."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.perf_counter() - wall, cpu)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="few rounds, to try the script")
    arguments = parser.parse_args()
    found: dict[str, list[Cost]] = {name: [] for name in COMMANDS}
    for _ in range(3 if arguments.quick else arguments.rounds):
        for name, command in COMMANDS.items():
            found[name].append(start(command))
    costs = {name: median(spent) for name, spent in found.items()}
    typer = next(iter(costs.values()))
    rows = [
        (
            name,
            1e3 * c.wall,
            1e3 * c.cpu,
            f"{c.wall / typer.wall:.2f} x",
            f"{c.cpu / typer.cpu:.2f} x",
        )
        for name, c in costs.items()
    ]
    table(rows, ["start-up", "ms", "CPU ms", "by the clock", "by CPU time"])


if __name__ == "__main__":
    main()
