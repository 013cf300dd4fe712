"""The examples run on a tiny model, and are short."""

import runpy
import sys
from pathlib import Path

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
