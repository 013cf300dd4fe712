"""Arithmetic of sentences, and walks along a dimension."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from textvae.cli.app import command
from textvae.cli.models import load, located, warn_meaningless
from textvae.cli.options import (
    Data,
    Device,
    Json,
    Model,
    Seed,
    TextColumn,
)
from textvae.cli.sources import column_of_texts, file_texts, held_out, print_unknown_words
from textvae.console import emit, say, table, visible

LIMIT = 2000
"""Most held-out texts that the result of arithmetic, or a dimension, is compared with."""


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
