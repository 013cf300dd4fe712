"""Latent pictures and their metrics; classifiers on features."""

import functools
import json

import numpy as np
import pytest
import torch
from conftest import IMAGE_DECODERS, IMAGE_ENCODERS, digits, vae
from PIL import Image
from support.commands import answer

from textvae.analysis.classification import (
    Budget,
    accuracy,
    inputs_of,
    semi_supervised,
    train_classifier,
    training_images,
)
from textvae.analysis.latent_space import LatentSpaceReport
from textvae.api.image import ImageVAE, open_model

PICTURES = {
    "scatter",
    "manifold",
    "traversal",
    "interpolation",
    "reconstructions",
    "samples",
    "ellipses",
}


def test_latent_command_writes_every_picture_and_the_metrics(image_run, tmp_path, capsys):
    arguments = ["latent", str(image_run), "--limit", "200", "--out", str(tmp_path / "lat")]
    code, out, _ = answer(capsys, *arguments, "--json")
    metrics, stored = json.loads(out), json.loads((tmp_path / "lat/latent.json").read_text())
    assert not code and {k: v for k, v in metrics.items() if k != "pictures"} == stored
    assert 0.3 < metrics["knn_accuracy"] <= 1 and metrics["hole_score"] > 0.8
    assert 0 <= metrics["overlap_random"] <= metrics["overlap_nearest"] <= 1
    for name in PICTURES:
        pixels = np.asarray(Image.open(tmp_path / "lat" / f"{name}.png"))
        assert pixels.std() > 5, name
    code, out, _ = answer(capsys, *arguments)
    assert "hole_score" in out


def test_manifold_and_traversal_follow_the_prior(image_run, monkeypatch):
    report = LatentSpaceReport(open_model(image_run), digits().train, digits().test)
    plain = report.manifold(), report.traversal()
    centre, spread = torch.arange(4.0), torch.tensor([1.0, 0.5, 2.0, 3.0])
    prior = torch.distributions.MultivariateNormal(centre, scale_tril=spread.diag())
    for name in ("unconditional_prior", "prior_with_moments"):
        monkeypatch.setattr(type(report.vae.model), name, lambda model, latent: prior)
    grid, way = report.manifold(), report.traversal()
    np.testing.assert_allclose(grid, plain[0] * spread.numpy() + centre.numpy(), rtol=1e-5)
    for number, axis in enumerate(report.order):
        rows = slice(number * 11, (number + 1) * 11)
        moved = plain[1][rows, axis] * spread[axis].item() + centre[axis].item()
        np.testing.assert_allclose(way[rows, axis], moved, rtol=1e-5)


@pytest.mark.parametrize("kind", ["vmf", "dirichlet"])
def test_decoded_points_are_latents_of_the_family(kind, monkeypatch):
    latent = {"name": "z", "kind": kind, "dim": 4, "given": ["image"]}
    model = vae(
        [{"name": "image", **IMAGE_ENCODERS["mlp"]}],
        [latent],
        [{"name": "image", "given": ["z"], **IMAGE_DECODERS["mlp"]}],
        vocab_size=0,
        observed=digits().facts,
    )
    report, seen = LatentSpaceReport(ImageVAE(model), digits().train, digits().test), []
    monkeypatch.setattr(ImageVAE, "decode", lambda vae, z, labels: seen.append(z))
    for points in (report.manifold(), report.traversal()):
        report.decoded(points)
    for z in seen:
        length = z.norm(dim=-1) if kind == "vmf" else z.sum(-1)
        torch.testing.assert_close(length, torch.ones(len(z)))
        assert kind == "vmf" or (z > 0).all()
    centre, spread = report.prior_moments()
    prior = model.latents["z"].default_prior(torch.Size(), torch.zeros(1))
    np.testing.assert_allclose(centre, prior.mean, atol=1e-6)
    np.testing.assert_allclose(spread, prior.stddev, rtol=1e-4)


def test_classifier_learns_from_pixels_and_features(image_run):
    images, labels = training_images(digits())
    found = inputs_of(open_model(image_run), images)
    assert {name: part.shape[1] for name, part in found.items()} == {
        "pixels": 64,
        "pixels + mean": 68,
        "pixels + hidden": 96,
        "pixels + sample": 68,
        "mean alone": 4,
    }
    state = torch.get_rng_state()
    model = train_classifier(found["pixels"], labels, 10, Budget(least_steps=150), seed=0)
    assert torch.equal(state, torch.get_rng_state())
    test = digits().test
    held = test.columns["image"].values.reshape(60, -1) / np.float32(255)
    assert accuracy(model, held, test.columns["label"].values) > 0.8


def test_semi_supervised_vae_trains_without_labelled_images(tmp_path, monkeypatch):
    from textvae.analysis import classification

    seen = []

    class Spy(classification.Autoencoder):
        def fit(self, images):
            seen.append(images)
            return super().fit(images)

    monkeypatch.setattr(classification, "Autoencoder", Spy)
    corpus = digits(200)
    budget = Budget(least_steps=20, epochs=1)
    overrides = ["train.epochs=1", "encoders.image.hidden=[8]", "latents.z.dim=2"]
    rows = semi_supervised(
        corpus, "kingma2014_image", tmp_path / "run", [60, 20], 2, budget, overrides
    )
    images, _ = training_images(corpus)
    labelled = images[np.random.default_rng(0).permutation(240)[:60]]
    unseen = {image.tobytes() for image in labelled}
    assert len(seen[0]) == 180 and not unseen & {image.tobytes() for image in seen[0]}
    assert [row["labels"] for row in rows] == [60] * 5 + [20] * 5
    for row in rows:
        assert len(row["accuracies"]) == len(row["gains"]) == 2
        assert row["accuracy"] == pytest.approx(np.mean(row["accuracies"]))
        if row["inputs"] == "pixels":
            assert row["gains"] == [0, 0]
    with pytest.raises(ValueError, match=r"must be from 1 to 230 \(got 20 to 1000\)"):
        semi_supervised(corpus, "kingma2014_image", tmp_path / "other", [20, 1000], 1)
    corpus.train.columns["label"].values[40:] = -1
    corpus.valid.columns["label"].values[:] = -1
    with pytest.raises(ValueError, match=r"must be from 1 to 40 \(got 50 to 50\)"):
        semi_supervised(corpus, "kingma2014_image", tmp_path / "other", [50], 1)
    corpus.test.columns["label"].values[:] = -1
    with pytest.raises(ValueError, match="labels are needed, of test images too"):
        semi_supervised(corpus, "kingma2014_image", tmp_path / "other", [20], 1)


def test_commands_for_classes(image_run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = functools.partial(Budget, least_steps=50, epochs=15)
    monkeypatch.setattr("textvae.analysis.classification.Budget", short)
    arguments = ["--labels", "50", "--seeds", "1", "--set", "train.epochs=1"]
    code, out, _ = answer(capsys, "classify", *arguments)
    assert not code and "pixels + hidden" in out
    code, _, err = answer(capsys, "judge", str(image_run))
    assert code == 2 and "given no labels" in err
    settings = ["train.epochs=1", "encoders.image.hidden=[16]", "decoders.image.hidden=[16]"]
    given = [f"--set={setting}" for setting in settings]
    code, _, _ = answer(capsys, "train", "sohn2015_image", *given, "--output", "cvae")
    code, out, _ = answer(capsys, "judge", "cvae", "-n", "5", "--json")
    found = json.loads(out)
    assert not code and found["classifier_accuracy"] > 0.9 and len(found["by_label"]) == 10
    code, out, _ = answer(capsys, "sample", "cvae", "-n", "4", "--label", "3", "--out", "s.png")
    assert not code and Image.open("s.png").size[0] > 50
    code, out, _ = answer(capsys, "latent", "cvae", "--limit", "50", "--out", "lat")
    assert not code and (tmp_path / "lat/manifold.png").exists()
