"""Results as files: latents for downstream use, losses per position."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textvae.evaluation.positions import PositionLosses
from textvae.plots import plot_positions

ENDINGS = (".npy", ".npz", ".parquet")


def check_ending(out: Path) -> None:
    """Refuse a file that cannot be written, before any work is done.

    Raises:
        ValueError: the ending is unknown, or the folder is not there.
    """
    if out.suffix not in ENDINGS:
        raise ValueError(f"--out must end in {', '.join(ENDINGS)} (got {str(out)!r})")
    if not out.parent.is_dir():
        raise ValueError(f"--out: the folder {str(out.parent)!r} is not there")


def write_latents(out: Path, texts: Sequence[str], means: np.ndarray, scales: np.ndarray) -> None:
    """Write posterior means and scales, (N, D) each, in the format of the file's ending.

    .npy holds the means; .npz `mean` and `scale`; .parquet one row for each text.
    """
    beside = out.with_name(f".{out.name}")
    if out.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        columns: dict[str, Any] = {"text": list(texts)}
        for name, values in (("mean", means), ("scale", scales)):
            columns |= {f"{name}_{d}": values[:, d] for d in range(values.shape[1])}
        parquet.write_table(pyarrow.table(columns), beside)
    else:
        with beside.open("wb") as file:
            if out.suffix == ".npy":
                np.save(file, means)
            else:
                np.savez(file, mean=means, scale=scales)
    beside.replace(out)


def write_positions(losses: PositionLosses, picture: Path, title: str) -> dict[str, list]:
    """Draw losses per position, write them as JSON beside the picture, and return them."""
    result = {
        "position": list(range(1, len(losses.loss) + 1)),
        "loss": [round(value, 6) for value in losses.loss.tolist()],
        "texts": losses.count.tolist(),
    }
    plot_positions(result["position"], result["loss"], result["texts"], title, picture)
    text = json.dumps(result, indent=1)
    picture.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    return result
