"""Training."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.cli.app import command
from textvae.cli.conditions import ColumnOption, column_settings
from textvae.cli.models import warn_of_metrics
from textvae.cli.options import (
    Device,
    Json,
    RecipeData,
    RecipeLabelColumn,
    RecipeTextColumn,
    Set,
    shipped_names,
)
from textvae.cli.progress import TrainingDisplay
from textvae.console import emit, say

if TYPE_CHECKING:
    from textvae.analysis.summary import Finished


def warning_of_validation(event: str, values: Mapping[str, Any]) -> str | None:
    """The warning after a validation; imported then: mistakes are found before torch is."""
    if event != "validation":
        return None
    from textvae.analysis.wording import training_warning

    return training_warning(event, values)


@command(
    "Train",
    "textvae train",
    "textvae train fu2019_cyclical --data reviews.csv --text-column text",
    "textvae train bowman2016 --set latents.z.dim=64 --output runs/big",
    "textvae train --resume",
)
def train(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="Recipe name or YAML file; default: sentence_vae.", autocompletion=shipped_names
        ),
    ] = None,
    data: RecipeData = None,
    text_column: RecipeTextColumn = None,
    label_column: RecipeLabelColumn = None,
    field: ColumnOption = None,
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

    Prints held-out metrics, a verdict on the latent, reconstructions, samples and an interpolation.
    """
    from textvae.training import workflow as training

    def summarize(run: training.TrainedRun) -> "Finished":
        from textvae.analysis.summary import summarize_run

        return summarize_run(run)

    display = TrainingDisplay(training.process_rank() > 0, warning_of_validation)
    changes = [*column_settings(field, None if resume else recipe or "sentence_vae"), *(set_ or [])]
    given = (changes, data, text_column, output, display, summarize, device, label_column)
    try:
        if resume:
            finished = training.resume(recipe, *given)
        else:
            finished = training.train(recipe or "sentence_vae", *given)
    finally:
        display.close()
    if finished is not None:
        from textvae.analysis.wording import verdict_warning

        emit(finished.summary, as_json, finished.text(resumed=resume))
        warn_of_metrics(finished.metrics)
        if as_json and (warning := verdict_warning(finished.verdict)):
            say(warning)
