"""Sampled rows with images as files: a grid of pictures, or the arrays of an npz file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textvae.analysis.exports import check_out
from textvae.analysis.pictures import write_grid
from textvae.api.rows import facts_of
from textvae.api.table import TableVAE
from textvae.checkpoints import atomic_file
from textvae.data.image_fields import VALUES

FILES = (".png", ".npz")
"""Endings of the files that rows with images are written to."""

COLUMNS = 16
"""Most rows side by side in a picture."""


def image_fields(vae: TableVAE) -> list[str]:
    """The fields that a model writes and that are images."""
    config = vae.model.config
    written = dict.fromkeys(vae.model.field_of(name) for name in vae.model.main_decoders)
    return [name for name in written if facts_of(config, name).get("values") == VALUES]


def sample_views(
    vae: TableVAE,
    folder: str,
    count: int,
    seed: int,
    given: Mapping[str, Any] | None,
    out: Path | None,
) -> tuple[dict[str, Any], str]:
    """Write rows from the prior whose fields are images; the result as JSON and as text.

    Args:
        vae: a model with image fields.
        folder: of its run.
        count: number of rows.
        seed: of the samples.
        given: conditions by field.
        out: a .png file, a grid with a line for each image field, or an .npz file with an array of
            each field; None for samples.png in the run's folder.
    """
    out = out or Path(folder if Path(folder).is_dir() else ".") / "samples.png"
    check_out(out, FILES)
    rows = vae.sample(count, seed, given)
    if out.suffix == ".npz":
        write_arrays(out, vae, rows)
    else:
        name = vae.model.config.recipe or "model"
        write_views(out, rows, image_fields(vae), f"{name}: {len(rows)} prior samples, seed {seed}")
    return {"rows": len(rows), "out": str(out), "seed": seed}, f"{len(rows):,} rows -> {out}"


def write_views(out: Path, rows: Sequence[dict[str, Any]], fields: list[str], title: str) -> None:
    """Write a grid of the images of rows, each field's on a line of its own, as a PNG file."""
    size = tuple(max(row[name].shape[axis] for row in rows for name in fields) for axis in (1, 2))
    lines, columns = [], min(COLUMNS, len(rows))
    for start in range(0, len(rows), columns):
        part = rows[start : start + columns]
        for name in fields:
            lines += [framed(row[name], size) for row in part]
            lines += [np.full((3, *size), 0.5)] * (columns - len(part))
    names = fields * -(-len(rows) // columns)
    write_grid(out, np.stack(lines), columns, title, names)


def framed(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """An image, (C, H, W), as colours on a grey ground of a size, (3, H', W')."""
    ground = np.full((3, *size), 0.5)
    ground[:, : image.shape[1], : image.shape[2]] = image
    return ground


def write_arrays(out: Path, vae: TableVAE, rows: Sequence[dict[str, Any]]) -> None:
    """Write an array of each field of rows, from which a model can be trained as of a table.

    A set of labels is (N, C), 0 and 1, and the names of its labels are in `NAME_names`.
    """
    arrays = dict[str, np.ndarray]()
    for name in rows[0]:
        facts, cells = facts_of(vae.model.config, name), [row[name] for row in rows]
        if "label_set" in facts:
            names = list(facts["names"])
            arrays[f"{name}_names"] = np.array(names)
            cells = [[int(label in cell) for label in names] for cell in cells]
        arrays[name] = np.array(cells)
    with atomic_file(out) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
