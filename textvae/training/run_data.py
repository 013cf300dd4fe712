"""The data of a run: what its recipe names, and the rows held out from training."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from textvae.config import OLD_METRICS, DataConfig, ImageDataConfig
from textvae.data.fields import Fields
from textvae.data.images import ImageCorpus, read_image_corpus, read_image_split
from textvae.data.readers import Corpus, Labelled, Rows, read_corpus, read_labelled, read_split
from textvae.data.texts import Texts
from textvae.recipes import Recipe, shipped
from textvae.training.folders import RESULTS, RunError, saved_recipe

T = TypeVar("T")


def corpus_of(config: DataConfig | ImageDataConfig) -> Corpus | ImageCorpus:
    """The texts or images that a recipe's data section names."""
    return read_image_corpus(config) if isinstance(config, ImageDataConfig) else read_data(config)


def read_data(config: DataConfig) -> Corpus:
    """The texts that a recipe's data section names; the shipped corpus when it names none."""
    return read_corpus(
        config.source or str(shipped("data")),
        text_column=config.text_column,
        label_column=config.label_column,
        valid_fraction=config.valid_fraction,
    )


def held_out_texts(model: str, data: str | None, text_column: str = "text") -> Rows:
    """Texts of `data`, or the test (else validation) texts of what the model was trained on.

    The first note names them.

    Raises:
        DataError: the texts cannot be read.
        RunError: no data is named and the model's folder does not say what it was trained on.
    """
    if data is not None:
        return read_split(data, text_column=text_column)
    corpus = read_data(text_data_config(model))
    split = "test" if corpus.test else "validation"
    return Rows(corpus.test or corpus.valid, [f"{corpus.source}: the {split} texts"])


def held_out_labels(model: str, data: str | None, text_column: str, label_column: str) -> Labelled:
    """`held_out_texts` with the label of each, blank where there is none.

    Raises:
        DataError: as there, or there are no labels.
    """
    config = (
        text_data_config(model)
        if data is None
        else DataConfig(source=data, text_column=text_column)
    )
    source = config.source or str(shipped("data"))
    columns = {"text_column": config.text_column, "label_column": label_column}
    found = read_labelled(source, **columns, partly=True)
    if data is None and not found.keys() & {"test", "valid"}:
        corpus = read_data(config.model_copy(update={"label_column": label_column}))
        assert corpus.labels is not None, "asked for"
        return Labelled(corpus.valid, corpus.labels["valid"])
    return next(found[split] for split in ("test", "valid", "train") if split in found)


def real_texts(
    model: str, data: str | None, text_column: str, label_column: str | None
) -> tuple[Labelled, Labelled]:
    """All labelled texts to train a classifier on, and the test, else validation, texts.

    Raises:
        DataError: they cannot be read.
        RunError: no column of labels is named, and the model's folder names none.
    """
    config = (
        text_data_config(model)
        if data is None
        else DataConfig(source=data, text_column=text_column)
    )
    column = label_column or (config.label_column if data is None else "label")
    if column is None:
        raise RunError(f"{model} was trained without labels: name their column (--label-column)")
    corpus = read_data(config.model_copy(update={"label_column": column, "labelled": None}))
    assert corpus.labels is not None, "asked for"
    split = "test" if corpus.test else "valid"
    pairs = ((list(corpus.train), "train"), (getattr(corpus, split), split))
    train, test = (known_rows(texts, corpus.labels[name]) for texts, name in pairs)
    return train, test


def known_rows(texts: list[str], labels: list[str]) -> Labelled:
    """The texts that have a label, with it."""
    rows = [(text, label) for text, label in zip(texts, labels, strict=True) if label]
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


def image_data_config(model: str, data: str | None = None) -> ImageDataConfig:
    """The data section of a run of images, with another source if one is named.

    Raises:
        RunError: the folder holds no run, or one of texts.
    """
    config = saved_recipe(Path(model)).data
    if not isinstance(config, ImageDataConfig):
        raise RunError(f"{model} is a model of texts: this is for models of images")
    return config if data is None else config.model_copy(update={"source": data})


def held_out_images(model: str, data: str | None = None) -> tuple[Fields, list[str]]:
    """Images of `data`, or the test (else validation) images of what the model was trained on.

    The first note names them.

    Raises:
        DataError: the images cannot be read.
        RunError: the model's folder is no run of images.
    """
    config = image_data_config(model, data)
    if data is None:
        corpus = read_image_corpus(config)
        split = "validation" if corpus.test is None else "test"
        return corpus.test or corpus.valid, [f"{corpus.source}: the {split} images"]
    return read_image_split(config)


def image_subset(rows: Fields, limit: int | None, seed: int = 0) -> Fields:
    """At most `limit` of the images, drawn with a seed, in their order."""
    if limit is None or limit >= len(rows):
        return rows
    chosen = np.random.default_rng(seed).choice(len(rows), limit, replace=False)
    return rows.select(np.sort(chosen))


def training_texts(model: str) -> tuple[Texts | list[str] | None, list[str]]:
    """What a run was trained on, or None with a note why that is not known."""
    try:
        return read_data(text_data_config(model)).train, []
    except (ValueError, OSError) as error:
        return None, [f"copies are not counted, the training texts are not there: {error}"]


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
    path = Path(folder) / "corpus.json"
    if not path.is_file():
        return {}
    stored = json.loads(path.read_text(encoding="utf-8"))
    return {"entropy": float(stored["entropy_nats_per_sentence"])}


def stored_metrics(model: str) -> dict[str, Any]:
    """The held-out metrics that a run's training ended with; empty when there are none."""
    try:
        stored = json.loads((Path(model) / RESULTS).read_text(encoding="utf-8"))
        return metrics_of(stored)
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def metrics_of(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics in a stored result, under their current names.

    Raises:
        KeyError: it holds none.
    """
    metrics: dict[str, Any] = dict(stored["metrics" if "metrics" in stored else "figures"])
    return {OLD_METRICS.get(name, name): value for name, value in metrics.items()}
