"""Recipes: what is shipped, what a recipe contains, and whether its claim holds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textvae.cli.app import command
from textvae.cli.models import check_device
from textvae.cli.options import (
    ClaimSamples,
    Device,
    Json,
    Recipe,
    RecipeData,
    RecipeTextColumn,
    Set,
)
from textvae.cli.progress import TrainingDisplay
from textvae.console import emit

if TYPE_CHECKING:
    from textvae.recipe_index import Header


@command("Recipes", "textvae recipes", "textvae recipes collapse", "textvae recipes --json")
def recipes(
    words: Annotated[
        str | None,
        typer.Argument(metavar="[WORDS]", help="Part of a group, name, summary or paper."),
    ] = None,
    as_json: Json = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the page of systems with stored results here.")
    ] = None,
    results: Annotated[Path, typer.Option(help="Stored results for --markdown.")] = Path(
        "docs/results.json"
    ),
) -> None:
    """List the shipped recipes by purpose, with their papers."""
    from textvae.recipe_index import PURPOSES, recipe_headers

    if markdown is not None:
        from textvae.analysis.pages import systems_page
        from textvae.analysis.stored_results import read_results
        from textvae.checkpoints import write_file

        write_file(markdown, systems_page(read_results(results)))

    headers = [header for header in recipe_headers() if words is None or header.matches(words)]
    if not headers:
        raise ValueError(f"no recipe matches {words!r} (groups: {', '.join(PURPOSES)})")
    emit([header._asdict() for header in headers], as_json, listed(headers))


def listed(headers: "Sequence[Header]") -> str:
    """Recipes as a table for each purpose."""
    from textvae.recipe_index import PURPOSES

    width = max(len(header.name) for header in headers)
    parts = []
    for purpose, title in [*PURPOSES.items(), (None, "others")]:
        lines = [
            f"  {header.name:<{width}}  {header.summary} ({header.short_paper})"
            for header in headers
            if header.purpose == purpose
        ]
        if lines:
            name = f" ({purpose})" if purpose else ""
            parts.append("\n".join([f"{title}{name}", *lines]))
    return "\n\n".join(parts)


@command("Recipes", "textvae show bowman2016", "textvae show bowman2016 --set latents.z.dim=64")
def show(recipe: Recipe, set_: Set = None, as_json: Json = False) -> None:
    """Print a recipe as YAML.

    The recipe is checked, and the defaults of its sections are filled in.
    """
    from textvae.recipe_index import shipped_recipes
    from textvae.recipes import check_model, load_recipe

    loaded = load_recipe(recipe, set_ or [])
    if set_ or recipe not in shipped_recipes():
        check_model(loaded)
    emit(loaded.document(), as_json, loaded.yaml().rstrip())


@command("Recipes", "textvae verify bowman2016_ptb --data ptb")
def verify(
    recipe: Recipe,
    data: RecipeData = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Finished run of the recipe; default: train one."),
    ] = None,
    samples: ClaimSamples = None,
    record: Annotated[Path | None, typer.Option(help="JSON file to add the results to.")] = None,
    seeds: Annotated[
        int, typer.Option(min=1, max=100, help="Train so often, with seeds 0, 1, ...; take means.")
    ] = 1,
    text_column: RecipeTextColumn = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Verify the claim of a recipe.

    Prints each result, with its standard error, and the published one. The exit code is 1 when the
    claim fails or is not decided: other data, settings or samples than the claim's.
    """
    from textvae.training.workflow import recipe_on

    check_device(device)
    recipe_on(recipe, [], data, text_column, options=["--text-column"])
    from textvae.analysis.claims import verify_recipe
    from textvae.analysis.wording import training_warning

    display = TrainingDisplay(warning=training_warning)
    try:
        verdict = verify_recipe(
            recipe, data, model, samples, record, text_column, display, device, seeds
        )
    finally:
        display.close()
    emit(verdict.result(), as_json, verdict.text())
    if verdict.checks and not verdict.holds:
        raise typer.Exit(1)


@command("Recipes", "textvae schema", "textvae schema --out recipe.schema.json")
def schema(
    out: Annotated[Path | None, typer.Option(help="JSON file; default: print the schema.")] = None,
    as_json: Json = False,
) -> None:
    """Print the JSON Schema of recipes, for editors.

    An editor with the YAML language server follows it where the first line of a recipe is
    # yaml-language-server: $schema=recipe.schema.json
    """
    from textvae.schema import recipe_schema

    document = recipe_schema()
    if out is None:
        emit(document, True, "")
        return
    from textvae.analysis.exports import JSON, check_out, write_json

    check_out(out, JSON)
    write_json(out, document)
    emit({"out": str(out)}, as_json, f"written to {out}")


@command("Recipes", "textvae make-corpus data", name="make-corpus")
def make_corpus(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.")] = Path("data"),
    as_json: Json = False,
) -> None:
    """Generate the shipped corpus again, byte for byte."""
    from textvae.corpus.files import write_corpus

    write_corpus(folder)
    emit({"folder": str(folder)}, as_json, f"written to {folder}")
