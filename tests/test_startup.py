"""Start-up: which libraries a command imports, exactly; models inside and outside transformers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import GRAPHS, fields_of, vae
from safetensors.torch import load_file
from support.graphs import weights_of

from textvae.checkpoints import CheckpointError
from textvae.graph.config import VAEConfig
from textvae.graph.model import VAE
from textvae.graph.saving import INDEX, load_model

ROOT = Path(__file__).resolve().parent.parent

ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    "HF_HUB_OFFLINE": "1",
}

# Each takes longer to import than all of our modules. torch._dynamo brings sympy.
NEVER = {"transformers", "sympy", "scipy", "sklearn", "datasets", "matplotlib", "torch._dynamo"}
NEVER |= {"accelerate", "pandas", "PIL", "pyarrow", "sentencepiece"}
BEFORE_TORCH = NEVER | {"torch", "numpy"}

RUN = """
import sys
from textvae.cli import main
try:
    main(sys.argv[2:])
except SystemExit as end:
    code = end.code
import json
with open(sys.argv[1], "w") as file:
    json.dump({"code": code, "modules": sorted(sys.modules)}, file)
"""


@pytest.fixture
def command(runs, tmp_path):
    """A command in a process of its own: its exit code, errors and imported modules."""

    def run(*arguments: str) -> tuple[int, str, set[str]]:
        words = [each.format(runs=runs) for each in arguments]
        answer = tmp_path / "answer.json"
        result = subprocess.run(
            [sys.executable, "-c", RUN, str(answer), *words],
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.exists(), result.stderr
        found = json.loads(answer.read_text())
        return found["code"], result.stderr, set(found["modules"])

    return run


LOADING = {
    "sample": ["sample", "{runs}/vae", "-n", "1", "--max-new-tokens", "2"],
    "sample, top-k": ["sample", "{runs}/vae", "-n", "1", "--top-k", "3", "--max-new-tokens", "2"],
    "encode": ["encode", "{runs}/texts.txt", "--model", "{runs}/vae", "--out", "z.npz"],
    "interpolate": ["interpolate", "a", "b", "--model", "{runs}/vae", "--steps", "2"],
    "reconstruct": ["reconstruct", "a", "--model", "{runs}/vae"],
    "nearest": ["nearest", "a", "--data", "{runs}/texts.txt", "--model", "{runs}/vae"],
    "evaluate": ["evaluate", "{runs}/vae", "--data", "{runs}/texts.txt", "--samples", "1"],
}


@pytest.mark.parametrize("arguments", LOADING.values(), ids=LOADING)
def test_commands_on_a_model_import_torch_alone(arguments, command):
    code, errors, modules = command(*arguments)
    assert code == 0, errors
    assert "torch" in modules
    assert not modules & NEVER


EARLY = {
    "data": (["train", "--data", "missing.csv"], "missing.csv: no such file"),
    "recipe": (["train", "--set", "train.epoch=3"], "train.epoch: unknown key"),
    "unknown recipe": (["train", "bowman"], "unknown recipe 'bowman'"),
    "model": (["sample", "nowhere"], "nowhere: no such folder"),
    "decoding": (["sample", "--num-beams", "3", "--top-k", "4"], "--num-beams goes without"),
    "temperature": (["sample", "--temperature", "0"], "temperature must be from 0.001"),
    "texts": (["encode", "missing.txt"], "missing.txt: no such file"),
    "out": (["encode", "{runs}/texts.txt", "--out", "z.txt"], "--out must end in"),
    "held-out data": (["evaluate", "--data", "missing.csv"], "missing.csv: no such file"),
    "evaluated model": (["evaluate", "nowhere"], "nowhere: no such folder"),
    "device": (["train", "--device", "tpu"], "--device must be cpu or cuda"),
    "explored model": (["explore", "nowhere"], "nowhere: no such folder"),
    "language model": (["explore", "{runs}/lm"], "is a language model"),
    "port": (["explore", "--port", "80"], "--port"),
    "no run": (["sample"], "no trained run in runs/"),
}


@pytest.mark.parametrize(("arguments", "message"), EARLY.values(), ids=EARLY)
def test_mistakes_in_options_are_found_before_torch(arguments, message, command):
    code, errors, modules = command(*arguments)
    assert code == 2 and message in errors
    assert not modules & BEFORE_TORCH


TABLE = ["--data", "table.csv"]
FIRST_ROWS = {
    "train": ["train", *TABLE],
    "fields": ["train", "zhao2017_cvae", *TABLE],
    "verify": ["verify", "bowman2016", *TABLE],
    "evaluate": ["evaluate", "{runs}/vae", *TABLE],
    "doctor": ["doctor", "{runs}/vae", *TABLE],
    "compare": ["compare", "{runs}/vae", *TABLE],
    "positions": ["positions", "{runs}/vae", *TABLE],
    "latent": ["latent", "{runs}/vae", *TABLE],
    "factors": ["factors", "{runs}/vae", *TABLE],
    "topics": ["topics", "{runs}/vae", *TABLE],
    "encode": ["encode", "table.csv", "--model", "{runs}/vae"],
    "nearest": ["nearest", "a", "--model", "{runs}/vae", *TABLE],
    "arithmetic": ["arithmetic", "a", "+", "table.csv", "--model", "{runs}/vae"],
    "traverse": ["traverse", "a", "--model", "{runs}/vae", *TABLE],
    "plug-in": ["plug-in", "table.csv", "--model", "{runs}/vae"],
    "steer": ["steer", "{runs}/vae", "--toward", "x", "--text-column", "body", *TABLE],
    "probe": ["probe", "{runs}/vae", "--text-column", "body", *TABLE],
}


@pytest.mark.parametrize("arguments", FIRST_ROWS.values(), ids=FIRST_ROWS)
def test_a_missing_column_is_found_before_torch(arguments, command, tmp_path):
    (tmp_path / "table.csv").write_text("body,stars\na b,1\nb a,2\n")
    code, errors, modules = command(*arguments)
    assert code == 2 and "no column" in errors and "(known: body, stars); --" in errors
    assert not modules & BEFORE_TORCH


def test_listing_recipes_reads_none_of_them(command):
    code, errors, modules = command("recipes")
    assert code == 0, errors
    assert not modules & (BEFORE_TORCH | {"yaml", "pydantic", "textvae.recipes"})


def test_mistakes_in_a_graph_are_found_before_the_trainer(command):
    code, errors, modules = command("train", "--set", "latents.z.dimm=3")
    assert code == 2 and "latents.z.dimm: unknown key" in errors
    assert "torch" in modules and not modules & NEVER


def python(script: str, *arguments: str) -> str:
    """What a script prints, run in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


LOAD = "import sys; print(json.dumps(sorted(sys.modules)))"
INTERFACES = {
    "from_pretrained": "vae = SentenceVAE.from_pretrained(sys.argv[1]); vae.encode(['a'])",
    "VAE": "from textvae import VAE; VAE.from_pretrained(sys.argv[1])",
}


@pytest.mark.parametrize("use", INTERFACES.values(), ids=INTERFACES)
def test_interfaces_import_torch_alone(use, runs):
    script = f"import json, sys; from textvae import SentenceVAE; {use}; {LOAD}"
    modules = set(json.loads(python(script, str(runs / "vae"))))
    assert "torch" in modules and not modules & NEVER


AUTO = "from transformers import AutoConfig, AutoModel, AutoTokenizer"
ORDERS = {
    "textvae first": f"import textvae; {AUTO}",
    "textvae's model first": f"import textvae.graph.model; {AUTO}",
    "transformers first": f"{AUTO}; import textvae",
    "table first": f"import transformers.models.auto.configuration_auto; import textvae; {AUTO}",
}
USE = """
folder = sys.argv[1]
print(type(AutoConfig.from_pretrained(folder)).__module__)
print(type(AutoModel.from_pretrained(folder)).__module__)
print(type(AutoModel.from_config(AutoConfig.for_model("textvae", **config))).__module__)
print(AutoTokenizer.from_pretrained(folder)("a").input_ids[0])
print(sum("TableFinder" in repr(finder) for finder in sys.meta_path))
"""


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_auto_classes_load_our_models_in_any_order_of_imports(order, runs):
    config = json.loads((runs / "vae/config.json").read_text())
    config = {name: config[name] for name in VAEConfig.names()}
    script = f"import sys; config = {config!r}; {order}\n{USE}"
    assert python(script, str(runs / "vae")).split() == ["textvae.graph.hub"] * 3 + ["1", "0"]


def test_importing_the_auto_classes_does_not_import_our_model():
    script = f"import json, sys, textvae; {AUTO}; {LOAD}"
    assert "textvae.graph.hub" not in json.loads(python(script))


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("init_range", [None, 0.05])
def test_one_seed_gives_the_weights_of_transformers(graph, init_range):
    from textvae.graph import hub

    settings = {**vae(**GRAPHS[graph]).config.to_dict(), "init_range": init_range}
    models = []
    for make, config in ((VAE, VAEConfig), (hub.VAE, hub.VAEConfig)):
        torch.manual_seed(3)
        models.append((make(config(**settings)).state_dict(), torch.rand(1)))
    (plain, after), (theirs, after_theirs) = models
    assert list(plain) == list(theirs) and torch.equal(after, after_theirs)
    assert all(torch.equal(weight, theirs[name]) for name, weight in plain.items())


def loaders():
    from transformers import AutoModel

    return [VAE.from_pretrained, AutoModel.from_pretrained, load_model]


@pytest.mark.parametrize("writer", ["plain", "transformers"])
def test_shards_are_read_by_both_loaders(writer, tmp_path):
    model = vae(**GRAPHS["vae"])
    if writer == "transformers":
        model.save_pretrained(tmp_path / "one")
        from textvae.graph import hub

        hub.VAE.from_pretrained(tmp_path / "one").save_pretrained(tmp_path, max_shard_size=400)
    else:
        model.save_pretrained(tmp_path, max_shard_size=400)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2 and (tmp_path / INDEX).exists()
    assert not (tmp_path / "model.safetensors").exists()
    for load in loaders():
        loaded = load(tmp_path)
        assert not loaded.training
        assert loaded.state_dict().keys() == model.state_dict().keys()
        for name, weight in model.state_dict().items():
            assert torch.equal(weight, loaded.state_dict()[name]), name


def test_a_save_replaces_the_shards_of_an_earlier_one(tmp_path):
    vae(**GRAPHS["vae"]).save_pretrained(tmp_path, max_shard_size=400)
    torch.manual_seed(9)
    model = vae(**GRAPHS["vae"])
    model.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    assert load_file(tmp_path / "model.safetensors").keys() == model.state_dict().keys()
    model.save_pretrained(tmp_path, max_shard_size=400)
    assert not (tmp_path / "model.safetensors").exists()
    (loaded, *_) = (load(tmp_path) for load in loaders())
    fields = fields_of(model, 4, 0, 2)
    assert torch.equal(weights_of(loaded, fields), weights_of(model, fields))


def test_a_save_that_fails_leaves_the_old_model(tmp_path, monkeypatch):
    model = vae(**GRAPHS["vae"])
    model.save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(weights, folder, **settings):
        (Path(folder) / "model.safetensors").write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("huggingface_hub.save_torch_state_dict", full)
    with pytest.raises(OSError, match="no space"):
        model.save_pretrained(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_model_saved_over_that_of_an_interface_is_sound(tmp_path, runs):
    from textvae import SentenceVAE

    sentences = SentenceVAE.from_pretrained(runs / "vae")
    sentences.save_pretrained(tmp_path)
    (tmp_path / "results.json").write_text("{}")  # as in the folder of a run
    with torch.no_grad():
        next(sentences.model.parameters()).add_(1)
    sentences.model.save_pretrained(tmp_path)
    (tmp_path / "results.json").write_text('{"later": 1}')
    loaded = SentenceVAE.from_pretrained(tmp_path)
    first, second = (next(each.model.parameters()) for each in (loaded, sentences))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/etc/model.safetensors", "evil.bin", 7, None, ["a"]]
)
def test_an_index_names_no_file_outside_its_folder(name, tmp_path):
    vae(**GRAPHS["vae"]).save_pretrained(tmp_path / "saved")
    (tmp_path / "saved/model.safetensors").rename(tmp_path / "model.safetensors")
    index = {"weight_map": {"encoders.text.embedding.weight": name}}
    (tmp_path / "saved" / INDEX).write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="holds no sound model"):
        VAE.from_pretrained(tmp_path / "saved")


def test_options_of_loading_are_those_of_transformers(tmp_path):
    model = vae(**GRAPHS["vae"])
    model.save_pretrained(tmp_path)
    half = VAE.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert isinstance(half, VAE) and half.dtype == torch.bfloat16
    loaded, report = VAE.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert torch.equal(next(loaded.parameters()), next(model.parameters()))


def test_a_config_of_another_type_is_refused_in_one_line(tmp_path):
    vae(**GRAPHS["vae"]).save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"vocab_size": "many"}))
    with pytest.raises(CheckpointError, match="vocab_size is of another type") as refused:
        VAE.from_pretrained(tmp_path)
    assert "\n" not in str(refused.value)
