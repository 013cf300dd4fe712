"""Conditions on the command line, and the rows that are written under them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.console import say_note, visible

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
TABLES = (".csv", ".jsonl")
"""Endings of files of rows."""


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


def column_settings(options: Sequence[str] | None) -> list[str]:
    """`--field` as changes to a recipe, as `--set` takes them."""
    columns = pairs_of(options, "--field")
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
    found = vae.different_rows(count, how, seed, given)
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


def rows_text(rows: Sequence[dict[str, Any]], given: dict[str, Any] | None) -> str:
    """Rows for a terminal: a text a line, or values side by side; conditions where they differ.

    Of rows with parts, a part a line and a blank line between rows.
    """
    if any(isinstance(cell, tuple) for row in rows for cell in row.values()):
        return "\n\n".join(map(parts_text, rows))
    hidden = [n for n, value in (given or {}).items() if isinstance(value, str) or len(value) == 1]
    lines = []
    for row in rows:
        cells = {name: value for name, value in row.items() if name not in hidden}
        nll = cells.pop("nll", None)
        shown = (
            " / ".join(map(str, value)) if isinstance(value, list) else str(value)
            for value in cells.values()
        )
        line = " | ".join(map(visible, shown))
        lines.append(line if nll is None else f"{nll:8.2f}  {line}")
    return "\n".join(lines)


def parts_text(row: dict[str, Any]) -> str:
    """A row with parts for a terminal: its own values, then the values of each part on a line."""
    from textvae.data.cells import strings

    whole = [cell for cell in row.values() if not isinstance(cell, tuple)]
    parts = [cell for cell in row.values() if isinstance(cell, tuple)]
    lines = [whole] if whole else []
    for size in dict.fromkeys(map(len, parts)):  # of one plate, or of two with as many parts
        together = zip(*(cell for cell in parts if len(cell) == size), strict=True)
        lines += [list(line) for line in together]
    return "\n".join(
        ("  " if line is not whole else "")
        + " | ".join(visible(", ".join(strings(cell))) for cell in line)
        for line in lines
    )


def in_columns(folder: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows by the columns of the data of a run, so that they can be read as those are."""
    from textvae.training.run_data import recipe_of

    recipe = recipe_of(folder)
    fields = {} if recipe is None else getattr(recipe.data, "fields", None) or {}
    found = []
    for row in rows:
        cells: dict[str, Any] = {}
        for name, cell in row.items():
            column, key = fields[name].source_column(name) if name in fields else (name, None)
            if key is None:
                cells[column] = cell
                continue
            parts = cells.setdefault(column, [{} for _ in cell])
            for part, value in zip(parts, cell, strict=True):
                part[key] = value
        found.append(cells)
    return found


def write_rows(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as csv or JSON lines, by the ending of the file."""
    import json

    from textvae.checkpoints import write_file

    if out.suffix == ".jsonl":
        write_file(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        return
    write_file(out, csv_text(rows))


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as csv; a list is written as JSON, which `labels` and vectors are read from."""
    import csv
    import io
    import json

    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else [])
    writer.writeheader()
    for row in rows:
        lists = {
            name: json.dumps(cell, ensure_ascii=False)
            for name, cell in row.items()
            if isinstance(cell, list | tuple)
        }
        writer.writerow(row | lists)
    return text.getvalue()


def table_conditions(
    vae: "TableVAE", folder: str, options: Sequence[str] | None, file: str | None
) -> dict[str, Any] | None:
    """The conditions of rows of a table, of `--given` or `--given-file`; None for none."""
    if file is not None:
        return given_rows_of(vae, folder, file)
    return pairs_of(options, "--given") or None


def table_cells(
    vae: "TableVAE", folder: str, rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Rows by the columns of the table that a model was trained on: numbers in their own ones."""
    from textvae.api.rows import facts_of

    columns = {
        name: facts_of(vae.model.config, name).get("columns", ())
        for name in (rows[0] if rows else ())
    }
    named = in_columns(folder, rows)
    return [
        {
            column: value
            for (name, cell), own in zip(row.items(), each, strict=True)
            for column, value in (
                zip(columns[name], cell, strict=True) if columns[name] else [(own, cell)]
            )
        }
        for row, each in zip(rows, named, strict=True)
    ]
