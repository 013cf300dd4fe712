"""Image models: the graph, the interface and the commands, on the 8 x 8 digits."""

import json
import math
import re
from dataclasses import asdict
from itertools import product

import numpy as np
import pytest
import torch
from conftest import IMAGE_DECODERS, IMAGE_ENCODERS, IMAGE_RECIPE, digits, vae
from PIL import Image
from support.commands import answer
from transformers import AutoModel

from textvae.analysis.pictures import grid, pairs
from textvae.analysis.reports import evaluation_text
from textvae.api.image import ImageVAE, open_model
from textvae.config import ImageDataConfig
from textvae.data.fields import Fields, Images, Labels
from textvae.encoders.label import LabelEncoder
from textvae.objectives.elbo import ELBO
from textvae.recipes import check_model, load_recipe, read_recipe
from textvae.registry import SpecError
from textvae.training.runs import train_run

OBSERVED = {"image": {"shape": [1, 9, 6], "pixels": "grey"}, "label": {"classes": 4}}
LABEL = {"name": "label", "kind": "label"}
Z = {"name": "z", "kind": "gaussian", "dim": 3, "given": ["image"]}
ROUNDING = {"atol": 1e-4, "rtol": 1e-5}


def model(encoder="mlp", decoder="mlp", conditional=False, **settings):
    given = ["label"] if conditional else []
    latent = {**Z, "given": ["image", *given]}
    if conditional:
        latent["prior"] = {"given": given}
    return vae(
        [{"name": "image", **IMAGE_ENCODERS[encoder]}, *([LABEL] if conditional else [])],
        [latent],
        [{"name": "image", "given": ["z", *given], **IMAGE_DECODERS[decoder]}],
        vocab_size=0,
        **{"observed": OBSERVED, **settings},
    )


def batch(size=5):
    return {"image": torch.rand(size, 1, 9, 6), "label": torch.arange(size) % 4}


@pytest.mark.parametrize(("encoder", "decoder"), [*product(IMAGE_ENCODERS, IMAGE_DECODERS)])
def test_every_pair_learns_and_survives_saving(encoder, decoder, tmp_path):
    made, fields = model(encoder, decoder, conditional=True), batch()
    made.objective = ELBO(samples=2)
    made.train()(step=0, **fields).value.backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    made.eval().save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    with torch.no_grad():
        weights = []
        for each in (made, loaded):
            torch.manual_seed(1)
            weights.append(each.infer(3, **fields).log_weight)
    assert weights[0].shape == (3, 5)
    torch.testing.assert_close(*weights, **ROUNDING)


@pytest.mark.parametrize("kind", ["conv", "resnet"])
@pytest.mark.parametrize("size", [(8, 8), (7, 5), (28, 28), (9, 6)])
def test_decoders_mirror_encoders_at_any_size(kind, size):
    facts = {"image": {"shape": [3, *size], "pixels": "grey"}}
    made = model(kind, kind, observed=facts)
    x = torch.rand(2, 3, *size)
    assert made.infer(1, image=x).log_weight.shape == (1, 2)
    likelihood = made.likelihoods({"z": torch.randn(1, 2, 3)}, {}, 2)["image"]
    assert likelihood.mean.shape == (1, 2, 3, *size)


def test_an_image_that_cannot_be_halved_so_often_is_refused():
    facts = {"image": {"shape": [1, 3, 3], "pixels": "grey"}}
    with pytest.raises(SpecError, match="3 x 3 pixels cannot be halved 2 times"):
        model("conv", "conv", observed=facts)


def test_initial_layers_keep_the_scale_of_their_input():
    made = model("conv", "conv", init_range=None)
    for layer in made.modules():
        if isinstance(layer, torch.nn.Conv2d):
            limit = (layer.in_channels * 16) ** -0.5
            assert 0.7 * limit < layer.weight.abs().max() <= limit
        if isinstance(layer, torch.nn.ConvTranspose2d):
            limit = (layer.in_channels * 4) ** -0.5
            assert 0.7 * limit < layer.weight.abs().max() <= limit


def test_missing_label_is_the_zero_vector():
    made = model(conditional=True)
    pooled = made.read({"label": torch.tensor([0, 1, 2, 3, -1])})["label"].pooled
    assert torch.equal(pooled, torch.cat([torch.eye(4), torch.zeros(1, 4)]))


def test_the_label_reaches_posterior_prior_and_decoder():
    made, fields = model(conditional=True), batch(4)
    other = {**fields, "label": (fields["label"] + 1) % 4}
    for each in ("posterior", "prior"):
        first, second = (
            getattr(made.draw(made.read(f), 1, 4)["z"], each).mean for f in (fields, other)
        )
        assert (first - second).abs().min() > 1e-5
    z = {"z": torch.zeros(1, 4, 3)}
    first, second = (made.likelihoods(z, made.read(f), 4)["image"].mean for f in (fields, other))
    assert (first - second).abs().amax((0, 2, 3, 4)).min() > 1e-4


@pytest.mark.parametrize(
    ("observed", "message"),
    [
        ({}, "encoders.image: mlp needs images, and the data has no image field 'image'"),
        ({"label": {"classes": 2}}, r"no image field 'image' \(it has: label\)"),
    ],
)
def test_a_field_that_the_data_has_not_is_named(observed, message):
    with pytest.raises(SpecError, match=message):
        model(observed=observed)


def test_texts_and_images_are_not_mistaken():
    with pytest.raises(SpecError, match="lstm needs texts, and the data has no text field 'image'"):
        vae(
            [{"name": "image", "kind": "lstm", "hidden": 4}],
            [Z],
            [{"name": "image", "given": ["z"], **IMAGE_DECODERS["mlp"]}],
            observed=OBSERVED,
        )


def test_an_image_recipe_reads_back_equal_and_has_no_tokenizer(tmp_path):
    recipe = read_recipe(IMAGE_RECIPE, "digits")
    assert "tokenizer" not in recipe.document() and isinstance(recipe.data, ImageDataConfig)
    (tmp_path / "digits.yaml").write_text(recipe.yaml(), encoding="utf-8")
    assert load_recipe(str(tmp_path / "digits.yaml")) == recipe
    for change, message in [
        ({"tokenizer": {}}, "tokenizer: images have none"),
        ({"data": {"modality": "image", "max_tokens": 5}}, "data.max_tokens: unknown key"),
        ({"data": {"modality": "sound"}}, "data.modality: unknown key"),
    ]:
        with pytest.raises(SpecError, match=message):
            read_recipe({**IMAGE_RECIPE, **change}, "digits")


def test_likelihood_without_density_of_the_pixels_is_refused():
    decoder = {**IMAGE_RECIPE["model"]["decoders"][0], "likelihood": {"kind": "beta"}}
    document = {**IMAGE_RECIPE, "model": {**IMAGE_RECIPE["model"], "decoders": [decoder]}}
    with pytest.raises(SpecError, match=r"beta needs data.pixels: dequantized \(got dynamic\)"):
        check_model(read_recipe(document, "digits"))


def test_training_learns_and_leaves_pictures(image_run):
    results = json.loads((image_run / "results.json").read_text())
    metrics = results["metrics"]
    start = 64 * np.log(2)
    assert metrics["reconstruction_loss"] < 0.75 * start and metrics["images"] == 300
    assert metrics["pixels"].startswith("dynamically binarised") and not metrics["collapsed"]
    for name in ("reconstructions", "samples", "interpolation"):
        assert Image.open(image_run / f"{name}.png").size[0] > 50


def test_a_run_resumes_to_the_same_weights_with_dynamic_pixels(tmp_path):
    recipe = read_recipe({**IMAGE_RECIPE, "train": {"epochs": 2, "batch_size": 64}}, "digits")
    whole, _ = train_run(recipe, digits(pixels="dynamic"), tmp_path / "a", device="cpu")

    def stop(event, values):
        if event == "step" and values["step"] == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(recipe, digits(pixels="dynamic"), tmp_path / "b", report=stop, device="cpu")
    again, _ = train_run(recipe, digits(pixels="dynamic"), tmp_path / "b", True, device="cpu")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_interface_of_image_models(image_run):
    found = open_model(image_run)
    assert isinstance(found, ImageVAE) and found.shape == (1, 8, 8) and found.dim == 4
    rows = digits(pixels="dynamic").test
    bits = np.stack([batch["image"] for _, batch in rows.in_length_order()])[0]
    z = found.encode(rows)
    np.testing.assert_allclose(z, found.encode((bits * 255).astype(np.uint8)), atol=1e-5)
    assert z.shape == (60, 4) and found.decode(z).shape == (60, 1, 8, 8)
    np.testing.assert_allclose(found.reconstruct(rows), found.decode(z), atol=1e-6)
    assert np.array_equal(found.sample(5, seed=1), found.sample(5, seed=1))
    assert not np.array_equal(found.sample(5, seed=1), found.sample(5, seed=2))
    way = found.interpolate(rows.select(np.array([3, 8])), 5)
    np.testing.assert_allclose(way[[0, -1]], found.decode(z[[3, 8]]), atol=1e-5)
    np.testing.assert_allclose(found.features(rows), z, atol=1e-6)
    assert found.features(rows, "hidden").shape == (60, 32)
    drawn = found.features(rows, "sample", seed=1)
    scales = found.encode(rows, return_scales=True)[1]
    distance = (drawn - z) / scales
    assert np.abs(distance).mean() == pytest.approx((2 / np.pi) ** 0.5, abs=0.1)
    with pytest.raises(ValueError, match=r"kind .*'first' .*known: hidden, layers, mean, sample"):
        found.features(rows, "first")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 7)), "reads images of 8 x 8 pixels of 1 channel .*got 8 x 7"),
        (np.zeros((2, 3, 8, 8)), "got 8 x 8 pixels of 3 channels"),
        (np.full((2, 8, 8), 1.5), r"bernoulli needs images in \[0, 1\] \(got 1.5 to 1.5\)"),
        (np.zeros((8, 8)), "images must be"),
    ],
)
def test_bad_images_are_one_line(images, message, image_run):
    with pytest.raises(ValueError, match=message):
        open_model(image_run).encode(images)


def test_a_conditional_model_asks_for_labels():
    found = ImageVAE(model(conditional=True))
    images = np.random.rand(3, 9, 6)
    assert found.encode(images, [0, 1, -1]).shape == (3, 3)
    assert found.sample(3, seed=0, labels=[0, 1, 2]).shape == (3, 1, 9, 6)
    with pytest.raises(ValueError, match="name one for each image"):
        found.encode(images)
    with pytest.raises(ValueError, match=r"labels must be from 0 to 3 \(got 0 to 9\)"):
        found.encode(images, [0, 1, 9])
    assert found.encode(images[:1], [1]).shape == (1, 3), "one label is one"
    bare = Fields({"image": Images(images.astype(np.float32)[:, None], "grey")})
    with pytest.raises(ValueError, match="name one for each image"):
        found.encode(bare)
    bare.columns["label"] = Labels(np.array([0, 1, 9]), 10)
    with pytest.raises(ValueError, match=r"labels must be from 0 to 3 \(got 0 to 9\)"):
        found.encode(bare)
    with pytest.raises(ValueError, match=r"3 are needed \(got none\)"):
        found.sample(3)


def test_commands_write_pictures_and_metrics(image_run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = answer(capsys, "evaluate", str(image_run), "--samples", "5", "--json")
    metrics = json.loads(out)
    assert not code and metrics["images"] == 300 and metrics["samples"] == 5
    assert "dynamically binarised" in metrics["notes"]["nll"]
    assert metrics["nll"] < -metrics["elbo"] and metrics["active_units"] == 4
    code, out, _ = answer(capsys, "sample", str(image_run), "-n", "9", "--out", "s.png")
    assert not code and "9 images -> s.png" in out
    pixels = np.asarray(Image.open("s.png"))
    canvas = grid(ImageVAE.from_pretrained(image_run).sample(9, 0))
    # A title stands above the canvas, and a margin around it.
    height, width = pixels.shape[:2]
    above, left = height - 10 - len(canvas), (width - canvas.shape[1]) // 2
    assert (pixels[above:-10, left:-10, :3] == canvas).all() and above > 20
    code, _, _ = answer(
        capsys, "interpolate", "3", "8", "--model", str(image_run), "--out", "i.png"
    )
    assert not code and Image.open("i.png").size[0] > Image.open("i.png").size[1]
    Image.fromarray(np.uint8(255 * np.random.rand(8, 8))).save("a.png")
    code, _, _ = answer(
        capsys, "interpolate", "a.png", "a.png", "--model", str(image_run), "--out", "j.png"
    )
    assert not code
    code, _, _ = answer(
        capsys, "reconstruct", "1", "2", "--model", str(image_run), "--out", "r.png"
    )
    assert not code
    np.savez("some.npz", images=np.uint8(255 * np.random.rand(7, 8, 8)))
    code, _, _ = answer(capsys, "encode", "some.npz", "--model", str(image_run), "--out", "z.npz")
    assert not code and np.load("z.npz")["mean"].shape == (7, 4)


def test_runs_of_images_stand_in_one_table(image_run, capsys):
    code, out, err = answer(capsys, "compare", str(image_run), "--json")
    assert not code and not err and [row["images"] for row in json.loads(out)] == [300]
    code, out, _ = answer(capsys, "compare", str(image_run))
    assert not code and "images" in out and "perplexity" not in out


def test_doctor_gives_a_verdict_on_images(image_run, capsys):
    code, out, _ = answer(capsys, "doctor", str(image_run), "--limit", "40", "--json")
    found = json.loads(out)
    stored = json.loads((image_run / "results.json").read_text())
    assert code == 0 and found["metrics"]["images"] == 40 and found["positions"] == {}
    assert found["code"] == stored["verdict"]["code"]
    assert stored["training"]["validation"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["compare", "{run}", "--limit", "5", "--text-column", "x"],
            "--text-column is for models of",
        ),
        (["sample", "{run}", "--label", "3"], "the model has no labels"),
        (["sample", "{run}", "--out", "a.jpg"], "--out must end in .png"),
        (["sample", "{run}", "--top-k", "3"], "--top-k is for models of texts"),
        (["evaluate", "{run}", "--label-column", "x"], "--label-column is for models of texts"),
        (["reconstruct", "3", "--label", "5", "--model", "{run}"], "numbered images have theirs"),
        (["judge", "{run}"], "the model is given no labels"),
        (["interpolate", "3", "3000", "--model", "{run}"], "numbered from 0"),
        (["interpolate", "3", "a.png", "--model", "{run}"], "not both"),
        (["interpolate", "no.png", "no.png", "--model", "{run}"], "no.png: no such image"),
        (["reconstruct", "small.png", "--model", "{run}"], "reads images of 8 x 8 pixels"),
        (["encode", "nowhere.npz", "--model", "{run}"], "no such file or folder"),
        (["doctor", "{run}", "--text-column", "x"], "--text-column is for models of texts"),
        (["positions", "{run}"], "model of images"),
        (["train", "kingma2014_image", "--text-column", "x"], "is for images"),
        (["train", "kingma2014_image", "--data", "bad.npz"], r"needs images in \[0, 1\]"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    arguments, message, image_run, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save("small.png")
    np.savez("bad.npz", images=np.arange(1280.0).reshape(20, 8, 8))
    before = sorted(path.name for path in tmp_path.iterdir())
    inside = sorted(path.name for path in image_run.iterdir())
    code, out, err = answer(capsys, *(a.format(run=image_run) for a in arguments))
    assert code == 2 and not out
    lines = [line for line in err.splitlines() if not line.startswith("note:")]
    assert len(lines) == 1 and lines[0].startswith("error: ")
    assert re.search(message, lines[0]), lines[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert sorted(path.name for path in image_run.iterdir()) == inside


def test_a_grid_shows_each_image_in_its_place():
    images = np.zeros((3, 1, 2, 2))
    images[1] = 1.0
    shown = grid(images, 2)
    cell = len(shown) // 7
    small = shown[cell // 2 :: cell, cell // 2 :: cell, 0]
    assert small.shape == (7, 7)
    assert (small[1:3, 1:3] == 0).all() and (small[1:3, 4:6] == 255).all()
    assert (small[4:6, 1:3] == 0).all() and (small[4:6, 4:6] == 128).all()


@pytest.mark.parametrize(("count", "rows"), [(3, 1), (8, 1), (9, 2), (16, 2)])
def test_no_image_of_a_row_that_is_not_full_is_lost(count, rows):
    first = np.arange(count, dtype=np.float32).reshape(-1, 1, 1, 1) / 100
    found = pairs(first, -first, 8).reshape(rows, 2, -1)
    assert found.shape[2] == min(8, count)
    np.testing.assert_array_equal(found[:, 0].ravel()[:count], first.ravel())
    np.testing.assert_array_equal(found[:, 1].ravel()[:count], -first.ravel())
    assert (found[:, 0].ravel()[count:] == 0.5).all()


@pytest.mark.parametrize("dim", [None, 2])
def test_labels_are_read_in_the_precision_of_the_weights(dim):
    encoder = LabelEncoder(classes=3, dim=dim).bfloat16()
    assert encoder(torch.tensor([0, -1])).pooled.shape == (2, dim or 3)


def test_fields_without_labels_work_without_a_label(image_run):
    rows = digits(pixels="dynamic").test
    bare = Fields({"image": rows.columns["image"]})
    np.testing.assert_array_equal(
        open_model(image_run).encode(bare), open_model(image_run).encode(rows)
    )


def test_logits_are_scored_under_another_likelihood():
    made = model(observed={"image": OBSERVED["image"]})
    with torch.no_grad():
        made.decoders["image"].layers[-1].weight.zero_()
        made.decoders["image"].layers[-1].bias.fill_(2.0)
    vae, images = ImageVAE(made), np.random.default_rng(0).random((6, 9, 6))
    own, other = (
        vae.evaluate(images, samples=3, likelihood=kind)
        for kind in ("bernoulli", "continuous_bernoulli")
    )
    # log C(h) = log(h / tanh(h / 2)) of each of 54 pixels.
    gain = 54 * math.log(2 / math.tanh(1))
    assert own.nll - other.nll == pytest.approx(gain, rel=1e-5)
    assert own.reconstruction_loss - other.reconstruction_loss == pytest.approx(gain, rel=1e-5)
    assert own.kl == other.kl and own == vae.evaluate(images, samples=3)
    assert (other.likelihood, other.trained_likelihood) == ("continuous_bernoulli", "bernoulli")
    assert vae.decoder.likelihood.kind == "bernoulli"
    assert "of a model trained with bernoulli" in evaluation_text(asdict(other))
    with pytest.raises(ValueError, match="can be scored as either .got 'gaussian'"):
        vae.evaluate(images, likelihood="gaussian")
    with pytest.raises(ValueError, match="for a gaussian model"):
        ImageVAE(model(decoder="conv")).scored_as("bernoulli")
