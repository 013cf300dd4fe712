"""README's commands exist, its code runs, and its test command is the one that CI runs."""

import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.commands import sentences
from typer.main import get_command

from textvae.cli import app
from textvae.recipes import check_model, load_recipe

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    """The arguments of each `textvae` in a shell block."""
    found = []
    for line in "".join(blocks("sh")).splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            if words and Path(words[0]).name == "textvae":
                found.append(words[1:])
    return found


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_commands_parse(arguments):
    group = get_command(app)
    name, *rest = arguments
    command = group.commands[name]  # type: ignore[attr-defined]
    command.make_context(name, list(rest))


def test_every_command_is_shown():
    shown = {name for name, *_ in commands()} | set(re.findall(r"textvae ([a-z-]+)", README))
    assert set(get_command(app).commands) - {"make-corpus"} <= shown  # type: ignore[attr-defined]


def test_python_runs(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    Path("runs/bowman2016").symlink_to(runs / "vae")
    first, second = blocks("python")
    names: dict = {}
    exec(compile(first, "README.md", "exec"), names)
    assert names["z"].shape == (2, names["vae"].dim)
    # The classifier is anybody's; what it is given is ours.
    encode = next(line for line in second.splitlines() if "vae.encode" in line)
    names["texts"] = sentences()
    exec(compile(encode, "README.md", "exec"), names)
    assert names["means"].shape == names["scales"].shape == (100, names["vae"].dim)
    assert np.isfinite(names["means"]).all()


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


@pytest.mark.parametrize("text", blocks("yaml"), ids=["image", "text"])
def test_recipe_loads(text, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    recipe = load_recipe(str(path))
    check_model(recipe)
    if "modality" in text:
        return
    # It is the shipped recipe, with what may be left out left out.
    shipped = load_recipe("bowman2016")
    assert recipe.model == shipped.model and recipe.tokenizer == shipped.tokenizer
    assert recipe.objective["kl_weight"].items() <= shipped.objective["kl_weight"].items()


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert "://" in target or (ROOT / target).is_file(), target


def test_named_files_and_settings_exist():
    from textvae.decoders import Decoder
    from textvae.encoders import Encoder
    from textvae.objectives.schedules import Schedule

    assert {"lstm", "transformer"} <= Encoder.kinds.keys() & Decoder.kinds.keys()
    assert {"linear", "sigmoid", "cosine", "cyclical"} <= Schedule.kinds.keys()
