"""The files of a folder or of a zip file by their path in it, read one at a time."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from textvae.data.errors import DataError, first_line
from textvae.data.splits import SPLITS

SPLIT_WORDS = {word: split for split, words in SPLITS.items() for word in words} | {
    "t10k": "test",
    "testing": "test",
}
"""The split of a file, folder or array of images by a word of its name, in lower case."""

HIDDEN = frozenset(
    {
        "__macosx",
        "__pycache__",
        "@eadir",
        "@recycle",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "desktop.ini",
        "lost+found",
        "system volume information",
        "thumbs.db",
    }
)
"""Names that operating systems, file servers and Python give their own files, in lower case."""

MAX_UNPACKED = 2 * 2**30
"""Bytes that the files of a zip may have together, unpacked."""

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
"""How the text begins that Git LFS leaves in place of a file."""

SHOWN_NAMES = 5
"""Number of names that a note lists."""


@dataclass(frozen=True)
class FileTree:
    """The files of a folder or a zip file; hidden ones are left out.

    Args:
        where: path of the folder or the zip file.
        files: reads the bytes of each file, by its path in the tree with "/".
        folders: paths of its folders.
        hidden: paths of hidden files and folders; what a hidden folder holds is not listed.
    """

    where: str
    files: dict[str, Callable[[], bytes]] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    def read(self, path: str) -> bytes:
        """The bytes of a file.

        Raises:
            DataError: it cannot be read, or is a Git LFS pointer.
        """
        where = f"{self.where}/{path}"
        try:
            data = self.files[path]()
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise DataError(f"{where}: cannot be unpacked ({first_line(error)})") from None
        except OSError as error:
            raise DataError(f"{where}: {error.strerror or first_line(error)}") from None
        refuse_pointer(where, data)
        return data


def refuse_pointer(where: str, data: bytes) -> None:
    """Refuse what Git LFS leaves in place of a file.

    Raises:
        DataError: naming it.
    """
    if data.startswith(LFS_POINTER):
        raise DataError(f"{where}: is a Git LFS pointer, not the file itself (type: git lfs pull)")


@contextmanager
def open_tree(path: Path) -> Iterator[FileTree]:
    """The files of a folder or a zip file; those of a zip are read in memory, none is written.

    Raises:
        DataError: the zip file is damaged, encrypted or too large.
        OSError: the folder cannot be read.
    """
    if path.is_dir():
        tree = FileTree(str(path))
        add_folder(tree, path, "", frozenset())
        yield tree
        return
    try:
        with zipfile.ZipFile(path) as archive:
            yield zip_tree(path, archive)
    except zipfile.BadZipFile:
        raise DataError(f"{path}: is no readable .zip file") from None


def add_folder(tree: FileTree, folder: Path, prefix: str, above: frozenset[Path]) -> None:
    """Add what a folder holds to a tree, under a prefix; a link to a folder above is not followed.

    A link to nothing is a file that cannot be read.
    """
    above = above | {folder.resolve()}
    for entry in sorted(folder.iterdir()):
        path = f"{prefix}{entry.name}"
        if is_hidden(entry.name) or (entry.is_dir() and entry.resolve() in above):
            tree.hidden.append(path)
        elif entry.is_dir():
            tree.folders.append(path)
            add_folder(tree, entry, f"{path}/", above)
        elif entry.is_file() or entry.is_symlink():
            tree.files[path] = entry.read_bytes
        else:
            tree.hidden.append(path)


def zip_tree(path: Path, archive: zipfile.ZipFile) -> FileTree:
    """The files of an open zip file.

    A path that leads out of the archive is left out as a hidden one; nothing is written anyway.

    Raises:
        DataError: the files are encrypted, or too large together.
    """
    tree, size = FileTree(str(path)), 0
    folders: set[str] = set()
    for info in archive.infolist():
        parts = [part for part in info.filename.replace("\\", "/").split("/") if part]
        hidden = next((n for n, part in enumerate(parts) if is_hidden(part)), None)
        if hidden is not None:
            tree.hidden.append("/".join(parts[: hidden + 1]))
            continue
        depth = len(parts) if info.is_dir() else len(parts) - 1
        folders |= {"/".join(parts[:end]) for end in range(1, depth + 1)}
        if info.is_dir():
            continue
        if info.flag_bits & 1:
            raise DataError(f"{path}: is encrypted; unpack it and give the folder")
        size += info.file_size
        tree.files["/".join(parts)] = lambda info=info: archive.read(info)
    if size > MAX_UNPACKED:
        raise DataError(
            f"{path}: holds {size / 2**30:.1f} GiB unpacked (at most {MAX_UNPACKED / 2**30:g}); "
            "unpack it and give the folder"
        )
    hidden_once = list(dict.fromkeys(tree.hidden))
    return FileTree(tree.where, tree.files, sorted(folders), hidden_once)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is none of the user's: `.DS_Store`, `._x.png`, `__MACOSX`."""
    return name.startswith(".") or name.lower() in HIDDEN


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts the numbers in names by their value: 1, 2, 10.

    >>> sorted(["10", "2", "b", "a10", "a9", "01"], key=natural_key)
    ['01', '2', '10', 'a9', 'a10', 'b']
    """
    parts = (part for part in re.split(r"([0-9]+)", name) if part)
    key = [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]
    return tuple(key)


def listed(names: Iterable[str]) -> str:
    """The first names, and how many there are where these are not all.

    >>> listed(["a", "b"]), listed("abcdefg")
    ('a, b', 'a, b, c, d, e, ... (7)')
    """
    known = list(names)
    more = f", ... ({len(known):,})" if len(known) > SHOWN_NAMES else ""
    return ", ".join(known[:SHOWN_NAMES]) + more
