"""Images as PNG files in memory, for the page."""

import base64
import io

import numpy as np

THUMBNAIL = 64
"""Most pixels on a side of a thumbnail."""


def as_bytes(images: np.ndarray) -> np.ndarray:
    """Images, (N, C, H, W), bytes or in [0, 1], as bytes with colours last, (N, H, W, C)."""
    if images.dtype != np.uint8:
        images = np.round(np.clip(images, 0, 1) * 255).astype(np.uint8)
    return images.transpose(0, 2, 3, 1)


def png(pixels: np.ndarray) -> bytes:
    """Pixels, (H, W, 1 or 3), uint8, as a PNG file; of another number of channels the first."""
    from PIL import Image

    shown = pixels if pixels.shape[-1] == 3 else pixels[..., 0]
    out = io.BytesIO()
    Image.fromarray(shown).save(out, "png")
    return out.getvalue()


def data_address(image: np.ndarray) -> str:
    """An image, (C, H, W), as an address that contains it."""
    return f"data:image/png;base64,{base64.b64encode(png(as_bytes(image[None])[0])).decode()}"


def smaller(images: np.ndarray) -> np.ndarray:
    """Images, (N, H, W, C), uint8, with at most `THUMBNAIL` pixels on a side: every k-th pixel."""
    step = -(-max(images.shape[1:3]) // THUMBNAIL)
    return images[:, ::step, ::step]


def sprite(images: np.ndarray, columns: int) -> bytes:
    """Thumbnails of images, (N, C, H, W), row after row in one PNG file."""
    small = smaller(as_bytes(images))
    count, height, width, channels = small.shape
    rows = -(-count // columns)
    canvas = np.zeros((rows * columns, height, width, channels), np.uint8)
    canvas[:count] = small
    canvas = canvas.reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return png(canvas.reshape(rows * height, columns * width, channels))
