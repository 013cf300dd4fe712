"""Posterior means of texts, rows and images: written to a file, and the nearest ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.cli.app import command
from textvae.cli.models import (
    by_modality,
    load,
    located,
    warn_meaningless,
)
from textvae.cli.options import (
    Data,
    Device,
    Json,
    Model,
    TextColumn,
    check_data,
)
from textvae.cli.rows import parts_text
from textvae.cli.sources import (
    check_own_columns,
    column_of_texts,
    held_out,
    held_out_columns,
    print_notes,
    print_unknown_words,
    row_numbers,
    texts_to_encode,
)
from textvae.console import emit, table

if TYPE_CHECKING:
    from textvae.api.image import ImageVAE
    from textvae.api.sentence import SentenceVAE
    from textvae.api.table import TableVAE
    from textvae.data.tables import Columns


@command(
    "Latent space",
    "textvae encode reviews.txt --out z.npz",
    "textvae encode reviews.csv --text-column review --out z.parquet",
    "textvae encode reviews.csv --label-column stars --projector logs",
)
def encode(
    file: Annotated[
        str,
        typer.Argument(
            callback=check_data, help="File, `datasets` name, or folder (its test set is used)."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help=".npy: means (N, D); .npz: arrays `mean` and `scale`; .parquet: columns text, "
            "labels, x, y (principal axes), mean_* and scale_*."
        ),
    ] = Path("z.npz"),
    projector: Annotated[
        Path | None, typer.Option(help="Folder to write for TensorBoard's projector, besides.")
    ] = None,
    text_column: TextColumn = None,
    label_column: Annotated[
        list[str] | None,
        typer.Option("--label-column", help="Table column with labels to write too; repeatable."),
    ] = None,
    model: Model = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Write the posterior means and scales of texts or images.

    The scales are standard deviations. Memory hardly grows with the number of texts. Of rows with
    parts, such as dialogues, an .npz has `NAME_mean` and `NAME_scale` of each latent, and the
    number of parts of each row.
    """
    from textvae.analysis.exports import (
        LATENTS,
        check_out,
        text_blocks,
        write_latents,
        written_for_projector,
    )

    check_out(out, LATENTS)
    if projector is not None and projector.exists() and not projector.is_dir():
        raise ValueError(f"--projector: {str(projector)!r} is no folder")
    folder = located(model)
    columns = label_column or []
    column = column_of_texts(folder, file, text_column, columns)
    if (result := encoded_rows(folder, device, file, out)) is not None:
        if columns or projector is not None or text_column is not None:
            raise ValueError("--label-column, --text-column, --projector: not for rows with parts")
        emit(result, as_json, rows_line(result))
        return

    def texts(vae: "SentenceVAE") -> tuple[Any, ...]:
        if vae.reads_rows:
            if text_column is not None:
                check_own_columns(text_column)
            return rows_block(vae, folder, file, columns)
        rows, labels, notes = texts_to_encode(file, column, columns)
        # A skipped line moves the rows: they are numbered as the texts, not as the lines.
        print_notes(notes)
        print_unknown_words(vae, rows)
        return "texts", len(rows), text_blocks(vae, rows, labels=labels)

    def images(vae: "ImageVAE") -> tuple[Any, ...]:
        from textvae.analysis.pictures import latents_of_source

        block, notes = latents_of_source(vae, folder, file)
        print_notes(notes)
        return "images", len(block.means), [block]

    def tables(vae: "TableVAE") -> tuple[Any, ...]:
        return rows_block(vae, folder, file)

    only = {"label_column": bool(columns)}
    unit, N, blocks = by_modality(folder, device, texts, images, only, tables=tables)
    also = ""
    if projector is not None:
        blocks, also = written_for_projector(blocks, projector), f" and {projector}"
    D = write_latents(out, N, blocks)
    result = {unit: N, "dimensions": D, "out": str(out)}
    result |= {} if projector is None else {"projector": str(projector)}
    emit(result, as_json, f"{N:,} {unit}, {D} dimensions -> {out}{also}")


def rows_block(
    vae: "SentenceVAE | TableVAE", folder: str, file: str, labels: Sequence[str] = ()
) -> tuple[Any, ...]:
    """The latents of rows of several fields: what they are, their number, and one block."""
    from textvae.analysis.exports import LatentBlock
    from textvae.training.run_data import held_out_rows

    config = vae.model.config
    read = {f for node in config.nodes("latents") for f in config.fields_read(node["name"])}
    rows, notes = held_out_rows(folder, file, read, labels)
    print_notes(notes)
    means, scales = vae.encode({name: rows[name] for name in read}, return_scales=True)
    names = {name: list(rows[name]) for name in labels}
    return "rows", len(means), [LatentBlock(None, means, scales, names)]


def encoded_rows(folder: str, device: str | None, file: str, out: Path) -> dict[str, Any] | None:
    """The sizes of what is written of rows with parts; None for a model of other rows."""
    from textvae.graph.folders import has_parts

    if not has_parts(folder):
        return None
    if out.suffix != ".npz":
        raise ValueError(f"--out: rows with parts are written to .npz (got {str(out)!r})")
    from textvae.analysis.exports import write_part_latents
    from textvae.data.tables import read_table_split
    from textvae.training.run_data import text_data_config

    vae = load(folder, device)
    table, notes = read_table_split(file, text_data_config(folder).fields or {})
    print_notes(notes)
    found = vae.encode_parts({name: table.columns[name] for name in vae.fields})
    write_part_latents(out, found)
    counts = {plate: int(each.sum()) for plate, each in found.counts.items()}
    return {"rows": len(table), "parts": counts, "latents": list(found.means), "out": str(out)}


def rows_line(result: dict[str, Any]) -> str:
    """The result of encoding rows with parts for a terminal."""
    parts = ", ".join(f"{n:,} {name}{'s' * (n != 1)}" for name, n in result["parts"].items())
    rows = f"{result['rows']:,} row{'s' * (result['rows'] != 1)} ({parts})"
    return f"{rows}: {', '.join(result['latents'])} -> {result['out']}"


@command("Latent space", 'textvae nearest "the food was great ." --data reviews.txt -n 3')
def nearest(
    text: Annotated[
        str, typer.Argument(help="Sentence to compare with; of several fields, a row's number.")
    ],
    data: Data = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Number of neighbours.")] = 5,
    text_column: TextColumn = None,
    model: Model = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Find the texts nearest to a sentence.

    The distance is between posterior means. Of a model of several fields, give the number of a
    held-out row, from 0.
    """
    folder = located(model)
    column = column_of_texts(folder, data, text_column)
    vae = load(folder, device)
    if vae.reads_rows:
        check_own_columns(column)
        nearest_to_row(vae, text, held_out_columns(vae, folder, data, None, 0), count, as_json)
        return
    texts = held_out(folder, data, column)
    for part in ([text], texts):
        print_unknown_words(vae, part)
    neighbours = vae.nearest(text, texts, count)
    warn_meaningless(vae, folder, [text], "the neighbours are not meaningful: ")
    result = [{"text": near, "distance": distance} for near, distance in neighbours]
    emit(result, as_json, table([(d, t) for t, d in neighbours], ["distance", "text"]))


def nearest_to_row(
    vae: "SentenceVAE", number: str, columns: "Columns", count: int, as_json: bool
) -> None:
    """Print the rows nearest to one of them.

    Raises:
        ValueError: the number is not that of a row.
    """
    from textvae.data.tables import Table

    rows = Table(columns)
    (row_number,) = row_numbers([number], len(rows))

    plates = vae.model.config.plates

    def listed(cell: Any) -> Any:
        return list(cell) if isinstance(cell, tuple) else cell

    def cells(row: int) -> dict[str, Any]:
        found = {name: column[row] for name, column in columns.items()}
        # A set of labels is no list of parts.
        return {name: cell if name in plates else listed(cell) for name, cell in found.items()}

    found = vae.nearest_rows(row_number, columns, count)
    near = [{"row": cells(row), "number": row, "distance": far} for row, far in found]
    asked = cells(row_number)
    lines = [f"row {number}\n{parts_text(asked)}"]
    lines += [f"row {row}, distance {far:.3f}\n{parts_text(cells(row))}" for row, far in found]
    emit({"row": asked, "nearest": near}, as_json, "\n\n".join(lines))
