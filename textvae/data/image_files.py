"""Files of images in one table of formats, and folders and zip files of them."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from textvae.data.errors import DataError, first_line
from textvae.data.file_trees import (
    SPLIT_WORDS,
    FileTree,
    listed,
    natural_key,
    open_tree,
    refuse_pointer,
)
from textvae.data.npz_files import npz_splits
from textvae.data.picture_files import PICTURES, PictureSet, decoded
from textvae.data.pixels import Split, View, checked_split

ALLOWED = (
    "a folder or .zip with idx files or pictures, an .npz or idx file, "
    "a picture (.png, .jpg, .webp, .bmp, .tif, .gif), or a hub name"
)

IDX_CONTENTS = {"images": "images", "image": "images", "labels": "labels", "label": "labels"}
"""What an idx file holds, by a word of its name."""

Place = tuple[str, str, str]
"""The split, the class, empty without one, and the path of a picture."""


@dataclass(frozen=True)
class ImageFormat:
    """A format of image files.

    Args:
        name: of the format.
        matches: whether a file is of the format, by its lower-case name without `.gz`.
        read: reads the splits of a file, with notes for the user added to a list, and the bits of
            a pixel where they are not 8; a file without splits is `train`.
    """

    name: str
    matches: Callable[[str], bool]
    read: Callable[[Path, View, list[str]], tuple[dict[str, Split], int | None]]


def read_image_file(
    path: Path, view: View, notes: list[str]
) -> tuple[dict[str, Split], int | None]:
    """The images of one file, by split, and the bits of a pixel where they are not 8.

    Raises:
        DataError: the format is unknown, or the file is damaged.
    """
    name = path.name.lower().removesuffix(".gz")
    for format in IMAGE_FORMATS:
        if format.matches(name):
            with path.open("rb") as file:
                refuse_pointer(str(path), file.read(100))
            return format.read(path, view, notes)
    raise DataError(f"{path}: unknown file type (allowed: {ALLOWED})")


def read_folder(path: Path, view: View, notes: list[str]) -> tuple[dict[str, Split], int | None]:
    """The splits of a folder or a zip file: idx files by name, else pictures.

    Raises:
        DataError: there are no images, or a file is damaged.
    """
    with open_tree(path) as tree:
        pictures = [name for name in tree.files if name.lower().endswith(PICTURES)]
        idx = idx_names(tree)
        if idx or (not pictures and any(map(is_idx, tree.files))):
            splits, used, bits = idx_splits(tree, idx, notes), [*idx.values()], None
        elif pictures:
            splits, used, bits = picture_splits(tree, pictures, view, notes)
        else:
            raise DataError(f"{path}: holds no images ({found_text(tree)}; allowed: {ALLOWED})")
        notes += left_out_notes(tree, used)
        return splits, bits


def picture_files(path: Path) -> list[str]:
    """The files of the pictures that evaluation reads of a folder or zip file, in their order.

    They are those of test, else of validation, else of train; none of a source of another kind.
    """
    if not (path.is_dir() or path.suffix.lower() == ".zip"):
        return []
    with open_tree(path) as tree:
        pictures = [name for name in tree.files if name.lower().endswith(PICTURES)]
        if not pictures or idx_names(tree):
            return []
        places = sorted_places(tree.where, pictures)
    found = {split for split, _, _ in places}
    chosen = next(split for split in ("test", "valid", "train") if split in found)
    return [file for split, _, file in places if split == chosen]


def sorted_places(where: str, pictures: list[str]) -> list[tuple[str, str, str]]:
    """`places_of` pictures, by class and then by path."""
    return sorted(
        places_of(where, pictures),
        key=lambda place: (natural_key(place[1]), place[2].split("/")),
    )


def found_text(tree: FileTree) -> str:
    """What a tree without images holds, and which file of it can be given."""
    text = f"found: {listed(tree.files) or 'no file'}"
    readable = [name for name in tree.files if name.lower().endswith((".npz", ".zip"))]
    if readable and Path(tree.where).is_dir():
        return f"{text}; give one of them, as {tree.where}/{readable[0]}"
    return text


def left_out_notes(tree: FileTree, used: Iterable[str]) -> list[str]:
    """Sentences on the files and folders of a tree that were seen and not read."""
    read = set(used)
    others = sorted({*tree.files} - read, key=natural_key)
    pictures = [name for name in others if name.lower().endswith(PICTURES)]
    files = [name for name in others if name not in pictures]
    inside = {folder for path in tree.files for folder in folders_above(path)}
    empty = [name for name in tree.folders if name not in inside]
    left_out = {
        ("file", "files"): files,
        ("picture", "pictures"): pictures,
        ("empty folder", "empty folders"): empty,
        ("hidden entry", "hidden entries"): tree.hidden,
    }
    return [
        f"{tree.where}: left out {len(names):,} {units[len(names) > 1]}: {listed(names)}"
        for units, names in left_out.items()
        if names
    ]


def folders_above(path: str) -> list[str]:
    """The paths of the folders that a path is in."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def is_idx(name: str) -> bool:
    """Whether a name is that of an idx file, such as train-images-idx3-ubyte.gz."""
    return "-idx" in name.lower() or ".idx" in name.lower()


def idx_names(tree: FileTree) -> dict[tuple[str, str], str]:
    """The idx files of a tree by split and content, such as ("train", "images").

    Of a file and its .gz the unpacked one is taken.

    Raises:
        DataError: they are of several data sets, such as emnist-letters and emnist-digits, or two
            are of one split.
    """
    found: dict[tuple[str, str], str] = {}
    data_sets = set()
    for name in sorted(filter(is_idx, tree.files)):
        if name.lower().endswith(".gz") and name[:-3] in tree.files:
            continue
        folder, _, base = name.rpartition("/")
        words = re.split(r"([-._])", base.lower())
        split = next((n for n, word in enumerate(words) if word in SPLIT_WORDS), None)
        content = next((n for n, word in enumerate(words) if word in IDX_CONTENTS), None)
        if split is None or content is None:
            continue
        before = base[: len("".join(words[: min(split, content)]))].rstrip("-._")
        data_sets.add("/".join(filter(None, (folder, before))))
        key = SPLIT_WORDS[words[split]], IDX_CONTENTS[words[content]]
        if len(data_sets) > 1:
            names = ", ".join(sorted(name or "(no name)" for name in data_sets))
            raise DataError(f"{tree.where}: holds several data sets: {names}; keep one in a folder")
        if key in found:
            raise DataError(f"{tree.where}: two files of {' '.join(key)}: {found[key]}, {name}")
        found[key] = name
    return found


def idx_splits(
    tree: FileTree, names: dict[tuple[str, str], str], notes: list[str]
) -> dict[str, Split]:
    """The images and labels of idx files such as train-images-idx3-ubyte.gz, by split."""
    if not names:
        found = listed(filter(is_idx, tree.files))
        raise DataError(f"{tree.where}: no idx file is named by its split (found: {found})")
    splits = {}
    for split in dict.fromkeys(split for split, _ in names):
        parts = {
            content: idx_array(tree.read(name), f"{tree.where}/{name}")
            for (of, content), name in names.items()
            if of == split
        }
        if "images" not in parts:
            raise DataError(f"{tree.where}: {split} has labels and no images")
        images = upright(parts["images"], names[split, "images"], notes)
        splits[split] = checked_split(tree.where, images, parts.get("labels"))
    return splits


def upright(images: np.ndarray, name: str, notes: list[str]) -> np.ndarray:
    """Images of an idx file as they are seen: EMNIST's files have rows and columns exchanged."""
    if images.ndim != 3 or not name.rpartition("/")[2].lower().startswith("emnist"):
        return images
    note = "the images of EMNIST are turned upright: rows and columns are exchanged in its files"
    if note not in notes:
        notes.append(note)
    return np.ascontiguousarray(images.transpose(0, 2, 1))


def idx_array(data: bytes, where: str) -> np.ndarray:
    """The array in the bytes of an idx file of bytes, also gzipped, uint8.

    Raises:
        DataError: it is no such file, or its size is not that of its header.
    """
    if where.lower().endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except gzip.BadGzipFile:
            raise DataError(f"{where}: is not a gzip file, though its name ends in .gz") from None
        except (EOFError, zlib.error) as error:
            raise DataError(f"{where}: is damaged or cut short ({first_line(error)})") from None
    if len(data) < 4 or data[:3] != b"\0\0\x08" or not 1 <= data[3] <= 4:
        raise DataError(f"{where}: is no idx file of bytes (its first bytes: {data[:4].hex()})")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise DataError(f"{where}: is cut short in its header")
    shape = struct.unpack(f">{data[3]}I", data[4:start])
    if len(data) - start != int(np.prod(shape, dtype=object)):
        size = " x ".join(map(str, shape))
        raise DataError(f"{where}: its header says {size} bytes, it holds {len(data) - start:,}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def idx_file(path: Path, view: View, notes: list[str]) -> tuple[dict[str, Split], int | None]:
    """The images of one idx file, without labels; those beside it are named in a note."""
    images = upright(idx_array(path.read_bytes(), str(path)), path.name, notes)
    labels = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    if labels != path and labels.exists():
        notes.append(f"{path}: its labels, {labels.name}, are left out: give the folder of both")
    return {"train": checked_split(str(path), images, None)}, None


def picture_splits(
    tree: FileTree, pictures: list[str], view: View, notes: list[str]
) -> tuple[dict[str, Split], list[str], int | None]:
    """The pictures of each split of a tree, the paths of all, and their bits if these are not 8.

    The label of a picture is the name of its class, the folder below that of its split.

    Raises:
        DataError: one is damaged, or they differ in size.
    """
    places = sorted_places(tree.where, pictures)
    read = PictureSet(tree.where, view)
    for _, _, path in places:
        where = f"{tree.where}/{path}"
        read.add(where, decoded(tree.read(path), where, view.background))
    images, bits = read.images(notes)
    classes = np.array([name for _, name, _ in places])
    splits: dict[str, Split] = {}
    for split in dict.fromkeys(split for split, _, _ in places):
        rows = np.array([of == split for of, _, _ in places])
        labels = classes[rows]
        splits[split] = images[rows], labels if any(labels) else None
        loose = int((labels == "").sum())
        if 0 < loose < len(labels):
            notes.append(
                f"{tree.where}: {loose:,} {split} pictures are in no class folder: without a label"
            )
    return splits, [path for _, _, path in places], bits


def places_of(where: str, pictures: Sequence[str]) -> list[Place]:
    """The split and the class of each picture, by the names of the folders it is in.

    Folders may be classes, splits of classes, or classes of splits; `cat/sub/1.png` is a cat. A
    folder that holds all of them and is none of these is passed over.

    Raises:
        DataError: a folder is named by a split, and others beside it are not.
    """
    paths = [tuple(path.split("/")) for path in pictures]
    depth = len(outer_folders(paths))
    inner = [path[depth:] for path in paths]
    tops = sorted({path[0] for path in inner if len(path) > 1}, key=natural_key)
    named = [top for top in tops if top.lower() in SPLIT_WORDS]
    others = [top for top in tops if top not in named]
    if named and others:
        raise DataError(
            f"{where}: the folder {named[0]} is named by a split, and {listed(others)} beside it "
            "are not: put classes into the folders of splits and others elsewhere, or rename it if "
            "it is a class"
        )
    if named:
        refuse_twice(where, named)
        return [
            (SPLIT_WORDS[path[0].lower()], path[1] if len(path) > 2 else "", whole)
            for path, whole in zip(inner, pictures, strict=True)
            if len(path) > 1
        ]
    within = [len(path) > 2 and path[1].lower() in SPLIT_WORDS for path in inner]
    if any(within) and not all(within):
        inside, beside = pictures[within.index(True)], pictures[within.index(False)]
        raise DataError(
            f"{where}: {inside} is in a folder named by a split, and {beside} is not: put "
            "all classes into the folders of splits"
        )
    for top in tops if any(within) else ():
        refuse_twice(where, sorted({path[1] for path in inner if path[0] == top}))
    return [
        (
            SPLIT_WORDS[path[1].lower()] if any(within) else "train",
            path[0] if len(path) > 1 else "",
            whole,
        )
        for path, whole in zip(inner, pictures, strict=True)
    ]


def refuse_twice(where: str, folders: Sequence[str]) -> None:
    """Refuse two folders of one split, such as `val` and `validation`.

    Raises:
        DataError: naming both.
    """
    first: dict[str, str] = {}
    for name in folders:
        split = SPLIT_WORDS[name.lower()]
        if split in first:
            raise DataError(f"{where}: the folders {first[split]} and {name} are of one split")
        first[split] = name


def outer_folders(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The folders that hold all pictures, as `photos` does those in `photos/cat` and `photos/dog`.

    The innermost one is a class where it holds the pictures themselves, and a split by its name.
    """
    outer = paths[0][:-1]
    for path in paths:
        while path[: len(outer)] != outer:
            outer = outer[:-1]
    splits = (n for n, name in enumerate(outer) if name.lower() in SPLIT_WORDS)
    outer = outer[: next(splits, len(outer))]
    flat = outer and all(len(path) == len(outer) + 1 for path in paths)
    return outer[:-1] if flat else outer


def npz_file(path: Path, view: View, notes: list[str]) -> tuple[dict[str, Split], int | None]:
    """The images of an npz file; the bits of arrays are found with those of all splits."""
    return npz_splits(path, notes), None


def picture_file(path: Path, view: View, notes: list[str]) -> tuple[dict[str, Split], int | None]:
    """One picture, without a label."""
    read = PictureSet(str(path), view)
    read.add(str(path), decoded(path.read_bytes(), str(path), view.background))
    images, bits = read.images(notes)
    return {"train": (images, None)}, bits


IMAGE_FORMATS = (
    ImageFormat("npz", lambda name: name.endswith(".npz"), npz_file),
    ImageFormat("zip", lambda name: name.endswith(".zip"), read_folder),
    ImageFormat("picture", lambda name: name.endswith(PICTURES), picture_file),
    ImageFormat(
        "idx", lambda name: "-idx" in name or name.endswith(".idx") or "ubyte" in name, idx_file
    ),
)
"""The first format that matches a file reads it."""
