"""Results as files: latents for downstream use, losses per position, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textvae.console import json_text
from textvae.plots import plot_positions

if TYPE_CHECKING:
    import numpy as np

    from textvae.analysis.positions import PositionAnalysis

LATENTS, PICTURE, JSON = (".npy", ".npz", ".parquet"), (".png",), (".json",)


def check_out(out: Path, endings: Sequence[str]) -> None:
    """Refuse a file that cannot be written, before any work is done.

    Raises:
        ValueError: another ending, a missing folder, or a folder in place of a file.
    """
    if out.suffix not in endings:
        raise ValueError(f"--out must end in {', '.join(endings)} (got {str(out)!r})")
    if not out.parent.is_dir():
        raise ValueError(f"--out: the folder {str(out.parent)!r} is not there")
    if out.is_dir():
        raise ValueError(f"--out: {str(out)!r} is a folder")


def check_beside(picture: Path) -> None:
    """Refuse a picture of positions whose JSON would replace another file.

    Raises:
        ValueError: the file exists and contains no losses per position.
    """
    file = picture.with_suffix(".json")
    try:
        replaceable = not file.exists() or "position" in json.loads(
            file.read_text(encoding="utf-8")
        )
    except (OSError, ValueError, TypeError):
        replaceable = False
    if not replaceable:
        raise ValueError(f"--out: the JSON beside it would replace {str(file)!r}; name another")


@contextmanager
def atomic_file(out: Path) -> Iterator[Path]:
    """A temporary file that replaces `out` after a complete write."""
    partial = out.with_name(f".{out.name}")
    try:
        yield partial
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def write_latents(
    out: Path, texts: Sequence[str] | None, means: np.ndarray, scales: np.ndarray
) -> None:
    """Write posterior means and scales, (N, D) each, in the format of the file's ending.

    .npy contains the means, .npz `mean` and `scale`, .parquet a row for each text or image.
    """
    with atomic_file(out) as partial:
        if out.suffix == ".parquet":
            import pyarrow
            from pyarrow import parquet

            columns: dict[str, Any] = {} if texts is None else {"text": list(texts)}
            for name, values in (("mean", means), ("scale", scales)):
                columns |= {f"{name}_{d}": values[:, d] for d in range(values.shape[1])}
            parquet.write_table(pyarrow.table(columns), partial)
            return
        import numpy as np

        with partial.open("wb") as file:
            if out.suffix == ".npy":
                np.save(file, means)
            else:
                np.savez(file, mean=means, scale=scales)


def write_json(out: Path, result: Any) -> None:
    """Write a result as `--json` prints it."""
    with atomic_file(out) as partial:
        partial.write_text(json_text(result) + "\n", encoding="utf-8")


def write_positions(analysis: PositionAnalysis, picture: Path, title: str) -> dict[str, Any]:
    """Write losses per position as a picture and as JSON; return them."""
    result = analysis.result()
    with atomic_file(picture) as partial:
        plot_positions(result, title, partial)
    write_json(picture.with_suffix(".json"), result)
    return result
