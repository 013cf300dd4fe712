"""Held-out texts or images of a model, with the labels of each."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from textvae.analysis.pictures import label_names
from textvae.api.rows import facts_of
from textvae.api.sentence import SentenceVAE
from textvae.data.errors import DataError
from textvae.data.fields import Fields
from textvae.data.formats import read_rows
from textvae.data.formats.txt import iter_lines
from textvae.data.sources import label_of, label_table, path_of
from textvae.data.splits import split_files
from textvae.data.tables import Columns
from textvae.graph.folders import is_of_table
from textvae.recipes import shipped
from textvae.training.run_data import (
    column_subset,
    held_out_labels,
    held_out_rows,
    held_out_texts,
    subset,
    text_data_config,
)
from textvae.training.run_images import held_out_images, image_data_config, image_subset

MOST_COLUMNS = 20
"""Columns of labels that are read of a table beside the texts."""


@dataclass
class HeldOutTexts:
    """Texts of which no training has seen any, as far as the run's folder shows.

    Args:
        texts: N of them; of rows with parts, all parts of the first text that the model writes.
        labels: by column, one for each text, blank where there is none.
        total: number that these were drawn from.
        source: name of the data.
        notes: sentences for the user.
        columns: of a model that reads several fields, all of them: N cells of each.
    """

    texts: list[str]
    labels: dict[str, list[str]]
    total: int
    source: str
    notes: list[str] = field(default_factory=list)
    columns: Columns | None = None


@dataclass
class HeldOutImages:
    """Images, as `HeldOutTexts`; their labels, if any, are the field `label`."""

    images: Fields
    labels: dict[str, list[str]]
    total: int
    source: str
    notes: list[str] = field(default_factory=list)


def read_held_out_texts(
    model: str,
    data: str | None,
    text_column: str,
    label_columns: Sequence[str],
    limit: int,
    seed: int,
) -> HeldOutTexts:
    """At most `limit` held-out texts with their labels, drawn with a seed, in their order.

    The labels are those of the named columns; without any, those that the run was trained with, or
    of a table beside the texts.

    Raises:
        DataError: the texts cannot be read.
        RunError: no data is named and the model's folder is no run of texts.
    """
    notes: list[str] = []
    columns = list(label_columns)
    if not columns and data is None and (own := text_data_config(model).label_column):
        columns = [own]
    labels: dict[str, list[str]] = {}
    texts: list[str] | None = None
    if not columns:
        rows = held_out_texts(model, data, text_column)
        texts, notes = rows.texts, rows.notes
        labels, columns = labels_beside(model, data, len(texts))
    for column in columns:
        said: list[str] = []
        read = held_out_labels(model, data, text_column, column, said)
        texts, labels[column] = read.texts, read.labels
        notes += [note for note in said if note not in notes]
    assert texts is not None
    source = data or text_data_config(model).source or "the shipped corpus"
    chosen = subset(list(range(len(texts))), limit, seed)
    kept = {name: [values[n] for n in chosen] for name, values in labels.items()}
    return HeldOutTexts([texts[n] for n in chosen], kept, len(texts), Path(source).name, notes)


def read_held_out_rows(
    vae: SentenceVAE,
    model: str,
    data: str | None,
    label_columns: Sequence[str],
    limit: int,
    seed: int,
) -> HeldOutTexts:
    """`read_held_out_texts` of a model that reads several fields.

    The labels are its fields of labels of whole rows, and the named columns beside them.

    Raises:
        DataError: the rows cannot be read.
        RunError: the model's folder is no run of rows.
        ValueError: the model writes several texts of a row; or rows with parts, and all its latents
            are of these; or a field that is no label of whole rows is named as one.
    """
    if vae.has_parts and not vae.model.row_latents:
        raise ValueError("all latents are of parts of rows: the page shows those of whole rows")
    observed = vae.model.config.observed or {}
    target = first_text(vae) if vae.has_parts else vae.model.field_of(vae.target)
    own = {
        name
        for name in vae.fields
        if "classes" in observed.get(name, {}) and name not in vae.model.config.plates
    }
    for name in label_columns:
        if name in vae.fields and name not in own:
            raise ValueError(f"--label-column {name}: a field of the model, no label of whole rows")
    columns, notes = held_out_rows(model, data, labels=label_columns)
    columns = {name: columns[name] for name in dict.fromkeys([*vae.fields, *label_columns])}
    total = len(columns[target])
    columns = column_subset(columns, limit, seed)
    labels = {
        name: [cell or "" for cell in cells]
        for name, cells in columns.items()
        if name in own or name not in vae.fields
    }
    source = data or text_data_config(model).source or ""
    texts = [cell if isinstance(cell, str) else " ".join(cell) for cell in columns[target]]
    fields = {name: columns[name] for name in vae.fields}
    return HeldOutTexts(texts, labels, total, Path(source).name, notes, fields)


def first_text(vae: SentenceVAE) -> str:
    """The first text that the model writes; of one that writes none, the first that it reads."""
    written = [vae.model.field_of(name) for name in vae.model.text_decoders]
    texts = (name for name in vae.fields if not is_of_table(facts_of(vae.model.config, name)))
    return written[0] if written else next(texts)


def labels_beside(
    model: str, data: str | None, count: int
) -> tuple[dict[str, list[str]], list[str]]:
    """The labels in a table beside the held-out texts, by column; or its columns, to be read.

    Where held-out texts are some of a file, only the names of the columns are returned.

    Args:
        model: folder of the run.
        data: in place of that of the run.
        count: of the texts: a table of another length belongs to none of them.
    """
    source = data
    if source is None:
        source = text_data_config(model).source or str(shipped("data"))
    with suppress(DataError, OSError):
        path = path_of(source)
        if not path.exists():
            return {}, []  # a data set of the hub
        files = split_files(path, [], labels=True) if path.is_dir() else {"train": [path]}
        order = ("test", "valid", "train") if data is not None else ("test", "train")
        split = next(name for name in order if name in files)
        tables = [label_table(each) for each in files[split]]
        names = header_of(tables[0])[:MOST_COLUMNS]
        if split == "train" and data is None:
            return {}, names
        rows = [cells for table in tables for _, cells in read_rows(table, names, [])]
        if len(rows) == count:
            read = {name: [label_of(row[n], "") for row in rows] for n, name in enumerate(names)}
            return read, []
    return {}, []


def header_of(table: Path) -> list[str]:
    """The names of the columns of a tsv file."""
    line = next((line for _, line in iter_lines(table)), "")
    return line.rstrip("\r\n").split("\t") if line.strip() else []


def read_held_out_images(model: str, data: str | None, limit: int, seed: int) -> HeldOutImages:
    """At most `limit` held-out images, drawn with a seed, in their order.

    Raises:
        DataError: the images cannot be read.
        RunError: the model's folder is no run of images.
    """
    rows, notes = held_out_images(model, data)
    chosen = image_subset(rows, limit, seed)
    source = image_data_config(model, data).source or "8 x 8 digits"
    return HeldOutImages(chosen, label_names(chosen), len(rows), Path(source).name, notes)
