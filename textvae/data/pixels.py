"""Arrays of images: their shape, type, range and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from textvae.config import ImageDataConfig
from textvae.data.errors import DataError
from textvae.vocabulary import MISSING

Split = tuple[np.ndarray, np.ndarray | None]
"""Images, (N, C, H, W), numbers, and labels, (N,), int64 or strings, if there are any.

A string is the name of a class, and the empty string a missing label.
"""

MAX_CLASSES = 100_000
"""A larger label is no number of a class."""

DEPTHS = (8, 10, 12, 16)
"""Bits of a pixel that cameras, scanners and files have."""


@dataclass(frozen=True)
class View:
    """How the pixels of files become those of a model.

    Args:
        background: colour behind transparent parts of a picture.
        size: (H, W) that images are scaled to; None leaves them as they are.
        invert: whether black and white change places.
        bits: of a pixel in the files, where they are not 8: 1 for 0 and 1 in bytes, 10 or more
            for pictures of 16 bits.
    """

    background: str = "white"
    size: tuple[int, int] | None = None
    invert: bool = False
    bits: int | None = None

    @classmethod
    def of(cls, config: ImageDataConfig) -> Self:
        """The view of a data section, before anything was read."""
        size = None if config.size is None else (config.size[0], config.size[1])
        return cls(config.background, size, config.invert)

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        """The inverse of `facts`; other facts of the field are passed over."""
        known = {name: facts[name] for name in cls.__dataclass_fields__ if name in facts}
        if known.get("size"):
            known["size"] = tuple(known["size"])
        return cls(**known)

    @property
    def facts(self) -> dict[str, Any]:
        """What differs from the default, as JSON, for the facts of a model's field."""
        default = asdict(View())
        facts = {name: value for name, value in asdict(self).items() if value != default[name]}
        return facts | ({"size": list(self.size)} if self.size else {})

    @property
    def size_text(self) -> str:
        """The size in words."""
        return "their own size" if self.size is None else f"{self.size[0]} x {self.size[1]} pixels"


def checked_split(where: str, images: np.ndarray, labels: np.ndarray | None) -> Split:
    """Images as (N, C, H, W), numbers of any type, and labels as (N,), int64 or strings.

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
    if images.dtype.kind not in "fbui":
        raise DataError(f"{where}: images must be numbers (got {images.dtype})")
    if images.dtype.kind == "f":
        images = images.astype(np.float32)
        if not np.isfinite(images).all():
            raise DataError(f"{where}: images must be finite")
    return images, None if labels is None else checked_labels(where, labels, len(images))


def checked_labels(where: str, labels: np.ndarray, count: int) -> np.ndarray:
    """Labels of `count` images, (N,), int64, or strings that are the names of classes.

    Whole numbers may have any type, and one label may be a row of zeros with a one.

    Raises:
        DataError: they are of another shape or type, or below -1.
    """
    given = labels
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    elif labels.ndim == 2 and is_one_hot(labels):
        labels = labels.argmax(1)
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind == "b" or (labels.dtype.kind == "f" and is_whole(labels)):
        labels = labels.astype(np.int64)
    if labels.shape != (count,) or labels.dtype.kind not in "iuU":
        raise DataError(
            f"{where}: labels must be {count:,} whole numbers, names, or rows of zeros with a one "
            f"(got {given.shape} of {given.dtype})"
        )
    if labels.dtype.kind == "U":
        return np.char.strip(labels)
    if labels.size and labels.min() < MISSING:
        raise DataError(f"{where}: a label is 0 or above, or -1 where it is missing")
    if labels.size and labels.max() >= MAX_CLASSES:
        raise DataError(f"{where}: a label is below {MAX_CLASSES:,} (got {labels.max():,})")
    return labels.astype(np.int64)


def is_one_hot(labels: np.ndarray) -> bool:
    """Whether each row of an array, (N, C), is zeros with a one."""
    if labels.dtype.kind not in "fbui":
        return False
    return bool(np.isin(labels, (0, 1)).all() and (labels.sum(1) == 1).all())


def is_whole(values: np.ndarray) -> bool:
    """Whether all floats are whole numbers."""
    return bool(np.isfinite(values).all() and (values == np.round(values)).all())


def as_bytes(
    where: str, arrays: Sequence[np.ndarray], notes: list[str]
) -> tuple[list[np.ndarray], int | None]:
    """Whole numbers as bytes, by the range of all arrays together; floats as they are, float32.

    Bits become 0 and 255. Whole numbers outside those of 16 bits become floats.

    Args:
        where: the source, for the note.
        arrays: images, (N, C, H, W) each.
        notes: a sentence on a range that is not that of bytes is added.

    Returns:
        The arrays, and the bits of a pixel where they are not 8.
    """
    whole = [array for array in arrays if array.dtype.kind != "f"]
    if not whole:
        return [array.astype(np.float32, copy=False) for array in arrays], None
    low, high = value_range(whole)
    if low < 0 or high >= 2**16:
        return [array.astype(np.float32) for array in arrays], None
    bits = 1 if high <= 1 else significant_bits(whole, where)
    if bits == 1 and high == 1:
        notes.append(f"{where}: pixels are 0 or 1: read as bits, black and white")
    elif bits > 8:
        notes.append(f"{where}: pixels from 0 to {high:,.0f}, {bits} bits, are scaled to bytes")
    scaled = [
        array.astype(np.float32, copy=False) if array.dtype.kind == "f" else eight_bits(array, bits)
        for array in arrays
    ]
    return scaled, None if bits == 8 or high == 0 else bits


def significant_bits(arrays: Sequence[np.ndarray], where: str) -> int:
    """The bits of a pixel that hold the range of all arrays, whole numbers: 8, 10, 12 or 16.

    Raises:
        DataError: a pixel is below 0 or has more than 16 bits.
    """
    low, high = value_range(arrays)
    if low < 0 or high >= 2**16:
        raise DataError(f"{where}: pixels must be from 0 to 65,535 (got {low:g} to {high:g})")
    return next(bits for bits in DEPTHS if high < 2**bits)


def value_range(arrays: Sequence[np.ndarray]) -> tuple[float, float]:
    """The smallest and the largest value of several arrays."""
    return min(float(a.min()) for a in arrays), max(float(a.max()) for a in arrays)


def eight_bits(images: np.ndarray, bits: int) -> np.ndarray:
    """Whole numbers of any number of bits as bytes."""
    if bits == 1:
        return 255 * images.astype(np.uint8)
    if bits == 8:
        return images.astype(np.uint8, copy=False)
    return (images.astype(np.int64) >> (bits - 8)).astype(np.uint8)


def inverted(images: np.ndarray, where: str) -> np.ndarray:
    """Images with black and white exchanged: 255 - v of bytes, 1 - x of floats.

    Raises:
        DataError: floats outside [0, 1].
    """
    if images.dtype == np.uint8:
        return 255 - images
    low, high = value_range([images])
    if low < 0 or high > 1:
        raise DataError(f"{where}: data.invert needs images in [0, 1] (got {low:g} to {high:g})")
    return 1 - images


def resized(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Images, (N, C, H, W), scaled to (H, W), of the same type; the whole image is kept.

    Each pixel is a mean of those that it covers, weighted by a triangle (Pillow's bilinear).
    """
    from PIL import Image

    if images.shape[2:] == size:
        return images
    scaled = np.empty((*images.shape[:2], *size), images.dtype)
    kind = np.uint8 if images.dtype == np.uint8 else np.float32
    for place in np.ndindex(images.shape[:2]):
        channel = Image.fromarray(np.ascontiguousarray(images[place], kind))
        values = np.asarray(channel.resize((size[1], size[0]), Image.Resampling.BILINEAR))
        scaled[place] = values if images.dtype.kind == "f" else np.round(values)
    return scaled


def proportions_differ(shape: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Whether scaling (H, W) to another size changes an image's proportions by over 2 %."""
    height, width = shape
    return abs(height * size[1] / (width * size[0]) - 1) > 0.02


def check_varied(where: str, images: np.ndarray) -> None:
    """Refuse several images, (N, C, H, W), from which nothing can be learned.

    Raises:
        DataError: all are equal, or each is of one colour.
    """
    if len(images) < 2:
        return
    flat = images.reshape(*images.shape[:2], -1)
    if all((image == image[:, :1]).all() for image in flat):
        raise DataError(
            f"{where}: each of {len(images):,} images is of one colour; if they are drawn in the "
            "transparency of their files, --set data.background=black (or white) shows it"
        )
    if all(np.array_equal(images[0], image) for image in images[1:]):
        raise DataError(f"{where}: {len(images):,} images that are all equal")


def check_unit_interval(values: np.ndarray, bounded: Sequence[str], where: str) -> None:
    """Refuse images outside [0, 1] under likelihoods that have no density for them.

    Args:
        values: bytes v, each the pixel v / 255, or floats.
        bounded: kinds of those likelihoods.
        where: the images come from.

    Raises:
        DataError: naming the likelihood and the range.
    """
    if values.dtype == np.uint8 or not bounded or not values.size:
        return
    low, high = value_range([values])
    if low < 0 or high > 1:
        raise DataError(
            f"{where}: the likelihood {', '.join(bounded)} needs images in [0, 1] "
            f"(got {low:g} to {high:g})"
        )


def size_text(shape: tuple[int, ...]) -> str:
    """A shape (C, H, W) in words."""
    channels, height, width = shape
    return f"{height} x {width} pixels of {channels} channel{'s' if channels > 1 else ''}"
