"""The images of a finished run: those it was trained on, held-out ones, its classes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from textvae.config import ImageDataConfig
from textvae.data.errors import DataError
from textvae.data.fields import Fields, Labels
from textvae.data.images import ImageCorpus, read_image_corpus, read_image_split, read_source
from textvae.data.npz_files import npz_factors
from textvae.graph.folders import observed_facts
from textvae.training.folders import RunError, held_out_of, saved_recipe
from textvae.training.run_data import change_notes
from textvae.vocabulary import STRANGE


def run_images(model: str, **changes: Any) -> ImageCorpus:
    """`run_corpus` of a run of images."""
    config, held_out = image_data_config(model), held_out_of(Path(model))
    corpus = read_image_corpus(config, held_out=held_out)
    notes = change_notes(model, corpus, "valid" if corpus.test is None else "test")
    changed = config.model_copy(update=changes)
    if changed != config:
        corpus = read_image_corpus(changed, held_out=held_out)
    return replace(corpus, notes=notes)


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
    if data is not None:
        facts = observed_facts(model).values()
        channels = next((each["shape"][0] for each in facts if "shape" in each), None)
        return read_image_split(image_data_config(model, data), known_classes(model), channels)
    corpus = run_images(model)
    split = "validation" if corpus.test is None else "test"
    notes = [f"{corpus.source}: the {split} images", *corpus.notes]
    return corpus.test or corpus.valid, notes


def grey_images(model: str, data: str | None = None) -> tuple[Fields, Fields]:
    """The training images of a run and held-out ones, in shades of grey where it sees bits.

    Args:
        model: folder of the run.
        data: images that are held out in place of the run's own.

    Raises:
        DataError: the images cannot be read.
        RunError: the model's folder is no run of images.
    """
    corpus = run_images(model, pixels="grey")
    if data is None:
        return corpus.train, corpus.test or corpus.valid
    config = image_data_config(model, data).model_copy(update={"pixels": "grey"})
    return corpus.train, read_image_split(config)[0]


def validation_images(model: str, always: bool = False) -> tuple[Fields | None, list[str]]:
    """The validation images of a run whose set of classes is open, or None, and notes.

    Args:
        model: folder of the run.
        always: whether those of any other run of images are read too.
    """
    if not (always or image_data_config(model).open_set):
        return None, []
    try:
        return run_images(model).valid, []
    except (ValueError, OSError) as error:
        return None, [f"no threshold of novelty, the validation images are not there: {error}"]


def strange_images(model: str, data: str) -> tuple[Fields, list[str]]:
    """Images of another source, all of which are of no class of a model, scaled to its size.

    Raises:
        DataError: the images cannot be read, or have other channels.
        RunError: the model's folder is no run of images.
    """
    shape = observed_facts(model)["image"]["shape"]
    config = image_data_config(model, data).model_copy(update={"size": shape[1:]})
    rows, notes = read_image_split(config.model_copy(update={"open_set": False}))
    found = list(rows.facts["image"]["shape"])
    if found != shape:
        raise DataError(f"{data}: images have {found[0]} channels, those of the model {shape[0]}")
    names = known_classes(model)
    labels = Labels(np.full(len(rows), STRANGE), len(names), names)
    return Fields({"image": rows.columns["image"], "label": labels}), notes


def known_classes(model: str) -> tuple[str, ...]:
    """The names of the classes of a model of images, or their numbers; empty without labels."""
    facts = observed_facts(model).get("label", {})
    return tuple(facts.get("names") or map(str, range(facts.get("classes", 0))))


def images_with_factors(
    model: str, data: str | None = None
) -> tuple[np.ndarray, tuple[np.ndarray, tuple[str, ...]] | None]:
    """All images of `data` or of a run's own data, of every split, with the factors of an npz file.

    Returns:
        The images, (N, C, H, W), uint8, and the factors, (N, F), with their names, or None.

    Raises:
        DataError: the images cannot be read, or their factors do not belong to them.
        RunError: the model's folder is no run of images.
    """
    config = image_data_config(model, data)
    source = read_source(config)
    images = np.concatenate([images for images, _ in source.splits.values()])
    path = Path(config.source or "").expanduser()
    found = npz_factors(path) if path.is_file() and path.suffix == ".npz" else None
    if found is not None and (len(found[0]) != len(images) or len(source.splits) > 1):
        raise DataError(
            f"{path}: {len(found[0]):,} rows of factors for {len(images):,} images of "
            f"{', '.join(source.splits)} (factors are those of a single split)"
        )
    return images, found


def image_subset(rows: Fields, limit: int | None, seed: int = 0) -> Fields:
    """At most `limit` of the images, drawn with a seed, in their order."""
    if limit is None or limit >= len(rows):
        return rows
    chosen = np.random.default_rng(seed).choice(len(rows), limit, replace=False)
    return rows.select(np.sort(chosen))
