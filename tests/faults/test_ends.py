"""Runs that are killed, interrupted, doubled or out of disk end as the one left alone."""

import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT, SIGKILL

import pytest
import torch
from nursery import Answer, Child, Nursery
from safetensors.torch import load_file

from textvae.checkpoints import checkpoints, damage

RECIPE = """
model:
  encoders: [{name: text, kind: lstm, hidden: 8}]
  latents: [{name: z, kind: gaussian, dim: 3, given: [text]}]
  decoders: [{name: text, kind: lstm, hidden: 8, dropout: 0.2, word_dropout: 0.3, given: [z]}]
objective: {kind: elbo, kl_weight: {kind: linear, steps: 20}}
tokenizer: {kind: bpe, vocab_size: 270}
train: {epochs: 6, batch_size: 16, validation_samples: 1, learning_rate: 0.05, patience: 4}
"""
STAGES = """
model:
  encoders: [{name: text, kind: lstm, hidden: 8, noise: {kind: drop}}]
  latents: [{name: z, kind: gaussian, dim: 3, batch_norm: 0.6, given: [text]}]
  decoders: [{name: text, kind: transformer, heads: 1, hidden: 8, layers: 1, given: [z]}]
pretrain:
  objective: {kind: elbo, kl_weight: 0}
  train: {epochs: 3, keep: last}
  transfer: [encoders, latents]
objective: {kind: mutual_information, hidden: 8}
tokenizer: {kind: word, vocab_size: 20}
train: {epochs: 4, batch_size: 16, optimizer: sgd, schedule: plateau, lagging: {}, workers: 1}
"""
FULL = "error: the disk is full; what was saved before is whole"
WORDS = "the a cat dog bird sees likes finds small red old house tree river".split()


@dataclass(frozen=True)
class Project:
    """Texts, a recipe, and the run of it that nothing interrupted.

    Args:
        place: folder of all this.
        nursery: gives birth to the processes.
        operations: file operations of the whole run.
        seconds: that it took, about.
    """

    place: Path
    nursery: Nursery
    operations: int
    seconds: float

    @property
    def whole(self) -> Path:
        return self.place / "whole"

    def begin(self, folder: Path, **harm) -> Child:
        return begin(self.nursery, self.place, folder, **harm)

    def resume(self, folder: Path, **harm) -> Child:
        """Go on with a run as its user would: from its checkpoint, or anew if it never began."""
        if not (folder / "recipe.yaml").exists():
            return self.begin(folder, **harm)
        arguments = ("train", "--resume", "--output", folder, "--device", "cpu")
        return self.nursery.start(*arguments, watched=folder, **harm)

    def assert_ends_as_the_whole_run(self, folder: Path) -> None:
        """Resume, and compare every weight."""
        answer = self.resume(folder).wait()
        assert answer.code == 0, answer.err
        assert "Traceback" not in answer.err and "is left out" not in answer.err
        self.assert_same(folder)

    def assert_same(self, folder: Path) -> None:
        left, right = (load_file(run / "model.safetensors") for run in (self.whole, folder))
        assert left.keys() == right.keys()
        assert not [name for name in left if not torch.equal(left[name], right[name])]
        for name in ("tokenizer.json", "results.json"):
            ours = (folder / name).read_text().replace(str(folder), str(self.whole))
            assert without_seconds(ours) == without_seconds((self.whole / name).read_text())


def without_seconds(text: str) -> list[str]:
    return [line for line in text.splitlines() if '"seconds"' not in line]


def begin(nursery: Nursery, place: Path, folder: Path, **harm) -> Child:
    arguments = ("train", place / "small.yaml", "--data", place / "texts.txt", "--output", folder)
    return nursery.start(*arguments, "--device", "cpu", watched=folder, **harm)


def assert_checkpoints_are_whole(folder: Path) -> None:
    """No checkpoint that was half written is ever found under its name."""
    for path in checkpoints(folder / "checkpoints"):
        assert damage(path) is None, path
        load_file(path / "model.safetensors")
        torch.load(path / "optimizer.pt", weights_only=True)


def assert_one_line(answer: Answer, code: int, begins: str) -> None:
    """It ended with an exit code and one line that says why."""
    assert answer.code == code, answer
    assert "Traceback" not in answer.err and "Exception ignored" not in answer.err, answer.err
    assert answer.last.startswith(begins), answer.err
    said = [line for line in answer.err.splitlines() if line.startswith(("error", "stopped"))]
    assert len(said) == 1, answer.err
    assert answer.out == ""


@pytest.fixture(scope="module")
def nursery(tmp_path_factory) -> Iterator[Nursery]:
    made = Nursery(tmp_path_factory.mktemp("nursery"))
    yield made
    made.close()


def made_project(nursery: Nursery, place: Path, recipe: str) -> Project:
    """A project whose uninterrupted run has ended."""
    draw = random.Random(1)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(1, 9))) for _ in range(60)]
    (place / "texts.txt").write_text("\n".join(texts) + "\n")
    (place / "small.yaml").write_text(recipe)
    began = time.monotonic()
    answer = begin(nursery, place, place / "whole").wait()
    assert answer.code == 0, answer.err
    return Project(place, nursery, answer.operations, time.monotonic() - began)


@pytest.fixture(scope="module")
def project(nursery, tmp_path_factory) -> Project:
    return made_project(nursery, tmp_path_factory.mktemp("one"), RECIPE)


@pytest.fixture(scope="module")
def stages(nursery, tmp_path_factory) -> Project:
    """Two trainings, a critic, aggressive encoder updates, batch norm, noise and a worker."""
    return made_project(nursery, tmp_path_factory.mktemp("two"), STAGES)


def at_an_operation(project, folder: Path, draw: random.Random, number: int, end):
    """End a run at one of its file operations; most of them belong to saving."""
    return end(folder, at=[draw.randint(1, project.operations)], signal=number)


def at_any_time(project, folder: Path, draw: random.Random, number: int, end):
    """End a run after a random time."""
    child = end(folder)
    time.sleep(draw.uniform(0, project.seconds))
    child.send(number)
    return child


def while_saving(project, folder: Path, draw: random.Random, number: int, end):
    """End a run in the milliseconds in which a checkpoint is written."""
    child = end(folder)
    steps = draw.randrange(6) * 3
    before = folder / f"checkpoints/checkpoint-{steps}"
    saving = folder / "checkpoints/.saving"
    while not child.ended() and not (saving.exists() and (not steps or before.exists())):
        pass
    time.sleep(draw.uniform(0, 0.02))
    child.send(number)
    return child


MOMENTS = (at_an_operation, at_any_time, while_saving)


def killed(project, folder: Path, moment, draw: random.Random) -> bool:
    """Kill a run, perhaps its successor too, and resume; whether it died while it saved."""
    answer = moment(project, folder, draw, SIGKILL, project.begin).wait()
    saving = (folder / "checkpoints/.saving").exists()
    assert answer.code in (0, -SIGKILL)
    assert_checkpoints_are_whole(folder)
    if draw.random() < 0.3:
        moment(project, folder, draw, SIGKILL, project.resume).wait()
        saving |= (folder / "checkpoints/.saving").exists()
        assert_checkpoints_are_whole(folder)
    project.assert_ends_as_the_whole_run(folder)
    return saving


def interrupted(project, folder: Path, moment, draw: random.Random) -> None:
    """Press Ctrl-C once in a run, and resume."""
    answer = moment(project, folder, draw, SIGINT, project.begin).wait()
    if answer.code != 0:
        assert_one_line(answer, 130, "stopped")
        assert ("--resume" in answer.last) == (folder / "recipe.yaml").exists()
    assert_checkpoints_are_whole(folder)
    project.assert_ends_as_the_whole_run(folder)


def test_killed_and_interrupted(project, tmp_path):
    """The short version: the seed is the day, so that the moments differ."""
    draw = random.Random(int(time.time()) // 86400)
    killed(project, tmp_path / "a", at_an_operation, draw)
    killed(project, tmp_path / "b", while_saving, draw)
    interrupted(project, tmp_path / "c", at_an_operation, draw)


@pytest.mark.slow
def test_fifty_kills(project, tmp_path):
    draw = random.Random(0)
    saving = []
    for number in range(50):
        saving.append(killed(project, tmp_path / f"{number}", MOMENTS[number % 3], draw))
        shutil.rmtree(tmp_path / f"{number}")
    print(f"{len(saving)} of 50 equal; {sum(saving)} were killed inside saving")
    assert sum(saving) >= 10  # fewer on a busy machine


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_all_that_a_run_may_have_is_resumed(stages, tmp_path, number):
    draw = random.Random(100 + number)
    moment = at_an_operation if number % 2 else at_any_time
    if number < 10:
        killed(stages, tmp_path / "run", moment, draw)
    else:
        interrupted(stages, tmp_path / "run", moment, draw)


@pytest.mark.slow
def test_fifty_interrupts(project, tmp_path):
    draw = random.Random(1)
    for number in range(50):
        interrupted(project, tmp_path / f"{number}", MOMENTS[number % 3], draw)
        shutil.rmtree(tmp_path / f"{number}")


@pytest.mark.slow
def test_impatient_interrupts(project, tmp_path):
    """A second Ctrl-C, a moment after the first, interrupts at once."""
    draw = random.Random(2)
    for number in range(20):
        folder = tmp_path / f"{number}"
        first = draw.randint(1, project.operations)
        moments = [first, first + draw.randint(1, 8)]
        answer = project.begin(folder, at=moments, signal=SIGINT).wait()
        if answer.code != 0:
            assert_one_line(answer, 130, "stopped")
        assert_checkpoints_are_whole(folder)
        project.assert_ends_as_the_whole_run(folder)


@pytest.mark.slow
def test_one_of_two_processes_wins(project, tmp_path):
    for number in range(5):
        folder = tmp_path / f"{number}"
        both = [project.begin(folder), project.begin(folder)]
        answers = sorted((child.wait() for child in both), key=lambda answer: answer.code)
        assert answers[0].code == 0, answers[0].err
        assert_one_line(answers[1], 2, f"error: {folder}")
        project.assert_same(folder)


@pytest.mark.slow
def test_nobody_resumes_what_still_runs(project, tmp_path):
    first = project.begin(tmp_path / "run")
    while not (tmp_path / "run/checkpoints").exists():
        assert not first.ended()
    assert_one_line(
        project.resume(tmp_path / "run").wait(), 2, f"error: {tmp_path / 'run'}: another"
    )
    assert first.wait().code == 0
    project.assert_same(tmp_path / "run")


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def disk(tmp_path):
    """A disk of its own, whose size a function sets."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(size: int, *options: str) -> bool:
        given = ",".join([f"size={size}", *options])
        command = ["mount", "-t", "tmpfs", "-o", given, "tmpfs", str(place)]
        return subprocess.run(command, capture_output=True).returncode == 0

    if not mount(2**20):
        pytest.skip("a disk can be mounted as root only")
    try:
        yield place, lambda size: mount(size, "remount")
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
def test_a_full_disk(project, disk):
    """ENOSPC from a real file system, at twenty places between the first byte and the last."""
    place, resize = disk
    draw = random.Random(3)
    for number in range(20):
        folder = place / "run"
        size = draw.randint(1, size_of(project.whole)) // 4096 * 4096 + 4096
        assert resize(size)
        answer = project.begin(folder).wait()
        assert_one_line(answer, 2, FULL)
        assert_checkpoints_are_whole(folder)
        assert resize(2**24)
        project.assert_ends_as_the_whole_run(folder)
        shutil.rmtree(folder)
        print(number, size)


@pytest.mark.slow
def test_a_file_that_may_not_grow(project, tmp_path):
    """A limit on the size of files (EFBIG) stands for a full disk where none can be mounted."""
    largest = max(path.stat().st_size for path in project.whole.rglob("*") if path.is_file())
    draw = random.Random(4)
    for number in range(10):
        folder = tmp_path / f"{number}"
        answer = project.begin(folder, bytes=draw.randint(600, largest - 1)).wait()
        assert_one_line(answer, 2, "error")
        assert_checkpoints_are_whole(folder)
        project.assert_ends_as_the_whole_run(folder)
