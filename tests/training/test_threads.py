"""Threads follow the load of the machine, unless the user or a stored run has chosen them."""

import multiprocessing
import time

import pytest
import torch

from textvae.training import threads as module
from textvae.training.threads import busy_cores, idle_threads, is_chosen, threads


@pytest.fixture
def four_threads(monkeypatch):
    """A machine of four cores on which no variable chooses threads."""
    for name in module.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module.psutil, "cpu_count", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    chosen = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    return chosen


@pytest.mark.parametrize(
    ("most", "cores", "busy", "count"),
    [(2, 2, 0.1, 2), (2, 2, 1.0, 1), (2, 2, 2.0, 1), (8, 16, 4.0, 8), (8, 16, 14.2, 2)],
)
def test_each_thread_finds_a_core_of_its_own(most, cores, busy, count):
    assert idle_threads(most, cores, busy) == count


@pytest.mark.parametrize(("busy", "count"), [(0.0, 4), (1.0, 3), (9.0, 1)])
def test_a_new_run_takes_what_is_idle_and_sets_it_back(four_threads, monkeypatch, busy, count):
    monkeypatch.setattr(module, "busy_cores", lambda: busy)
    notes = []
    with threads(None, notes.append):
        assert four_threads == [count]
    assert four_threads == [count, 4]
    assert [f"{count} of 4 CPU threads" in note for note in notes] == [True] * (count < 4)


def test_a_resumed_run_takes_what_it_began_with(four_threads, monkeypatch):
    monkeypatch.setattr(module, "busy_cores", lambda: 3.0)
    with threads(4, print):
        assert four_threads == [4]


def test_a_setting_of_the_user_is_kept(four_threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setattr(module, "busy_cores", lambda: 3.0)
    with threads(1, print):
        assert four_threads == [4]
    assert is_chosen() and not is_chosen({})


def spin():
    """Keep a core busy."""
    while True:
        pass


def test_a_busy_process_is_seen():
    process = multiprocessing.Process(target=spin, daemon=True)
    process.start()
    try:
        time.sleep(0.2)
        assert busy_cores() > 0.5
    finally:
        process.kill()
