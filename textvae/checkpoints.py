"""Folders that are either whole or refused: manifests, atomic model folders, strict loading."""

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
    """A folder that is no model of ours, or a damaged one."""


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: Path) -> None:
    """Write the manifest of a finished folder: the name and SHA-256 of every file in it."""
    beside = folder / f".{MANIFEST}"
    # An interrupted call may have left `beside` there.
    beside.unlink(missing_ok=True)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    manifest = {str(p.relative_to(folder)): digest(p) for p in files}
    with beside.open("w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / MANIFEST)


def damage(folder: Path) -> str | None:
    """What is wrong with a sealed folder, in words; None when every file is as it was written."""
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


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first."""
    found = [(re.fullmatch(r"checkpoint-(\d+)", p.name), p) for p in folder.glob("checkpoint-*")]
    return [path for _, path in sorted((int(m[1]), path) for m, path in found if m)]


def last_sound_checkpoint(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest undamaged checkpoint of a folder, and a line for each newer one passed over."""
    notes = []
    for path in reversed(checkpoints(folder)):
        problem = damage(path)
        if problem is None:
            return path, notes
        notes.append(f"{path} is left out: {problem}")
    return None, notes


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without the bars and remarks of transformers: what matters of them we say ourselves."""
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
def written_whole(folder: Path) -> Iterator[Path]:
    """A folder to write into, whose files replace those of `folder` only when all are written."""
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / ".incoming"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        yield beside
        for path in sorted(beside.iterdir()):
            path.replace(folder / path.name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
