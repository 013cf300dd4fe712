"""The model that a command works on: where it is, and the interface of its modality."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from textvae.cli.options import check_device
from textvae.console import emit, say

if TYPE_CHECKING:
    from textvae.api.image import ImageVAE
    from textvae.api.sentence import SentenceVAE, TextRows
    from textvae.api.table import TableVAE

T = TypeVar("T")

Output = tuple[Any, str]
"""A result for JSON, and as text."""


def located(model: str | None, named: str | None = None) -> str:
    """The run folder or hub name given by argument or by option, or the last run.

    Raises:
        ValueError: both are given.
    """
    if model is not None and named is not None:
        raise ValueError(f"name the model once: {model!r} or --model {named!r}")
    if (given := named if model is None else model) is not None:
        return given
    from textvae.training.folders import last_run

    return str(last_run())


def by_modality(
    folder: str,
    device: str | None,
    texts: Callable[["SentenceVAE"], T],
    images: Callable[["ImageVAE"], T],
    texts_only: Mapping[str, bool] | None = None,
    images_only: Mapping[str, bool] | None = None,
    tables: Callable[["TableVAE"], T] | None = None,
) -> T:
    """The result of the function for the model's modality, called with its interface.

    Args:
        folder: run folder or hub name.
        device: cpu or cuda.
        texts: for a model of texts.
        images: for a model of images.
        texts_only: options of text models, and whether each is given.
        images_only: options of image models, and whether each is given.
        tables: for a model of tables; None where the command is for the others.

    Raises:
        ValueError: an option of the other modality is given, or the command is not for tables.
    """
    if tables is not None and (table := table_model(folder, device)) is not None:
        for option in (texts_only or {}, images_only or {}):
            refuse(option, "texts or images")
        return tables(table)
    if (model := image_model(folder, device, texts_only)) is not None:
        return images(model)
    for_images_only(images_only or {})
    return texts(load(folder, device))


def image_model(
    folder: str, device: str | None, texts_only: Mapping[str, bool] | None = None
) -> "ImageVAE | None":
    """The image model in a folder or under a hub name; None where there is one of texts.

    Raises:
        ValueError: it is an image model, and an option of text models is given.
    """
    from textvae.graph.folders import is_image_model

    if not is_image_model(folder):
        return None
    for_texts_only(texts_only or {})
    from textvae.api.image import ImageVAE

    return ImageVAE.from_pretrained(folder, chosen_device(device))


def table_model(folder: str, device: str | None) -> "TableVAE | None":
    """The model of tables in a folder or under a hub name; None where there is another."""
    from textvae.graph.folders import is_table_model

    if not is_table_model(folder):
        return None
    from textvae.api.table import TableVAE

    return TableVAE.from_pretrained(folder, chosen_device(device))


def load(folder: str, device: str | None) -> "SentenceVAE":
    """The text model in a folder or under a hub name.

    Raises:
        ValueError: it is a model of images or of tables.
    """
    from textvae.graph.folders import is_image_model

    if is_image_model(folder):
        image_model(folder, device)  # a damaged model is reported first
        raise ValueError(f"{folder} is a model of images: this command is for models of texts")
    if table_model(folder, device) is not None:
        raise ValueError(f"{folder} is a model of tables: this command is for models of texts")
    from textvae.api.sentence import SentenceVAE

    return SentenceVAE.from_pretrained(folder, chosen_device(device))


def for_one_text(folder: str) -> None:
    """Refuse a model of several fields, images or tables, before its data are read.

    Raises:
        ValueError: it is one.
    """
    from textvae.graph.folders import is_image_model, is_table_model, several_fields

    for of, holds in (("images", is_image_model), ("tables", is_table_model)):
        if holds(folder):
            raise ValueError(f"{folder} is a model of {of}: this command is for models of texts")
    if fields := several_fields(folder):
        raise ValueError(
            f"{folder} reads several fields ({', '.join(fields)}): this command is for models of "
            "one text"
        )


def for_texts_only(options: Mapping[str, bool]) -> None:
    """Refuse options that do not apply to images.

    Raises:
        ValueError: naming the first that is given.
    """
    refuse(options, "texts")


def for_images_only(options: Mapping[str, bool]) -> None:
    """Refuse options that do not apply to texts.

    Raises:
        ValueError: naming the first that is given.
    """
    refuse(options, "images")


def refuse(options: Mapping[str, bool], modality: str) -> None:
    """Refuse the options that are given, which are those of a modality.

    Raises:
        ValueError: naming the first that is given.
    """
    for name, given in options.items():
        if given:
            raise ValueError(f"--{name.replace('_', '-')} is for models of {modality}")


def chosen_device(device: str | None) -> str:
    """The given device, or a GPU if there is one.

    Raises:
        ValueError: it is unknown or not available.
    """
    check_device(device)
    import torch

    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def warn_meaningless(
    vae: "SentenceVAE", folder: str, texts: "TextRows", consequence: str = ""
) -> bool:
    """Whether z says nothing of a text, by the stored metrics or on these texts; then print it.

    Args:
        vae: the model.
        folder: of it; its stored metrics are of more texts.
        texts: of the question.
        consequence: of it for the answer.
    """
    from textvae.analysis.wording import latent_warning
    from textvae.evaluation.verdict import Verdict, collapse_of
    from textvae.training.run_data import stored_metrics

    stored = stored_metrics(folder)
    verdict = collapse_of(stored) if stored else None
    # The posterior of unknown words alone says nothing of those of other texts.
    if verdict is None and vae.has_known_words(texts) and vae.is_collapsed_for(texts):
        verdict = Verdict.COLLAPSED
    if verdict is not None:
        say(latent_warning(verdict, folder, consequence))
    return verdict is not None


def warn_of_metrics(metrics: Mapping[str, Any]) -> None:
    """Print that held-out tokens are mostly unknown."""
    from textvae.analysis.wording import unknown_warning

    if (warning := unknown_warning(metrics)) is not None:
        say(f"warning: {warning}")


def emit_output(output: Output, as_json: bool) -> None:
    """Print a result on standard output."""
    result, text = output
    emit(result, as_json, text)
