"""Images with labels from idx and npz files, folders of PNGs, the hub, and the 8 x 8 digits."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from textvae.config import ImageDataConfig, Pixels
from textvae.data.errors import DataError, first_line, nearest_name
from textvae.data.fields import Fields, Images, Labels, binarized
from textvae.data.hub import load_hub
from textvae.data.splits import SPLITS
from textvae.vocabulary import MISSING

ALLOWED = "a folder with idx files or PNGs, an .npz, idx or .png file, or a hub name"
PICTURES = (".png",)
TEST_DIGITS = 300
"""Of the 1,797 digits; the others are for training."""

WORDS = {word: split for split, words in SPLITS.items() for word in words} | {"t10k": "test"}
"""The split that a file's or folder's name begins with."""

PARTNERS: dict[str, str] = {"x": "y", "images": "labels", "image": "label"}
"""What the labels of an array of images are called."""

Split = tuple[np.ndarray, np.ndarray | None]
"""Images, (N, C, H, W), uint8 or float32, and labels, (N,), if there are any."""


@dataclass(frozen=True)
class ImageCorpus:
    """The images of each split, as fields `image` and, where there are labels, `label`.

    `notes` are sentences for the user: what was split off.
    """

    train: Fields
    valid: Fields
    test: Fields | None
    source: str
    notes: list[str]

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        """What a model must know of each field."""
        return self.train.facts

    def fingerprint(self) -> str:
        """A SHA-256 of the training and validation images and labels."""
        sha = hashlib.sha256()
        for fields in (self.train, self.valid):
            for name, column in fields.columns.items():
                values = column.values  # type: ignore[attr-defined]
                sha.update(f"{name} {values.shape} {values.dtype}".encode())
                sha.update(np.ascontiguousarray(values).data)
        return sha.hexdigest()


def read_image_corpus(
    config: ImageDataConfig, seed: int = 0, given: Mapping[str, Split] | None = None
) -> ImageCorpus:
    """The images that a recipe's data section names; part of train validates if nothing else does.

    Args:
        config: the data section.
        seed: chooses the images held out, and draws static bits.
        given: images of each split that were read before, in place of its source.

    Raises:
        DataError: anything that cannot be read as asked; names the file.
    """
    source = config.source or "scikit-learn's 8 x 8 digits"
    splits = dict(given or read_splits(config))
    if "train" not in splits:
        raise DataError(f"{source}: has no train images (found: {', '.join(splits)})")
    notes: list[str] = []
    if "valid" not in splits:
        images, labels = splits["train"]
        size = min(max(1, round(config.valid_fraction * len(images))), len(images) - 1)
        if size < 1:
            raise DataError(f"{source}: one image cannot be split into train and validation")
        order = np.random.default_rng(seed).permutation(len(images))
        held, kept = np.sort(order[:size]), np.sort(order[size:])
        splits["train"], splits["valid"] = (
            (images[rows], None if labels is None else labels[rows]) for rows in (kept, held)
        )
        notes.append(f"no validation images: {size:,} of the training images are held out")
    shapes = {name: images.shape[1:] for name, (images, _) in splits.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(f"{source}: splits differ in size: {shapes}")
    labelled = [labels for _, labels in splits.values() if labels is not None]
    classes = 1 + max((int(labels.max(initial=MISSING)) for labels in labelled), default=MISSING)
    fields = {
        name: as_fields(*splits[name], config.pixels, classes, number + seed, name != "train")
        for number, name in enumerate(SPLITS)
        if name in splits
    }
    return ImageCorpus(fields["train"], fields["valid"], fields.get("test"), source, notes)


def read_image_split(config: ImageDataConfig) -> tuple[Fields, list[str]]:
    """The images to judge a model by: of test, else of validation, else all there are.

    The first note says which they are.

    Raises:
        DataError: as `read_image_corpus`.
    """
    source = config.source or "scikit-learn's 8 x 8 digits"
    splits = read_splits(config)
    chosen = next(name for name in ("test", "valid", "train") if name in splits)
    images, labels = splits[chosen]
    classes = 1 + (MISSING if labels is None else int(labels.max(initial=MISSING)))
    number = list(SPLITS).index(chosen)
    fields = as_fields(images, labels, config.pixels, classes, number, held_out=True)
    return fields, [f"{source}: the {chosen} images"]


def as_fields(
    images: np.ndarray,
    labels: np.ndarray | None,
    pixels: Pixels,
    classes: int,
    seed: int,
    held_out: bool,
) -> Fields:
    """Images and labels as fields; without labels in any split there is no such field.

    The bits of held-out images are drawn here once, also under `dynamic`: drawing a bit anew
    leaves it as it is, so every figure is of the same ones.
    """
    if pixels != "grey" and images.dtype != np.uint8:
        low, high = float(images.min()), float(images.max())
        if low < 0 or high > 1:
            raise DataError(
                f"data.pixels: {pixels} needs images in [0, 1] (got {low:g} to {high:g})"
            )
    once = pixels == "static" or (pixels == "dynamic" and held_out)
    values = binarized(images, seed) if once else images
    columns: dict[str, Any] = {"image": Images(values, pixels)}
    if classes > 0:
        found = np.full(len(images), MISSING) if labels is None else labels
        columns["label"] = Labels(found.astype(np.int64), classes)
    return Fields(columns)


def read_splits(config: ImageDataConfig) -> dict[str, Split]:
    """The images of each split that the source has; one file or a flat folder is `train`.

    Raises:
        DataError: it cannot be read.
    """
    if config.source is None:
        return digits()
    path = Path(config.source).expanduser()
    try:
        if path.is_dir():
            return read_folder(path)
        if path.is_file():
            return read_image_file(path)
    except zipfile.BadZipFile:
        raise DataError(f"{path}: is no readable .npz file") from None
    except gzip.BadGzipFile:
        raise DataError(f"{path}: is not a gzip file, though its name ends in .gz") from None
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: is damaged or cut short ({first_line(error)})") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or first_line(error)}") from None
    return read_hub(config.source, config.image_column, config.label_column)


def digits() -> dict[str, Split]:
    """scikit-learn's 1,797 handwritten digits, (N, 1, 8, 8), the last 300 in a fixed order test.

    Raises:
        DataError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError("the 8 x 8 digits need scikit-learn (pip install scikit-learn)") from None
    found: Any = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    # Sixteen levels of ink in the range of a byte.
    images = np.round(found.images[order] * (255 / 16)).astype(np.uint8)[:, None]
    labels = found.target[order].astype(np.int64)
    train, test = slice(None, -TEST_DIGITS), slice(-TEST_DIGITS, None)
    return {"train": (images[train], labels[train]), "test": (images[test], labels[test])}


def read_folder(folder: Path) -> dict[str, Split]:
    """The splits of a folder: idx files by name, else PNGs, in folders of splits, of classes."""
    names = sorted(p.name for p in folder.iterdir() if p.name[0] != ".")
    idx = [name for name in names if "-idx" in name or ".idx" in name]
    if idx:
        return idx_splits(folder, idx)
    parts = {WORDS[n.lower()]: folder / n for n in names if n.lower() in WORDS}
    if not parts:
        return {"train": read_pngs(folder, class_names([folder]))}
    classes = class_names(list(parts.values()))
    return {split: read_pngs(place, classes) for split, place in parts.items()}


def idx_splits(folder: Path, names: list[str]) -> dict[str, Split]:
    """The images and labels of idx files such as train-images-idx3-ubyte.gz, by split."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for name in names:
        word = name.lower().split("-")[0].split(".")[0]
        what = next((w for w in ("images", "labels") if w in name.lower()), None)
        if word in WORDS and what is not None:
            found.setdefault(WORDS[word], {})[what] = read_idx(folder / name)
    splits = {}
    for split, parts in found.items():
        if "images" not in parts:
            raise DataError(f"{folder}: {split} has labels and no images")
        splits[split] = checked_split(str(folder), parts["images"], parts.get("labels"))
    if not splits:
        raise DataError(f"{folder}: no idx file is named by its split (found: {', '.join(names)})")
    return splits


def read_idx(path: Path) -> np.ndarray:
    """The array of an idx file of bytes, also gzipped.

    Raises:
        DataError: it is no such file, or its size is not what its header says.
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
        said = " x ".join(map(str, shape))
        raise DataError(f"{path}: its header says {said} bytes, it holds {len(data) - start:,}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def read_image_file(path: Path) -> dict[str, Split]:
    """The images of one file."""
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".npz"):
        return npz_splits(path)
    if name.endswith(PICTURES):
        return {"train": (read_png(path)[None], None)}
    if "-idx" in name or name.endswith(".idx") or "ubyte" in name:
        return {"train": checked_split(str(path), read_idx(path), None)}
    raise DataError(f"{path}: unknown file type (allowed: {ALLOWED})")


def npz_splits(path: Path) -> dict[str, Split]:
    """The splits of an npz file: x_train, y_train, images_test, labels_test, or images, labels."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
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


def class_names(folders: list[Path]) -> list[str]:
    """The names of all folders of classes, in their order."""
    return sorted({p.name for folder in folders for p in folder.iterdir() if p.is_dir()})


def read_pngs(folder: Path, classes: list[str]) -> Split:
    """The PNGs of a folder, or of its folders, whose names are then the classes, in their order.

    Raises:
        DataError: there is none, one is damaged, or they differ in size or channels.
    """
    places = [(folder, MISSING), *((folder / name, n) for n, name in enumerate(classes))]
    files = [
        (path, label)
        for place, label in places
        if place.is_dir()
        for path in sorted(place.iterdir())
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
        DataError: it is not there, or is no sound image.
    """
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():
        raise DataError(f"{path}: no such image{nearest_name(path)}")
    try:
        with Image.open(path) as opened:
            if opened.mode.startswith("I"):
                # 16 bits: to convert them is to clip them.
                return (np.asarray(opened).astype(np.int64) >> 8).astype(np.uint8)[None]
            mode = "L" if opened.mode in ("1", "L", "LA") else "RGB"
            pixels = np.asarray(opened.convert(mode))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise DataError(f"{path}: is damaged or no image") from None
    return pixels[None] if mode == "L" else pixels.transpose(2, 0, 1)


def read_hub(source: str, image_column: str, label_column: str) -> dict[str, Split]:
    """The images of each split of a hub data set, given as `name` or `name:config`.

    Raises:
        DataError: it is not there, or has no such column.
    """
    path = Path(source).expanduser()
    missing = f"{source}: no such file or folder{nearest_name(path)}"
    if path.suffix or ("/" in source and path.parent.is_dir()):
        raise DataError(missing)
    loaded = load_hub(source, missing)
    splits: dict[str, Split] = {}
    for key, rows in loaded.items():
        split = WORDS.get(str(key).lower())
        if split is None or split in splits:
            continue
        if image_column not in rows.column_names:
            known = ", ".join(rows.column_names)
            raise DataError(f"{source}: no column {image_column!r} (known: {known})")
        images = [np.asarray(image) for image in rows[image_column]]
        sizes = {image.shape for image in images}
        if len(sizes) != 1:
            raise DataError(f"{source}: {key}: all images must be of one size (got {len(sizes)})")
        labels = rows[label_column] if label_column in rows.column_names else None
        stacked = np.stack(images)
        if stacked.ndim == 4:
            stacked = stacked.transpose(0, 3, 1, 2)
        splits[split] = checked_split(
            f"{source}: {key}", stacked, None if labels is None else np.asarray(labels)
        )
    return splits


def checked_split(where: str, images: np.ndarray, labels: np.ndarray | None) -> Split:
    """Images as (N, C, H, W), uint8 or float32, and labels as (N,), int64.

    Raises:
        DataError: they are of another shape or type, or not finite, or do not belong together.
    """
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[-1] in (1, 3) and images.shape[1] not in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise DataError(
            f"{where}: images must be (N, H, W) or (N, C, H, W) with 1 or 3 channels "
            f"(got {images.shape})"
        )
    if images.dtype != np.uint8:
        if images.dtype.kind not in "fbui":
            raise DataError(f"{where}: images must be numbers (got {images.dtype})")
        images = images.astype(np.float32)
        if not np.isfinite(images).all():
            raise DataError(f"{where}: images must be finite")
    if labels is None:
        return images, None
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise DataError(
            f"{where}: labels must be {len(images):,} whole numbers "
            f"(got {labels.shape} of {labels.dtype})"
        )
    if labels.size and labels.min() < MISSING:
        raise DataError(f"{where}: a label is 0 or above, or -1 where it is missing")
    return images, labels.astype(np.int64)


def check_unit_interval(values: np.ndarray, bounded: Sequence[str], where: str) -> None:
    """Refuse images outside [0, 1] under likelihoods that have no density for them.

    Args:
        values: bytes, which stand for [0, 1], or floats.
        bounded: kinds of those likelihoods.
        where: the images come from.

    Raises:
        DataError: naming the likelihood and the range.
    """
    if values.dtype == np.uint8 or not bounded or not values.size:
        return
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        raise DataError(
            f"{where}: the likelihood {', '.join(bounded)} needs images in [0, 1] "
            f"(got {low:g} to {high:g})"
        )


def size_text(shape: tuple[int, ...]) -> str:
    """A shape (C, H, W) in words."""
    channels, height, width = shape
    return f"{height} x {width} pixels of {channels} channel{'s' if channels > 1 else ''}"
