"""Results as files: latents for downstream use, losses per position, JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from zipfile import ZipFile

from textvae.checkpoints import atomic_file, write_file
from textvae.console import json_text
from textvae.plots import plot_positions

if TYPE_CHECKING:
    import numpy as np

    from textvae.analysis.positions import PositionAnalysis
    from textvae.api.sentence import SentenceVAE

BLOCK, CHARACTERS = 4096, 2**20
"""Texts that are encoded at once, and their characters."""

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


class LatentBlock(NamedTuple):
    """Latents of some rows.

    Args:
        texts: N of them; None for images.
        means: of the posteriors, (N, D), float32.
        scales: their standard deviations, (N, D), float32.
    """

    texts: list[str] | None
    means: np.ndarray
    scales: np.ndarray


def text_blocks(vae: SentenceVAE, texts: Iterable[str], most: int = BLOCK) -> Iterator[LatentBlock]:
    """The latents of texts in their order, of at most so many at once.

    Memory hardly grows with the number of texts.
    """
    for block in blocks(texts, most):
        means, scales = vae.encode(block, return_scales=True)
        yield LatentBlock(block, means, scales)


def blocks(texts: Iterable[str], most: int) -> Iterator[list[str]]:
    """The texts in lists of at most `most` texts, and of about `CHARACTERS` characters."""
    block: list[str] = []
    size = 0
    for text in texts:
        block.append(text)
        size += len(text)
        if len(block) == most or size >= CHARACTERS:
            yield block
            block, size = [], 0
    if block:
        yield block


def write_latents(out: Path, count: int, blocks: Iterable[LatentBlock]) -> int:
    """Write posterior means and scales, (N, D) each, in the format of the file's ending.

    .npy contains the means, .npz `mean` and `scale`, .parquet a row for each text or image. The
    blocks are written one after the other.

    Args:
        out: file to write.
        count: rows N of all blocks.
        blocks: at least one.

    Returns:
        D.
    """
    write = {".npy": write_npy, ".npz": write_npz, ".parquet": write_parquet}[out.suffix]
    with atomic_file(out) as partial:
        return write(partial, count, blocks)


def write_npy(partial: Path, count: int, blocks: Iterable[LatentBlock]) -> int:
    """Write the means as an array of numpy; see `write_latents`."""
    with partial.open("wb") as file:
        return write_array(file, count, (block.means for block in blocks))


def write_npz(partial: Path, count: int, blocks: Iterable[LatentBlock]) -> int:
    """Write the means and the scales as arrays of numpy; see `write_latents`.

    The arrays stand in the archive one after the other: the scales wait in a file of their own,
    which has no name and ends with the process.
    """

    def means(waiting: IO[bytes]) -> Iterator[np.ndarray]:
        for block in blocks:
            waiting.write(block.scales.astype("<f4").tobytes())
            yield block.means

    with ZipFile(partial, "w") as archive, TemporaryFile(dir=partial.parent) as waiting:
        with archive.open("mean.npy", "w", force_zip64=True) as file:
            width = write_array(file, count, means(waiting))
        waiting.seek(0)
        with archive.open("scale.npy", "w", force_zip64=True) as file:
            write_header(file, count, width)
            shutil.copyfileobj(waiting, file)
    return width


def write_array(file: IO[bytes], count: int, parts: Iterable[np.ndarray]) -> int:
    """Write the parts, (N, D) each, of an array in the format of numpy, (count, D); return D."""
    width = 0
    for number, part in enumerate(parts):
        if not number:
            width = part.shape[1]
            write_header(file, count, width)
        file.write(part.astype("<f4").tobytes())
    return width


def write_header(file: IO[bytes], count: int, width: int) -> None:
    """Write what numpy has before the values of an array, (count, width), float32."""
    from numpy.lib.format import write_array_header_1_0

    shape = {"descr": "<f4", "fortran_order": False, "shape": (count, width)}
    write_array_header_1_0(file, shape)


def write_parquet(partial: Path, count: int, blocks: Iterable[LatentBlock]) -> int:
    """Write a table with a row for each text or image; see `write_latents`."""
    import pyarrow
    from pyarrow import parquet

    width, writer = 0, None
    try:
        for texts, means, scales in blocks:
            columns: dict[str, Any] = {} if texts is None else {"text": texts}
            for name, values in (("mean", means), ("scale", scales)):
                columns |= {f"{name}_{d}": values[:, d] for d in range(values.shape[1])}
            table = pyarrow.table(columns)
            if writer is None:
                width, writer = means.shape[1], parquet.ParquetWriter(partial, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    return width


def write_json(out: Path, result: Any) -> None:
    """Write a result as `--json` prints it."""
    write_file(out, json_text(result) + "\n")


def write_positions(analysis: PositionAnalysis, picture: Path, title: str) -> dict[str, Any]:
    """Write losses per position as a picture and as JSON; return them."""
    result = analysis.result()
    plot_positions(result, title, picture)
    write_json(picture.with_suffix(".json"), result)
    return result
