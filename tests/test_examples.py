"""The examples run on a tiny model, and are short."""

import ast
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
ARGUMENTS = {
    "downstream_classifier.py": ["--limit", "60"],
    "own_classifier.py": ["--limit", "40", "--epochs", "1", "--fine-tune"],
    "semantic_search.py": ["the soup was cold ."],
}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short_and_runs(path, runs, monkeypatch, capsys):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 80
    model = runs / "vae"
    monkeypatch.setattr(sys, "argv", [path.name, *ARGUMENTS[path.name], "--model", str(model)])
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.strip()


def cell_result(source: str, names: dict[str, Any]) -> Any:
    """The value of a cell's last expression, as a notebook shows it; None without one."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return (
        None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    )


def test_the_notebook_runs(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    Path("runs/kingma2016_free_bits").symlink_to(runs / "vae")
    notebook = json.loads((EXAMPLES / "quickstart.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], len({cell["id"] for cell in notebook["cells"]})) == (
        4,
        len(notebook["cells"]),
    )
    names: dict[str, Any] = {}
    shown = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            shown.append(cell_result("".join(cell["source"]), names))
            stored = [key for output in cell["outputs"] for key in output["data"]]
            assert ("text/html" in stored) == hasattr(shown[-1], "_repr_html_")
    tables = [value._repr_html_() for value in shown if hasattr(value, "_repr_html_")]
    assert len(tables) == 2 and all(table.startswith("<table>") for table in tables)
