"""Picture files as a viewer shows them: transparency, palettes, CMYK, rotation, 16 bits."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from textvae.config import background_colour
from textvae.data.errors import DataError, nearest_name
from textvae.data.file_trees import refuse_pointer
from textvae.data.pixels import (
    View,
    eight_bits,
    inverted,
    proportions_differ,
    resized,
    significant_bits,
    size_text,
    value_range,
)

PICTURES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
    *(".pgm", ".ppm", ".pbm", ".pnm"),
)
"""Ends of the names of picture files."""

GREY_MODES = ("1", "L", "LA", "La")
"""Modes of Pillow with one channel of at most 8 bits, beside alpha."""


class Picture(NamedTuple):
    """A decoded picture file.

    Args:
        pixels: (C, H, W), C = 1 for grey and 3 for colours: uint8, or int64 or float32 where the
            file has more than 8 bits, in its own range.
        transparent: whether a part of it was put on the background.
        frames: whether it has more frames than the first.
    """

    pixels: np.ndarray
    transparent: bool = False
    frames: bool = False


def decoded(data: bytes, where: str, background: str) -> Picture:
    """The picture in the bytes of a file.

    Args:
        data: the bytes.
        where: path of the file, for messages.
        background: colour behind transparent parts.

    Raises:
        DataError: it is damaged, no picture, or of a kind that Pillow cannot convert.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as opened:
            return as_shown(opened, background)
    except Image.DecompressionBombError:
        raise DataError(f"{where}: has too many pixels to be decoded") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError):
        raise DataError(f"{where}: is damaged or no image") from None


def as_shown(opened: Any, background: str) -> Picture:
    """An open picture of Pillow, or one from a hub data set, as a viewer shows it.

    Raises:
        ValueError: Pillow cannot convert it; OSError where it is damaged.
    """
    from PIL import ImageOps

    # The second picture of an MPO, a JPEG of a phone, is for other screens.
    frames = bool(getattr(opened, "is_animated", False)) and opened.format != "MPO"
    clear = "transparency" in opened.info or opened.mode in ("LA", "La", "PA", "RGBA", "RGBa")
    if opened.mode[0] in "IF":
        if clear:
            raise ValueError("transparency beside more than 8 bits")
        pixels = np.asarray(ImageOps.exif_transpose(opened))
        return Picture(pixels.astype(np.float32 if opened.mode == "F" else np.int64)[None], False)
    image = ImageOps.exif_transpose(opened)
    palette, grey = image.mode in ("P", "PA"), image.mode in GREY_MODES
    transparent = False
    if clear:
        image, transparent = on_background(image, background)
        red, green, blue = background_colour(background)
        grey = grey and (not transparent or red == green == blue)
    pixels = np.asarray(image.convert("RGB"))
    grey = grey or (palette and bool((pixels == pixels[..., :1]).all()))
    channels = pixels[..., :1] if grey else pixels
    return Picture(np.ascontiguousarray(channels.transpose(2, 0, 1)), transparent, frames)


def on_background(image: Any, background: str) -> tuple[Any, bool]:
    """A picture with alpha on a colour, in RGB, and whether any pixel lets the colour through."""
    from PIL import Image

    layer = image.convert("RGBA")
    canvas = Image.new("RGBA", layer.size, (*background_colour(background), 255))
    transparent = layer.getchannel("A").getextrema()[0] < 255
    return Image.alpha_composite(canvas, layer).convert("RGB"), transparent


@dataclass
class PictureSet:
    """The pictures of all splits of a source, which get one size, one depth and one format.

    Args:
        where: the source, for messages.
        view: how they are read; `size` is applied at once, so that large pictures need no memory.
        key: of that size in a recipe, for messages.
    """

    where: str
    view: View
    key: str = "data.size"
    names: list[str] = field(default_factory=list)
    pixels: list[np.ndarray] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, picture: Picture) -> None:
        """Add one picture.

        Raises:
            DataError: it has another size than the first one.
        """
        pixels = picture.pixels
        self.counts["transparent"] += picture.transparent
        self.counts["frames"] += picture.frames
        if self.view.size is not None:
            self.counts["resized"] += pixels.shape[1:] != self.view.size
            self.counts["stretched"] += proportions_differ(pixels.shape[1:], self.view.size)
            pixels = resized(pixels[None], self.view.size)[0]
        elif self.pixels and pixels.shape[1:] != self.pixels[0].shape[1:]:
            raise DataError(
                f"{name}: {size_text(pixels.shape)}, but {Path(self.names[0]).name} has "
                f"{size_text(self.pixels[0].shape)}: all images must be of one size; "
                f"--set {self.key}=32 makes them so"
            )
        self.names.append(name)
        self.pixels.append(pixels)

    def images(self, notes: list[str]) -> tuple[np.ndarray, int | None]:
        """The pictures, (N, C, H, W), uint8, and the bits of those of more than 8; adds notes.

        Raises:
            DataError: pixels below 0 or of more than 16 bits.
        """
        self.make_whole()
        wide = [pixels for pixels in self.pixels if pixels.dtype != np.uint8]
        bits = None
        if wide:
            bits = max(self.view.bits or 0, significant_bits(wide, self.where))
            # In place, so that a set of many pictures is in memory once.
            for number, pixels in enumerate(self.pixels):
                if pixels.dtype != np.uint8:
                    self.pixels[number] = eight_bits(pixels, bits)
            notes.append(
                f"{self.where}: {len(wide):,} pictures have over 8 bits, and pixels up to "
                f"{value_range(wide)[1]:,.0f}: {bits} bits are scaled to 8"
            )
        grey = sum(len(pixels) == 1 for pixels in self.pixels)
        if 0 < grey < len(self.pixels):
            notes.append(
                f"{self.where}: {grey:,} of {len(self.pixels):,} pictures are grey, read as colours"
            )
            self.pixels = [np.broadcast_to(p, (3, *p.shape[1:])) for p in self.pixels]
        notes += self.notes()
        return np.stack(self.pixels), bits

    def make_whole(self) -> None:
        """Turn floats into whole numbers: shares of white, if none is above 1, else bytes.

        Raises:
            DataError: a float is below 0 or above 255, or none.
        """
        floats = [n for n, pixels in enumerate(self.pixels) if pixels.dtype.kind == "f"]
        if not floats:
            return
        low, high = value_range([self.pixels[number] for number in floats])
        if not (low >= 0 and high <= 255):
            raise DataError(
                f"{self.where}: pixels that are floats must be in [0, 1] or [0, 255] "
                f"(got {low:g} to {high:g})"
            )
        for number in floats:
            scaled = self.pixels[number] * (255 if high <= 1 else 1)
            self.pixels[number] = np.round(scaled).astype(np.uint8)

    def notes(self) -> list[str]:
        """Sentences on what was done to how many of the pictures."""
        count = self.counts
        sentences = {
            "transparent": f"put on {self.view.background} where they are transparent "
            "(data.background)",
            "frames": "have several frames: the first one is read",
            "resized": f"resized to {self.view.size_text} ({self.key})",
            "stretched": f"had other proportions than {self.key}, and were stretched",
        }
        return [
            f"{self.where}: {count[key]:,} of {len(self.names):,} pictures {text}"
            for key, text in sentences.items()
            if count[key]
        ]


def read_picture(
    path: Path, view: View, notes: list[str], channels: int | None = None
) -> np.ndarray:
    """One picture file as a data set of such files is read, (C, H, W), uint8.

    Args:
        path: of the file.
        view: how it is read.
        notes: sentences on what was done to it are added.
        channels: 1 to make colours grey, 3 to make grey colours; None for those of the file.

    Raises:
        DataError: the file is missing, damaged or no picture.
    """
    pictures = PictureSet(str(path), view)
    pictures.add(str(path), opened_picture(path, view))
    images, _ = pictures.images(notes)
    if view.bits == 1 and images.max() <= 1:
        images = eight_bits(images, 1)
    if view.invert:
        images = inverted(images, str(path))
    if channels not in (None, images.shape[1]):
        notes.append(f"{path}: {'colours are read as grey' if channels == 1 else 'is grey'}")
        images = with_channels(images, channels)
    return images[0]


def opened_picture(path: Path, view: View) -> Picture:
    """The picture of a file, as it is stored.

    Raises:
        DataError: the file is missing, damaged or no picture.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such image{nearest_name(path)}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    refuse_pointer(str(path), data)
    return decoded(data, str(path), view.background)


def with_channels(images: np.ndarray, channels: int | None) -> np.ndarray:
    """Images, (N, C, H, W), uint8, of 1 or 3 channels; grey is Pillow's, ITU-R 601-2 luma."""
    if channels == 3:
        return np.broadcast_to(images, (len(images), 3, *images.shape[2:]))
    red, green, blue = images.astype(np.int64).transpose(1, 0, 2, 3)
    luma = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
    return luma.astype(np.uint8)[:, None]
