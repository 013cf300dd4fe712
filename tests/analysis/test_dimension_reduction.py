"""Dimension reduction: selection, PCA and autoencoders, on the 8 x 8 digits."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from conftest import IMAGE_RECIPE, digits
from support.commands import answer

from textvae.analysis.classification import training_images
from textvae.analysis.dimension_reduction import PCA, Autoencoder, Selection, flat, squared_error
from textvae.analysis.reports import evaluation_text
from textvae.recipes import load_recipe, read_recipe
from textvae.registry import SpecError
from textvae.training.folders import RunError


@pytest.fixture(scope="module")
def images():
    return training_images(digits(400))[0]


@pytest.mark.parametrize("dim", [1, 2, 20, 64])
def test_pca_training_error_is_the_sum_of_the_tail(images, dim):
    reducer = PCA(dim).fit(images)
    assert squared_error(reducer, images) == pytest.approx(reducer.tail, rel=1e-6, abs=1e-9)
    rows = flat(images)
    values = np.linalg.svd(rows - rows.mean(0), compute_uv=False) ** 2 / (len(rows) - 1)
    np.testing.assert_allclose(
        reducer.eigenvalues, np.pad(values, (0, 64 - len(values))), atol=1e-9
    )
    codes = reducer.encode(images)
    np.testing.assert_allclose(np.cov(codes.T).reshape(dim, dim), np.diag(values[:dim]), atol=1e-9)


@pytest.mark.parametrize("dim", [2, 20])
def test_selection_keeps_the_pixels_of_largest_variance(images, dim):
    reducer, rows = Selection(dim).fit(images), flat(images)
    kept, variances = reducer.encode(images), rows.var(0)
    assert sorted(kept.var(0))[0] >= np.sort(variances)[-dim] - 1e-12
    reconstructions = flat(reducer.decode(kept))
    np.testing.assert_allclose(reconstructions[:, reducer.chosen], kept, atol=1e-9)
    # Least squares: what is left has nothing to do with what was kept.
    np.testing.assert_allclose((rows - reconstructions).T @ (kept - kept.mean(0)), 0, atol=1e-7)
    assert PCA(dim).fit(images).tail < squared_error(reducer, images) < variances.sum()


@pytest.mark.parametrize("kind", [Selection, PCA])
def test_dim_is_checked(kind, images):
    with pytest.raises(ValueError, match="dim must be at least 1"):
        kind(0)
    with pytest.raises(ValueError, match="dim must be at most 64"):
        kind(65).fit(images)


def test_constrained_autoencoder_is_bounded_and_learns(images, tmp_path):
    train = ["train.epochs=10", "train.learning_rate=5e-3", "train.batch_size=32"]
    reducer = Autoencoder("hinton2006_constrained", tmp_path / "run", train).fit(images)
    codes = reducer.encode(images)
    assert codes.shape == (440, 2) and np.abs(codes).max() < 3 and codes.std(0).min() > 1
    mean = flat(images).mean(0).clip(1e-6, 1 - 1e-6)
    rows = flat(images)
    stalled = -(rows * np.log(mean) + (1 - rows) * np.log(1 - mean)).sum(1).mean()
    assert reducer.loss(images) < stalled - 2, "no better than the mean image"
    again = Autoencoder("hinton2006_constrained", tmp_path / "run", train).fit(images)
    assert np.array_equal(again.encode(images), codes), "a finished run is read"
    with pytest.raises(RunError, match="learned from other images"):
        Autoencoder("hinton2006_constrained", tmp_path / "run", train).fit(255 - images)


def test_autoencoder_recipes_differ_as_named():
    recipes = {
        name: load_recipe(f"hinton2006_{name}") for name in ("plain", "constrained", "small")
    }
    (plain,), (boxed,) = (recipes[n].model["latents"] for n in ("plain", "constrained"))
    assert {**plain, "box": 3} == boxed
    assert recipes["plain"].model["decoders"] == recipes["constrained"].model["decoders"]
    assert sum(recipes["small"].model["encoders"][0]["hidden"]) < 100


def test_autoencoder_refuses_a_recipe_of_texts(tmp_path):
    with pytest.raises(SpecError, match="needs a recipe of images"):
        Autoencoder("bowman2016", tmp_path / "run")


def test_autoencoder_metrics_are_its_reconstruction_alone(images, tmp_path):
    latent = {"name": "z", "kind": "point", "dim": 3, "given": ["image"]}
    model = {**IMAGE_RECIPE["model"], "latents": [latent]}
    train = {**IMAGE_RECIPE["train"], "epochs": 2}
    document = {**IMAGE_RECIPE, "model": model, "train": train, "data": {"modality": "image"}}
    reducer = Autoencoder(read_recipe(document, "ae"), tmp_path / "run").fit(images)
    metrics = reducer.vae.evaluate(images, samples=3)
    assert metrics.deterministic and not metrics.collapsed and metrics.kl == 0
    assert metrics.nll == pytest.approx(metrics.reconstruction_loss, rel=1e-5)
    text = evaluation_text(asdict(metrics))
    assert "reconstruction" in text and "elbo" not in text and "mutual" not in text


def test_codecs_command_prints_both_tables(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--dim", "2", "--autoencoders", "--set", "train.epochs=1"]
    code, out, _ = answer(capsys, "codecs", *arguments, "--json", "--device", "cpu")
    found = json.loads(out)
    assert not code and [row["codec"] for row in found["linear"]] == ["selection", "PCA"]
    assert found["linear"][1]["train"] == pytest.approx(found["linear"][1]["tail"], rel=1e-6)
    assert [row["model"] for row in found["autoencoders"]] == [
        "plain",
        "constrained",
        "small",
        "small, constrained",
    ]
    for row in found["autoencoders"]:
        assert row["gap"] == pytest.approx(row["test"] - row["train"])
    code, out, _ = answer(capsys, "codecs", *arguments, "--device", "cpu")
    assert "kNN-10" in out and "gap" in out
