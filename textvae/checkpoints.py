"""Files and folders written atomically, with a manifest that reveals damage."""

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
PARTIAL = ".part"
"""Ending of the name of a file that is being written."""


class CheckpointError(ValueError):
    """A folder without a model of this package, or a damaged one."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A path to write at, in the folder of `path`; the whole file replaces `path` at the end.

    Whatever happens meanwhile, `path` is the old file or the new one: the new one is on the disk
    before it gets the name. A link stays, and what it refers to is replaced. A pipe or a device
    cannot be replaced and is written to as it is.

    Raises:
        OSError: the file cannot be written, or `path` is a folder.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    target = Path(os.path.realpath(path))
    # Of another process, or of a killed one, is the same name but for the random part.
    partial = target.with_name(f".{target.name[:40]}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        yield partial
        sync(partial)
        partial.replace(target)
        sync(target.parent)
    except OSError as error:
        if error.filename == str(partial):
            error.filename = str(path)  # the name that the user knows
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_file(path: Path, content: str | bytes) -> None:
    """Write bytes, or a text as UTF-8, see `atomic_file`.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_file(path) as partial:
        partial.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def is_partial(name: str, of: str) -> bool:
    """Whether a file's name is one that a killed `atomic_file` left of another."""
    return name.startswith(f".{of[:40]}.") and name.endswith(PARTIAL)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    Raises:
        OSError: the disk is full or fails.
    """
    if not path.is_dir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        return
    with suppress(PermissionError):  # Windows opens no folders
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path) -> None:
    """Write the manifest of a finished folder: the name and SHA-256 of every file in it.

    The files are on the disk before it is.
    """
    # An interrupted call may have left them there.
    for left in folder.glob(f".{MANIFEST}*"):
        left.unlink()
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    for path in files:
        sync(path)
    manifest = {str(p.relative_to(folder)): digest(p) for p in files}
    write_file(folder / MANIFEST, json.dumps(manifest, indent=1))


def update_manifest(folder: Path, written: Iterable[str]) -> None:
    """Enter files that were written anew in the manifest of a folder; those that are gone leave it.

    What the manifest does not name, such as results beside a model, it does not name afterwards.
    """
    known = [name for name in read_object(folder / MANIFEST) if (folder / name).is_file()]
    names = sorted({*known, *written})
    manifest = {name: digest(folder / name) for name in names}
    write_file(folder / MANIFEST, json.dumps(manifest, indent=1))


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a run.

    Raises:
        OSError: it cannot be read.
        CheckpointError: it holds something else; the file is named.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} is damaged: it is no JSON object")
    return document


def damage(folder: Path) -> str | None:
    """The first mismatch of a folder with its manifest, in words; None if there is none."""
    try:
        manifest = read_object(folder / MANIFEST)
    except OSError:
        return "it was not finished"
    except CheckpointError:
        return f"{MANIFEST} is damaged"
    for name, expected in manifest.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if digest(path) != expected:
            return f"{name} is damaged"
    return None


def discard(folder: Path) -> None:
    """Remove a folder atomically: its name never refers to a part of it.

    Of a link the link alone is removed.
    """
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        leaving = folder.with_name(".leaving")
        # An interrupted call may have left `leaving` there.
        shutil.rmtree(leaving, ignore_errors=True)
        folder.rename(leaving)
        shutil.rmtree(leaving, ignore_errors=True)


def remove_written(folder: Path) -> None:
    """Remove the files that a folder's manifest names, and the folder if it is empty then.

    What others put there stays; of a link nothing is removed.
    """
    if folder.is_symlink() or not folder.is_dir():
        return
    with suppress(OSError, ValueError):
        for name in read_object(folder / MANIFEST):
            (folder / name).unlink(missing_ok=True)
        (folder / MANIFEST).unlink()
    with suppress(OSError):
        folder.rmdir()


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
        step = int(read_object(path / "trainer_state.json")["best_global_step"])
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
    with incoming_files(folder) as incoming:
        yield incoming
        write_manifest(incoming)


@contextmanager
def incoming_files(folder: Path) -> Iterator[Path]:
    """`atomic_folder` without a manifest of the files."""
    folder.mkdir(parents=True, exist_ok=True)
    incoming = folder / ".incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir()
    try:
        yield incoming
        for path in incoming.rglob("*"):
            if path.is_file():
                sync(path)
        for path in sorted(incoming.iterdir(), key=lambda path: (path.name == MANIFEST, path.name)):
            path.replace(folder / path.name)
        sync(folder)
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
        sync(folder.parent)
    finally:
        shutil.rmtree(saving, ignore_errors=True)
