"""Open sets of classes: training, evaluation, other data, and models that cannot read them."""

import numpy as np
import pytest
import yaml
from conftest import IMAGE_RECIPE, digits

from textvae.data.fields import Images, Labels
from textvae.recipes import check_model, read_recipe
from textvae.registry import SpecError

LATENTS = [
    {
        "name": "z",
        "kind": "gaussian",
        "dim": 4,
        "field": "label",
        "label_weight": 20.0,
        "given": ["image"],
        "prior": {"kind": "class_mixture", "components": 2},
    }
]


def document(**changes) -> dict:
    """A recipe of a mixture for each class of an open set; changes are of its model."""
    data = {"modality": "image", "open_set": True}
    model = IMAGE_RECIPE["model"] | {"latents": LATENTS}
    return IMAGE_RECIPE | {"model": model | changes, "data": data}


def arrays(rows, without=()) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels of rows but those of some digits."""
    images, labels = rows.columns["image"], rows.columns["label"]
    assert isinstance(images, Images) and isinstance(labels, Labels)
    kept = ~np.isin(labels.values, without)
    return images.values[kept, 0], labels.values[kept]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A recipe, and a file whose training images are digits from 0 to 5."""
    folder = tmp_path_factory.mktemp("open")
    corpus = digits()
    x, y = arrays(corpus.train, without=(6, 7, 8, 9))
    x_test, y_test = arrays(corpus.test)
    np.savez(folder / "open.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    np.savez(folder / "others.npz", x_test=x_test[::2], y_test=y_test[::2] + 1)
    recipe = read_recipe(document(), "open")
    (folder / "open.yaml").write_text(recipe.yaml(), encoding="utf-8")
    return folder


def test_unknown_classes_are_told_apart(textvae, folder):
    run = folder / "run"
    trained = textvae(
        "train", folder / "open.yaml", "--data", folder / "open.npz", "--output", run, "--json"
    )
    assert trained.json
    metrics = textvae("evaluate", run, "--samples", 1, "--json").json
    found = metrics["novelty"]
    _, labels = arrays(digits().test)
    assert (found["known"], found["unknown"]) == ((labels < 6).sum(), (labels >= 6).sum())
    assert metrics["labelled"] == found["known"] and metrics["accuracy"] == found["accuracy"]
    assert found["ratio_auroc"] == found["auroc"] and 0 <= found["macro_f1"] <= 1
    printed = textvae("evaluate", run, "--samples", 1).out
    assert f"{found['unknown']:,} rows of unknown classes" in printed
    other = textvae("evaluate", run, "--data", folder / "others.npz", "--samples", 1, "--json").json
    wanted = (labels[::2] + 1 < 6).sum()
    assert (other["novelty"]["known"], other["novelty"]["unknown"]) == (wanted, 30 - wanted)


def test_images_of_another_source_are_strangers(textvae, refused, folder):
    run, strangers = folder / "run", folder / "noise.npz"
    np.savez(strangers, x=np.random.default_rng(0).integers(0, 256, (30, 12, 12)))
    options = ("evaluate", run, "--samples", 1, "--json")
    found = textvae(*options, "--strangers", strangers).json["novelty"]
    assert found["unknown"] == 30 and found["known"] == textvae(*options).json["novelty"]["known"]
    np.savez(strangers, x=np.random.default_rng(0).integers(0, 256, (30, 3, 12, 12)))
    error = refused("evaluate", run, "--strangers", strangers)
    assert "images have 3 channels, those of the model 1" in str(error)


LABEL = {"name": "label", "kind": "label"}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"latents": IMAGE_RECIPE["model"]["latents"]},
            "data.open_set: no latent has the field 'label'",
        ),
        (
            {"encoders": [*IMAGE_RECIPE["model"]["encoders"], LABEL]},
            r"encoders.label: held-out labels may be unknown \(data.open_set\)",
        ),
        (
            {"decoders": [*IMAGE_RECIPE["model"]["decoders"], LABEL | {"given": ["z"]}]},
            r"decoders.label: held-out labels may be unknown \(data.open_set\)",
        ),
    ],
)
def test_models_that_read_the_label_are_refused(changes, line):
    with pytest.raises(SpecError, match=line):
        check_model(read_recipe(yaml.safe_load(yaml.safe_dump(document(**changes))), "open"))
