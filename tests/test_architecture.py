"""docs/architecture.md is current, and each module's first line states what it contains."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/architecture.md"
MODULES = sorted((ROOT / "textvae").rglob("*.py"))
NO_MODULE_DOES = re.compile(r"\b(says?|tells?|told|knows?|asks?|judges?|listens?|pays?)\b")
"""Verbs of people."""


def first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, f"{path.name} has no docstring"
    return docstring.splitlines()[0]


def test_list_of_modules_is_current():
    spec = importlib.util.spec_from_file_location("pages", ROOT / "benchmarks/pages.py")
    assert spec is not None and spec.loader is not None
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    page, text = pages.architecture_page()
    assert page.read_text(encoding="utf-8") == text, "run: python benchmarks/pages.py"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_begins_with_a_short_line(path):
    line = first_line(path)
    assert len(line) <= 90 and line.endswith(".")
    assert not NO_MODULE_DOES.search(line)
    assert not line.startswith("What "), "a noun phrase or an imperative"


MOST_LINES = {"cli": 300}
"""Most lines of a module by package; 500 elsewhere."""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_short(path):
    package = path.relative_to(ROOT / "textvae").parts[0]
    assert len(path.read_text().splitlines()) <= MOST_LINES.get(package, 500)


def rows() -> list[tuple[str, str]]:
    """The files and the names of each row of the table of places."""
    found = re.findall(r"^\| [^|]*\? \| ([^|]*) \| ([^|]*) \|$", PAGE.read_text(), re.MULTILINE)
    assert found
    return found


@pytest.mark.parametrize(("files", "names"), rows())
def test_places_exist(files, names):
    mentioned = re.findall(r"`([\w/]+(?:\.py|/))`", f"{files} {names}")
    paths = [ROOT / "textvae" / name for name in mentioned]
    assert paths and all(path.exists() for path in paths)
    sources = [
        path for each in paths for path in ([each] if each.is_file() else each.rglob("*.py"))
    ]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    for name in re.findall(r"`@?(\w+(?:\.\w+)?)`", re.sub(r"`[\w/]+(?:\.py|/)`", "", names)):
        *owner, last = name.split(".")
        assert re.search(rf"\b{last}\b", text), name
        assert not owner or re.search(rf"^class {owner[0]}\b", text, re.MULTILINE), name
