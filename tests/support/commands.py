"""Commands run in this process, and tiny runs for them to work on."""

import contextlib
import json
import os
import random
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from textvae.cli import main

SUBJECTS = ["the dog", "a cat", "my uncle", "our old friend"]
VERBS = ["saw", "liked", "booked", "did not like"]
OBJECTS = ["the soup", "a long film", "that flight"]

TINY = [
    "bowman2016",
    *(
        f"--set={setting}"
        for setting in (
            "encoders.text.hidden=12",
            "encoders.text.pooling=mean",
            "init_range=1.0",
            "latents.z.dim=3",
            "decoders.text.hidden=12",
            "decoders.text.word_dropout=0",
            "objective={kind: elbo, free_bits: 4}",
            "tokenizer.vocab_size=400",
            "train.learning_rate=0.01",
            "train.batch_size=16",
            "train.epochs=2",
        )
    ),
]
"""A model of a moment whose weights are large enough for its latent to differ between texts."""


TINY_LM = ["--set=decoders.text.hidden=8", "--set=tokenizer.kind=word", "--set=train.epochs=1"]


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


def parse(command: Any, arguments: Sequence[str], folder: Path) -> None:
    """Parse the arguments of a command in a folder, which gets the data files that they name."""
    for word in arguments:
        if Path(word).suffix in (".txt", ".csv", ".tsv"):
            (folder / word).touch()
    with contextlib.chdir(folder):
        command.make_context(command.name, list(arguments))


def sentences() -> list[str]:
    """100 sentences of 4 to 9 words."""
    draw = random.Random(0)
    return [
        f"{draw.choice(SUBJECTS)} {draw.choice(VERBS)} {draw.choice(OBJECTS)} ." for _ in range(100)
    ]


def run_quietly(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def trained_runs(factory: pytest.TempPathFactory) -> Path:
    """A folder with `texts.txt` and three runs: a VAE, a collapsed one, a language model.

    The collapsed one is the VAE with a posterior head of zeros, which is the prior exactly.
    """
    place = factory.getbasetemp() / "trained"
    if (place / "dead").exists():
        return place
    place.mkdir()
    texts = place / "texts.txt"
    texts.write_text("\n".join(sentences()) + "\n")
    assert run_quietly("train", "--data", texts, "--output", place / "vae", *TINY) == 0
    assert run_quietly("train", "lstm_lm", "--data", texts, "-o", place / "lm", *TINY_LM) == 0
    copy_run(place / "vae", place / "dead")
    forget_training(place / "dead")
    edit_weights(
        place / "dead",
        lambda weights: [
            value.zero_() for name, value in weights.items() if name.startswith("latents.z")
        ],
    )
    return place


def forget_training(run: Path) -> None:
    """Remove the record of the training, which is not that of edited weights."""
    results = json.loads((run / "results.json").read_text())
    results["training"] = {}
    (run / "results.json").write_text(json.dumps(results))


def copy_run(run: Path, to: Path) -> Path:
    """Without the write_manifest, which would refuse what the tests change."""
    left = shutil.ignore_patterns("checkpoints", "tensorboard", "manifest.json")
    return shutil.copytree(run, to, ignore=left)


def edit_weights(folder: Path, change) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def edit_config(folder: Path, change) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def in_a_process(*command: object, **options) -> subprocess.CompletedProcess:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environment, **options
    )


def answer(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main([*arguments])
    out, err = capsys.readouterr()
    return left.value.code, out, err
