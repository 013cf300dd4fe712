"""Files of images that the tests of readers make."""

import gzip
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def pictures(count=10, height=6, width=5, seed=0):
    """Random grey images, (N, H, W), uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width), np.uint8)


def write_idx(path, array):
    """Write an idx file of bytes, gzipped where its name ends in .gz."""
    data = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    data += array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)


def write_png(path, array, **options):
    """Write an array, or an image of Pillow, as a picture of the format of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(path, **options)


def png_bytes(array):
    """An array as the bytes of a PNG file."""
    data = io.BytesIO()
    Image.fromarray(array).save(data, "png")
    return data.getvalue()


def write_zip(path, files):
    """Write a zip file of the bytes by name."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def write_classes(folder: Path, names, count=4, ending="png", size=(6, 5)):
    """Write `count` random pictures in a folder for each class."""
    for number, name in enumerate(names):
        for row, image in enumerate(pictures(count, *size, seed=number + 1)):
            write_png(folder / name / f"{row}.{ending}", image)
