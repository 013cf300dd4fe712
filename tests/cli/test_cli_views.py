"""Rows with several images from the command line: trained, sampled as files, evaluated, refused."""

import json

import numpy as np
import pytest
from PIL import Image
from support.commands import answer, run_quietly
from support.pictures import pictures

from textvae import TableVAE
from textvae.evaluation import generated_pairs as module

RECIPE = """
model:
  encoders:
    - {name: near, kind: mlp, hidden: [16]}
    - {name: far, kind: conv, channels: [4], hidden: 8}
    - {name: kind, kind: label}
  latents: [{name: z, kind: gaussian, dim: 3, given: [near, far, kind]}]
  decoders:
    - {name: near, kind: mlp, hidden: [16], likelihood: {kind: bernoulli}, given: [z]}
    - {name: far, kind: conv, channels: [4], hidden: 8, likelihood: {kind: bernoulli}, given: [z]}
objective: {kind: elbo}
data: {fields: {near: {kind: image}, far: {kind: image, pixels: dynamic}, kind: {kind: label}}}
train: {epochs: 2, batch_size: 16, learning_rate: 0.01}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run on two views of 60 rows, (1, 6, 5) and (1, 8, 8), with a class that is only read."""
    folder = tmp_path_factory.mktemp("views")
    arrays = {}
    for seed, (split, count) in enumerate({"train": 60, "valid": 20, "test": 24}.items()):
        near = pictures(count, seed=seed)
        far = np.pad(255 - near, [(0, 0), (1, 1), (1, 2)])
        arrays |= {f"near_{split}": near, f"far_{split}": far}
        arrays |= {f"kind_{split}": np.arange(count) % 2}
    np.savez(folder / "views.npz", **arrays)
    (folder / "views.yaml").write_text(RECIPE)
    command = ["train", folder / "views.yaml", "--data", folder / "views.npz"]
    assert run_quietly(*command, "--output", folder / "run") == 0
    return folder


def test_training_writes_a_picture_of_samples(place):
    assert Image.open(place / "run/samples.png").size[0] > 100


def test_samples_are_a_picture_or_arrays_to_train_on(place, capsys, tmp_path):
    run, out = str(place / "run"), tmp_path / "made.npz"
    code, said, _ = answer(capsys, "sample", run, "-n", "30", "--out", str(out))
    assert code == 0 and f"30 rows -> {out}" in said
    with np.load(out) as made:
        assert made["near"].shape == (30, 1, 6, 5) and made["far"].shape == (30, 1, 8, 8)
        assert made["far"].min() >= 0 and made["far"].max() <= 1
        np.savez(tmp_path / "again.npz", **made, kind=np.arange(30) % 2)
    picture = tmp_path / "made.png"
    code, _, _ = answer(capsys, "sample", run, "-n", "20", "--out", str(picture))
    assert code == 0 and Image.open(picture).size[0] > 100
    command = ["train", place / "views.yaml", "--data", tmp_path / "again.npz"]
    again = ["--output", tmp_path / "run", "--set", "train.epochs=1"]
    assert run_quietly(*command, *again) == 0
    code, _, err = answer(capsys, "sample", run, "--out", str(tmp_path / "made.csv"))
    assert code == 2 and "--out must end in .png, .npz" in err


def test_generated_pairs_are_measured_on_request(place, capsys, monkeypatch):
    monkeypatch.setattr(module, "MATCHERS", 1)
    monkeypatch.setattr(module.trained_matcher, "__defaults__", (20,))
    run = str(place / "run")
    code, out, _ = answer(capsys, "evaluate", run, "--generation", "--samples", "2", "--json")
    found = json.loads(out)["pairs"]
    assert code == 0 and (found["real"], found["gallery"], found["generated"]) == (60, 24, 960)
    code, out, _ = answer(capsys, "evaluate", run, "--samples", "2")
    assert code == 0 and "rank-1" not in out
    assert "of near (images of 6 x 5 pixels of 1 channel)" in out


def test_arrays_are_encoded_as_the_data_are(place):
    vae = TableVAE.from_pretrained(place / "run")
    near = pictures(4)
    far = np.pad(255 - near, [(0, 0), (1, 1), (1, 2)])
    first = vae.encode({"near": near, "far": far, "kind": ["0"] * 4})
    floats = {"near": near / 255, "far": list(far / 255), "kind": ["0"] * 4}
    # The second view is drawn as bits, here without: latents are of the pixels themselves.
    assert first.shape == (4, 3) and np.isfinite(vae.encode(floats)).all()
    with pytest.raises(ValueError, match="near: the model reads images of 6 x 5 pixels"):
        vae.encode({"near": far, "far": far, "kind": ["0"] * 4})


def test_a_likelihood_without_a_density_for_the_pixels_is_refused(place, capsys):
    change = "decoders.far.likelihood={kind: beta}"
    command = ["train", str(place / "views.yaml"), "--data", str(place / "views.npz")]
    code, _, err = answer(capsys, *command, "--set", change)
    wanted = "decoders.far.likelihood: beta needs data.fields.far.pixels: dequantized (got dynamic)"
    assert code == 2 and wanted in err


def test_other_tables_have_no_generated_pairs(tmp_path, capsys):
    np.savez(tmp_path / "bits.npz", x=np.random.default_rng(0).integers(0, 2, (60, 4)))
    command = ["train", "kingma2014_table", "--data", tmp_path / "bits.npz"]
    assert run_quietly(*command, "--output", tmp_path / "run", "--set", "train.epochs=1") == 0
    code, _, err = answer(capsys, "evaluate", str(tmp_path / "run"), "--generation")
    assert code == 2 and "--generation: this is a model of tables; the option is for" in err
