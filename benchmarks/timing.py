"""Honest numbers on a busy machine: cases take turns, medians count, CPU time beside the clock."""

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Task = Callable[[], object]


@dataclass(frozen=True)
class Cost:
    """Seconds of one run: on the clock, and of all threads of this process.

    Args:
        wall: on the clock.
        cpu: of the process and of the system for it, such as new pages of memory.
        user: of the process alone.
    """

    wall: float
    cpu: float
    user: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.wall + other.wall, self.cpu + other.cpu, self.user + other.user)

    def __truediv__(self, count: float) -> "Cost":
        return Cost(self.wall / count, self.cpu / count, self.user / count)


def cost(task: Task) -> Cost:
    """What one run of a task costs; a GPU finishes first."""
    wall, cpu, user = time.perf_counter(), time.process_time(), user_seconds()
    task()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu, user_seconds() - user)


def user_seconds() -> float:
    """User CPU time of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each part."""
    parts = zip(*((c.wall, c.cpu, c.user) for c in costs), strict=True)
    return Cost(*(statistics.median(part) for part in parts))


def interleaved(cases: Mapping[str, Task], rounds: int, warmup: int = 1) -> dict[str, Cost]:
    """The median cost of each case; they take turns, so what slows the machine slows all."""
    found: dict[str, list[Cost]] = {name: [] for name in cases}
    for turn in range(warmup + rounds):
        for name, task in cases.items():
            spent = cost(task)
            if turn >= warmup:
                found[name].append(spent)
    return {name: median(costs) for name, costs in found.items()}


def matmul_peak(device: str = "cpu", half: bool = False, rounds: int = 15) -> float:
    """Floating-point operations per second of a square product at its best; of a CPU, CPU seconds.

    Args:
        device: "cpu" or "cuda".
        half: bfloat16 in place of float32.
        rounds: the fastest counts.
    """
    size, dtype = 1024 if device == "cpu" else 8192, torch.bfloat16 if half else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(a)
    spent = [cost(lambda: torch.mm(a, b, out=out)) for _ in range(rounds)]
    return 2 * size**3 / min(c.cpu if device == "cpu" else c.wall for c in spent)


def peak_memory(function: Callable[..., Task], *given: Any) -> float:
    """MB that a task needs at most, above what it was prepared with; CPU, on Linux.

    Args:
        function: prepares the task; runs in a process of its own.
        *given: its arguments.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(growth, (function, *given))


def growth(function: Callable[..., Task], *given: Any) -> float:
    """`peak_memory` in this process."""
    task = function(*given)
    before = status("VmRSS")
    # The highest mark begins anew from here.
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    task()
    return status("VmHWM") - before


def status(key: str) -> float:
    """A figure of this process in MB: VmRSS is what it holds now, VmHWM the highest mark."""
    with open("/proc/self/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith(key))
    return int(line.split()[1]) / 1024


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The slope of log cost over log size, by least squares: 1 is proportional, 0 is constant."""
    x, y = (torch.tensor(values).double().log() for values in (sizes, costs))
    x, y = x - x.mean(), y - y.mean()
    return float((x @ y) / (x @ x))


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> None:
    """Print rows in columns; the first to the left, the others to the right."""
    lines = [list(header), *([shown(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for first, *others in lines:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *cells]), flush=True)
    print(flush=True)


def shown(value: object) -> str:
    """A cell: numbers with three digits that count."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def equal(first: Tensor, second: Tensor, what: str) -> None:
    """Refuse to compare the speed of two things that do not compute the same.

    Raises:
        AssertionError: they differ by more than float32 rounding.
    """
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4, msg=lambda m: f"{what}: {m}")
