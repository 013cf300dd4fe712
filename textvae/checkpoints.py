"""Folders written atomically, with a manifest that reveals damage."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MANIFEST = "manifest.json"


class CheckpointError(ValueError):
    """A folder without a model of this package, or a damaged one."""


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path) -> None:
    """Write the manifest of a finished folder: the name and SHA-256 of every file in it."""
    incoming = folder / f".{MANIFEST}"
    # An interrupted call may have left `incoming` there.
    incoming.unlink(missing_ok=True)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    manifest = {str(p.relative_to(folder)): digest(p) for p in files}
    with incoming.open("w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    incoming.replace(folder / MANIFEST)


def damage(folder: Path) -> str | None:
    """The first mismatch of a folder with its manifest, in words; None if there is none."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "it was not finished"
    for name, expected in manifest.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if digest(path) != expected:
            return f"{name} is damaged"
    return None


def discard(folder: Path) -> None:
    """Remove a folder atomically: its name never refers to a part of it."""
    if folder.exists():
        leaving = folder.with_name(".leaving")
        # An interrupted call may have left `leaving` there.
        shutil.rmtree(leaving, ignore_errors=True)
        folder.rename(leaving)
        shutil.rmtree(leaving, ignore_errors=True)


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first."""
    matches = [(re.fullmatch(r"checkpoint-(\d+)", p.name), p) for p in folder.glob("checkpoint-*")]
    return [path for _, path in sorted((int(m[1]), path) for m, path in matches if m)]


def last_sound_checkpoint(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint to go on from, and a line for each newer one passed over.

    It is undamaged, and so is the best one before it: a run may end with the weights of that.
    """
    notes = []
    for path in reversed(checkpoints(folder)):
        problem = damage(path)
        if problem is None and (best := best_checkpoint(path)) != path:
            wrong = damage(best)
            problem = wrong and f"{best.name}, the best until then, is lost: {wrong}"
        if problem is None:
            return path, notes
        notes.append(f"{path} is left out: {problem}")
    if notes:
        notes.append("no checkpoint is whole: training begins again")
    return None, notes


def best_checkpoint(path: Path) -> Path:
    """The checkpoint with the best validation up to `path`, in the same folder."""
    try:
        state = json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        step = int(state["best_global_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return path
    return path.with_name(f"checkpoint-{step}")


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without progress bars and log messages of transformers."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, whose files replace those of `folder` only when all are written.

    Their manifest is replaced last: `damage` finds a mixture of old and new files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    incoming = folder / ".incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir()
    try:
        yield incoming
        write_manifest(incoming)
        for path in sorted(incoming.iterdir(), key=lambda path: (path.name == MANIFEST, path.name)):
            path.replace(folder / path.name)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


@contextmanager
def put_in_place(folder: Path) -> Iterator[Path]:
    """A path to write a folder at, which then gets a manifest and is renamed to `folder`.

    An old folder of that name is removed first: for a moment there is none.
    """
    saving = folder.with_name(".saving")
    shutil.rmtree(saving, ignore_errors=True)
    try:
        yield saving / folder.name
        write_manifest(saving / folder.name)
        discard(folder)
        (saving / folder.name).rename(folder)
    finally:
        shutil.rmtree(saving, ignore_errors=True)
