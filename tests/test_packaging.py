"""The package's metadata: one version, what it ships, what it leaves out."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import textvae

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, HATCH = PYPROJECT["project"], PYPROJECT["tool"]["hatch"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_one_file_has_the_version():
    assert "version" not in PROJECT and PROJECT["dynamic"] == ["version"]
    path = ROOT / HATCH["version"]["path"]
    (version,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
    )
    assert version == textvae.__version__
    others = [
        other.name
        for other in (ROOT / "textvae").rglob("*.py")
        if other != path and re.search(r"^__version__ = ", other.read_text("utf-8"), re.M)
    ]
    assert not others


def test_what_is_cited_and_changed_is_that_version():
    version, date = re.findall(r"^## (\S+) - (\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)[0]
    assert CITATION["version"] == version == textvae.__version__
    assert str(CITATION["date-released"]) == date
    assert f"version = {{{version}}}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_authors_and_licence_are_the_same_everywhere():
    (author,) = PROJECT["authors"]
    assert CITATION["authors"] == [author]
    assert author["name"] in (ROOT / "README.md").read_text(encoding="utf-8")
    assert PROJECT["license"] == CITATION["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")


def test_types_are_shipped():
    assert (ROOT / "textvae/py.typed").is_file()
    assert "Typing :: Typed" in PROJECT["classifiers"]
    assert HATCH["build"]["targets"]["wheel"]["packages"] == ["textvae"]


def test_sdist_leaves_out_what_is_of_one_machine():
    assert {"/.ci", "/.coverage"} <= set(HATCH["build"]["targets"]["sdist"]["exclude"])


@pytest.mark.parametrize("extra", ["explore", "lora", "docs", "test", "sentence-transformers"])
def test_extras_have_requirements_beside_those_of_the_package(extra):
    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[<>=,]", each)[0] for each in requirements}

    found = names(PROJECT["optional-dependencies"][extra])
    assert found and not found & names(PROJECT["dependencies"])


def test_python_versions_agree():
    least = PROJECT["requires-python"].removeprefix(">=")
    listed = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert listed[0] == least
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{least.replace('.', '')}"
