"""Arrays of images: their shape, type and range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from textvae.data.errors import DataError
from textvae.vocabulary import MISSING

Split = tuple[np.ndarray, np.ndarray | None]
"""Images, (N, C, H, W), uint8 or float32, and labels, (N,), int64, if there are any."""


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
        values: bytes v, each the pixel v / 255, or floats.
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
