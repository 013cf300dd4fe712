"""Labels that a model predicts: for texts, images and rows of a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.cli.app import command
from textvae.cli.models import Output, by_modality, emit_output, located
from textvae.cli.options import Data, Device, Json, Model, Seed, TextColumn
from textvae.cli.rows import TABLES, in_columns, table_cells, write_rows
from textvae.cli.sources import (
    check_own_columns,
    column_of_texts,
    held_out,
    print_notes,
    print_unknown_words,
    texts_to_encode,
)
from textvae.console import say_note, table, visible

if TYPE_CHECKING:
    from textvae.api.image import ImageVAE
    from textvae.api.labelling import Labelling
    from textvae.api.sentence import SentenceVAE
    from textvae.api.table import TableVAE
    from textvae.data.tables import Columns
    from textvae.graph.model import VAE

WORDS = 5
"""Words of the largest weights that are printed for a text."""


@command(
    "Evaluate",
    'textvae label "the team won the cup ." "shares fell ."',
    "textvae label --data unlabelled.csv --out labelled.csv",
    'textvae label "any chance of rain today ?" --attention',
)
def label(
    given: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts, in place of data.")
    ] = None,
    data: Data = None,
    out: Annotated[
        Path | None, typer.Option(help="csv or jsonl: the rows with their labels.")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="Column of the data to write too, such as a number; repeatable."),
    ] = None,
    attention: Annotated[
        bool,
        typer.Option(
            "--attention", help="The words that weigh most, of an encoder of kind attention."
        ),
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Of labels of a set; default: the one that evaluate chose, else 0.5."
        ),
    ] = None,
    text_column: TextColumn = None,
    model: Model = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Label texts, images or rows with a model taught labels.

    The model is one with a label as latent, such as kingma2014_m2, or one that predicts sets of
    labels. A label has its probability under the model. Labels in the data are not read: how often
    the model agrees with them, `textvae evaluate --label-column` says. Rows without a text are left
    out: --keep a column that numbers the rows, to find them again.
    """
    from textvae.analysis.exports import check_out

    if out is not None:
        check_out(out, TABLES)
    if out is not None and data is not None and out.exists() and out.samefile(Path(data)):
        raise ValueError(f"--out would replace the data, {data!r}: name another file")
    if given and data is not None:
        raise ValueError("give texts or --data, not both")
    if any(not text.strip() for text in given or ()):
        raise ValueError("a text is blank")
    if keep and data is None:
        raise ValueError("--keep is for columns of --data")
    folder = located(model)
    column = column_of_texts(folder, data, text_column, keep or [])

    def answer(found: "Labelling", rows: list[dict[str, Any]], words: list[Any] | None) -> Output:
        return labelled_output(found, rows, words, threshold_of(folder, found, threshold), out)

    def texts(vae: "SentenceVAE") -> Output:
        from textvae.api.labelling import labelling, rows_to_label

        if vae.reads_rows:
            check_own_columns("text" if text_column is None else text_column)
            columns: Any
            columns, kept = columns_to_label(vae.model, folder, given, data, keep or [])
            rows = in_columns(folder, in_rows(columns | kept))
        else:
            kept = {}
            if data is None:
                columns = given or held_out(folder, None, column)
            else:
                columns, kept, notes = texts_to_encode(data, column, keep or [])
                print_notes(notes)
            rows = in_rows({column: columns} | kept)
            print_unknown_words(vae, columns)
        read = rows_to_label(vae, columns) if vae.reads_rows else vae.rows(columns)
        found = labelling(vae.model, read, seed)
        words = [each.heaviest(WORDS) for each in vae.attention(columns)] if attention else None
        return answer(found, rows, words)

    def images(vae: "ImageVAE") -> Output:
        from textvae.api.labelling import labelling
        from textvae.data.image_files import picture_files
        from textvae.training.run_images import held_out_images

        if given or keep:
            raise ValueError(f"{folder} is a model of images: name them with --data alone")
        fields, notes = held_out_images(folder, data)
        print_notes(notes)
        found = labelling(vae.model, vae.rows(fields), seed)
        files = [] if data is None else picture_files(Path(data))
        names = files if len(files) == len(fields) else range(len(fields))
        return answer(found, [{"image": name} for name in names], None)

    def tables(vae: "TableVAE") -> Output:
        from textvae.api.labelling import labelling, rows_to_label

        columns, kept = columns_to_label(vae.model, folder, given, data, keep or [])
        cells = table_cells(vae, folder, in_rows(columns))
        rows = [
            row | more for row, more in zip(cells, in_rows(kept) or [{}] * len(cells), strict=True)
        ]
        return answer(labelling(vae.model, rows_to_label(vae, columns), seed), rows, None)

    only = {"attention": attention}
    emit_output(by_modality(folder, device, texts, images, only, tables=tables), as_json)


def columns_to_label(
    vae: "VAE", folder: str, given: list[str] | None, data: str | None, keep: Sequence[str]
) -> "tuple[Columns, Columns]":
    """The fields that the label of a row is predicted from, and other columns of the data.

    Args:
        vae: the model.
        folder: of its run, whose held-out rows are labelled where nothing else is named.
        given: texts of its one field of texts.
        data: table with the fields.
        keep: its other columns.

    Raises:
        ValueError: texts are given to a model that predicts from other fields than one of texts.
    """
    from textvae.api.labelling import read_for_label
    from textvae.api.rows import facts_of
    from textvae.training.run_data import held_out_rows

    fields = read_for_label(vae)
    if given:
        if len(fields) != 1 or facts_of(vae.config, fields[0]):
            named = ", ".join(fields)
            raise ValueError(f"the label is predicted from {named}: name rows by --data")
        return {fields[0]: given}, {}
    columns, notes = held_out_rows(folder, data, fields, keep)
    print_notes(notes)
    return {name: columns[name] for name in fields}, {name: columns[name] for name in keep}


def in_rows(columns: "Columns") -> list[dict[str, Any]]:
    """The rows of a table, by field."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def threshold_of(folder: str, found: "Labelling", given: float | None) -> float:
    """The threshold of sets of labels: given, of the run's evaluation, or 0.5.

    Raises:
        ValueError: one is given to a model of classes.
    """
    if not found.several:
        if given is not None:
            raise ValueError("--threshold is for sets of labels: a row has one class here")
        return 0.5
    if given is not None:
        return given
    from textvae.training.run_data import stored_metrics

    stored = (stored_metrics(folder).get("label_sets") or {}).get("threshold")
    say_note(
        "labels above 0.5: `textvae evaluate` chooses a threshold on the validation rows"
        if stored is None
        else f"labels above {stored:.2f}, chosen on the validation rows"
    )
    return 0.5 if stored is None else stored


def labelled_output(
    found: "Labelling",
    rows: list[dict[str, Any]],
    words: list[Any] | None,
    threshold: float,
    out: Path | None,
) -> Output:
    """Rows with their labels, for JSON and as text, or written to a file."""
    result, lines = [], []
    chosen = found.chosen(threshold)
    blocks = found.several or words is not None
    for number, (row, labels) in enumerate(zip(rows, chosen, strict=True)):
        share = dict(zip(found.names, map(float, found.probabilities[number]), strict=True))
        answer: dict[str, Any] = {found.field: labels if found.several else labels[0]}
        if found.several:
            answer["probabilities"] = [share[name] for name in labels]
        else:
            answer["probability"] = share[labels[0]]
        answer |= {} if words is None else {"words": words[number]}
        # A field of the row may have the name of an answer.
        named = {f"{name}_" if name in row else name: value for name, value in answer.items()}
        result.append(row | named)
        cells = [cell if isinstance(cell, str) else str(cell) for cell in row.values()]
        if not blocks:
            lines.append([labels[0], share[labels[0]], *cells])
            continue
        shown = ", ".join(f"{name} {share[name]:.2f}" for name in labels) or "none"
        lines.append([*cells, f"  {found.field}  {shown}"])
        if words is not None:
            weights = " ".join(f"{word} {weight:.2f}" for word, weight in words[number])
            lines[-1].append(f"  words  {weights}")
    if out is not None:
        write_rows(out, result)
        return {"rows": len(rows), "out": str(out)}, f"{len(rows):,} rows -> {out}"
    if blocks:
        text = "\n".join(visible(str(line)) for block in lines for line in block)
    else:
        text = table(lines, [found.field, "probability", *rows[0]])
    return {"rows": result, "labels": found.names}, text
