"""The model card of a run: recipe, metrics with their denominators, samples."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textvae.analysis.cells import decimal
from textvae.analysis.fingerprints import source_name
from textvae.analysis.reports import metric_rows
from textvae.analysis.wording import heading
from textvae.api.cards import card_text, fenced
from textvae.config import DataConfig
from textvae.console import markdown_table, one_line, shown
from textvae.recipes import Recipe

if TYPE_CHECKING:
    from textvae.analysis.summary import Finished


WIDTH = 200
"""Most characters of a sample."""


def run_card(finished: "Finished", recipe: Recipe) -> str:
    """The card of a run, fit to be published: without held-out rows and paths of this machine."""
    interface = "SentenceVAE" if isinstance(recipe.data, DataConfig) else "ImageVAE"
    if "table_rows" in finished.metrics:
        interface = "TableVAE"
    trained = f"Trained on {data_name(recipe)}"
    if steps := finished.training.get("steps"):
        epochs = finished.training["epochs"]
        trained += f", {steps:,} steps in {epochs:,} {'epoch' if epochs == 1 else 'epochs'}"
    intro = [text for text in (recipe.summary, recipe.paper) if text]
    parts = [
        "\n\n".join([*intro, f"{trained}."]),
        metrics_section(finished.metrics, finished.verdict),
        *samples_section(finished),
        f"## Recipe\n\n{fenced(without_paths(recipe).yaml().rstrip(), 'yaml')}",
    ]
    latent = bool(finished.metrics["dimensions"])
    labels = interface == "ImageVAE" and recipe.uses_labels
    about = {"tags": [recipe.name], **data_metadata(recipe)}
    return card_text(recipe.name, interface, latent, labels, parts, **about)


def metrics_section(metrics: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """Held-out metrics with unit, estimator and denominator, and the verdict on the latent."""
    rows = [
        [label, decimal(value) if isinstance(value, float) else shown(value), note]
        for _, label, value, note in metric_rows(metrics)
    ]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    parts = ["## Held-out metrics", markdown_table(["metric", "value", "of"], cells)]
    if verdict:
        parts.append(f"Latent: {heading(verdict['code'])}. {' '.join(verdict['findings'])}")
    return "\n\n".join(parts)


def samples_section(finished: "Finished") -> list[str]:
    """Samples of the prior: texts as a block of code, images as a picture; none where none are."""
    lines = [one_line(text, WIDTH) for text in finished.samples]
    pictures = [Path(path).name for path in finished.pictures if Path(path).stem == "samples"]
    shown_samples = [fenced("\n".join(lines))] if lines else []
    shown_samples += [f"![Samples]({name})" for name in pictures]
    return (
        ["\n\n".join([f"## {finished.samples_title.capitalize()}", *shown_samples])]
        if shown_samples
        else []
    )


def data_name(recipe: Recipe) -> str:
    """What the data of a recipe is called."""
    if recipe.data.source:
        return Path(recipe.data.source).name if is_local(recipe.data.source) else recipe.data.source
    return source_name(None, not isinstance(recipe.data, DataConfig))


def is_local(source: str) -> bool:
    """Whether data lies in a file or folder and not on the hub."""
    return Path(source).is_absolute() or Path(source).exists()


def data_metadata(recipe: Recipe) -> dict[str, Any]:
    """What the hub wants of the data: its name there; language and licence of the shipped corpus.

    The licence of a model of other data is for its owner to state.
    """
    source = recipe.data.source
    if source and not is_local(source):
        return {"datasets": [source.partition(":")[0]]}
    shipped = source is None and isinstance(recipe.data, DataConfig)
    return {"language": "en", "license": "mit"} if shipped else {}


def without_paths(recipe: Recipe) -> Recipe:
    """A recipe in which data and a first run are named without their folders."""
    data, pretrain = recipe.data, recipe.pretrain
    if data.source and is_local(data.source):
        data = data.model_copy(update={"source": Path(data.source).name})
    if pretrain is not None and pretrain.run is not None:
        pretrain = pretrain.model_copy(update={"run": Path(pretrain.run).name})
    return replace(recipe, data=data, pretrain=pretrain)
