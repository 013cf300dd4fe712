"""Results as files: latents for downstream use, losses per position, JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from zipfile import ZipFile

from textvae.checkpoints import atomic_file, write_file
from textvae.console import json_text, visible
from textvae.plots import plot_positions

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

    from textvae.analysis.planes import Plane
    from textvae.analysis.positions import PositionAnalysis
    from textvae.api.parts import PartLatents
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
        labels: by column, one for each row.
    """

    texts: list[str] | None
    means: np.ndarray
    scales: np.ndarray
    labels: Mapping[str, list[str]] = {}


def text_blocks(
    vae: SentenceVAE,
    texts: Iterable[str],
    most: int = BLOCK,
    labels: Mapping[str, list[str]] | None = None,
) -> Iterator[LatentBlock]:
    """The latents of texts in their order, of at most so many at once.

    Memory hardly grows with the number of texts.
    """
    start = 0
    for block in blocks(texts, most):
        means, scales = vae.encode(block, return_scales=True)
        rows = slice(start, start + len(block))
        start += len(block)
        own = {name: values[rows] for name, values in (labels or {}).items()}
        yield LatentBlock(block, means, scales, own)


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

    .npy contains the means, .npz `mean` and `scale`, .parquet a row for each text or image, see
    `write_parquet`. The blocks are written one after the other.

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


def write_part_latents(out: Path, found: PartLatents) -> None:
    """Write the posteriors of rows with parts as arrays of an .npz file.

    They are `NAME_mean` and `NAME_scale` of each latent, (N, D), or (R, D) of a latent of parts,
    and of each plate the number of parts of each row, (N,), under its name.
    """
    import numpy as np

    arrays = {f"{name}_mean": means for name, means in found.means.items()}
    arrays |= {f"{name}_scale": scales for name, scales in found.scales.items()}
    with atomic_file(out) as partial, partial.open("wb") as file:
        np.savez(file, **arrays, **found.counts)  # type: ignore[arg-type]


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
    """Write a table with a row for each text or image; see `write_latents`.

    Its columns are text, those of labels, x and y, mean_* and scale_*. x and y are the principal
    axes of all means, so that they are known after the last block: the blocks wait in a file.
    """
    from pyarrow import parquet

    from textvae.analysis.planes import principal_plane

    with TemporaryDirectory(dir=partial.parent) as folder:
        waiting = Path(folder) / "blocks.parquet"
        moments = Moments()
        write_tables(waiting, (moments.table(block) for block in blocks))
        plane = principal_plane(*moments.result())
        stored = parquet.ParquetFile(waiting)
        groups = (stored.read_row_group(n) for n in range(stored.num_row_groups))
        write_tables(partial, (with_places(table, plane) for table in groups))
    return len(plane.centre)


def write_tables(out: Path, tables: Iterable[pyarrow.Table]) -> None:
    """Write tables of the same columns into one parquet file, one row group each."""
    from pyarrow import parquet

    writer = None
    try:
        for table in tables:
            writer = writer or parquet.ParquetWriter(out, table.schema)
            writer.write_table(table, row_group_size=max(1, len(table)))
    finally:
        if writer is not None:
            writer.close()


class Moments:
    """Mean and covariance of the means of blocks, summed from block to block."""

    def __init__(self) -> None:
        self.count = 0
        self.shift: np.ndarray | None = None
        self.sums: Any = 0.0
        self.products: Any = 0.0

    def table(self, block: LatentBlock) -> pyarrow.Table:
        """The block as a table, after it was counted."""
        import pyarrow

        if self.shift is None:
            # Sums of differences from one row keep their digits.
            self.shift = block.means[0].astype("f8")
        centred = block.means - self.shift
        self.count += len(centred)
        self.sums = self.sums + centred.sum(0)
        self.products = self.products + centred.T @ centred
        columns: dict[str, Any] = {} if block.texts is None else {"text": block.texts}
        columns |= {free_name(name, columns): values for name, values in block.labels.items()}
        for name, values in (("mean", block.means), ("scale", block.scales)):
            columns |= {f"{name}_{d}": values[:, d] for d in range(values.shape[1])}
        return pyarrow.table(columns)

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean, (D,), and covariance, (D, D), of all rows."""
        away = self.sums / self.count
        return self.shift + away, self.products / self.count - away[:, None] * away


def free_name(name: str, taken: Iterable[str]) -> str:
    """The name of a column of labels, unlike those of the table's own."""
    own = name in ("x", "y", *taken) or name.startswith(("mean_", "scale_"))
    return f"label_{name}" if own else name


def with_places(table: pyarrow.Table, plane: Plane) -> pyarrow.Table:
    """A table of means with the places x and y on a plane before them; y is 0 in one dimension."""
    import numpy as np

    width = len(plane.centre)
    means = np.stack([table[f"mean_{d}"].to_numpy() for d in range(width)], 1)
    places = np.pad(plane.place(means), [(0, 0), (0, 2 - len(plane.directions))])
    first = table.column_names.index("mean_0")
    for n, name in enumerate("xy"):
        table = table.add_column(first + n, name, [places[:, n].astype("f4")])
    return table


PROJECTOR = """embeddings {
  tensor_name: "posterior means"
  tensor_path: "tensors.tsv"
  metadata_path: "metadata.tsv"
}
"""
"""The configuration of TensorBoard's projector, which reads the two files beside it."""


def written_for_projector(blocks: Iterable[LatentBlock], folder: Path) -> Iterator[LatentBlock]:
    """The blocks, each written into a folder for TensorBoard's projector as it passes.

    `tensorboard --logdir FOLDER` shows it. An image has its number in place of a text.
    """
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "projector_config.pbtxt", PROJECTOR)
    with (
        atomic_file(folder / "tensors.tsv") as tensors_path,
        atomic_file(folder / "metadata.tsv") as rows_path,
        tensors_path.open("w", encoding="utf-8") as tensors,
        rows_path.open("w", encoding="utf-8") as rows,
    ):
        count = 0
        for block in blocks:
            if not count and block.labels:  # of one column there is no header
                print(*map(visible, ["text", *block.labels]), sep="\t", file=rows)
            np.savetxt(tensors, block.means, "%.6g", "\t")
            names = block.texts or map(str, range(count, count + len(block.means)))
            for cells in zip(names, *block.labels.values(), strict=True):
                print(*map(visible, cells), sep="\t", file=rows)
            count += len(block.means)
            yield block


def write_json(out: Path, result: Any) -> None:
    """Write a result as `--json` prints it."""
    write_file(out, json_text(result) + "\n")


def write_positions(analysis: PositionAnalysis, picture: Path, title: str) -> dict[str, Any]:
    """Write losses per position as a picture and as JSON; return them."""
    result = analysis.result()
    plot_positions(result, title, picture)
    write_json(picture.with_suffix(".json"), result)
    return result
