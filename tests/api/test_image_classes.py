"""Class names and the reading of pictures, from a folder to the commands on its run."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from support.commands import answer
from support.pictures import pictures, write_png

from textvae.api.image import ImageVAE
from textvae.data.fields import Fields, Images, Labels

TINY = [
    "train.epochs=1",
    "encoders.image.hidden=[8]",
    "decoders.image.hidden=[8]",
    "latents.z.dim=2",
]


def write_animals(folder, names=("bird", "cat", "dog"), count=8, split="", size=8):
    """Noise with a bright band whose place is that of the class in the alphabet."""
    for name in names:
        band = ("bird", "cat", "dog").index(name)
        for number, image in enumerate(pictures(count, size, size, seed=band + len(split))):
            image = image // 4
            image[band * size // 4 : (band + 1) * size // 4] = 250
            write_png(folder / split / name / f"{number}.png", image)


@pytest.fixture(scope="module")
def animals(tmp_path_factory):
    """A folder with `photos`, pictures of three classes, and a run on them, `run`."""
    folder = tmp_path_factory.mktemp("animals")
    for split in ("train", "test"):
        write_animals(folder / "photos", split=split)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as left:
        from textvae.cli import main

        patch.chdir(folder)
        given = [f"--set={s}" for s in [*TINY, "data.size=8", "data.invert=true"]]
        main(["train", "sohn2015_image", "--data", "photos", *given, "--output", "run"])
    assert not left.value.code
    return folder


def test_the_run_stores_names_and_how_pictures_are_read(animals):
    vae = ImageVAE.from_pretrained(animals / "run")
    assert vae.labels == ["bird", "cat", "dog"]
    assert vae.view.facts == {"size": [8, 8], "invert": True}
    assert "invert: true" in (animals / "run/recipe.yaml").read_text()


def test_labels_are_named_on_the_command_line(animals, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, picture = str(animals / "run"), str(animals / "photos/test/cat/1.png")
    for command in (
        ["sample", run, "-n", "4", "--label", "cat"],
        ["reconstruct", picture, "--label", "cat", "--model", run],
        ["interpolate", picture, picture, "--label", "dog", "--model", run],
    ):
        code, _, err = answer(capsys, *command, "--out", "out.png")
        assert not code, err
        refused = [{"cat": "cow", "dog": "cow"}.get(word, word) for word in command]
        code, _, err = answer(capsys, *refused, "--out", "out.png")
        assert code == 2 and "unknown label 'cow'" in err and "bird" in err


def test_control_accuracy_names_the_classes(animals, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_animals(tmp_path / "few", ("cat", "dog"), count=30)
    for data in ([], ["--data", str(tmp_path / "few")]):
        command = ["control-accuracy", str(animals / "run"), "-n", "3", *data, "--json"]
        code, out, err = answer(capsys, *command)
        assert not code, err
        assert list(json.loads(out)["by_label"]) == ["bird", "cat", "dog"]


def test_other_data_are_matched_by_the_names_of_their_classes(animals, tmp_path, capsys):
    vae = ImageVAE.from_pretrained(animals / "run")
    images = pictures(2, 8, 8)[:, None]
    other = Fields({"image": Images(images), "label": Labels(np.array([1, 0]), 2, ("cat", "dog"))})
    assert vae.rows(other).columns["label"].values.tolist() == [2, 1]
    np.testing.assert_array_equal(vae.encode(other), vae.encode(images, ["dog", "cat"]))
    write_animals(tmp_path / "few", ("dog", "cat"))
    code, _, err = answer(
        capsys, "evaluate", str(animals / "run"), "--data", str(tmp_path / "few"), "--samples", "2"
    )
    assert not code and "2 classes: cat (8), dog (8)" in err
    (tmp_path / "few/dog").rename(tmp_path / "few/wolf")
    code, _, err = answer(
        capsys, "evaluate", str(animals / "run"), "--data", str(tmp_path / "few"), "--samples", "2"
    )
    assert code == 2 and "unknown label 'wolf'" in err


def test_a_picture_is_read_as_the_training_data_were(animals, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vae = ImageVAE.from_pretrained(animals / "run")
    original = np.asarray(Image.open(animals / "photos/test/cat/1.png"))
    write_png(tmp_path / "large.png", original.repeat(3, 0).repeat(3, 1))
    colours = np.stack([original] * 3, -1)
    write_png(tmp_path / "colour.png", colours)
    alpha = np.stack([np.zeros_like(original)] * 3 + [255 - original], -1)
    write_png(tmp_path / "alpha.png", alpha)
    for name in ("colour.png", "alpha.png"):
        np.testing.assert_allclose(vae.read([name])[0, 0], 255 - original.astype(int), atol=1)
    assert vae.read(["large.png"]).shape == (1, 1, 8, 8)
    command = ["reconstruct", "large.png", "colour.png", "--label", "cat", "--out", "o.png"]
    code, _, err = answer(capsys, *command, "--model", str(animals / "run"))
    assert not code and "large.png: 1 of 1 pictures resized to 8 x 8 pixels" in err
    assert "colour.png: colours are read as grey" in err


def test_classes_have_their_names_in_pictures(animals, tmp_path, capsys):
    from textvae.analysis.latent_space import LatentSpaceReport
    from textvae.training.run_images import run_images

    vae, corpus = ImageVAE.from_pretrained(animals / "run"), run_images(str(animals / "run"))
    report = LatentSpaceReport(vae, vae.rows(corpus.train), vae.rows(corpus.test))
    assert report.class_names == {-1: "no label", 0: "bird", 1: "cat", 2: "dog"}


def test_what_is_left_out_is_said_once_in_training(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_animals(tmp_path / "photos")
    (tmp_path / "photos/.DS_Store").write_bytes(b"x")
    (tmp_path / "photos/cat/list.txt").write_text("x")
    given = [f"--set={s}" for s in TINY]
    code, _, err = answer(capsys, "train", "sohn2015_image", "--data", "photos", *given)
    assert not code
    for text in ("1 hidden entry: .DS_Store", "1 file: cat/list.txt", "3 classes: bird (8)"):
        assert err.count(text) == 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.size=big", "data.size: must be a number of pixels"),
        ("data.background=blau", "data.background: must be a colour"),
        ("data.invert=maybe", "data.invert: .*boolean"),
        ("data.sizes=8", "data.sizes: unknown key .*size"),
    ],
)
def test_bad_settings_are_one_line(setting, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = answer(capsys, "train", "kingma2014_image", "--set", setting)
    assert code == 2
    assert re.search(message, err), err
