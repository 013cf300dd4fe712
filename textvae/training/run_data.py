"""The data of a run: what its recipe names, and the rows held out from training."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from textvae.checkpoints import CheckpointError, read_object
from textvae.config import OLD_METRICS, DataConfig, FieldConfig, ImageDataConfig
from textvae.corpus.files import entropy_in
from textvae.data.corpora import AnyCorpus
from textvae.data.held_out import PURPOSE, ByContent
from textvae.data.images import read_image_corpus
from textvae.data.readers import Corpus, Labelled, Rows, read_corpus, read_labelled, read_split
from textvae.data.tables import (
    Columns,
    Table,
    TableCorpus,
    read_table_corpus,
    read_table_split,
)
from textvae.data.texts import DataError, Texts
from textvae.graph.folders import observed_facts
from textvae.recipes import Recipe, shipped
from textvae.training.folders import RESULTS, RunError, changed_parts, held_out_of, saved_recipe

T = TypeVar("T")


def corpus_of(config: DataConfig | ImageDataConfig, held_out: ByContent | None = None) -> AnyCorpus:
    """The texts, images or rows of several fields that a recipe's data section names.

    Args:
        config: the data section.
        held_out: the rows that a run has held out, in place of those that the config asks for.
    """
    if isinstance(config, ImageDataConfig):
        return read_image_corpus(config, held_out=held_out)
    if config.fields is not None:
        return read_table_corpus(config, held_out)
    return read_data(config, held_out)


def read_data(config: DataConfig, held_out: ByContent | None = None) -> Corpus:
    """The texts that a recipe's data section names; the shipped corpus when it names none.

    Raises:
        RunError: its rows have several fields.
    """
    if config.fields is not None:
        names = ", ".join(config.fields)
        raise RunError(f"the model reads several fields ({names}): this is for models of one text")
    return read_corpus(
        config.source or str(shipped("data")),
        text_column=config.text_column,
        label_column=config.label_column,
        valid_fraction=config.valid_fraction,
        test_fraction=config.test_fraction,
        split_by=config.split_by,
        held_out=held_out,
    )


def run_corpus(model: str, **changes: Any) -> Corpus:
    """The texts of a run in the splits that it began with; its note: that they have changed.

    Args:
        model: folder of the run.
        changes: values of its data section that differ, such as the column of labels.

    Raises:
        DataError: the texts cannot be read.
        RunError: the folder is no run of texts, or see `change_notes`.
    """
    config, held_out = text_data_config(model), held_out_of(Path(model))
    corpus = read_data(config, held_out)
    notes = change_notes(model, corpus, "test" if corpus.test else "valid")
    changed = config.model_copy(update=changes)
    if changed != config:
        corpus = read_data(changed, held_out)
    return replace(corpus, notes=notes)


def run_table(model: str, fields: Mapping[str, FieldConfig] | None = None) -> TableCorpus:
    """`run_corpus` of a run whose rows have several fields.

    Args:
        model: folder of the run.
        fields: to read beside those of the run, which may take the place of one.
    """
    config, held_out = text_data_config(model), held_out_of(Path(model))
    corpus = read_table_corpus(config, held_out)
    notes = change_notes(model, corpus, "test" if len(corpus.test) else "valid")
    if fields:
        every = {**(config.fields or {}), **fields}
        corpus = read_table_corpus(config.model_copy(update={"fields": every}), held_out)
    return replace(corpus, notes=notes)


def held_out_rows(
    model: str,
    data: str | None,
    only: Collection[str] | None = None,
    labels: Sequence[str] = (),
) -> tuple[Columns, list[str]]:
    """Rows of `data`, or the test (else validation) rows of what the model was trained on.

    Args:
        model: folder of the run.
        data: table with the columns of its fields.
        only: fields to read of it; None for all.
        labels: columns to read as labels too, beside the fields of the run.

    Returns:
        The texts and the labels of each field, and notes, of which the first names the rows.

    Raises:
        DataError: the rows cannot be read.
        RunError: the run has no rows of several fields.
    """
    config = text_data_config(model)
    if config.fields is None:
        raise RunError(f"{model} reads one text a row")
    more = {name: FieldConfig(kind="label") for name in labels if name not in config.fields}
    if data is not None:
        fields = table_fields(model, config.fields)
        chosen = {name: fields[name] for name in fields if only is None or name in only} | more
        table, notes = read_table_split(data, chosen)
        own = [] if data.endswith(".npz") else training_file_notes(model, data)  # it has splits
        return table.columns, [*notes, *own]
    corpus = run_table(model, more)
    split = "test" if len(corpus.test) else "validation"
    rows = corpus.test if len(corpus.test) else corpus.valid
    return rows.columns, [f"{corpus.source}: the {split} rows", *corpus.notes]


def table_fields(model: str, fields: Mapping[str, FieldConfig]) -> dict[str, FieldConfig]:
    """The fields of a run, with the columns of each vector that its training rows had."""
    observed = observed_facts(model)
    return {
        name: field.model_copy(update={"columns": columns})
        if (columns := observed.get(name, {}).get("columns"))
        else field
        for name, field in fields.items()
    }


def validation_columns(model: str, data: str | None) -> tuple[Columns | None, list[str]]:
    """The validation rows of a run, None where they are those that are evaluated, and notes.

    Args:
        model: folder of the run.
        data: that is evaluated, in place of the run's held-out rows.
    """
    try:
        corpus = run_table(model)
    except (ValueError, OSError) as error:
        return None, [f"the threshold of labels is 0.5, the validation rows are not there: {error}"]
    if data is None and not len(corpus.test):
        return None, ["the threshold of labels is 0.5: the validation rows are evaluated"]
    return corpus.valid.columns, []


def change_notes(model: str, corpus: AnyCorpus, split: str) -> list[str]:
    """A note where the data of a run have changed since it began, on the rows of a split.

    Raises:
        RunError: they have changed, and rows that were held out by row are not known any more.
    """
    changed = changed_parts(Path(model), corpus)
    if not changed:
        return []
    facts = corpus.held_out or {}
    if changed == ["test"] and facts != {"split_by": "row"}:
        return [f"{corpus.source}: the test data have changed since training"]
    if split in facts.get("hashes_below", {}):
        known = f"the {PURPOSE[split]} data are held out by content, none was trained on"
    elif facts:
        raise RunError(
            f"{corpus.source} has changed since {model} was trained, and its held-out rows are not "
            "known any more; name data that it was not trained on: --data"
        )
    else:
        known = f"the {PURPOSE[split]} data may have been trained on"
    return [f"{corpus.source} has changed since training: {known}"]


def held_out_texts(model: str, data: str | None, text_column: str = "text") -> Rows:
    """Texts of `data`, or the test (else validation) texts of what the model was trained on.

    The first note names them.

    Raises:
        DataError: the texts cannot be read.
        RunError: no data is named and the model's folder does not say what it was trained on.
    """
    if data is not None:
        rows = read_split(data, text_column=text_column)
        return Rows(rows.texts, [*rows.notes, *training_file_notes(model, data)])
    corpus = run_corpus(model)
    split = "test" if corpus.test else "validation"
    return Rows(corpus.test or corpus.valid, [f"{corpus.source}: the {split} texts", *corpus.notes])


def training_file_notes(model: str, data: str) -> list[str]:
    """A note where data are the one file that a run was trained on."""
    if not is_training_file(model, data):
        return []
    most = f"{data}: {model} was trained on most of it"
    return [f"{most}; without --data, only its held-out texts are read"]


def is_training_file(model: str, data: str) -> bool:
    """Whether data are the one file that a run was trained on."""
    recipe, path = recipe_of(model), Path(data).expanduser()
    source = None if recipe is None else recipe.data.source
    return source is not None and path.is_file() and path.resolve() == Path(source).resolve()


def held_out_labels(
    model: str,
    data: str | None,
    text_column: str,
    label_column: str,
    notes: list[str] | None = None,
) -> Labelled:
    """`held_out_texts` with the label of each, blank where there is none.

    The notes on reading them are added to a list.

    Raises:
        DataError: as there, or there are no labels.
    """
    notes = [] if notes is None else notes
    if data is not None:
        columns: dict[str, Any] = {"text_column": text_column, "label_column": label_column}
        found = read_labelled(data, **columns, partly=True, notes=notes)
        split = next(split for split in ("test", "valid", "train") if split in found)
        if Path(data).expanduser().is_dir():
            notes.insert(0, f"{data}: read the {split} split")
        notes += training_file_notes(model, data)
        return found[split]
    corpus = run_corpus(model, label_column=label_column)
    assert corpus.labels is not None, "asked for"
    split = "test" if corpus.test else "valid"
    notes += [f"{corpus.source}: the {PURPOSE[split]} texts", *corpus.notes]
    return Labelled(getattr(corpus, split), corpus.labels[split])


def training_labels(model: str, data: str | None, text_column: str, label_column: str) -> Labelled:
    """Training texts with a label, of `data` where it has other splits too, else of the run.

    Raises:
        DataError: as `held_out_labels`.
    """
    if data is not None:
        columns: dict[str, Any] = {"text_column": text_column, "label_column": label_column}
        found = read_labelled(data, **columns, partly=True)
        if "train" in found and len(found) > 1:
            return known_rows(*found["train"])
    try:
        corpus = run_corpus(model, label_column=label_column)
    except DataError as error:
        raise DataError(
            f"a probe of z needs labels of the texts that {model} was trained on: {error}; "
            "textvae probe --data has one trained on other texts"
        ) from None
    assert corpus.labels is not None, "asked for"
    return known_rows(list(corpus.train), corpus.labels["train"])


def real_texts(
    model: str,
    data: str | None,
    text_column: str,
    label_column: str | None,
    notes: list[str] | None = None,
) -> tuple[Labelled, Labelled]:
    """All labelled texts to train a classifier on, and the test, else validation, texts.

    The notes on reading them are added to a list.

    Raises:
        DataError: they cannot be read.
        RunError: no column of labels is named, and the model's folder names none.
    """
    column = label_column or (text_data_config(model).label_column if data is None else "label")
    if column is None:
        raise RunError(f"{model} was trained without labels: name their column (--label-column)")
    if data is None:
        corpus = run_corpus(model, label_column=column)
    else:
        corpus = read_data(DataConfig(source=data, text_column=text_column, label_column=column))
    assert corpus.labels is not None, "asked for"
    split = "test" if corpus.test else "valid"
    pairs = ((list(corpus.train), "train"), (getattr(corpus, split), split))
    notes = [] if notes is None else notes
    notes += corpus.notes
    train, test = (known_rows(texts, corpus.labels[name], notes) for texts, name in pairs)
    return train, test


def known_rows(texts: list[str], labels: list[str], notes: list[str] | None = None) -> Labelled:
    """The texts that have a label, with it; a note has the number of the others."""
    rows = [(text, label) for text, label in zip(texts, labels, strict=True) if label]
    if notes is not None and (unused := len(texts) - len(rows)):
        notes.append(f"{unused:,} of {len(texts):,} texts not used: they have no label")
    return Labelled([text for text, _ in rows], [label for _, label in rows])


def text_data_config(model: str) -> DataConfig:
    """The data section of a run of texts.

    Raises:
        RunError: the folder holds no run, or one of images.
    """
    config = saved_recipe(Path(model)).data
    if isinstance(config, ImageDataConfig):
        raise RunError(f"{model} is a model of images: this is for models of texts")
    return config


def training_texts(model: str) -> tuple[Texts | list[str] | None, list[str]]:
    """What a run was trained on, or None with a note why that is not known."""
    try:
        return run_corpus(model).train, []
    except (ValueError, OSError) as error:
        return None, [f"copies are not counted, the training texts are not there: {error}"]


def training_columns(model: str) -> tuple[Columns | None, list[str]]:
    """`training_texts` of a run whose rows have several fields."""
    try:
        return run_table(model).train.columns, []
    except (ValueError, OSError) as error:
        return None, [f"generated rows are not looked up, the training rows are not there: {error}"]


def column_subset(columns: Columns, limit: int | None, seed: int = 0) -> Columns:
    """At most `limit` of the rows, drawn with a seed, in their order."""
    count = len(next(iter(columns.values())))
    rows = subset(list(range(count)), limit, seed)
    return Table(columns).select(rows).columns


def subset(texts: list[T], limit: int | None, seed: int = 0) -> list[T]:
    """At most `limit` of the texts, or of anything, drawn with a seed, in their order."""
    if limit is None or limit >= len(texts):
        return texts
    chosen = np.random.default_rng(seed).choice(len(texts), limit, replace=False)
    return [texts[index] for index in sorted(chosen)]


def recipe_of(model: str) -> Recipe | None:
    """The recipe of a run; None where the folder is none."""
    try:
        return saved_recipe(Path(model))
    except RunError:
        return None


def entropy_of(model: str, data: str | None) -> dict[str, float]:
    """The exact entropy of the data's source, nats per text, where it is known; else nothing."""
    folder = data
    if folder is None:
        try:
            folder = text_data_config(model).source or str(shipped("data"))
        except ValueError:
            return {}
    entropy = entropy_in(Path(folder))
    return {} if entropy is None else {"entropy": entropy}


def stored_metrics(model: str) -> dict[str, Any]:
    """The held-out metrics that a run's training ended with; empty when there are none.

    Raises:
        CheckpointError: the file that holds them is damaged.
    """
    path = Path(model) / RESULTS
    try:
        metrics = metrics_of(read_object(path))
    except OSError:
        return {}
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{path} is damaged: it holds no metrics") from None
    if not {"dimensions", "kl"} <= metrics.keys():
        raise CheckpointError(f"{path} is damaged: it holds no metrics of a model")
    return metrics


def metrics_of(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics in a stored result, under their current names.

    Raises:
        KeyError: it holds none.
    """
    metrics: dict[str, Any] = dict(stored["metrics" if "metrics" in stored else "figures"])
    return {OLD_METRICS.get(name, name): value for name, value in metrics.items()}
