"""Images with labels from files, folders, the hub, and the 8 x 8 digits, as fields."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from textvae.config import ImageDataConfig, Pixels
from textvae.data.errors import DataError, first_line
from textvae.data.fields import Fields, Images, Labels, binarized
from textvae.data.file_trees import listed
from textvae.data.held_out import ByContent, Division, Fractions, HoldOut, Sketch
from textvae.data.hub_images import read_hub
from textvae.data.image_files import read_folder, read_image_file
from textvae.data.labels import class_order, counts_text
from textvae.data.picture_files import read_picture, with_channels
from textvae.data.pixels import (
    Split,
    View,
    as_bytes,
    check_unit_interval,
    check_varied,
    checked_split,
    inverted,
    resized,
    size_text,
    value_range,
)
from textvae.data.splits import SPLITS
from textvae.vocabulary import MISSING, STRANGE

__all__ = [
    "ImageCorpus",
    "Split",
    "View",
    "as_bytes",
    "check_unit_interval",
    "checked_split",
    "read_image_corpus",
    "read_image_split",
    "read_picture",
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
        notes: sentences for the user: which part of train was held out, what
            was read and what was left out.
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
    read = ImageSource(dict(given), View.of(config)) if given else read_source(config)
    splits = dict(read.splits)
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
    if config.open_set:
        names = trained_classes(source, splits["train"][1], read.names)
        splits = {
            split: with_known_classes(part, read.names, names) for split, part in splits.items()
        }
        read = replace(read, names=() if names == counted(len(names)) else names)
    classes = class_count(splits, read.names)
    fields = {
        name: as_fields(splits[name], read, config.pixels, classes, number + seed, name != "train")
        for number, name in enumerate(SPLITS)
        if name in splits
    }
    facts = None if division is None else division.facts
    notes += read.notes
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
        alike = "images that are all equal, or in another split,"
        images_are = "one image" if len(images) == 1 else alike
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


def class_count(splits: Mapping[str, Split], names: Sequence[str]) -> int:
    """Number of classes: of their names, else 1 + the largest label; 0 without labels."""
    given = [labels for _, labels in splits.values() if labels is not None]
    largest = max((int(labels.max(initial=MISSING)) for labels in given), default=MISSING)
    return max(len(names), 1 + largest)


def counted(count: int) -> tuple[str, ...]:
    """The names of classes that have none: their numbers."""
    return tuple(map(str, range(count)))


def trained_classes(
    source: str, labels: np.ndarray | None, names: Sequence[str]
) -> tuple[str, ...]:
    """The names of the classes that training images have, in the order of their numbers.

    Raises:
        DataError: there are fewer than two.
    """
    numbers = set() if labels is None else set(labels.tolist()) - {MISSING}
    if len(numbers) < 2:
        raise DataError(
            f"{source}: data.open_set needs training images of two classes (got {len(numbers)})"
        )
    return tuple(class_name(number, names) for number in sorted(numbers))


def class_name(number: int, names: Sequence[str]) -> str:
    """The name of a class; its number where classes have none."""
    return names[number] if names else str(number)


def with_known_classes(split: Split, names: Sequence[str], known: Sequence[str]) -> Split:
    """Images and their labels as numbers among known classes; `STRANGE` for any other class.

    Args:
        split: with labels that are numbers of `names`.
        names: of its classes; empty where they have none.
        known: names of the known classes.
    """
    images, labels = split
    if labels is None:
        return split
    order = {name: number for number, name in enumerate(known)}
    numbers = {
        number: order.get(class_name(number, names), STRANGE)
        for number in set(labels.tolist()) - {MISSING}
    } | {MISSING: MISSING}
    return images, np.array([numbers[number] for number in labels.tolist()], np.int64)


def read_image_split(
    config: ImageDataConfig, known: Sequence[str] = (), channels: int | None = None
) -> tuple[Fields, list[str]]:
    """The images for evaluation: those of test, else of validation, else of train; and notes.

    The first note names the split.

    Args:
        config: the data section.
        known: names of the classes of the model, where the set of classes is open.
        channels: of the model, 1 or 3: bytes of the other number are turned grey or into colours.

    Raises:
        DataError: as `read_image_corpus`.
    """
    source = config.source or DIGITS
    read = read_source(config)
    notes = list(read.notes)
    chosen = next(name for name in ("test", "valid", "train") if name in read.splits)
    number, classes = list(SPLITS).index(chosen), class_count(read.splits, read.names)
    split = read.splits[chosen]
    if channels in (1, 3) and split[0].dtype == np.uint8 and split[0].shape[1] == 4 - channels:
        notes.append(f"{source}: {'colours are read as grey' if channels == 1 else 'is grey'}")
        split = with_channels(split[0], channels), split[1]
    if config.open_set and known:
        split = with_known_classes(split, read.names, known)
        read = replace(read, names=() if known == counted(len(known)) else tuple(known))
        classes = len(known)
    fields = as_fields(split, read, config.pixels, classes, number, held_out=True)
    return fields, [f"{source}: the {chosen} images", *notes]


def as_fields(
    split: Split, read: ImageSource, pixels: Pixels, classes: int, seed: int, held_out: bool
) -> Fields:
    """Images and labels as fields; without a class there is no field of labels.

    The bits of held-out images are drawn here once, also under `dynamic`. Bernoulli draws of
    bits leave them as they are, so every metric is of the same bits.

    Raises:
        DataError: bits or dequantised bytes are wanted of images outside [0, 1].
    """
    images, labels = split
    if pixels != "grey" and images.dtype != np.uint8:
        low, high = value_range([images])
        if low < 0 or high > 1:
            raise DataError(
                f"data.pixels: {pixels} needs images in [0, 1] (got {low:g} to {high:g})"
            )
    once = pixels == "static" or (pixels == "dynamic" and held_out)
    values = binarized(images, seed) if once else images
    columns: dict[str, Any] = {"image": Images(values, pixels, read.view.facts)}
    if classes > 0:
        classified = np.full(len(images), MISSING) if labels is None else labels
        columns["label"] = Labels(classified.astype(np.int64), classes, read.names)
    return Fields(columns)


@dataclass(frozen=True)
class ImageSource:
    """What a source of images holds.

    Args:
        splits: the images and labels of each split, bytes or float32, and int64.
        view: how they were read.
        names: of the classes, where they have some.
        notes: sentences for the user: what was read, changed and left out.
    """

    splits: dict[str, Split]
    view: View
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_source(config: ImageDataConfig) -> ImageSource:
    """The images of each split that the source has; one file or a flat folder is `train`.

    Raises:
        DataError: it cannot be read, or there is nothing to learn from the images.
    """
    if config.source is None:
        splits, bits = digits(), None
        notes: list[str] = []
    else:
        notes = []
        splits, bits = read_files(config, View.of(config), notes)
        splits = {split: splits[split] for split in SPLITS if split in splits}
    source, view = config.source or DIGITS, View.of(config)
    arrays, found = as_bytes(source, [images for images, _ in splits.values()], notes)
    view = replace(view, bits=found or bits)
    if view.size is not None:
        changed = sum(len(array) for array in arrays if array.shape[2:] != view.size)
        if changed:
            notes.append(f"{source}: resized {changed:,} images to {view.size_text} (data.size)")
        arrays = [resized(array, view.size) for array in arrays]
    for array in arrays:
        check_varied(source, array)
    if view.invert:
        arrays = [inverted(array, source) for array in arrays]
    labels, names = numbered_labels(source, [labels for _, labels in splits.values()])
    splits = dict(zip(splits, zip(arrays, labels, strict=True), strict=True))
    if config.source is not None:
        notes.insert(0, contents_text(source, splits, names))
    return ImageSource(splits, view, names, tuple(notes))


def read_files(
    config: ImageDataConfig, view: View, notes: list[str]
) -> tuple[dict[str, Split], int | None]:
    """The splits of a folder, a file or a hub data set as they are stored, and the bits of a pixel.

    The bits are None where they are 8, or not known yet.

    Raises:
        DataError: it cannot be read.
    """
    assert config.source is not None, "the digits are no file"
    path = Path(config.source).expanduser()
    try:
        if path.is_dir():
            return read_folder(path, view, notes)
        if path.is_file():
            return read_image_file(path, view, notes)
    except zipfile.BadZipFile:
        raise DataError(f"{path}: is no readable {path.suffix} file") from None
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: is damaged or cut short ({first_line(error)})") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or first_line(error)}") from None
    return read_hub(config.source, config.image_column, config.label_column, view, notes)


def numbered_labels(
    source: str, labels: Sequence[np.ndarray | None]
) -> tuple[list[np.ndarray | None], tuple[str, ...]]:
    """The labels of all splits as numbers, (N,) each, int64, and the names of the classes.

    Names that are the numbers 0, 1, 2, ... themselves are none.

    Raises:
        DataError: some splits have names, and others numbers.
    """
    given = [part for part in labels if part is not None]
    named = [part for part in given if part.dtype.kind == "U"]
    if not named:
        return list(labels), ()
    if len(named) < len(given):
        raise DataError(f"{source}: labels of some splits are names, those of others are numbers")
    names = class_order(set(np.concatenate(named).tolist()) - {""})
    order = {"": MISSING} | {name: number for number, name in enumerate(names)}
    numbers = [
        None if part is None else np.array([order[name] for name in part.tolist()], np.int64)
        for part in labels
    ]
    counted = names == [str(number) for number in range(len(names))]
    return numbers, () if counted else tuple(names)


def contents_text(source: str, splits: Mapping[str, Split], names: Sequence[str]) -> str:
    """A sentence on what a source holds: number, size and range of its images, and its classes."""
    images = [images for images, _ in splits.values()]
    sizes = ", ".join(f"{len(part):,} {split}" for split, (part, _) in splits.items())
    low, high = value_range(images)
    kind = "bytes" if all(part.dtype == np.uint8 for part in images) else "floats"
    text = f"{source}: {sizes} images, {size_text(images[0].shape[1:])}, {kind} {low:g} to {high:g}"
    classes = class_count(splits, names)
    if not classes:
        return f"{text}; no labels"
    known = [np.full(len(part), MISSING) if y is None else y for part, y in splits.values()]
    labels = np.concatenate(known)
    text += f"; {counts_text(labels, names or [str(number) for number in range(classes)])}"
    if "train" in splits:
        train = splits["train"][1]
        trained = set() if train is None else set(train.tolist())
        unseen = set(labels.tolist()) - trained - {MISSING}
        shown = [str(names[number] if names else number) for number in sorted(unseen)]
        text += f"; only outside train: {listed(shown)}" if shown and trained else ""
    for split, part in zip(splits, known, strict=True):
        missing = int((part == MISSING).sum())
        text += f"; {missing:,} {split} images without a label" if missing else ""
    return text


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
