"""Images and labels in npz files, whatever their arrays are called."""

import numpy as np
import pytest
from support.pictures import pictures

from textvae.config import ImageDataConfig
from textvae.data.images import read_source
from textvae.data.texts import DataError


def read(path, **arrays):
    np.savez(path / "data.npz", **arrays)
    return read_source(ImageDataConfig(modality="image", source=str(path / "data.npz")))


CLASSES = np.arange(10) % 3


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("x_train", "y_train"),
        ("X_train", "Y_train"),
        ("X", "Y"),
        ("X", "y"),
        ("x", "targets"),
        ("IMAGES", "Labels"),
        ("train_images", "train_labels"),
        ("Train-Images", "TRAIN_LABELS"),
        ("trainImages", "trainLabels"),
        ("xtrain", "ytrain"),
        ("train_x", "train_y"),
        ("data", "target"),
        ("data", "labels"),
        ("imgs", "classes"),
        ("train_data", "train_targets"),
        ("image_data", "image_label"),
        ("arr_0", "arr_1"),
    ],
)
def test_labels_are_found_by_the_usual_names(images, labels, tmp_path):
    found = read(tmp_path, **{images: pictures(), labels: CLASSES})
    assert found.splits["train"][1].tolist() == CLASSES.tolist()
    assert "left out" not in "\n".join(found.notes)


@pytest.mark.parametrize(
    ("labels", "numbers", "names"),
    [
        (CLASSES[:, None].astype(np.uint8), CLASSES, []),
        (np.eye(3)[CLASSES], CLASSES, []),
        (CLASSES.astype(np.float32), CLASSES, []),
        (CLASSES == 1, CLASSES == 1, []),
        (np.array(["dog", "fox", "cat"])[CLASSES], [1, 2, 0, 1, 2, 0, 1, 2, 0, 1], None),
        (np.array([b"2", b"10", b"1"])[CLASSES], [1, 2, 0, 1, 2, 0, 1, 2, 0, 1], ["1", "2", "10"]),
    ],
)
def test_labels_may_have_any_usual_form(labels, numbers, names, tmp_path):
    found = read(tmp_path, x=pictures(), y=labels)
    assert found.splits["train"][1].tolist() == np.asarray(numbers).astype(int).tolist()
    assert list(found.names) == (["cat", "dog", "fox"] if names is None else names)


def test_arrays_that_are_left_out_are_named(tmp_path):
    found = read(
        tmp_path,
        x_train=pictures(),
        y_train=CLASSES,
        y_test=CLASSES,
        weights=np.ones(3),
        target_names=np.array(["a", "b", "c"]),
    )
    assert "arrays left out: y_test, weights, target_names" in "\n".join(found.notes)
    assert list(found.splits) == ["train"]


def test_flat_images_beside_images_are_left_out(tmp_path):
    images = pictures()
    found = read(tmp_path, data=images.reshape(10, -1), images=images, target=CLASSES)
    assert np.array_equal(found.splits["train"][0][:, 0], images)
    assert "arrays left out: data" in "\n".join(found.notes)


def test_every_split_finds_its_labels(tmp_path):
    parts = {"train": pictures(), "val": pictures(4, seed=1), "test": pictures(5, seed=2)}
    arrays = {f"{split}_images": images for split, images in parts.items()}
    arrays |= {f"{split}_labels": CLASSES[: len(x), None] for split, x in parts.items()}
    found = read(tmp_path, **arrays)
    assert {s: len(y) for s, (_, y) in found.splits.items()} == {"train": 10, "valid": 4, "test": 5}
    missing = read(tmp_path, x_train=pictures(), y_train=CLASSES, x_test=pictures(4, seed=1))
    assert "4 test images without a label" in missing.notes[0]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"X": pictures(), "images": pictures()},
            "several arrays could be the train images",
        ),
        ({"x": pictures(), "y": CLASSES, "labels": CLASSES}, "several .* labels: y, labels"),
        ({"x": pictures(), "y": np.full((10, 4), 1)}, "labels must be 10 whole numbers, names"),
        ({"x": pictures(), "y": CLASSES + 0.5}, "labels must be 10 whole numbers"),
        ({"x": pictures(), "y": CLASSES + 10**7}, "a label is below 100,000"),
        ({"a": pictures(), "b": pictures()}, "no array of images .found: a, b; allowed"),
        (
            {"x": pictures(), "y": CLASSES, "x_test": pictures(), "y_test": CLASSES.astype(str)},
            "labels of some splits are names",
        ),
    ],
)
def test_arrays_that_leave_a_choice_are_refused(arrays, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read(tmp_path, **arrays)


def test_one_array_under_the_name_of_an_npz_file_is_refused(tmp_path):
    with (tmp_path / "data.npz").open("wb") as file:
        np.save(file, pictures())
    with pytest.raises(DataError, match="is a single array, no .npz file"):
        read_source(ImageDataConfig(modality="image", source=str(tmp_path / "data.npz")))
