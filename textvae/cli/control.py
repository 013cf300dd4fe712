"""Control of a finished text model: plug-ins, steering, arithmetic and traversals."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textvae.cli.app import command
from textvae.cli.models import for_one_text, load, located
from textvae.cli.options import (
    Device,
    Json,
    Model,
    ModelArgument,
    Seed,
    TextColumn,
    check_data,
)
from textvae.cli.sources import column_of_texts, file_texts, print_notes, print_unknown_words
from textvae.console import emit, say, say_note, shown, table, visible

if TYPE_CHECKING:
    from textvae.control.codes import Holding

SHOWN = 5
"""Sentences of a new plug-in that are printed."""


@command(
    "Train",
    "textvae plug-in positive.txt --not negative.txt --model runs/x",
    name="plug-in",
)
def plug_in(
    texts: Annotated[
        str,
        typer.Argument(callback=check_data, help="File of texts with an attribute, such as 200."),
    ],
    others: Annotated[
        str | None,
        typer.Option("--not", callback=check_data, help="File of texts without the attribute."),
    ] = None,
    gamma: Annotated[float, typer.Option(help="Weight of the texts without the attribute.")] = 0.1,
    steps: Annotated[int, typer.Option(min=1, max=10**7, help="Optimizer steps.")] = 2000,
    text_column: TextColumn = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write to; default: plug_ins/FILE."),
    ] = None,
    model: Model = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train a plug-in VAE for an attribute on few texts.

    The model stays as it is: the plug-in is a small VAE over its codes. `sample --plug-in` uses it.
    """
    folder = located(model)
    for_one_text(folder)
    columns = [column_of_texts(folder, file, text_column) for file in (texts, others)]
    from textvae.control.plug_in import PlugInSettings, check_folder

    settings = PlugInSettings(gamma=gamma, steps=steps)
    out = output or Path("plug_ins") / Path(texts.rstrip("/")).name.split(".")[0]
    check_folder(out)
    vae = load(folder, device)
    files = zip((texts, others), columns, strict=True)
    given = [None if file is None else file_texts(file, column) for file, column in files]
    for part in given:
        print_unknown_words(vae, part or [])
    plug = vae.plug_in(given[0] or [], given[1], settings, seed)
    plug.save_pretrained(out)
    samples = vae.sample(SHOWN, seed=seed, plug_in=plug)
    facts = {**plug.facts, "out": str(out), "samples": samples}
    rows = [
        ("texts", plug.facts["texts"]),
        ("texts without the attribute", plug.facts["others"]),
        ("distortion of a standardised code", plug.facts["losses"]["distortion"]),
        ("KL, nats", plug.facts["losses"]["kl"]),
        ("training, CPU seconds", plug.facts["cpu_seconds"]),
        *holding_rows(plug.holding),
    ]
    shown_samples = "\n".join(map(visible, samples))
    emit(facts, as_json, f"{table(rows)}\nsamples:\n{shown_samples}\nsaved in {out}")
    if plug.holding is None:
        say_note("without --not FILE it is not known whether the model's codes hold the attribute")
    warn_of_holding(plug.holding)


def holding_rows(holding: "Holding | None") -> list[tuple[str, float]]:
    """Rows of a table on whether codes hold an attribute."""
    if holding is None:
        return []
    return [
        ("accuracy of a linear probe on codes", holding.probe),
        ("on codes of their reconstructions", holding.followed),
    ]


def warn_of_holding(holding: "Holding | None") -> None:
    """Print that the codes do not hold an attribute, if so."""
    if holding is not None and (warning := holding.warning) is not None:
        say(f"warning: {warning}")


@command(
    "Generate",
    "textvae steer --data labelled.csv --toward positive",
    "textvae steer runs/x --data labelled.csv --toward 5 --label-column stars",
)
def steer(
    data: Annotated[
        str,
        typer.Option(
            "--data",
            "-d",
            callback=check_data,
            help="Labelled texts: a table or a folder with splits.",
        ),
    ],
    toward: Annotated[str, typer.Option(help="Label of the sentences.")],
    model: ModelArgument = None,
    named: Model = None,
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, max=10**6, help="Number of sentences.")
    ] = 10,
    strength: Annotated[
        float, typer.Option(help="Weight of the label; 1 is weak, 16 strong.")
    ] = 4.0,
    steps: Annotated[
        int, typer.Option(min=1, max=10**6, help="Steps of the Langevin dynamics.")
    ] = 100,
    text_column: TextColumn = None,
    label_column: Annotated[
        str, typer.Option("--label-column", help="Table column with the labels.")
    ] = "label",
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Generate sentences with a label from any finished model.

    A logistic regression on the codes of labelled texts steers codes; the model stays as it is.
    """
    from textvae.data.readers import read_labelled

    folder = located(model, named)
    for_one_text(folder)
    column = column_of_texts(folder, data, text_column, [label_column])
    vae = load(folder, device)
    notes: list[str] = []
    splits = read_labelled(
        data, text_column=column, label_column=label_column, partly=True, notes=notes
    )
    print_notes(notes)
    rows = splits.get("train", next(iter(splits.values())))
    result = vae.steer(*rows, toward, count, strength, steps, seed=seed)
    stored = {
        "sentences": result.sentences,
        "toward": toward,
        "label_probability": result.label_probability,
        "holding": result.holding.result(),
        "seed": seed,
    }
    emit(stored, as_json, "\n".join(map(visible, result.sentences)))
    say_note(
        f"mean q({visible(toward)} | z) {shown(result.label_probability)}; accuracy of a linear "
        f"probe on codes {shown(result.holding.probe)}, on codes of their reconstructions "
        f"{shown(result.holding.followed)}"
    )
    warn_of_holding(result.holding)
