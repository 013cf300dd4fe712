"""Files of images in one table of formats, and folders of them."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from textvae.data.errors import DataError, first_line, nearest_name
from textvae.data.pixels import Split, checked_split, size_text
from textvae.data.splits import SPLITS
from textvae.vocabulary import MISSING

ALLOWED = "a folder with idx files or PNGs, an .npz, idx or .png file, or a hub name"
PICTURES = (".png",)

WORDS = {word: split for split, words in SPLITS.items() for word in words} | {"t10k": "test"}
"""The split of a file, folder or array by a word of its name."""

PARTNERS: dict[str, str] = {"x": "y", "images": "labels", "image": "label"}
"""Word for the labels in the name of an array, by the word for its images."""


@dataclass(frozen=True)
class ImageFormat:
    """A format of image files.

    Args:
        name: of the format.
        matches: whether a file is of the format, by its lower-case name without `.gz`.
        read: reads the splits of a file; a file without splits is `train`.
    """

    name: str
    matches: Callable[[str], bool]
    read: Callable[[Path], dict[str, Split]]


def read_image_file(path: Path) -> dict[str, Split]:
    """The images of one file, by split.

    Raises:
        DataError: the format is unknown, or the file is damaged.
    """
    name = path.name.lower().removesuffix(".gz")
    for format in IMAGE_FORMATS:
        if format.matches(name):
            return format.read(path)
    raise DataError(f"{path}: unknown file type (allowed: {ALLOWED})")


def read_folder(folder: Path) -> dict[str, Split]:
    """The splits of a folder: idx files by name, else PNGs, in folders of splits, of classes.

    Raises:
        DataError: there are no images, or a file is damaged.
    """
    names = sorted(p.name for p in folder.iterdir() if p.name[0] != ".")
    idx_names = [name for name in names if "-idx" in name or ".idx" in name]
    if idx_names:
        return idx_splits(folder, idx_names)
    folders = {WORDS[n.lower()]: folder / n for n in names if n.lower() in WORDS}
    if not folders:
        return {"train": read_pngs(folder, class_folders([folder]))}
    classes = class_folders(list(folders.values()))
    return {split: read_pngs(part, classes) for split, part in folders.items()}


def idx_splits(folder: Path, names: list[str]) -> dict[str, Split]:
    """The images and labels of idx files such as train-images-idx3-ubyte.gz, by split."""
    arrays: dict[str, dict[str, np.ndarray]] = {}
    for name in names:
        word = name.lower().split("-")[0].split(".")[0]
        content = next((w for w in ("images", "labels") if w in name.lower()), None)
        if word in WORDS and content is not None:
            arrays.setdefault(WORDS[word], {})[content] = read_idx(folder / name)
    splits = {}
    for split, parts in arrays.items():
        if "images" not in parts:
            raise DataError(f"{folder}: {split} has labels and no images")
        splits[split] = checked_split(str(folder), parts["images"], parts.get("labels"))
    if not splits:
        raise DataError(f"{folder}: no idx file is named by its split (found: {', '.join(names)})")
    return splits


def read_idx(path: Path) -> np.ndarray:
    """The array of an idx file of bytes, also gzipped, uint8.

    Raises:
        DataError: it is no such file, or its size is not that of its header.
    """
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        data = file.read()
    if len(data) < 4 or data[:3] != b"\0\0\x08" or not 1 <= data[3] <= 4:
        raise DataError(f"{path}: is no idx file of bytes (its first bytes: {data[:4].hex()})")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise DataError(f"{path}: is cut short in its header")
    shape = struct.unpack(f">{data[3]}I", data[4:start])
    if len(data) - start != int(np.prod(shape, dtype=object)):
        size = " x ".join(map(str, shape))
        raise DataError(f"{path}: its header says {size} bytes, it holds {len(data) - start:,}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def idx_file(path: Path) -> dict[str, Split]:
    """The images of one idx file, without labels."""
    return {"train": checked_split(str(path), read_idx(path), None)}


def npz_splits(path: Path) -> dict[str, Split]:
    """The splits of an npz file: x_train, y_train, images_test, labels_test, or images, labels."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except ValueError as error:
        raise DataError(f"{path}: is no readable .npz file ({first_line(error)})") from None
    splits: dict[str, Split] = {}
    for name, array in arrays.items():
        words = name.lower().replace("-", "_").split("_")
        if words[0] not in ("x", "images", "image") and words[-1] not in ("x", "images", "image"):
            continue
        split = next((WORDS[word] for word in words if word in WORDS), "train")
        partner = "_".join([PARTNERS.get(word) or word for word in words])
        splits[split] = checked_split(f"{path}: {name}", array, arrays.get(partner))
    if not splits:
        raise DataError(
            f"{path}: no array of images (found: {', '.join(arrays) or 'none'}; allowed: images, "
            "x_train, x_test with labels, y_train, y_test)"
        )
    return splits


def class_folders(folders: list[Path]) -> list[str]:
    """The names of the folders of classes in all of these folders, sorted."""
    return sorted({p.name for folder in folders for p in folder.iterdir() if p.is_dir()})


def read_pngs(folder: Path, classes: list[str]) -> Split:
    """The PNGs of a folder, or of its folders, whose names are then the classes, in their order.

    Raises:
        DataError: there is none, one is damaged, or they differ in size or channels.
    """
    folders = [(folder, MISSING), *((folder / name, n) for n, name in enumerate(classes))]
    files = [
        (path, label)
        for class_folder, label in folders
        if class_folder.is_dir()
        for path in sorted(class_folder.iterdir())
        if path.suffix.lower() in PICTURES and path.is_file()
    ]
    if not files:
        raise DataError(f"{folder}: holds no images (allowed: {ALLOWED})")
    images: list[np.ndarray] = []
    for path, _ in files:
        images.append(read_png(path))
        if images[-1].shape != images[0].shape:
            raise DataError(
                f"{path}: {size_text(images[-1].shape)}, but {files[0][0].name} has "
                f"{size_text(images[0].shape)}: all images must be of one size"
            )
    labels = np.array([label for _, label in files], np.int64)
    return np.stack(images), labels if classes else None


def read_png(path: Path) -> np.ndarray:
    """One image, (C, H, W), uint8, C = 1 for grey and 3 for colours.

    Raises:
        DataError: the file is missing, damaged or no image.
    """
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():
        raise DataError(f"{path}: no such image{nearest_name(path)}")
    try:
        with Image.open(path) as opened:
            if opened.mode.startswith("I"):
                # PIL clips 16 bits when it converts them to 8.
                return (np.asarray(opened).astype(np.int64) >> 8).astype(np.uint8)[None]
            mode = "L" if opened.mode in ("1", "L", "LA") else "RGB"
            pixels = np.asarray(opened.convert(mode))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise DataError(f"{path}: is damaged or no image") from None
    return pixels[None] if mode == "L" else pixels.transpose(2, 0, 1)


def png_file(path: Path) -> dict[str, Split]:
    """One PNG, without a label."""
    return {"train": (read_png(path)[None], None)}


IMAGE_FORMATS = (
    ImageFormat("npz", lambda name: name.endswith(".npz"), npz_splits),
    ImageFormat("png", lambda name: name.endswith(PICTURES), png_file),
    ImageFormat(
        "idx", lambda name: "-idx" in name or name.endswith(".idx") or "ubyte" in name, idx_file
    ),
)
"""The first format that matches a file reads it."""
