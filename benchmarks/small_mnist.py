"""MNIST at 14 x 14 in npz files: digits, and even against odd with few known positives.

Run: python benchmarks/small_mnist.py MNIST OUT. MNIST holds the four idx files; OUT gets

- digits.npz: 12,000 training, 1,000 validation and 3,000 test images, the first of the official
  splits, with the digit as label;
- parity.npz: the same with labels 1 for even, 0 for odd;
- positives.npz: the same images; 1,000 even training images and 83 of validation are labelled 1,
  the others have no label, -1; the test images are labelled 1 for even, 0 for odd;
- negatives.npz: as positives.npz, with 0 in place of -1: what is not known counts as odd;
- open.npz: 7,500 training and 750 validation images of the digits 0 to 5, the first of the official
  training images, and the 3,000 test images of all ten;
- pairs60.npz and pairs400.npz: two views of the first 60 or 400 training images, of the first 200
  validation images and of the first 400 test images: `near`, the digit, and `far`, its edges, black
  on white and moved down and right by a pixel.
"""

import argparse
from pathlib import Path

import numpy as np

from textvae.config import ImageDataConfig
from textvae.data.images import read_image_corpus

TRAIN, VALID, TEST = 12_000, 1_000, 3_000
POSITIVES = 1_000
KNOWN, OPEN_TRAIN, OPEN_VALID = 6, 7_500, 750
PAIRS, PAIRS_VALID, PAIRS_TEST = (60, 400), 200, 400
SIZE = 14


def known_positives(even: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Labels, (N,), int64: 1 for so many of the even digits, drawn with a seed, else -1."""
    chosen = np.random.default_rng(seed).choice(np.flatnonzero(even), count, replace=False)
    labels = np.full(len(even), -1, np.int64)
    labels[chosen] = 1
    return labels


def open_set(images: np.ndarray, digits: np.ndarray) -> dict[str, np.ndarray]:
    """The training and validation arrays of open.npz, of images, (N, 1, H, W), and digits, (N,)."""
    rows = np.flatnonzero(digits < KNOWN)
    splits = {"train": rows[:OPEN_TRAIN], "valid": rows[OPEN_TRAIN : OPEN_TRAIN + OPEN_VALID]}
    pixels = {f"x_{split}": images[chosen, 0] for split, chosen in splits.items()}
    return pixels | {f"y_{split}": digits[chosen] for split, chosen in splits.items()}


def edges(images: np.ndarray) -> np.ndarray:
    """Inverted edge maps of images, (N, H, W), uint8, moved down and right by a pixel."""
    rows, columns = np.gradient(images.astype(np.float64), axis=(1, 2))
    strength = np.minimum(255, 2 * np.hypot(rows, columns)).round().astype(np.uint8)
    moved = np.zeros_like(strength)
    moved[:, 1:, 1:] = strength[:, :-1, :-1]
    return 255 - moved


def pairs(arrays: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    """The arrays of two views, with a number of training pairs."""
    sizes = {"train": count, "valid": PAIRS_VALID, "test": PAIRS_TEST}
    near = {split: arrays[f"x_{split}"][:size] for split, size in sizes.items()}
    views = {f"near_{split}": images for split, images in near.items()}
    return views | {f"far_{split}": edges(images) for split, images in near.items()}


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist", help="folder of the four idx files")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    config = ImageDataConfig(modality="image", source=arguments.mnist, size=[SIZE, SIZE])
    # Rows that are held out of train here are not read: the first ones are the same each time.
    corpus = read_image_corpus(config.model_copy(update={"valid_fraction": 0.01}))
    assert corpus.test is not None, "MNIST has test images"
    counts = {"train": (corpus.train, 0, TRAIN), "valid": (corpus.train, TRAIN, VALID)}
    arrays: dict[str, np.ndarray] = {}
    for split, (rows, start, count) in (counts | {"test": (corpus.test, 0, TEST)}).items():
        for letter, field in (("x", "image"), ("y", "label")):
            values = rows.columns[field].values[start : start + count]  # type: ignore[attr-defined]
            arrays[f"{letter}_{split}"] = values[:, 0] if letter == "x" else values
    arguments.out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(arguments.out / "digits.npz", **arrays)  # type: ignore[arg-type]
    known = open_set(corpus.train.columns["image"].values, corpus.train.columns["label"].values)  # type: ignore[attr-defined]
    test_digits = {name: arrays[name] for name in ("x_test", "y_test")}
    np.savez_compressed(arguments.out / "open.npz", **known, **test_digits)  # type: ignore[arg-type]
    for count in PAIRS:
        np.savez_compressed(arguments.out / f"pairs{count}.npz", **pairs(arrays, count))  # type: ignore[arg-type]
    even_digits = {f"y_{s}": (arrays[f"y_{s}"] % 2 == 0).astype(np.int64) for s in counts}
    test = (arrays["y_test"] % 2 == 0).astype(np.int64)
    parity = arrays | even_digits | {"y_test": test}
    np.savez_compressed(arguments.out / "parity.npz", **parity)  # type: ignore[arg-type]
    for split, count in (("train", POSITIVES), ("valid", POSITIVES * VALID // TRAIN)):
        even = arrays[f"y_{split}"] % 2 == 0
        arrays[f"y_{split}"] = known_positives(even, count, seed=0)
    arrays["y_test"] = test
    np.savez_compressed(arguments.out / "positives.npz", **arrays)  # type: ignore[arg-type]
    for split in ("train", "valid"):
        arrays[f"y_{split}"] = np.maximum(arrays[f"y_{split}"], 0)
    np.savez_compressed(arguments.out / "negatives.npz", **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
