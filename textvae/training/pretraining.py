"""A first training: its weights, where they go, and the parts that it freezes."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from textvae.config import PretrainingConfig
from textvae.data.tokenizers import TextTokenizer, load_tokenizer
from textvae.graph.model import VAE
from textvae.recipes import Recipe, first_stage
from textvae.registry import SpecError
from textvae.training.callbacks import Report
from textvae.training.folders import (
    PRETRAINING,
    RECIPE,
    WEIGHTS,
    InterruptedRunError,
    RunError,
    how_to_go_on,
)


def pretrained(
    recipe: Recipe,
    folder: Path,
    report: Report,
    train: Callable[[Recipe, Path, bool], VAE],
) -> Mapping[str, Tensor]:
    """The weights that the recipe's first training ends with, by name.

    It is a run of its own in the folder's `pretrain`: resumed if begun, only read if finished.

    Args:
        recipe: with both trainings.
        folder: of the recipe's run.
        report: called with an event and its values.
        train: trains a recipe in a folder, resuming or not; its model.
    """
    path = folder / PRETRAINING
    if (path / WEIGHTS).exists():
        return load_file(path / WEIGHTS)
    report("note", {"text": "the first of two trainings"})
    begun = (path / RECIPE).exists()
    try:
        model = train(first_stage(recipe), path, begun)
    except InterruptedRunError as stopped:
        raise InterruptedRunError(how_to_go_on(folder), stopped.code) from None
    report("note", {"text": "the second of two trainings"})
    return model.state_dict()


def finished_weights(run: str, tokenizer: TextTokenizer | None) -> Mapping[str, Tensor]:
    """The weights of a finished run, by name.

    Args:
        run: its folder.
        tokenizer: of the run that starts from them; None for images.

    Raises:
        RunError: it holds no model, or one with another vocabulary.
    """
    path = Path(run)
    if not (path / WEIGHTS).exists():
        raise RunError(f"pretrain.run: {run} holds no finished model ({WEIGHTS})")
    if tokenizer is not None and load_tokenizer(path).get_vocab() != tokenizer.get_vocab():
        raise RunError(
            f"pretrain.run: ids of {run} stand for other tokens; it must have been trained on the "
            f"same texts with the same tokenizer section"
        )
    return load_file(path / WEIGHTS)


@torch.no_grad()
def begin_with(model: VAE, weights: Mapping[str, Tensor], config: PretrainingConfig) -> None:
    """Copy the weights of a first training into a model, and freeze parts of it.

    Frozen parameters get no gradient, and the modules of a frozen part stay in evaluation mode.

    Raises:
        SpecError: a part that the model lacks, or whose weights have another shape.
    """
    own = model.state_dict()
    problems = []
    for part, source in config.sources.items():
        origins = {name: source + name.removeprefix(part) for name in within(part, own)}
        transferred = {name: weights[other] for name, other in origins.items() if other in weights}
        if not transferred:
            problems.append(f"pretrain.transfer: no weights go from {source!r} to {part!r}")
        for name, value in transferred.items():
            if value.shape != own[name].shape:
                shapes = f"{tuple(value.shape)} to {tuple(own[name].shape)}"
                problems.append(f"pretrain.transfer: {name}: from shape {shapes}")
            else:
                own[name].copy_(value)
    for part in config.freeze:
        if not within(part, own):
            problems.append(f"pretrain.freeze: the model has no part {part!r}")
    if problems:
        raise SpecError(problems)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(within(part, [name]) for part in config.freeze))
    model.frozen = tuple(config.freeze)
    model.train(model.training)


def within(part: str, names: Iterable[str]) -> list[str]:
    """The names of parameters that belong to a part, such as `encoders.text`."""
    return [name for name in names if name == part or name.startswith(f"{part}.")]
