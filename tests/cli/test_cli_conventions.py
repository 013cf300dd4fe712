"""What every command has in common: `--version`, `--quiet`, completion of the shell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import TINY
from typer.main import get_command

import textvae as package
from textvae.cli import app
from textvae.console import quiet, say
from textvae.recipes import shipped_recipes

COMMANDS: dict = dict(get_command(app).commands)  # type: ignore[attr-defined]


def test_version_is_that_of_the_package(textvae):
    answer = textvae("--version")
    assert (answer.code, answer.out, answer.err) == (0, f"textvae {package.__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_quiet(command):
    names = [name for option in COMMANDS[command].params for name in option.opts]
    assert names.count("--quiet") == names.count("-q") == 1


NOTED = {
    "evaluate": ["evaluate", "RUNS/dead", "--data", "RUNS/texts.txt", "--samples", "2", "--json"],
    "interpolate": ["interpolate", "the dog .", "a cat .", "--model", "RUNS/dead", "--steps", "2"],
    "train": ["train", "--data", "RUNS/texts.txt", *TINY, "--set=train.epochs=1"],
}
"""Commands that print notes, warnings or progress beside their result."""


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("command", NOTED)
def test_quiet_leaves_the_result_alone(command, place, runs, textvae):
    arguments = [word.replace("RUNS", str(runs)) for word in NOTED[command]]
    loud = textvae(*arguments)
    silent = textvae(*(["-q", *arguments] if place == "before" else [*arguments, "--quiet"]))
    assert loud.code == silent.code == 0
    assert loud.err and silent.err == ""
    if command == "train":
        assert "held-out metrics" in silent.out and "saved in runs/bowman2016-2" in silent.out
    else:
        assert silent.out == loud.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-q", "sample", "nowhere"], "nowhere: no such folder"),
        (["sample", "-q", "nowhere"], "nowhere: no such folder"),
        (["train", "-q", "--set", "train.epoch=3"], "train.epoch: unknown key"),
        (["-q", "evaluate", "--samples", "0"], "'--samples'"),
        (["evaluate", "-q", "--sample", "1"], "--sample"),
        (["-q", "trian"], "trian"),
    ],
)
def test_quiet_prints_errors(arguments, message, refused):
    assert message in refused(*arguments)


def test_quiet_ends_with_the_command(runs, textvae):
    textvae("-q", "sample", "nowhere")
    assert textvae("evaluate", runs / "dead", "--data", runs / "texts.txt", "--json").err
    with pytest.raises(ValueError, match="stop"), quiet():
        raise ValueError("stop")
    assert "HF_HUB_DISABLE_PROGRESS_BARS" not in os.environ


def test_quiet_inside_another_stays_quiet(capsys):
    with quiet():
        with quiet(False):
            say("a note")
        with quiet():
            pass
        say("a note")
    say("the end")
    assert capsys.readouterr().err == "the end\n"


def completed(words: str, place: Path) -> list[str]:
    """What bash offers for the last word of a line."""
    environment = os.environ | {
        "_TEXTVAE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    code = "from textvae.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=place, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("textvae rec", {"recipes", "reconstruct"}),
        ("textvae train --res", {"--resume"}),
        ("textvae train bowman2016", {name for name in shipped_recipes() if "bowman2016" in name}),
        ("textvae show zhu", {name for name in shipped_recipes() if name.startswith("zhu")}),
        ("textvae verify nothing", set()),
    ],
)
def test_shell_completes_commands_options_and_recipes(words, offered, tmp_path):
    assert set(completed(words, tmp_path)) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_of_completion_is_printed(shell, tmp_path):
    environment = os.environ | {"_TEXTVAE_COMPLETE": f"source_{shell}"}
    code = "from textvae.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0 and "_TEXTVAE_COMPLETE" in ran.stdout
