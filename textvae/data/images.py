"""Images with labels from files, folders, the hub, and the 8 x 8 digits, as fields."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from textvae.config import ImageDataConfig, Pixels
from textvae.data.errors import DataError, first_line, nearest_name
from textvae.data.fields import Fields, Images, Labels, binarized
from textvae.data.held_out import ByContent, Division, Fractions, HoldOut, Sketch
from textvae.data.hub import load_hub
from textvae.data.image_files import WORDS, read_folder, read_image_file, read_png
from textvae.data.pixels import Split, check_unit_interval, checked_split, size_text
from textvae.data.splits import SPLITS
from textvae.vocabulary import MISSING

__all__ = [
    "ImageCorpus",
    "Split",
    "check_unit_interval",
    "checked_split",
    "read_image_corpus",
    "read_image_split",
    "read_png",
    "size_text",
]

TEST_DIGITS = 300
"""Of the 1,797 digits; the others are for training."""

DIGITS = "scikit-learn's 8 x 8 digits"
"""Source of the images where a recipe names none."""


@dataclass(frozen=True)
class ImageCorpus:
    """The images of each split, as fields `image` and, where there are labels, `label`.

    Args:
        train: the training images.
        valid: the validation images.
        test: the test images, if there are any.
        source: the folder, file or hub name.
        notes: sentences for the user: which part of train was held out.
        held_out: which images of train are held out, as in `Corpus`.
    """

    train: Fields
    valid: Fields
    test: Fields | None
    source: str
    notes: list[str]
    held_out: dict[str, Any] | None = None

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        """Shape, pixels and number of classes by field, from which a model is built."""
        return self.train.facts

    def fingerprint(self) -> str:
        """A SHA-256 of the training and validation images and labels."""
        return sha_of_images([self.train, self.valid])

    def test_fingerprint(self) -> str:
        """A SHA-256 of the test images and labels."""
        return sha_of_images([] if self.test is None else [self.test])


def sha_of_images(parts: Iterable[Fields]) -> str:
    """A SHA-256 of images and labels."""
    sha = hashlib.sha256()
    for fields in parts:
        for name, column in fields.columns.items():
            values = column.values  # type: ignore[attr-defined]
            sha.update(f"{name} {values.shape} {values.dtype}".encode())
            sha.update(np.ascontiguousarray(values).data)
    return sha.hexdigest()


def read_image_corpus(
    config: ImageDataConfig,
    seed: int = 0,
    given: Mapping[str, Split] | None = None,
    held_out: ByContent | None = None,
) -> ImageCorpus:
    """The images of a recipe's data section; a split without data is held out of train.

    Args:
        config: the data section.
        seed: chooses the images held out, and draws static bits.
        given: images of each split that were read before, in place of its source.
        held_out: the images that a run has held out, in place of those that the config asks for.

    Raises:
        DataError: anything that cannot be read as given; the message names the file.
    """
    source = config.source or DIGITS
    splits = dict(given or read_splits(config))
    if "train" not in splits:
        raise DataError(f"{source}: has no train images (found: {', '.join(splits)})")
    notes: list[str] = []
    rule = HoldOut(config.valid_fraction, config.test_fraction, config.split_by, seed, held_out)
    division = None
    if fractions := rule.fractions(splits):
        count = len(splits["train"][0])
        division, parts = hold_out_images(source, splits, fractions, rule)
        splits |= parts
        sizes = {split: len(parts[split][0]) for split in fractions if split in parts}
        notes.append(rule.note(sizes, count, "images"))
    shapes = {name: images.shape[1:] for name, (images, _) in splits.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(f"{source}: splits differ in size: {shapes}")
    classes = class_count(*(labels for _, labels in splits.values()))
    fields = {
        name: as_fields(*splits[name], config.pixels, classes, number + seed, name != "train")
        for number, name in enumerate(SPLITS)
        if name in splits
    }
    facts = None if division is None else division.facts
    return ImageCorpus(fields["train"], fields["valid"], fields.get("test"), source, notes, facts)


def hold_out_images(
    source: str, splits: Mapping[str, Split], fractions: Fractions, rule: HoldOut
) -> tuple[Division, dict[str, Split]]:
    """The choice of images, and `train` without them and the splits that have them, in their order.

    Raises:
        DataError: there is only one image, or all are equal.
    """
    images, labels = splits["train"]
    sketch = Sketch(fractions, rule.seed)
    contents = [image.tobytes() for image in images]
    for content in contents:
        sketch.add(content)
    given = (image.tobytes() for name in splits if name != "train" for image in splits[name][0])
    division = rule.divide(sketch, len(images), given, permuted_rows)
    names = np.array([division.split_of(*row) for row in enumerate(contents)])
    if "valid" in fractions and "valid" not in names:
        images_are = "one image" if len(images) == 1 else "images that are all equal"
        raise DataError(f"{source}: {images_are} cannot be split into train and validation")
    parts = {
        name: (images[names == name], None if labels is None else labels[names == name])
        for name in ("train", *fractions)
        if name in names
    }
    return division, parts


def permuted_rows(count: int, sizes: Mapping[str, int], seed: int) -> dict[int, str]:
    """The split of each row that is drawn from `count`: the first ones of a permutation."""
    order = iter(np.random.default_rng(seed).permutation(count).tolist())
    return {next(order): split for split, size in sizes.items() for _ in range(size)}


def class_count(*labels: np.ndarray | None) -> int:
    """Number of classes, 1 + the largest label, of labels (N,) each; 0 without any."""
    largest = (int(part.max(initial=MISSING)) for part in labels if part is not None)
    return 1 + max(largest, default=MISSING)


def read_image_split(config: ImageDataConfig) -> tuple[Fields, list[str]]:
    """The images for evaluation: those of test, else of validation, else of train; and notes.

    The first note names the split.

    Raises:
        DataError: as `read_image_corpus`.
    """
    source = config.source or DIGITS
    splits = read_splits(config)
    chosen = next(name for name in ("test", "valid", "train") if name in splits)
    images, labels = splits[chosen]
    number = list(SPLITS).index(chosen)
    classes = class_count(labels)
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
    """Images and labels as fields; without a class there is no field of labels.

    The bits of held-out images are drawn here once, also under `dynamic`. Bernoulli draws of
    bits leave them as they are, so every metric is of the same bits.

    Raises:
        DataError: bits or dequantised bytes are wanted of images outside [0, 1].
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
        classified = np.full(len(images), MISSING) if labels is None else labels
        columns["label"] = Labels(classified.astype(np.int64), classes)
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
    """scikit-learn's 1,797 handwritten digits, (N, 1, 8, 8); the last 300 in fixed order are test.

    Raises:
        DataError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError("the 8 x 8 digits need scikit-learn (pip install scikit-learn)") from None
    loaded: Any = load_digits()
    order = np.random.default_rng(0).permutation(len(loaded.target))
    # The levels of ink are 0 to 16; a byte has 0 to 255.
    images = np.round(loaded.images[order] * (255 / 16)).astype(np.uint8)[:, None]
    labels = loaded.target[order].astype(np.int64)
    train, test = slice(None, -TEST_DIGITS), slice(-TEST_DIGITS, None)
    return {"train": (images[train], labels[train]), "test": (images[test], labels[test])}


def read_hub(source: str, image_column: str, label_column: str) -> dict[str, Split]:
    """The images of each split of a hub data set, given as `name` or `name:config`.

    Raises:
        DataError: the hub does not give it, it has no such column, or images differ in size.
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
