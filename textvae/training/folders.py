"""The folder of a run: its files, its lock, what it was trained on; without torch."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textvae.checkpoints import (
    CheckpointError,
    is_partial,
    last_sound_checkpoint,
    read_object,
    remove_written,
    write_file,
)
from textvae.config import FORMER_SPLIT
from textvae.console import INTERRUPTED
from textvae.data.held_out import ByContent
from textvae.data.readers import Corpus
from textvae.data.tables import TableCorpus
from textvae.data.texts import add_text, sha_of
from textvae.documents import parse_yaml
from textvae.recipes import Recipe, read_recipe
from textvae.training.longer import differs_in_length, refusal
from textvae.training.processes import process_rank

if TYPE_CHECKING:
    from textvae.data.corpora import AnyCorpus

TRAINER_STATE = "trainer_state.json"
"""File of a checkpoint, as transformers names it."""

RECIPE, STATE, RESULTS, WEIGHTS = "recipe.yaml", "run.json", "results.json", "model.safetensors"
TOKENIZER, CHECKPOINTS, PRETRAINING = "tokenizer", "checkpoints", "pretrain"
"""Folders of a run, in which files are replaced and removed."""


class RunError(ValueError):
    """A run folder that cannot be used as asked."""


class OccupiedError(RunError):
    """Another process trains in the folder."""


class InterruptedRunError(Exception):
    """Training stopped on request; its checkpoint is saved.

    Args:
        message: how to go on.
        code: exit code of the command.
    """

    def __init__(self, message: str, code: int = INTERRUPTED):
        super().__init__(message)
        self.code = code


def how_to_go_on(folder: Path) -> str:
    """The message of a run that was stopped."""
    if not (folder / RECIPE).exists():
        return "stopped before the run began"
    return f"stopped; go on with: textvae train --resume --output {shlex.quote(str(folder))}"


@dataclass
class Start:
    """What this process has made of a run's folder; taken back if training never begins.

    Args:
        folder: of the run.
        made: folders that were not there, the innermost first.
        described: whether the run's recipe and state were written.
        begun: whether a step was taken, or may have been.
    """

    folder: Path
    made: list[Path] = field(default_factory=list)
    described: bool = False
    begun: bool = False

    def make_folder(self) -> None:
        """Make the folder with its parents, where they are not there."""
        missing = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        for path in reversed(missing):
            with suppress(FileExistsError):  # another process was faster, or a file is there
                path.mkdir()
                self.made.insert(0, path)

    def take_back(self) -> None:
        """Remove the files that this process wrote, and the folders it made that are empty now.

        What others put there stays, and so do folders that were there before.
        """
        if self.described:
            for name in (RECIPE, STATE):
                (self.folder / name).unlink(missing_ok=True)
            for name in (TOKENIZER, CHECKPOINTS):
                remove_written(self.folder / name)
        with suppress(OSError):  # not empty
            for path in self.made:
                path.rmdir()


@contextmanager
def new_run(folder: Path, resume: bool) -> Iterator[Start]:
    """What is made of a run's folder, locked; taken back after an error before the first step.

    Ctrl-C leaves a run that is described where it can be resumed.

    Raises:
        OccupiedError: another process has locked the folder.
        RunError: there is nothing to resume.
    """
    start = Start(folder)
    if process_rank() > 0:
        yield start
        return
    if resume and not folder.is_dir():
        raise RunError(f"{folder} holds no run to resume")
    try:
        start.make_folder()
    except OSError:
        start.take_back()
        raise
    with folder_lock(folder):
        try:
            yield start
        except BaseException as error:
            resumes = not isinstance(error, Exception) and (folder / RECIPE).exists()
            if not start.begun and not resumes:
                with suppress(OSError):  # the first error is the one to report
                    start.take_back()
            raise


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Lock a run's folder; the lock ends with the process.

    Raises:
        OccupiedError: another process has locked it.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise OccupiedError(
            f"{folder}: another process trains there; wait for it, or name another --output"
        ) from None
    handles = [handle]

    def release() -> None:
        while handles:
            os.close(handles.pop())

    # A data loader's worker outlives a killed parent by seconds, and would keep the lock as long.
    os.register_at_fork(after_in_child=release)
    try:
        yield
    finally:
        release()


def open_folder(
    recipe: Recipe,
    corpus: AnyCorpus,
    folder: Path,
    resume: bool,
    note: Callable[[str], None],
    threads: int,
    start: Start | None = None,
) -> Path | None:
    """Describe a run in its folder, or reopen it; the checkpoint to go on from, if any.

    The number of CPU threads is stored: a resumed run takes as many.

    Only the first of several processes checks and writes. The others need not wait for it: a
    barrier here would start torch.distributed before transformers does, which then trains each
    process on its own.
    """
    if process_rank() == 0:
        check_folder(recipe, corpus, folder, resume)
        if not resume or saved_recipe(folder).document() != recipe.document():
            if start is not None:
                start.described = not resume
            write_description(recipe, corpus, folder, threads)
    if not resume:
        return None
    checkpoint, notes = last_sound_checkpoint(folder / CHECKPOINTS)
    for text in notes:
        note(text)
    return checkpoint


def check_folder(recipe: Recipe, corpus: AnyCorpus, folder: Path, resume: bool) -> None:
    """Refuse to train over another run, or to resume what is not there.

    Raises:
        RunError: what the folder holds, and what is allowed.
    """
    if not (folder / RECIPE).exists():
        if resume:
            raise RunError(f"{folder} holds no run to resume")
        if folder.exists() and not (folder.is_dir() and is_vacant(folder)):
            raise RunError(f"{folder} is not empty: name a new folder with --output")
        return
    if not resume:
        raise RunError(
            f"{folder} holds a run already: --resume to go on, or another --output to begin"
        )
    for name in (CHECKPOINTS, TOKENIZER, PRETRAINING):
        if (folder / name).is_symlink():
            raise RunError(
                f"{folder / name} is a link: training would delete files of another folder; put "
                "the folder itself in its place"
            )
    saved = saved_recipe(folder)
    if differs_in_length(recipe, saved):
        if (reason := refusal(recipe, saved, folder)) is not None:
            raise RunError(reason)
    elif not recipe.trains_as(saved):
        raise RunError(
            f"{folder} holds a run of another recipe; --resume takes no change but train.epochs"
        )
    if read_state(folder).get("fingerprint") != fingerprint(corpus):
        kinds = {Corpus: "texts", TableCorpus: "rows"}
        what = kinds.get(type(corpus), "images")
        raise RunError(f"{folder} was trained on other {what} than {corpus.source} now holds")


def is_vacant(folder: Path) -> bool:
    """Whether a folder holds at most the files of a process that was killed before training."""
    return all(
        path.name in (STATE, f".{RECIPE}")
        or any(is_partial(path.name, of) for of in (STATE, RECIPE))
        for path in folder.iterdir()
    )


def write_description(recipe: Recipe, corpus: AnyCorpus, folder: Path, threads: int) -> None:
    """Write a run's description. The recipe comes last: a folder that holds it is a run."""
    state = {
        "recipe": recipe.name,
        "data": corpus.source,
        "fingerprint": fingerprint(corpus),
        "threads": threads,
        "test_fingerprint": test_fingerprint(corpus),
        "held_out": corpus.held_out,
    }
    write_file(folder / STATE, json.dumps(state, indent=1) + "\n")
    write_file(folder / RECIPE, recipe.yaml())


def saved_recipe(folder: Path) -> Recipe:
    """The recipe of a run.

    Raises:
        RunError: the folder holds none.
        CheckpointError: it is damaged.
    """
    try:
        text = (folder / RECIPE).read_text(encoding="utf-8")
    except OSError:
        raise RunError(f"{folder} holds no run: {RECIPE} is missing") from None
    document = parse_yaml(text, str(folder / RECIPE))
    if not isinstance(document, dict):
        raise CheckpointError(f"{folder / RECIPE} is damaged: it holds no recipe")
    data = document.get("data")
    if isinstance(data, dict) and not data.keys() & FORMER_SPLIT.keys():
        data |= FORMER_SPLIT
    return read_recipe(document, str(read_state(folder).get("recipe", folder.name)))


def read_state(folder: Path) -> dict[str, Any]:
    """The contents of a run's `run.json`; empty when it is missing.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        return read_object(folder / STATE)
    except OSError:
        return {}


def held_out_of(folder: Path) -> ByContent | None:
    """The rows that a run has held out by content; None where it has held out none so.

    Raises:
        RunError: `run.json` is damaged.
    """
    facts = read_state(folder).get("held_out")
    if facts is None or facts == {"split_by": "row"}:
        return None
    try:
        return ByContent.from_facts(facts)
    except ValueError as error:
        raise RunError(f"{folder / STATE}: held_out: {error}") from None


def changed_parts(folder: Path, corpus: AnyCorpus) -> list[str]:
    """The parts of a corpus that are not those of a run: `training`, `test`, where it is known."""
    state = read_state(folder)
    now = {
        "training": ("fingerprint", fingerprint(corpus)),
        "test": ("test_fingerprint", test_fingerprint(corpus)),
    }
    return [part for part, (key, value) in now.items() if state.get(key) not in (None, value)]


def fingerprint(corpus: AnyCorpus) -> str:
    """A SHA-256 of the training and validation texts, images or rows."""
    if not isinstance(corpus, Corpus):
        return corpus.fingerprint()
    sha = sha_of(corpus.train)
    sha.update(b"\0")
    for text in corpus.valid:
        add_text(sha, text)
    sha.update(b"\0")
    for label in (label for split in (corpus.labels or {}).values() for label in split):
        add_text(sha, label)
    return sha.hexdigest()


def test_fingerprint(corpus: AnyCorpus) -> str:
    """A SHA-256 of the test texts, images or rows; of nothing where there are none."""
    if not isinstance(corpus, Corpus):
        return corpus.test_fingerprint()
    return sha_of(corpus.test).hexdigest()


def last_run(parent: Path = Path("runs")) -> Path:
    """The run whose model was saved last.

    Raises:
        CheckpointError: there is none.
    """
    run = newest(parent, WEIGHTS)
    if run is None:
        raise CheckpointError(f"no trained run in {parent}{os.sep}: name one with --model")
    return run


def newest(parent: Path, file: str) -> Path | None:
    """The folder in `parent` whose `file` was written last; None if there is none."""
    paths = list(parent.glob(f"*/{file}"))
    return max(paths, key=lambda path: path.stat().st_mtime).parent if paths else None


def next_folder(name: str, parent: Path = Path("runs")) -> Path:
    """The first free folder for a run of this name: runs/name, runs/name-2, ..."""
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}-{number}")
        if not folder.exists():
            return folder
        number += 1
