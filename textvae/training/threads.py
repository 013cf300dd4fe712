"""CPU threads of a training, chosen from the load of the machine when it starts."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import sleep

import psutil
import torch

SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "GOMP_CPU_AFFINITY", "OMP_PROC_BIND")
"""Environment variables with which a user chooses threads; one of them is enough."""

INTERVAL = 0.4
"""Seconds over which the load is measured."""


def is_chosen(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the user has chosen threads."""
    return any(environment.get(name) for name in SETTINGS)


def idle_threads(most: int, cores: int, busy: float) -> int:
    """The threads that find a core of their own.

    OpenMP's threads wait for each other in a loop: where one of them shares its core with another
    process, all of them wait for it, and a step takes several times as long as with one thread.

    Args:
        most: threads that torch would take.
        cores: of the machine.
        busy: number of cores that others keep busy.
    """
    return max(1, min(most, round(cores - busy)))


def busy_cores(interval: float = INTERVAL) -> float:
    """The number of cores that are busy while this process sleeps."""
    before = psutil.cpu_times()
    sleep(interval)
    after = psutil.cpu_times()
    total = sum(after) - sum(before)
    idle = sum(getattr(after, name, 0) - getattr(before, name, 0) for name in ("idle", "iowait"))
    return 0.0 if total <= 0 else (1 - idle / total) * (psutil.cpu_count() or 1)


@contextmanager
def threads(stored: int | None, note: Callable[[str], None]) -> Iterator[None]:
    """The number of torch's threads for a training; afterwards it is as before.

    A user's own setting is kept. So is the number that a resumed run began with: sums in another
    order would not give the same bits.

    Args:
        stored: the number that the run began with; None for a new one.
        note: receives a sentence for the user where there are fewer threads than cores.
    """
    before = count = torch.get_num_threads()
    if not is_chosen() and before > 1:
        count = stored or idle_threads(before, psutil.cpu_count() or 1, busy_cores())
    if count < before:
        reason = "as the run began" if stored else "other processes keep the other cores busy"
        note(f"{count} of {before} CPU threads: {reason} (OMP_NUM_THREADS sets another number)")
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
