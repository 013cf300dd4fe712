"""Training."""

from pathlib import Path
from typing import Annotated

import typer

from textvae.cli.app import command
from textvae.cli.models import check_device, warn_collapsed
from textvae.cli.options import Device, Json, RecipeData, RecipeLabelColumn, RecipeTextColumn, Set
from textvae.console import TrainingDisplay, emit


@command(
    "Train",
    "textvae train",
    "textvae train fu2019_cyclical --data reviews.csv --text-column text",
    "textvae train bowman2016 --set latents.z.dim=64 --output runs/big",
    "textvae train --resume",
)
def train(
    recipe: Annotated[
        str | None, typer.Argument(help="Recipe name or YAML file; default: bowman2016.")
    ] = None,
    data: RecipeData = None,
    text_column: RecipeTextColumn = None,
    label_column: RecipeLabelColumn = None,
    set_: Set = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the run; default: runs/RECIPE.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --output, or the newest run.")
    ] = False,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train a model from a recipe.

    Prints held-out metrics, reconstructions, samples and an interpolation.
    """
    from textvae.analysis.summary import summarize_run
    from textvae.training import workflow as training

    check_device(device)
    display = TrainingDisplay(quiet=training.process_rank() > 0)
    given = (set_ or [], data, text_column, output, display, summarize_run, device, label_column)
    try:
        if resume:
            finished = training.resume(recipe, *given)
        else:
            finished = training.train(recipe or "bowman2016", *given)
    finally:
        display.close()
    if finished is not None:
        emit(finished.summary, as_json, finished.text())
        if finished.metrics["collapsed"]:
            warn_collapsed(unit="image" if finished.pictures else "sentence")
