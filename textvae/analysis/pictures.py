"""Grids of images as PNG files, as commands on image models write them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textvae.analysis.exports import PICTURE, LatentBlock, check_out
from textvae.api.image import ImageVAE
from textvae.console import say
from textvae.data.fields import Fields, Labels
from textvae.plots import plot_grid
from textvae.training.run_images import held_out_images
from textvae.vocabulary import MISSING

SIDE = 280
"""Most pixels on a side of an enlarged image."""


def grid(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Images, (N, C, H, W) in [0, 1], in rows on a grey background, (H', W', 3), uint8.

    Values outside [0, 1], as in the mean of a Gaussian, are clipped.
    """
    count, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    canvas = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, 3), 128, np.uint8)
    for number, image in enumerate(images):
        top, left = 1 + number // columns * (height + 1), 1 + number % columns * (width + 1)
        shown = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
        canvas[top : top + height, left : left + width] = (
            shown if channels == 3 else shown.repeat(3, axis=2)
        )
    zoom = max(1, min(SIDE // max(height, width), 1200 // max(canvas.shape[:2])))
    return canvas.repeat(zoom, 0).repeat(zoom, 1)


def write_grid(
    out: Path,
    images: np.ndarray,
    columns: int | None,
    title: str,
    row_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
    axes_names: Sequence[str] = ("", ""),
) -> None:
    """Write a grid of images, (N, C, H, W), as a PNG file with a title and labels."""
    labels = (row_names, column_names, axes_names)
    plot_grid(grid(images, columns), title, out, *labels)


def model_name(vae: ImageVAE) -> str:
    """The model's name in the titles of pictures: that of its recipe."""
    return vae.model.config.recipe or "image model"


def write_pairs(out: Path, vae: ImageVAE, rows: Fields, which: str) -> None:
    """Write images above their reconstructions.

    Args:
        out: file to write.
        vae: the model.
        rows: images.
        which: the images in the title.
    """
    columns = min(8, len(rows))
    images = pairs(as_seen(rows, vae.field), vae.reconstruct(rows), columns)
    names = ["image", "reconstruction"] * (len(images) // columns // 2)
    title = f"{model_name(vae)}: {which}, and the mean images at their posterior means"
    write_grid(out, images, columns, title, names)


def write_samples(
    out: Path, vae: ImageVAE, images: np.ndarray, columns: int | None, note: str
) -> None:
    """Write mean images of prior samples; `note` follows their number in the title."""
    write_grid(out, images, columns, f"{model_name(vae)}: {len(images)} prior samples{note}")


def write_interpolation(
    out: Path, vae: ImageVAE, ends: Fields, steps: int, spherical: bool, which: str
) -> None:
    """Write the mean images between the posterior means of two images, named by `which`."""
    path = "a great circle" if spherical else "a line"
    title = f"{model_name(vae)}: on {path} between the posterior means of {which}"
    shares = [f"{step / (steps - 1):.2g}" for step in range(steps)]
    images = vae.interpolate(ends, steps, spherical)
    write_grid(out, images, steps, title, (), shares, ("share of the second image", ""))


def as_seen(rows: Fields, field: str = "image") -> np.ndarray:
    """Images, (N, C, H, W), as the model encodes them in evaluation."""
    order, parts = zip(*rows.in_length_order(), strict=True)
    images = np.concatenate([batch[field].numpy() for batch in parts])
    return images[np.argsort(np.concatenate(order))]


def pairs(first: np.ndarray, second: np.ndarray, columns: int) -> np.ndarray:
    """Rows of images, each above a row of the second images, (2 N, C, H, W), `columns` wide.

    Grey images fill the last row.
    """
    width = min(columns, len(first))
    missing = -len(first) % width
    padding = [(0, missing), (0, 0), (0, 0), (0, 0)]
    filled = [np.pad(images, padding, constant_values=0.5) for images in (first, second)]
    rows = [
        part[start : start + width] for start in range(0, len(filled[0]), width) for part in filled
    ]
    return np.concatenate(rows)


def write_first_pictures(vae: ImageVAE, rows: Fields, folder: Path) -> list[Path]:
    """Write reconstructions, prior samples and an interpolation into a run's folder."""
    few = rows.select(np.arange(min(16, len(rows))))
    files = {name: folder / f"{name}.png" for name in ("reconstructions", "samples")}
    write_pairs(files["reconstructions"], vae, few, f"{len(few)} held-out images")
    labels = sample_labels(vae, None, 64)
    samples = vae.sample(64, 0, labels)
    write_samples(files["samples"], vae, samples, 8, labels_note(vae, None) + ", seed 0")
    if len(few) > 1:
        files["interpolation"] = folder / "interpolation.png"
        ends = few.select(np.array([0, len(few) - 1]))
        which = "two held-out images"
        write_interpolation(files["interpolation"], vae, ends, 10, False, which)
    return list(files.values())


def labels_note(vae: ImageVAE, label: int | None) -> str:
    """The labels of samples in words, after a comma; empty for a model without."""
    if not vae.classes:
        return ""
    names = vae.labels
    return (
        f", labels {names[0]} to {names[-1]} in turn"
        if label is None
        else f", label {names[label]}"
    )


def sample_labels(vae: ImageVAE, label: int | None, count: int) -> list[int] | None:
    """Labels of samples: the requested one, else each in turn; None for a model without.

    Raises:
        ValueError: a label is requested of a model without labels.
    """
    if not vae.classes:
        if label is not None:
            raise ValueError("--label: the model is given no labels")
        return None
    return [n % vae.classes if label is None else label for n in range(count)]


def named_images(
    vae: ImageVAE, folder: str, names: Sequence[str], data: str | None, label: str | None
) -> Fields:
    """The images that a command names: picture files, or numbers of held-out images.

    Args:
        vae: the model.
        folder: of its run.
        names: files or numbers.
        data: source of the numbered images; None for that of the run.
        label: name of the class of the files.

    Raises:
        ValueError: an unknown file, number or class, or files mixed with numbers.
    """
    numbers = [int(name) for name in names if name.isdigit()]
    if label is not None and (numbers or not vae.classes):
        reason = "numbered images have theirs" if numbers else "the model is given no labels"
        raise ValueError(f"--label: {reason}")
    if not numbers:
        number = MISSING if label is None else vae.label_number(label)
        notes: list[str] = []
        images = vae.read(names, notes)
        for note in dict.fromkeys(notes):
            say(f"note: {note}")
        return vae.rows(images, [number] * len(names) if vae.classes else None)
    if len(numbers) < len(names):
        raise ValueError(f"give picture files or numbers of test images, not both (got {names})")
    rows, _ = held_out_images(folder, data)
    if max(numbers) >= len(rows):
        raise ValueError(f"there are {len(rows):,} images, numbered from 0 (got {max(numbers)})")
    return vae.rows(rows.select(np.array(numbers)))


def sample_picture(
    vae: ImageVAE, folder: str, count: int, seed: int, label: int | None, out: Path | None
) -> tuple[dict[str, Any], str]:
    """Write mean images of prior samples as a grid; the result as JSON and as text."""
    out = picture_path(out, folder, "samples")
    labels = sample_labels(vae, label, count)
    note = f"{labels_note(vae, label)}, seed {seed}"
    write_samples(out, vae, vae.sample(count, seed, labels), None, note)
    return {"images": count, "out": str(out), "seed": seed}, f"{count:,} images -> {out}"


def interpolation_picture(
    vae: ImageVAE,
    folder: str,
    names: Sequence[str],
    steps: int,
    spherical: bool,
    label: str | None,
    out: Path | None,
) -> tuple[dict[str, Any], str]:
    """Write the images between two as one row; the result as JSON and as text."""
    out = picture_path(out, folder, "interpolation")
    ends = named_images(vae, folder, names, None, label)
    which = f"{names_text(names[:1])} and {names_text(names[1:])}"
    write_interpolation(out, vae, ends, steps, spherical, which)
    result = {"first": names[0], "second": names[1], "images": steps, "out": str(out)}
    return result, f"{steps:,} images from {names[0]} to {names[1]} -> {out}"


def reconstruction_picture(
    vae: ImageVAE, folder: str, names: Sequence[str], label: str | None, out: Path | None
) -> tuple[dict[str, Any], str]:
    """Write images above their reconstructions; the result as JSON and as text."""
    out = picture_path(out, folder, "reconstructions")
    rows = named_images(vae, folder, names, None, label)
    write_pairs(out, vae, rows, names_text(names))
    return {"images": list(names), "out": str(out)}, f"{len(rows):,} images, and back -> {out}"


def names_text(names: Sequence[str]) -> str:
    """Images by number or file, in words."""
    numbers = all(name.isdigit() for name in names)
    shown = names if numbers else [Path(name).name for name in names]
    return f"{'held-out image' if numbers else 'image'} {', '.join(shown)}"


def latents_of_source(vae: ImageVAE, folder: str, source: str) -> tuple[LatentBlock, list[str]]:
    """The latents of the images of a source, with their labels, and notes."""
    rows, notes = held_out_images(folder, source)
    means, scales = vae.encode(vae.rows(rows), return_scales=True)
    return LatentBlock(None, np.asarray(means), scales, label_names(rows)), notes


def label_names(rows: Fields) -> dict[str, list[str]]:
    """The label of each image by name, blank where there is none; empty without labels."""
    column = rows.columns.get("label")
    if not isinstance(column, Labels) or not (np.asarray(column.values) >= 0).any():
        return {}
    names = column.names or tuple(map(str, range(column.classes)))
    return {"label": ["" if n < 0 else names[n] for n in column.values.tolist()]}


def picture_path(out: Path | None, folder: str, name: str) -> Path:
    """The PNG file to write: `out`, else `name` in the run's folder, or in the current folder.

    Raises:
        ValueError: it cannot be written.
    """
    path = out or Path(folder if Path(folder).is_dir() else ".") / f"{name}.png"
    check_out(path, PICTURE)
    return path
