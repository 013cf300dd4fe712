"""Images of hub data sets: names of classes, transparency, and what is left out."""

import numpy as np
import pytest
from PIL import Image
from support.pictures import pictures

from textvae.config import ImageDataConfig
from textvae.data.images import read_source
from textvae.data.texts import DataError

datasets = pytest.importorskip("datasets")


def rows(count=6, names=("fox", "cat", "dog"), images=None, **columns):
    """A split with a column of pictures and a column of named classes."""
    images = [Image.fromarray(image) for image in pictures(count)] if images is None else images
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(names))}
    features |= {name: datasets.Value("string") for name in columns}
    labels = [number % len(names) for number in range(count)]
    return datasets.Dataset.from_dict(
        {"image": images, "label": labels, **columns}, features=datasets.Features(features)
    )


def read(monkeypatch, tmp_path, splits, **settings):
    monkeypatch.chdir(tmp_path)
    loaded = datasets.DatasetDict(splits)
    monkeypatch.setattr(datasets, "load_dataset", lambda name, config=None: loaded)
    return read_source(ImageDataConfig(modality="image", source="owner/name", **settings))


def test_classes_of_the_hub_keep_their_names(monkeypatch, tmp_path):
    found = read(monkeypatch, tmp_path, {"train": rows(), "test": rows(3)})
    assert found.names == ("cat", "dog", "fox")
    assert found.splits["train"][1].tolist() == [2, 0, 1, 2, 0, 1]
    assert np.array_equal(found.splits["test"][0][:, 0], pictures(3))
    numbers = read(monkeypatch, tmp_path, {"train": rows(names=("2", "1", "10"))})
    assert numbers.names == ("1", "2", "10")


def test_splits_and_columns_that_are_left_out_are_named(monkeypatch, tmp_path):
    splits = {"train": rows(2, id=["a", "b"]), "extra": rows(2, id=["c", "d"])}
    notes = "\n".join(read(monkeypatch, tmp_path, splits).notes)
    assert "splits left out: extra" in notes and "columns left out: id" in notes
    found = read(monkeypatch, tmp_path, splits, label_column="kind")
    notes = "\n".join(found.notes)
    assert not found.names and "no column 'kind': the images have no labels" in notes
    assert "columns left out: label, id" in notes


def test_transparent_pictures_of_the_hub_are_put_on_the_background(monkeypatch, tmp_path):
    masks = 255 * np.uint8(pictures(4) > 128)
    layers = [np.stack([np.zeros_like(m)] * 3 + [m], -1) for m in masks]
    split = rows(4, images=[Image.fromarray(layer) for layer in layers])
    found = read(monkeypatch, tmp_path, {"train": split})
    assert (found.splits["train"][0] == 255 - masks[:, None]).all()
    assert "put on white" in "\n".join(found.notes)


@pytest.mark.parametrize(
    ("splits", "settings", "message"),
    [
        ({"extra": rows()}, {}, r"no split named train, validation or test \(found: extra\)"),
        ({"train": rows()}, {"image_column": "img"}, r"no column 'img' \(known: image, label\)"),
        (
            {"train": rows(2, images=[Image.new("L", (3, n)) for n in (4, 5)])},
            {},
            "all images must be of one size; --set data.size=32",
        ),
    ],
)
def test_hub_data_that_cannot_be_read_are_one_line(
    splits, settings, message, monkeypatch, tmp_path
):
    with pytest.raises(DataError, match=message):
        read(monkeypatch, tmp_path, splits, **settings)
