"""Rows of several fields for a terminal and for files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textvae.console import visible

if TYPE_CHECKING:
    from textvae.api.table import TableVAE

TABLES = (".csv", ".jsonl")
"""Endings of files of rows."""


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
    """A row with parts for a terminal, field after field: the values of each part on a line.

    Values of whole rows are on one line. Parts of several plates have the names of their fields.
    """
    from textvae.data.cells import strings

    blocks: dict[int, dict[str, Any]] = {}  # the fields of whole rows, and of each number of parts
    for name, cell in row.items():
        size = len(cell) if isinstance(cell, tuple) else 0
        blocks.setdefault(size, {})[name] = cell
    several = len(blocks.keys() - {0}) > 1
    lines = []
    for size, cells in blocks.items():  # of one plate, or of two with as many parts
        if not size:
            lines.append(" | ".join(visible(", ".join(strings(each))) for each in cells.values()))
            continue
        indent = "    " if several else "  "
        lines += [f"  {', '.join(cells)}"] if several else []
        lines += [
            indent + " | ".join(visible(", ".join(strings(each))) for each in line)
            for line in zip(*cells.values(), strict=True)
        ]
    return "\n".join(lines)


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
