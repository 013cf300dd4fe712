"""Help: sections, imperatives, examples that parse, former names, and docs/cli.md."""

import re
import shlex
import sys
from pathlib import Path
from typing import get_args

import pytest
from support.commands import in_a_process, parse
from typer.main import get_command

from textvae.cli import app
from textvae.cli.app import OLD_COMMANDS, OLD_OPTIONS, Section

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
GROUP = get_command(app)
COMMANDS: dict = dict(sorted(GROUP.commands.items()))  # type: ignore[attr-defined]
EXAMPLES = [(name, line) for name in COMMANDS for line in COMMANDS[name].epilog.splitlines()]
VERBS = set(
    "Add Compare Diagnose Evaluate Find Generate Interpolate Label List Measure Move Plot Print "
    "Probe Reconstruct Sample Train Verify Write".split()
)
"""Imperatives that begin the first line of a command: a new one adds its own."""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples_and_defaults(command, textvae):
    answer = textvae(command, "--help")
    assert answer.code == 0 and answer.err == ""
    assert f"\n  textvae {command}" in answer.out
    assert "default" in answer.out or "required" in answer.out


@pytest.mark.parametrize("command", COMMANDS)
def test_first_line_is_a_short_imperative(command):
    first = COMMANDS[command].help.strip().splitlines()[0]
    assert len(first) <= 60 and first.endswith(".")
    assert first.split()[0] in VERBS


@pytest.mark.parametrize(("command", "line"), EXAMPLES)
def test_examples_parse_and_fit_in_80_columns(command, line, tmp_path):
    program, name, *arguments = shlex.split(line)
    assert (program, name) == ("textvae", command)
    parse(COMMANDS[command], arguments, tmp_path)
    assert len(line) <= 78


def test_list_of_commands_is_complete_in_80_columns(textvae, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = textvae("--help").out
    assert textvae().out == out
    for name, command in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(command.help.splitlines()[0])}$", out, re.M)
    headings = re.findall(r"^([A-Z].*):$", out, re.M)
    assert headings == ["Options", *get_args(Section)]
    assert "..." not in out.split("\n", 1)[1] and max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("old", OLD_COMMANDS)
def test_former_commands_are_accepted_and_hidden(old, textvae):
    assert old not in COMMANDS and OLD_COMMANDS[old] in COMMANDS
    assert f"  {old} " not in textvae("--help").out
    first = COMMANDS[OLD_COMMANDS[old]].help.splitlines()[0]
    assert first in textvae(old, "--help").out


@pytest.mark.parametrize("old", OLD_OPTIONS)
def test_former_options_are_accepted_and_hidden(old, textvae):
    assert f"{old} " not in textvae("sample", "--help").out
    name = OLD_OPTIONS[old].strip("-").replace("-", "_")
    for arguments in ([old, "3"], [f"{old}=3"], [OLD_OPTIONS[old], "3"]):
        context = COMMANDS["sample"].make_context("sample", arguments)
        assert context.params[name] == 3


def test_former_options_after_a_dash_are_texts():
    context = COMMANDS["reconstruct"].make_context("reconstruct", ["--", "--beams", "3"])
    assert list(context.params["texts"]) == ["--beams", "3"]


def test_page_has_a_row_for_each_command():
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*?) \| `(textvae .*)` \|$", PAGE, re.M)
    assert sorted(name for name, _, _ in rows) == list(COMMANDS)
    for name, purpose, example in rows:
        assert purpose == COMMANDS[name].help.splitlines()[0]
        assert example in COMMANDS[name].epilog.splitlines()


def test_checkout_and_installed_command_are_the_same():
    script = Path(sys.executable).with_name("textvae")
    installed = in_a_process(script, "--help")
    checkout = in_a_process(sys.executable, "cli.py", "--help", cwd=ROOT)
    assert installed.returncode == checkout.returncode == 0
    assert installed.stdout == checkout.stdout != ""
