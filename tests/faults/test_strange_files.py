"""Any content of any file of a run ends in one line and exit code 2, or does not matter."""

import json
import shutil
from pathlib import Path

import pytest
from support.commands import answer
from support.runs import corpus, recipe

from textvae.checkpoints import MANIFEST
from textvae.training.runs import train_run

FILES = [
    "config.json",
    "manifest.json",
    "recipe.yaml",
    "results.json",
    "run.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "words.json",
    "model.safetensors",
]
CONTENTS = {
    "missing": None,
    "empty": b"",
    "null": b"null",
    "list": b"[1, 2]",
    "number": b"3",
    "text": b'"x"',
    "deep list": b"[" * 100_000 + b"]" * 100_000,
    "deep object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "bytes": b"\xff\xfe\x00\x01",
    "control characters": b'{"\x1b[31m": 1}',
}
COMMANDS = {
    "sample": ["sample", "RUN", "-n", "1", "--max-tokens", "3"],
    "doctor": ["doctor", "RUN", "--data", "TEXTS"],
    "compare": ["compare", "RUN"],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    train_run(recipe(epochs=1), corpus(), folder)
    texts = folder.parent / "texts.txt"
    texts.write_text("".join(f"{text}\n" for text in corpus().valid))
    metrics = {"dimensions": 3, "kl": 1.0, "nll": 9.0, "active_units": 1}
    (folder / "results.json").write_text(json.dumps({"metrics": metrics}))
    return folder


@pytest.fixture
def check(trained, capsys):
    """Runs a command on a run one of whose files has another content; its error output."""
    return lambda *arguments: checked(trained, capsys, *arguments)


def checked(trained, capsys, folder: Path, command: str, name: str, content: bytes | None):
    run = shutil.copytree(trained, folder / "run")
    if name != MANIFEST:
        (run / MANIFEST).unlink()  # it would reveal the change
    (run / name).unlink(missing_ok=True)
    if content is not None:
        (run / name).write_bytes(content)
    places = {"RUN": run, "TEXTS": trained.parent / "texts.txt"}
    code, out, err = answer(capsys, *(str(places.get(word, word)) for word in COMMANDS[command]))
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code in (0, 2), err
    assert bool(errors) == (code == 2) and all(len(line) < 400 for line in errors)
    assert "\x1b" not in err + out and "Traceback" not in err
    return errors


@pytest.mark.parametrize("command", COMMANDS)
def test_the_run_itself_is_sound(trained, check, tmp_path, command):
    content = (trained / "run.json").read_bytes()
    assert check(tmp_path, command, "run.json", content) == []


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", FILES)
def test_a_strange_file_costs_one_line(check, tmp_path, name, command):
    for number, content in enumerate(CONTENTS.values()):
        check(tmp_path / str(number), command, name, content)


@pytest.mark.parametrize("name", ["config.json", "results.json", "run.json"])
def test_a_strange_value_costs_one_line(trained, check, tmp_path, name):
    document = json.loads((trained / name).read_text())
    for number, key in enumerate(document):
        for letter, value in enumerate((7, "x" * 10_000, [1], {"a": 1}, None)):
            content = json.dumps({**document, key: value}).encode()
            folder = tmp_path / f"{number}-{letter}"
            for command in ("sample", "compare"):
                check(folder / command, command, name, content)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("sample", "manifest.json"),
        ("doctor", "run.json"),
        ("doctor", "recipe.yaml"),
        ("compare", "results.json"),
    ],
)
@pytest.mark.parametrize("content", ["[1, 2]", "3", '"x"', "[" * 100_000])
def test_the_strange_file_is_named(check, tmp_path, command, name, content):
    errors = check(tmp_path, command, name, content.encode())
    assert errors and name in errors[0]
