"""A folder from a stranger runs no code: live payloads in every file that is read."""

import builtins
import json
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.runs import corpus, recipe

from textvae.api.sentence import SentenceVAE
from textvae.checkpoints import MANIFEST, CheckpointError, checkpoints, write_manifest
from textvae.recipes import load_recipe
from textvae.registry import SpecError
from textvae.training.folders import saved_recipe
from textvae.training.runs import train_run


class Payload:
    """Unpickled, it leaves a file behind."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return builtins.open, (str(self.marker), "w")


CODE = (
    "open({marker!r}, 'w')\nclass Evil:\n    def __init__(self, *a, **k): open({marker!r}, 'w')\n"
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    train_run(recipe(epochs=2), corpus(), folder)
    return folder


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A run that can be tampered with: without the write_manifest of its model."""
    folder = shutil.copytree(trained, tmp_path / "run")
    (folder / MANIFEST).unlink()
    return folder


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """The file that a payload leaves; no test passes where it stands."""
    path = tmp_path / "executed"
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield path
    assert not path.exists()


def test_the_payload_is_live(tmp_path):
    with pytest.raises(Exception, match="."):
        pickle.loads(pickle.dumps(Payload(tmp_path / "executed"))).missing  # noqa: B018
    assert (tmp_path / "executed").exists()
    torch.save({"weights": Payload(tmp_path / "again")}, tmp_path / "evil.bin")
    torch.load(tmp_path / "evil.bin", weights_only=False)
    assert (tmp_path / "again").exists()


def plant(folder: Path, marker: Path) -> None:
    """Python files that a loader of remote code would import."""
    for name in ("evil.py", "tokenizer.py", "modeling_evil.py", "__init__.py", "conftest.py"):
        (folder / name).write_text(CODE.format(marker=str(marker)))


def edit(path: Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("weights", [True, False], ids=["beside weights", "in place of weights"])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.bin", "training_args.bin"])
def test_pickled_weights_are_not_read(run, marker, name, weights):
    torch.save({"encoders.text": Payload(marker)}, run / name)
    if weights:
        SentenceVAE.from_pretrained(run)
        return
    (run / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="holds no sound model"):
        SentenceVAE.from_pretrained(run)


def test_an_index_that_names_a_pickle(run, marker):
    names = load_file(run / "model.safetensors")
    (run / "model.safetensors").unlink()
    torch.save({name: Payload(marker) for name in names}, run / "evil.bin")
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names, "evil.bin")}
    (run / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="holds no sound model"):
        SentenceVAE.from_pretrained(run)


STRANGE = {
    "auto_map": {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"},
    "architectures": ["evil.Evil"],
    "attn_implementation": "stranger/kernel",
    "_attn_implementation": "stranger/kernel",
    "experts_implementation": "stranger/kernel",
    "quantization_config": {"quant_method": "evil"},
    "dtype": "evil",
    "torch_dtype": "os.system",
    "custom_pipelines": {"evil": {"impl": "evil.Evil"}},
    "transformers_weights": "../evil.bin",
    "base_model_tp_plan": {"*": "evil"},
    "tokenizer_class": "evil.Evil",
    "name_or_path": "../evil",
    "output_attentions": True,
}


@pytest.mark.parametrize("key", STRANGE)
def test_a_config_names_no_code(run, marker, key):
    """What is no part of a graph is not even looked at."""
    plant(run, marker)
    edit(run / "config.json", **{key: STRANGE[key]})
    SentenceVAE.from_pretrained(run)


@pytest.mark.parametrize(
    "values",
    [
        {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}},
        {"tokenizer_class": "evil.Evil"},
        {"chat_template": "{{ ''.__class__.__mro__[1].__subclasses__() }}"},
        {"added_tokens_decoder": {"0": {"content": "<pad>", "__class__": "evil.Evil"}}},
        {"tokenizer_file": "evil.py"},
        {"backend": "evil"},
        {"pad_token": {"__type": "AddedToken", "content": "<pad>"}},
    ],
    ids=lambda values: next(iter(values)),
)
def test_a_tokenizer_names_no_code(run, marker, values):
    plant(run, marker)
    edit(run / "tokenizer_config.json", **values)
    try:
        SentenceVAE.from_pretrained(run).sample(1)
    except ValueError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", ["tokenizer.model", "vocab.pkl", "added_tokens.json"])
def test_further_files_of_a_tokenizer_are_not_unpickled(run, marker, name):
    (run / name).write_bytes(pickle.dumps(Payload(marker)))
    try:
        SentenceVAE.from_pretrained(run)
    except ValueError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt"])
def test_a_tampered_state_of_training_runs_no_code(run, marker, name):
    """The stranger knows how to write_manifest a checkpoint, too."""
    (run / "model.safetensors").unlink()
    newest = checkpoints(run / "checkpoints")[-1]
    torch.save({"state": Payload(marker), "param_groups": Payload(marker)}, newest / name)
    write_manifest(newest)
    with pytest.raises(CheckpointError) as refused:
        train_run(recipe(epochs=2), corpus(), run, resume=True)
    assert name in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "rng_state.pth", "training_args.bin"])
@pytest.mark.parametrize("weights", [True, False], ids=["beside weights", "in place of weights"])
def test_other_pickles_of_a_checkpoint_are_not_read(run, marker, name, weights):
    (run / "model.safetensors").unlink()
    for place in checkpoints(run / "checkpoints"):
        torch.save({"encoders.text": Payload(marker)}, place / name)
        if not weights:
            (place / "model.safetensors").unlink()
        write_manifest(place)
    if weights:
        train_run(recipe(epochs=2), corpus(), run, resume=True)
        return
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        train_run(recipe(epochs=2), corpus(), run, resume=True)


TAGS = (
    "!!python/object/apply:builtins.open [{marker}, w]",
    "!!python/object/new:builtins.open [{marker}, w]",
    "!!python/name:os.system",
    "!!python/module:evil",
)


@pytest.mark.parametrize("tag", TAGS)
def test_a_recipe_names_no_code(run, marker, tag, tmp_path):
    line = tag.format(marker=marker)
    text = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(text + f"\nextra: {line}\n")
    for read in (
        lambda: saved_recipe(run),
        lambda: load_recipe(str(run / "recipe.yaml")),
        lambda: load_recipe("bowman2016", [f"paper={line}"]),
    ):
        with pytest.raises(SpecError, match="could not determine a constructor") as refused:
            read()
        assert len(refused.value.problems) == 1


def test_a_finished_model_holds_no_pickle(trained):
    files = [path for path in trained.iterdir() if path.is_file()]
    assert not [
        path for path in files if path.read_bytes()[:2] in (b"\x80\x02", b"PK", b"\x80\x04")
    ]
    assert {path.suffix for path in files} == {".json", ".safetensors", ".yaml"}
