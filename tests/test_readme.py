"""The commands and code of the README and of the pages on recipes, metrics and control run."""

import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.commands import parse
from typer.main import get_command

from textvae.cli import app
from textvae.recipes import check_model, load_recipe

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "docs/recipes.md", "docs/metrics.md", "docs/control.md")
}
README = PAGES["README.md"]
PURPOSES = [
    "baseline",
    "first VAE",
    "no collapse",
    "most information",
    "best likelihood",
    "few labels",
    "answers",
    "topics",
    "images",
]


def blocks(language: str, page: str = "README.md") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.DOTALL | re.MULTILINE)


def numbered_blocks(language: str) -> list:
    """Each block of a language with its page, as a parameter that its page and place name."""
    return [
        pytest.param(page, text, id=f"{Path(page).stem}-{number}")
        for page in PAGES
        for number, text in enumerate(blocks(language, page))
    ]


def commands(page: str) -> list[list[str]]:
    """The arguments of each `textvae` in a shell block of a page."""
    found = []
    for line in "".join(blocks("sh", page)).splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            if words and Path(words[0]).name == "textvae":
                found.append(words[1:])
    return found


@pytest.mark.parametrize("arguments", [c for page in PAGES for c in commands(page)], ids=" ".join)
def test_commands_parse(arguments, tmp_path):
    group = get_command(app)
    name, *rest = arguments
    parse(group.commands[name], rest, tmp_path)  # type: ignore[attr-defined]


def test_every_command_is_shown():
    shown = {name for name, *_ in commands("README.md")} | set(
        re.findall(r"textvae ([a-z-]+)", README)
    )
    assert set(get_command(app).commands) - {"make-corpus"} <= shown  # type: ignore[attr-defined]


@pytest.mark.parametrize(("page", "text"), numbered_blocks("python"))
def test_python_runs(page, text, runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    Path("runs/sentence_vae").symlink_to(runs / "vae")
    names: dict = {}
    exec(compile(text, page, "exec"), names)
    if "vae" in names and "z" in names:
        assert names["z"].shape == (2, names["vae"].dim)
    if "means" in names:
        assert names["means"].shape == names["scales"].shape == (2, names["vae"].dim)
        assert np.isfinite(names["means"]).all()


def test_readme_python_is_short_and_encodes():
    (text,) = blocks("python")
    assert len(text.splitlines()) <= 12
    assert "z = vae.encode" in text and "means, scales = vae.encode" in text


def test_ci_runs_the_test_command():
    script = (ROOT / ".ci/run").read_text()
    (command,) = [line for line in README.splitlines() if ".[test]" in line]
    assert command in "".join(blocks("sh")) and "pytest" in command
    (found,) = re.findall(r"^command=\$\((grep .* README\.md)\)$", script, re.MULTILINE)
    grep = subprocess.run(found, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert grep.stdout == command + "\n"
    assert 'bash -c "$command"' in script


def test_first_command_installs_and_trains():
    first = blocks("sh")[0].strip()
    assert first.startswith("python3 -m venv .venv && ")
    assert first.endswith("textvae train")


@pytest.mark.parametrize(("page", "text"), numbered_blocks("yaml"))
def test_recipe_loads(page, text, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    check_model(load_recipe(str(path)))


@pytest.mark.parametrize("page", ["README.md", "docs/recipes.md"])
def test_first_recipe_is_the_shipped_one(page, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(blocks("yaml", page)[0])
    recipe, shipped = load_recipe(str(path)), load_recipe("bowman2016")
    # What may be left out is left out.
    assert recipe.model == shipped.model and recipe.tokenizer == shipped.tokenizer
    assert recipe.objective["kl_weight"].items() <= shipped.objective["kl_weight"].items()


def test_a_recipe_stands_for_every_purpose():
    rows = {
        cells[1].strip(): re.findall(r"`(\w+)`", cells[2])
        for cells in (line.split("|") for line in README.splitlines())
        if len(cells) == 5 and cells[1].strip() in PURPOSES
    }
    assert list(rows) == PURPOSES
    for purpose, recipes in rows.items():
        assert recipes, purpose
        for name in recipes:
            load_recipe(name)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", PAGES[page]):
        assert "://" in target or ((ROOT / page).parent / target).is_file(), target


def test_readme_and_its_pictures_are_small():
    assert len(README.splitlines()) <= 150
    assert all(path.stat().st_size < 60_000 for path in (ROOT / "docs/images").iterdir())


def test_reference_names_every_kind():
    from textvae.decoders import Decoder
    from textvae.encoders import Encoder
    from textvae.families import Family
    from textvae.likelihoods import Likelihood
    from textvae.objectives import Objective
    from textvae.objectives.schedules import Schedule
    from textvae.objectives.terms import Term
    from textvae.priors import Prior

    page = PAGES["docs/recipes.md"]
    for base in (Encoder, Family, Prior, Decoder, Likelihood, Objective, Schedule, Term):
        missing = [kind for kind in base.kinds if not re.search(rf"\b{kind}\b", page)]
        assert not missing, f"{base.__name__}: {missing}"


def test_named_kinds_exist():
    from textvae.decoders import Decoder
    from textvae.encoders import Encoder
    from textvae.objectives.schedules import Schedule

    assert {"lstm", "transformer"} <= Encoder.kinds.keys() & Decoder.kinds.keys()
    assert {"linear", "sigmoid", "cosine", "cyclical"} <= Schedule.kinds.keys()
