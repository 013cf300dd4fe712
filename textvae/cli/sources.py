"""The data that a command works on."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textvae.console import say_note

if TYPE_CHECKING:
    from textvae.api.sentence import SentenceVAE
    from textvae.api.table import TableVAE
    from textvae.api.text_writer import TextRows
    from textvae.data.images import ImageCorpus
    from textvae.data.readers import Labelled
    from textvae.data.tables import Columns
    from textvae.data.texts import Texts


def print_notes(notes: Iterable[str]) -> None:
    """Print remarks on the data, one a line."""
    for note in notes:
        say_note(note)


def held_out(model: str, data: str | None, text_column: str) -> list[str]:
    """Texts of `data`, or of the run's own data: its test set, else its validation set.

    Raises:
        ValueError: a column without the data that contains it.
    """
    from textvae.training.run_data import held_out_texts

    check_text_column(data, text_column)
    texts, notes = held_out_texts(model, data, text_column)
    print_notes(notes)
    return texts


def held_out_rows_of(
    vae: "SentenceVAE",
    model: str,
    data: str | None,
    text_column: str = "text",
    limit: int | None = None,
    seed: int = 0,
) -> "TextRows":
    """`held_out`, or the columns of held-out rows where the model reads several fields.

    Args:
        vae: the model.
        model: folder of its run.
        data: in place of the run's own data.
        text_column: of texts.
        limit: most texts or rows, drawn with the seed.
        seed: of these.

    Raises:
        ValueError: a column of texts for a model of rows.
    """
    from textvae.training.run_data import subset

    if not vae.reads_rows:
        return subset(held_out(model, data, text_column), limit, seed)
    check_own_columns(text_column)
    return held_out_columns(vae, model, data, limit, seed)


def held_out_columns(
    vae: "SentenceVAE | TableVAE", model: str, data: str | None, limit: int | None, seed: int
) -> "Columns":
    """`held_out_rows_of` a model of rows of several fields, by field."""
    columns = recipe_columns(model, data, limit, seed)
    return {name: columns[name] for name in vae.fields}


def recipe_columns(model: str, data: str | None, limit: int | None, seed: int) -> "Columns":
    """`held_out_columns`, with the fields of the recipe that the model does not read."""
    from textvae.training.run_data import column_subset, held_out_rows

    columns, notes = held_out_rows(model, data)
    print_notes(notes)
    return column_subset(columns, limit, seed)


def row_numbers(given: Sequence[str], count: int) -> list[int]:
    """The numbers of held-out rows that a command is given for a model of several fields.

    Raises:
        ValueError: one is no number of a row.
    """
    wrong = next((each for each in given if not each.isdecimal() or int(each) >= count), None)
    if wrong is not None:
        raise ValueError(
            f"the model reads several fields: give the number of a held-out row, 0 to {count - 1} "
            f"(got {wrong!r})"
        )
    return [int(each) for each in given]


def check_own_columns(text_column: str, label_column: str | None = None) -> None:
    """Refuse columns that are named for a model of rows of several fields.

    Raises:
        ValueError: one is named.
    """
    if label_column is not None or text_column != "text":
        raise ValueError("the model reads several fields: their columns are those of the run")


def held_out_with_labels(
    model: str, data: str | None, text_column: str, label_column: str
) -> "Labelled":
    """`held_out` with the label of each text, blank where there is none."""
    from textvae.training.run_data import held_out_labels

    check_text_column(data, text_column)
    notes: list[str] = []
    rows = held_out_labels(model, data, text_column, label_column, notes)
    print_notes(notes)
    return rows


def texts_to_encode(
    file: str, text_column: str, label_columns: Sequence[str]
) -> "tuple[Texts | list[str], dict[str, list[str]], list[str]]":
    """Texts of a file or split, their labels by column, and notes.

    With labels all texts are kept in memory; without, they are streamed.

    Raises:
        DataError: they cannot be read, or there is no such column.
    """
    from textvae.data.readers import read_labelled, stream_split

    if not label_columns:
        rows, notes = stream_split(file, text_column=text_column)
        return rows, {}, notes
    labels: dict[str, list[str]] = {}
    texts: list[str] = []
    notes = []
    for column in dict.fromkeys(label_columns):
        notes = []
        columns: dict[str, Any] = {"text_column": text_column, "label_column": column}
        found = read_labelled(file, **columns, partly=True, notes=notes)
        split = next(name for name in ("test", "valid", "train") if name in found)
        texts, labels[column] = found[split]
        if Path(file).expanduser().is_dir():
            notes.insert(0, f"{file}: read the {split} split")
    return texts, labels, notes


def column_of_texts(
    model: str, data: str | None, text_column: str | None, labels: Sequence[str | None] = ()
) -> str:
    """The column of the texts of a command: the one that is named, else the run's, else `text`.

    The first rows of the data are read, before torch and the model are loaded.

    Args:
        model: folder of the run; under a hub name, or without a recipe, no rows are read.
        data: file or folder; None for the run's own data.
        text_column: that is named.
        labels: columns of labels that are read too; None is none.

    Raises:
        DataError: the first rows cannot be read.
    """
    from textvae.config import DataConfig
    from textvae.data.first_rows import check_first_rows
    from textvae.training.folders import RunError, saved_recipe

    named = text_column or "text"
    if data is None:
        return named
    try:
        config = saved_recipe(Path(model)).data
    except RunError:
        return named
    if not isinstance(config, DataConfig) or config.fields is not None:
        return named
    column = text_column or config.text_column
    source = DataConfig(source=data, text_column=column)
    check_first_rows(source, [each for each in labels if each is not None])
    return column


def check_text_column(data: str | None, text_column: str) -> None:
    """Refuse a column without the data that contains it.

    Raises:
        ValueError: no data is named.
    """
    if data is None and text_column != "text":
        raise ValueError("--text-column goes with --data: a run remembers its own")


def print_unknown_words(vae: "SentenceVAE", texts: "Texts | Sequence[str]") -> None:
    """Print which words of texts the model's tokenizer does not know, if there are some."""
    from textvae.data.words import unknown_words

    if text := unknown_words(vae.tokenizer, texts).text():
        say_note(text)


def own_label_column(model: str, data: str | None) -> str | None:
    """The column of labels that a run was trained with; None with other data, or without one."""
    from textvae.training.run_data import text_data_config

    return None if data is not None else text_data_config(model).label_column


def source_name(model: str, data: str | None) -> str:
    """The name of `data`, or of the run's own data, for titles."""
    from textvae.training.run_data import text_data_config

    source = text_data_config(model).source if data is None else data
    return "the shipped corpus" if source is None else Path(source).name


def data_section(recipe: str, overrides: Sequence[str]) -> Any:
    """The data section of a recipe with overrides."""
    from textvae.recipes import load_recipe

    return load_recipe(recipe, overrides).data


def grey_images(source: str | None, section: Any) -> "ImageCorpus":
    """The images of a source in grey levels; scikit-learn's digits when none is given.

    Args:
        source: folder, file or hub name.
        section: the data section whose background, size and inversion count; of texts, none does.
    """
    from textvae.config import ImageDataConfig
    from textvae.data.images import read_image_corpus

    config = ImageDataConfig(modality="image", source=source)
    if isinstance(section, ImageDataConfig):
        keys = ("background", "size", "invert", "image_column", "label_column")
        config = config.model_copy(update={key: getattr(section, key) for key in keys})
    return read_image_corpus(config)


def file_texts(file: str, text_column: str) -> list[str]:
    """The texts of a file, or of the test set of a folder or data set; notes are printed."""
    from textvae.data.readers import read_split

    rows = read_split(file, text_column=text_column)
    print_notes(rows.notes)
    return rows.texts
