"""Conditions on the command line, and the rows that are written under them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.console import say_note

if TYPE_CHECKING:
    from textvae.api.sentence import SentenceVAE
    from textvae.api.table import TableVAE
    from textvae.graph.decoding import Decoding

GivenOption = Annotated[
    list[str] | None,
    typer.Option(
        "--given", metavar="FIELD=VALUE", help="Condition, for conditional models; repeatable."
    ),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--field", metavar="FIELD=COLUMN", help="Column of a field of the recipe; repeatable."
    ),
]


def pairs_of(options: Sequence[str] | None, option: str) -> dict[str, str]:
    """The parts around the first equals sign of each option.

    Raises:
        ValueError: there is none, or a name stands twice.
    """
    found: dict[str, str] = {}
    for text in options or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"{option}: must be FIELD=VALUE (got {text!r})")
        if name.strip() in found:
            raise ValueError(f"{option}: {name.strip()} is given twice")
        found[name.strip()] = value
    return found


def column_settings(options: Sequence[str] | None, recipe: str | None = None) -> list[str]:
    """`--field` as changes to a recipe, as `--set` takes them.

    Args:
        options: FIELD=COLUMN each.
        recipe: whose fields they are; None where that is not known here.

    Raises:
        ValueError: the recipe has no such field.
    """
    columns = pairs_of(options, "--field")
    if columns and recipe is not None:
        from textvae.recipes import load_recipe
        from textvae.registry import suggest

        fields = getattr(load_recipe(recipe).data, "fields", None) or {}
        for name in columns:
            if name not in fields:
                raise ValueError(f"--field: unknown field {name!r} {suggest(name, fields)}")
    return [f"data.fields.{name}.column={value}" for name, value in columns.items()]


def given_of(vae: "SentenceVAE", options: Sequence[str] | None) -> dict[str, Any] | None:
    """The conditions that `--given` has; None for a model without any.

    Raises:
        ValueError: the model takes none, or needs others.
    """
    given: dict[str, Any] = dict(pairs_of(options, "--given"))
    for field in given.keys() & vae.model.config.plates.keys():
        given[field] = [list_of(given[field], f"--given {field}")]
    vae.given_conditions(given)
    return given or None


def print_unknown_conditions(vae: "SentenceVAE", given: dict[str, Any] | None) -> None:
    """Print which words of the texts among conditions the tokenizer does not know."""
    from textvae.api.rows import facts_of, is_of_table
    from textvae.cli.sources import print_unknown_words
    from textvae.data.cells import strings

    for name, value in (given or {}).items():
        if not is_of_table(facts_of(vae.model.config, name)):
            cells = [value] if isinstance(value, str) else value
            print_unknown_words(vae, [text for cell in cells for text in strings(cell)])


def list_of(text: str, option: str) -> list[str]:
    """The texts of a JSON list.

    Raises:
        ValueError: it is none.
    """
    import json

    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise ValueError(f'{option}: must be a JSON list, as ["hello", "good day"] (got {text!r})')
    return value


def given_rows_of(vae: "SentenceVAE | TableVAE", folder: str, file: str) -> dict[str, list[Any]]:
    """The conditions in a table; its columns are those of the run's fields.

    A field that may be given, and need not be, is read where the table has all such columns.

    Raises:
        DataError: it cannot be read, or has no such columns.
        ValueError: the model takes no condition.
    """
    from textvae.config import FieldConfig
    from textvae.data.tables import read_table_split
    from textvae.data.texts import DataError
    from textvae.training.run_data import recipe_of, table_fields

    config = vae.model.config
    wanted = [*vae.conditions, *config.written_or_given, *config.read_or_given]
    if not wanted:
        raise ValueError("--given-file: the model takes no condition")
    recipe = recipe_of(folder)
    own = {} if recipe is None else getattr(recipe.data, "fields", None) or {}
    fields = {name: own.get(name, FieldConfig()) for name in wanted}
    fields = table_fields(folder, fields)
    try:
        table, notes = read_table_split(file, fields)
    except DataError:
        if not vae.conditions:
            raise
        table, notes = read_table_split(file, {name: fields[name] for name in vae.conditions})
    for note in notes:
        say_note(note)
    return table.columns


def sampled_rows(
    vae: "SentenceVAE",
    count: int,
    how: "Decoding",
    seed: int,
    label: str | None,
    given: dict[str, Any] | None,
    likeliest: bool,
) -> list[dict[str, Any]]:
    """Rows that a model writes, beside what it was given; different ones under conditions."""
    from textvae.api.code_texts import code_latent

    if likeliest and label is not None:
        raise ValueError("--label goes without --likeliest")
    if likeliest and code_latent(vae) is not None:
        listed = vae.likeliest_codes(count, how, given)
        return [
            {**condition, "code": each.code, **each.row, "nll": each.nll}
            for condition, codes in zip(conditions_of(given, len(listed)), listed, strict=True)
            for each in codes
        ]
    if likeliest:
        target = vae.model.field_of(vae.target)
        best = vae.likeliest(count, how, given)
        return [
            {**condition, target: text, "nll": nll}
            for condition, beam in zip(conditions_of(given, len(best)), best, strict=True)
            for text, nll in beam
        ]
    if given is None:
        return list(vae.sample_rows(count, how, seed, label))
    found = vae.different_rows(count, how, seed, given, label)
    if few := sum(len(rows) < count for rows in found):
        least = min(map(len, found))
        of = "" if len(found) == 1 else f" for {few:,} of {len(found):,} conditions"
        say_note(f"fewer than {count:,} different rows{of} (the fewest: {least:,})")
    return [
        {**condition, **row}
        for condition, rows in zip(conditions_of(given, len(found)), found, strict=True)
        for row in rows
    ]


def conditions_of(given: dict[str, Any] | None, count: int) -> list[dict[str, str]]:
    """The conditions of each of N rows."""
    lists = {
        name: [value] * count if isinstance(value, str) else value
        for name, value in (given or {}).items()
    }
    return [{name: cells[row] for name, cells in lists.items()} for row in range(count)]


def table_conditions(
    vae: "TableVAE", folder: str, options: Sequence[str] | None, file: str | None
) -> dict[str, Any] | None:
    """The conditions of rows of a table, of `--given` or `--given-file`; None for none."""
    if file is not None:
        return given_rows_of(vae, folder, file)
    return pairs_of(options, "--given") or None
