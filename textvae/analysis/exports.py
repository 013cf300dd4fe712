"""Results as files: latents for downstream use, losses per position."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from textvae.analysis.positions import PositionStudy
from textvae.console import json_text
from textvae.plots import plot_positions

LATENTS, PICTURE, JSON = (".npy", ".npz", ".parquet"), (".png",), (".json",)


def check_out(out: Path, endings: Sequence[str]) -> None:
    """Refuse a file that cannot be written, before any work is done.

    Raises:
        ValueError: the ending is none of these, its folder is not there, or it is a folder.
    """
    if out.suffix not in endings:
        raise ValueError(f"--out must end in {', '.join(endings)} (got {str(out)!r})")
    if not out.parent.is_dir():
        raise ValueError(f"--out: the folder {str(out.parent)!r} is not there")
    if out.is_dir():
        raise ValueError(f"--out: {str(out)!r} is a folder")


def check_beside(picture: Path) -> None:
    """Refuse a picture of positions whose JSON would take the place of another file.

    Raises:
        ValueError: that file is there, and holds no losses per position.
    """
    file = picture.with_suffix(".json")
    try:
        known = not file.exists() or "position" in json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        known = False
    if not known:
        raise ValueError(f"--out: the JSON beside it would replace {str(file)!r}; name another")


@contextmanager
def written_beside(out: Path) -> Iterator[Path]:
    """A file to write that takes the place of `out` only when all of it is written."""
    beside = out.with_name(f".{out.name}")
    try:
        yield beside
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)


def write_latents(
    out: Path, texts: Sequence[str] | None, means: np.ndarray, scales: np.ndarray
) -> None:
    """Write posterior means and scales, (N, D) each, in the format of the file's ending.

    .npy holds the means; .npz `mean` and `scale`; .parquet one row for each text, or image.
    """
    with written_beside(out) as beside:
        if out.suffix == ".parquet":
            import pyarrow
            from pyarrow import parquet

            columns: dict[str, Any] = {} if texts is None else {"text": list(texts)}
            for name, values in (("mean", means), ("scale", scales)):
                columns |= {f"{name}_{d}": values[:, d] for d in range(values.shape[1])}
            parquet.write_table(pyarrow.table(columns), beside)
            return
        with beside.open("wb") as file:
            if out.suffix == ".npy":
                np.save(file, means)
            else:
                np.savez(file, mean=means, scale=scales)


def write_json(out: Path, result: Any) -> None:
    """Write a result as `--json` prints it."""
    with written_beside(out) as beside:
        beside.write_text(json_text(result) + "\n", encoding="utf-8")


def write_positions(study: PositionStudy, picture: Path, title: str) -> dict[str, Any]:
    """Draw losses per position, write them as JSON beside the picture, and return them."""
    result = study.result()
    with written_beside(picture) as beside:
        plot_positions(result, title, beside)
    write_json(picture.with_suffix(".json"), result)
    return result
