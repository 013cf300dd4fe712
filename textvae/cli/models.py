"""The model that a command works on: where it is, and the interface of its modality."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from textvae.cli.options import check_device
from textvae.console import say

if TYPE_CHECKING:
    from textvae.api.image import ImageVAE
    from textvae.api.sentence import SentenceVAE

T = TypeVar("T")


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
) -> T:
    """The result of the function for the model's modality, called with its interface.

    Args:
        folder: run folder or hub name.
        device: cpu or cuda.
        texts: for a model of texts.
        images: for a model of images.
        texts_only: options of text models, and whether each is given.
        images_only: options of image models, and whether each is given.

    Raises:
        ValueError: an option of the other modality is given.
    """
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


def load(folder: str, device: str | None) -> "SentenceVAE":
    """The text model in a folder or under a hub name.

    Raises:
        ValueError: it is a model of images.
    """
    from textvae.graph.folders import is_image_model

    if is_image_model(folder):
        image_model(folder, device)  # a damaged model is reported first
        raise ValueError(f"{folder} is a model of images: this command is for models of texts")
    from textvae.api.sentence import SentenceVAE

    return SentenceVAE.from_pretrained(folder, chosen_device(device))


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


def is_collapsed(vae: "SentenceVAE", folder: str, texts: list[str]) -> bool:
    """Whether the posterior is collapsed, as stored after training or measured on these texts."""
    from textvae.training.run_data import stored_metrics

    return bool(stored_metrics(folder).get("collapsed")) or vae.is_collapsed_for(texts)


def warn_of_metrics(metrics: Mapping[str, Any]) -> None:
    """Print that metrics are worse than those of n-gram models, or of tokens mostly unknown."""
    from textvae.analysis.wording import reference_warning, unknown_warning

    for warning in (reference_warning(metrics), unknown_warning(metrics)):
        if warning is not None:
            say(f"warning: {warning}")


def warn_collapsed(consequence: str = "", unit: Literal["sentence", "image"] = "sentence") -> None:
    """Print that the latent is collapsed, and settings to try."""
    from textvae.analysis.wording import collapse_warning

    say(f"warning: {consequence}{collapse_warning(unit)}")
