"""Damaged models, full disks and bugs, as the user sees them."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from support.commands import TINY_LM, copy_run, edit_config, edit_weights

from textvae.api.sentence import SentenceVAE
from textvae.cli import main


def truncate(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def flip(folder: Path) -> None:
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[12] ^= 0xFF
    weights.write_bytes(content)


def become_bert(folder: Path) -> None:
    tiny = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", **tiny}))


def pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


DAMAGE = {
    "truncated": (truncate, "holds no sound model"),
    "flipped header": (flip, "holds no sound model"),
    "empty weights": (lambda f: (f / "model.safetensors").write_bytes(b""), "no sound model"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "vae/model.safetensors"),
    "pickle": (pickle, "vae/model.safetensors"),
    "a weight too few": (
        lambda f: edit_weights(f, lambda w: w.pop("latents.z.head.bias")),
        "latents.z.head.bias (missing)",
    ),
    "a weight too many": (
        lambda f: edit_weights(f, lambda w: w.update(more=torch.zeros(2))),
        "more (unknown)",
    ),
    "another shape": (
        lambda f: edit_config(f, lambda c: c["latents"][0].update(dim=4)),
        "latents.z.head.bias",
    ),
    "another kind": (become_bert, "holds a 'bert' model"),
    "broken config": (lambda f: (f / "config.json").write_text("{"), "not a valid JSON file"),
    "no config": (lambda f: (f / "config.json").unlink(), "config.json is missing"),
    "unknown key": (
        lambda f: edit_config(f, lambda c: c["latents"][0].update(dmi=4)),
        "did you mean 'dim'?",
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer"),
    "broken tokenizer": (lambda f: (f / "tokenizer.json").write_text("{"), "cannot be read"),
    "another tokenizer": (
        lambda f: (shutil.copy(f.parent / "lm/tokenizer.json", f), (f / "words.json").unlink()),
        "its tokenizer has",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_models(damage, runs, refused, tmp_path):
    copy_run(runs / "vae", tmp_path / "vae")
    copy_run(runs / "lm", tmp_path / "lm")
    change, said = DAMAGE[damage]
    change(tmp_path / "vae")
    assert said in refused("sample", "vae", "--max-new-tokens", 2)


def test_models_that_are_not_there(refused, tmp_path, monkeypatch):
    def offline(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    (tmp_path / "texts.txt").write_text("a\n")
    (tmp_path / "runs/begun").mkdir(parents=True)
    (tmp_path / "runs/begun/recipe.yaml").write_text("")
    assert "no trained run in runs/" in refused("sample")
    assert "did you mean 'runs/begun'?" in refused("sample", "runs/begin")
    assert "no network" in refused("sample", "nobody/nothing")
    assert "config.json is missing" in refused("sample", "texts.txt")
    assert "--resume" in refused("sample", "runs/begun")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.safetensors"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 4160 vs 4052"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_full_disk_is_one_line(error, runs, textvae, monkeypatch):
    def full(*arguments, **options):
        raise error

    monkeypatch.setattr("textvae.graph.model.VAE.save_pretrained", full)
    answer = textvae("train", "lstm_lm", "--data", runs / "texts.txt", *TINY_LM)
    assert answer.code == 2 and answer.out == ""
    assert answer.errors == ["error: the disk is full; what was saved before is whole"]


def test_a_full_disk_leaves_no_half_file(runs, refused, monkeypatch):
    def full(file, *arguments, **options):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("textvae.analysis.exports.write_array", full)
    said = refused("encode", runs / "texts.txt", "--out", "z.npy", "-m", runs / "vae")
    assert "the disk is full" in said


def test_mistakes_of_ours_are_not_hidden(runs, monkeypatch, tmp_path):
    def wrong(*arguments, **options):
        raise ZeroDivisionError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SentenceVAE, "sample_rows", wrong)
    with pytest.raises(ZeroDivisionError):
        main(["sample", str(runs / "lm")])
