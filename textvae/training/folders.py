"""The folder of a run: its files, its lock, what it was trained on; without torch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textvae.checkpoints import CheckpointError, last_sound_checkpoint
from textvae.config import FORMER_SPLIT
from textvae.data.held_out import ByContent
from textvae.data.readers import Corpus
from textvae.data.texts import add_text, sha_of
from textvae.recipes import Recipe, parse_yaml, read_recipe
from textvae.training.longer import differs_in_length, refusal
from textvae.training.processes import process_rank

if TYPE_CHECKING:
    from textvae.data.images import ImageCorpus

TRAINER_STATE = "trainer_state.json"
"""File of a checkpoint, as transformers names it."""

RECIPE, STATE, RESULTS, WEIGHTS = "recipe.yaml", "run.json", "results.json", "model.safetensors"


class RunError(ValueError):
    """A run folder that cannot be used as asked."""


class OccupiedError(RunError):
    """Another process trains in the folder."""


class InterruptedRunError(Exception):
    """Training stopped on request; its checkpoint is saved."""


def how_to_go_on(folder: Path) -> str:
    """The message of a run that was stopped."""
    if not (folder / RECIPE).exists():
        return "stopped before the run began"
    return f"stopped; go on with: textvae train --resume --output {folder}"


@contextmanager
def folder_lock(folder: Path, resume: bool) -> Iterator[None]:
    """Lock a run's folder, made if it is new; the lock ends with the process.

    Raises:
        OccupiedError: another process has locked it.
        RunError: there is nothing to resume.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on Windows
        yield
        return
    if process_rank() > 0:
        yield
        return
    if resume and not folder.is_dir():
        raise RunError(f"{folder} holds no run to resume")
    with suppress(FileExistsError):  # a file: refused with the rest of the checks
        folder.mkdir(parents=True, exist_ok=True)
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
    corpus: Corpus | ImageCorpus,
    folder: Path,
    resume: bool,
    note: Callable[[str], None],
    threads: int,
) -> Path | None:
    """Make or reopen a run's folder; the checkpoint to go on from, if any.

    The number of CPU threads is stored: a resumed run takes as many.

    Only the first of several processes checks and writes. The others need not wait for it: a
    barrier here would start torch.distributed before transformers does, which then trains each
    process on its own.
    """
    if process_rank() == 0:
        check_folder(recipe, corpus, folder, resume)
        if not resume or saved_recipe(folder).document() != recipe.document():
            make_folder(recipe, corpus, folder, threads)
    if not resume:
        return None
    checkpoint, notes = last_sound_checkpoint(folder / "checkpoints")
    for text in notes:
        note(text)
    return checkpoint


def check_folder(recipe: Recipe, corpus: Corpus | ImageCorpus, folder: Path, resume: bool) -> None:
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
    saved = saved_recipe(folder)
    if differs_in_length(recipe, saved):
        if (reason := refusal(recipe, saved, folder)) is not None:
            raise RunError(reason)
    elif not recipe.trains_as(saved):
        raise RunError(
            f"{folder} holds a run of another recipe; --resume takes no change but train.epochs"
        )
    if read_state(folder).get("fingerprint") != fingerprint(corpus):
        what = "texts" if isinstance(corpus, Corpus) else "images"
        raise RunError(f"{folder} was trained on other {what} than {corpus.source} now holds")


def is_vacant(folder: Path) -> bool:
    """Whether a folder holds at most the files of a process that was killed before training."""
    return {path.name for path in folder.iterdir()} <= {STATE, f".{RECIPE}"}


def make_folder(recipe: Recipe, corpus: Corpus | ImageCorpus, folder: Path, threads: int) -> None:
    """Write a run's description. The recipe comes last: a folder that holds it is a run."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "recipe": recipe.name,
        "data": corpus.source,
        "fingerprint": fingerprint(corpus),
        "threads": threads,
        "test_fingerprint": test_fingerprint(corpus),
        "held_out": corpus.held_out,
    }
    (folder / STATE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    incoming = folder / f".{RECIPE}"
    incoming.write_text(recipe.yaml(), encoding="utf-8")
    incoming.replace(folder / RECIPE)


def saved_recipe(folder: Path) -> Recipe:
    """The recipe of a run.

    Raises:
        RunError: the folder holds none.
    """
    try:
        text = (folder / RECIPE).read_text(encoding="utf-8")
    except OSError:
        raise RunError(f"{folder} holds no run: {RECIPE} is missing") from None
    document = parse_yaml(text, str(folder / RECIPE))
    data = document.get("data") if isinstance(document, dict) else None
    if isinstance(data, dict) and not data.keys() & FORMER_SPLIT.keys():
        data |= FORMER_SPLIT
    return read_recipe(document, read_state(folder).get("recipe", folder.name))


def read_state(folder: Path) -> dict[str, Any]:
    """The contents of a run's `run.json`; empty when it is missing."""
    try:
        return json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
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


def changed_parts(folder: Path, corpus: Corpus | ImageCorpus) -> list[str]:
    """The parts of a corpus that are not those of a run: `training`, `test`, where it is known."""
    state = read_state(folder)
    now = {
        "training": ("fingerprint", fingerprint(corpus)),
        "test": ("test_fingerprint", test_fingerprint(corpus)),
    }
    return [part for part, (key, value) in now.items() if state.get(key) not in (None, value)]


def fingerprint(corpus: Corpus | ImageCorpus) -> str:
    """A SHA-256 of the training and validation texts or images."""
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


def test_fingerprint(corpus: Corpus | ImageCorpus) -> str:
    """A SHA-256 of the test texts or images; of nothing where there are none."""
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
