"""Control of a finished text model: plug-ins, steering, arithmetic and traversals."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textvae.cli.app import command
from textvae.cli.models import load, located, warn_meaningless
from textvae.cli.options import (
    Data,
    Device,
    Json,
    Model,
    ModelArgument,
    Seed,
    TextColumn,
    check_data,
)
from textvae.cli.sources import column_of_texts, held_out, print_notes, print_unknown_words
from textvae.console import emit, say, say_note, shown, table, visible

if TYPE_CHECKING:
    from textvae.control.codes import Holding

SHOWN = 5
"""Sentences of a new plug-in that are printed."""

LIMIT = 2000
"""Most held-out texts that the result of arithmetic, or a dimension, is compared with."""


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


def file_texts(file: str, text_column: str) -> list[str]:
    """The texts of a file, or of the test set of a folder or data set; notes are printed."""
    from textvae.data.readers import read_split

    rows = read_split(file, text_column=text_column)
    print_notes(rows.notes)
    return rows.texts


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


@command(
    "Generate",
    'textvae arithmetic "the food was bad ." - "it was bad ." + "it was good ."',
    'textvae arithmetic "the food was bad ." - negative.txt + positive.txt',
)
def arithmetic(
    terms: Annotated[
        list[str],
        typer.Argument(
            help="Sentences with + or - between them; a file of texts counts as their mean."
        ),
    ],
    strength: Annotated[float, typer.Option(help="Factor of all but the first term.")] = 1.0,
    data: Data = None,
    text_column: TextColumn = None,
    model: Model = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Add and subtract sentences in the latent space.

    Prints the sentence at the result, and how far it is from the posterior means of held-out texts.
    """
    signs, given = signed_terms(terms)
    folder = located(model)
    column = column_of_texts(folder, data, text_column)
    columns = [column_of_texts(folder, t, text_column) if is_file(t) else None for t in given]
    vae = load(folder, device)
    files = zip(given, columns, strict=True)
    values = [term if of is None else file_texts(term, of) for term, of in files]
    for value in values:
        print_unknown_words(vae, [value] if isinstance(value, str) else value)
    add, subtract = ([v for v, s in zip(values, signs, strict=True) if s == each] for each in "+-")
    from textvae.training.run_data import subset

    texts = subset(held_out(folder, data, column), LIMIT, seed)
    result = vae.arithmetic(add, subtract, texts, strength)
    singles = [value for value in values if isinstance(value, str)]
    if singles:
        warn_meaningless(vae, folder, singles, "the result is not meaningful: ")
    rows = [
        ("distance to the nearest held-out text", result.distance),
        ("median between neighbouring texts", result.typical),
        ("texts nearer to a neighbour than that", f"{result.farther or 0:.0%}"),
        ("nearest text", result.nearest),
    ]
    emit({"terms": terms, **result.result()}, as_json, f"{visible(result.sentence)}\n{table(rows)}")
    if (result.farther or 0) >= FAR:
        say(
            f"warning: the result is farther from the texts than {FAR:.0%} of them are from each "
            "other: the decoder was not trained there; try a smaller --strength"
        )


FAR = 0.95
"""Share of texts that are nearer to another one than a result, from which it is far from all."""


def signed_terms(terms: Sequence[str]) -> tuple[list[str], list[str]]:
    """The sign of each term, `+` or `-`, and the terms of `a - b + c`.

    Raises:
        ValueError: it is another list of words.
    """
    given, operators = terms[::2], terms[1::2]
    wrong = [word for word in operators if word not in ("+", "-")]
    if wrong or len(terms) % 2 == 0 or any(term in ("+", "-") for term in given):
        raise ValueError(
            'terms must be sentences in quotation marks with + or - between them, as in "a" - "b" '
            f'+ "c" (got {" ".join(map(repr, terms))[:100]})'
        )
    return ["+", *operators], list(given)


def is_file(term: str) -> bool:
    """Whether a term is the name of a file of texts; a sentence is none."""
    try:
        return Path(term).expanduser().is_file()
    except OSError:  # longer than the name of a file may be
        return False


@command(
    "Generate",
    'textvae traverse "the food was great ."',
    'textvae traverse "the food was great ." --dimension 3 --steps 9',
)
def traverse(
    text: Annotated[str, typer.Argument(help="Sentence whose code is moved.")],
    dimension: Annotated[
        list[int] | None,
        typer.Option(help="Dimension, from 0; repeatable; default: the three that vary most."),
    ] = None,
    steps: Annotated[int, typer.Option(min=2, max=1000, help="Sentences per dimension.")] = 7,
    reach: Annotated[
        float, typer.Option(help="Standard deviations of the codes to either side of the mean.")
    ] = 3.0,
    data: Data = None,
    text_column: TextColumn = None,
    model: Model = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Move one dimension of a sentence's code and decode.

    The dimension spans the posterior means of held-out texts, three deviations to either side.
    """
    folder = located(model)
    column = column_of_texts(folder, data, text_column)
    import numpy as np

    from textvae.training.run_data import subset

    vae = load(folder, device)
    vae.require_latent()
    print_unknown_words(vae, [text])
    codes = np.asarray(vae.encode(subset(held_out(folder, data, column), LIMIT, seed)))
    mean, deviation = codes.mean(0), codes.std(0)
    axes = dimension or np.argsort(-deviation, kind="stable")[:3].tolist()
    multiples = np.linspace(-reach, reach, steps)
    result, lines = [], []
    for axis in axes:
        at = min(max(axis, 0), vae.dim - 1)  # a wrong one is refused below
        values = mean[at] + multiples * deviation[at]
        sentences = vae.traverse(text, axis, values)
        result.append({"dimension": axis, "values": values.tolist(), "sentences": sentences})
        lines += [
            f"dimension {axis}",
            table([(f"{v:6.2f}", s) for v, s in zip(values, sentences, strict=True)]),
        ]
    emit(result, as_json, "\n".join(lines))
    warn_meaningless(vae, folder, [text], "the traversal is not meaningful: ")
