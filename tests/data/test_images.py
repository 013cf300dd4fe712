"""Images from every source, as fields; errors of one line."""

import numpy as np
import pytest
import torch
from conftest import ids
from PIL import Image
from pydantic import ValidationError
from support.pictures import pictures, png_bytes, write_idx, write_png, write_zip

from textvae.config import ImageDataConfig
from textvae.data.batching import Sentences, ShuffledBatches
from textvae.data.fields import Fields, Images, Labels, binarized
from textvae.data.image_files import IMAGE_FORMATS
from textvae.data.images import View, read_image_corpus, read_image_split, read_picture
from textvae.data.texts import DataError
from textvae.vocabulary import MISSING, STRANGE


def config(source=None, **settings):
    given = None if source is None else str(source)
    return ImageDataConfig(modality="image", source=given, **settings)


def test_the_digits_are_split_without_overlap():
    corpus = read_image_corpus(config())
    sizes = [len(corpus.train), len(corpus.valid), len(corpus.test)]
    assert sum(sizes) == 1797 and sizes[2] == 300 and corpus.facts["label"] == {"classes": 10}
    splits = (corpus.train, corpus.valid, corpus.test)
    rows = np.concatenate([rows.columns["image"].values.reshape(-1, 64) for rows in splits])
    sklearn = pytest.importorskip("sklearn.datasets").load_digits()
    ours = np.round(rows / 255 * 16).astype(int)
    assert sorted(map(tuple, ours)) == sorted(map(tuple, sklearn.data.astype(int)))
    assert read_image_corpus(config()).fingerprint() == corpus.fingerprint()
    assert read_image_corpus(config(pixels="static")).fingerprint() != corpus.fingerprint()


def test_idx_files_by_split(tmp_path):
    train, test = pictures(20), pictures(8, seed=1)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", train)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.arange(20, dtype=np.uint8) % 3)
    write_idx(tmp_path / "t10k-images-idx3-ubyte", test)
    corpus = read_image_corpus(config(tmp_path, valid_fraction=0.25))
    assert corpus.facts == {
        "image": {"shape": [1, 6, 5], "pixels": "grey"},
        "label": {"classes": 3},
    }
    assert [len(corpus.train), len(corpus.valid), len(corpus.test)] == [15, 5, 8]
    assert np.array_equal(corpus.test.columns["image"].values[:, 0], test)
    assert (corpus.test.columns["label"].values == MISSING).all()
    joined = np.concatenate([part.columns["label"].values for part in (corpus.train, corpus.valid)])
    assert sorted(joined) == sorted(np.arange(20) % 3)
    rows, notes = read_image_split(config(tmp_path))
    assert len(rows) == 8 and "test images" in notes[0]


IMAGE_FILES = {
    "npz": ("data.npz", lambda path, images: np.savez(path, images=images)),
    "picture": ("one.png", lambda path, images: write_png(path, images[0])),
    "zip": ("one.zip", lambda path, images: write_zip(path, {"a/1.png": png_bytes(images[0])})),
    "idx": ("images-idx3-ubyte.gz", write_idx),
}


@pytest.mark.parametrize("format", [format.name for format in IMAGE_FORMATS])
def test_every_image_format_gives_the_same_images(format, tmp_path):
    name, write = IMAGE_FILES[format]  # a KeyError: the format has no row
    write(tmp_path / name, pictures(1))
    rows, _ = read_image_split(config(tmp_path / name))
    assert np.array_equal(rows.columns["image"].values[:, 0], pictures(1))


@pytest.mark.parametrize(
    "names", [("x_train", "y_train"), ("images", "labels"), ("train_images", "train_labels")]
)
def test_npz_files(names, tmp_path):
    file = tmp_path / "data.npz"
    np.savez(file, **dict(zip(names, (pictures(), np.arange(10) % 2), strict=True)))
    corpus = read_image_corpus(config(file))
    assert [len(corpus.train), len(corpus.valid), len(corpus.test)] == [8, 1, 1]
    assert corpus.facts["label"]["classes"] == 2
    colours = np.random.rand(4, 6, 5, 3)
    np.savez(file, images=colours)
    rows, _ = read_image_split(config(file))
    assert rows.facts == {"image": {"shape": [3, 6, 5], "pixels": "grey"}}
    values = rows.collate([rows[2]])["image"][0].numpy()
    np.testing.assert_allclose(values, colours[2].transpose(2, 0, 1), atol=1e-6)


def test_folders_of_pngs_by_class_and_split(tmp_path):
    for number, image in enumerate(pictures(12)):
        split = "train" if number < 8 else "test"
        write_png(tmp_path / split / "ab"[number % 2] / f"{number:02}.png", image)
    corpus = read_image_corpus(config(tmp_path, valid_fraction=0.2))
    assert [len(corpus.train), len(corpus.valid), len(corpus.test)] == [6, 2, 4]
    assert corpus.test.columns["label"].values.tolist() == [0, 0, 1, 1]
    flat = tmp_path / "flat"
    for number, image in enumerate(pictures(3)):
        write_png(flat / f"{number}.png", image)
    rows, _ = read_image_split(config(flat))
    assert rows.facts == {"image": {"shape": [1, 6, 5], "pixels": "grey"}}
    assert np.array_equal(rows.columns["image"].values[:, 0], pictures(3))
    assert np.array_equal(read_picture(flat / "1.png", View(), [])[0], pictures(3)[1])


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    wide = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040
    Image.fromarray(wide).save(tmp_path / "wide.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "wide.png", View(), [])[0], wide >> 8)


def corrupt_png(folder):
    write_png(folder / "a.png", pictures(1)[0])
    (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:50])


def mixed_sizes(folder):
    write_png(folder / "a.png", pictures(1)[0])
    write_png(folder / "b.png", pictures(1, 7)[0])


def short_idx(folder):
    write_idx(folder / "train-images-idx3-ubyte", pictures(4))
    file = folder / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-3])


def cut_gzip(folder):
    write_idx(folder / "train-images-idx3-ubyte.gz", pictures(40))
    file = folder / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-30])


def false_gzip(folder):
    (folder / "train-images-idx3-ubyte.gz").write_bytes(b"no gzip")


def no_idx(folder):
    (folder / "train-images-idx3-ubyte").write_bytes(b"\0\0\x0d\x03abc")


def too_few_labels(folder):
    write_idx(folder / "train-images-idx3-ubyte", pictures(4))
    write_idx(folder / "train-labels-idx1-ubyte", np.zeros(3, np.uint8))


def only_test(folder):
    write_idx(folder / "t10k-images-idx3-ubyte", pictures(4))


def two_sizes(folder):
    write_idx(folder / "train-images-idx3-ubyte", pictures(4))
    write_idx(folder / "t10k-images-idx3-ubyte", pictures(4, 7))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "holds no images"),
        (corrupt_png, "a.png: is damaged or no image"),
        (mixed_sizes, "b.png: 7 x 5 pixels of 1 channel, but a.png has 6 x 5"),
        (short_idx, "header says 4 x 6 x 5 bytes, it holds 117"),
        (cut_gzip, "is damaged or cut short"),
        (false_gzip, "is not a gzip file"),
        (no_idx, "is no idx file of bytes"),
        (too_few_labels, "labels must be 4 whole numbers"),
        (only_test, "has no train images"),
        (two_sizes, "splits differ in size"),
    ],
)
def test_a_bad_folder_is_one_line(make, message, tmp_path):
    make(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        read_image_corpus(config(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"weights": np.zeros(3)}, "no array of images"),
        ({"images": np.zeros((4, 6))}, r"must be \(N, H, W\)"),
        ({"images": np.zeros((4, 2, 6, 5))}, "1 or 3 channels"),
        ({"images": np.zeros((0, 6, 5))}, "images must be"),
        ({"images": np.full((4, 6, 5), np.nan)}, "must be finite"),
        ({"images": np.array([[["a"]]])}, "must be numbers"),
        ({"images": np.zeros((4, 6, 5)), "labels": np.full(4, -2)}, "0 or above"),
        ({"images": np.array([None, 3], object)}, "no readable .npz"),
    ],
)
def test_a_bad_array_is_one_line(arrays, message, tmp_path):
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_image_corpus(config(tmp_path / "data.npz"))


def test_other_bad_sources(tmp_path):
    for name, message in [
        ("nowhere.npz", "no such file or folder"),
        ("text.txt", "unknown file type"),
        ("no.npz", "no readable .npz"),
    ]:
        if name != "nowhere.npz":
            (tmp_path / name).write_text("words")
        with pytest.raises(DataError, match=message):
            read_image_corpus(config(tmp_path / name))
    np.savez(tmp_path / "far.npz", images=5 + np.arange(4 * 6 * 5.0).reshape(4, 6, 5))
    with pytest.raises(DataError, match=r"dynamic needs images in \[0, 1\] \(got \d+ to \d+\)"):
        read_image_corpus(config(tmp_path / "far.npz", pixels="dynamic"))
    with pytest.raises(ValidationError):
        config(pixels="blue")


def test_static_bits_are_drawn_once_and_dynamic_ones_each_time():
    corpus = read_image_corpus(config(pixels="static"))
    values = corpus.train.columns["image"].values
    assert set(np.unique(values)) == {0, 255}
    grey = read_image_corpus(config()).train.columns["image"].values
    assert abs(values.mean() - grey.mean()) < 1
    assert np.array_equal(binarized(grey, 3), binarized(grey, 3))
    assert not np.array_equal(binarized(grey, 3), binarized(grey, 4))
    rows = Fields({"image": Images(grey[:20], "dynamic")})
    batch = rows.collate([rows[n] for n in range(20)])
    assert not torch.equal(rows.drawn(batch)["image"], rows.drawn(batch)["image"])
    (_, first), (_, second) = next(rows.in_length_order()), next(rows.in_length_order())
    assert torch.equal(first["image"], second["image"]), "evaluation sees the same bits each time"


def test_fields_hold_texts_and_labels_in_the_same_rows():
    tokens = ids(1, 6, 3, 2, 5)
    flat = tokens[tokens > 0].numpy().astype(np.int32)
    offsets = np.cumsum([0, *(tokens > 0).sum(1).tolist()])
    labels = np.array([0, 1, -1, 1, 0])
    rows = Fields({"text": Sentences(flat, offsets, 22), "label": Labels(labels, 2)})
    assert rows.lengths.tolist() == [3, 8, 5, 4, 7] and rows.facts == {"label": {"classes": 2}}
    batch = rows.collate([rows[1], rows[2]])
    assert torch.equal(batch["text"], tokens[1:3]) and batch["label"].tolist() == [1, -1]
    seen = [n for chosen, _ in rows.in_length_order(12) for n in chosen.tolist()]
    assert seen == [0, 3, 2, 4, 1]
    for chosen, found in rows.in_length_order(12):
        assert found["label"].tolist() == labels[chosen].tolist()
        for row, number in zip(found["text"], chosen, strict=True):
            assert torch.equal(row[row > 0], tokens[number][tokens[number] > 0])
    batches = list(ShuffledBatches(rows.lengths, 2, seed=0))
    assert len(batches) == 2 and len({n for batch in batches for n in batch}) == 4
    with pytest.raises(DataError, match="as many rows"):
        Fields({"label": Labels(labels, 2), "other": Labels(labels[:3], 2)})


@pytest.mark.parametrize("pixels", ["grey", "dequantized", "dynamic"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_batch_equals_its_collated_rows(pixels, dtype):
    draw = np.random.default_rng(0)
    values = draw.integers(0, 256, (9, 1, 3, 2)).astype(dtype)
    texts = Sentences(np.arange(18, dtype=np.int32), np.arange(0, 19, 2), 9)
    columns = {
        "image": Images(values if dtype == np.uint8 else values / np.float32(255), pixels),
        "label": Labels(draw.integers(-1, 4, 9), 4),
        "text": texts,
    }
    rows, chosen = Fields(columns), [7, 0, 3, 3]
    batch, collated = rows.batch(chosen), rows.collate([rows[index] for index in chosen])
    assert batch.keys() == collated.keys() == columns.keys()
    for name, tensor in batch.items():
        assert tensor.dtype == collated[name].dtype and torch.equal(tensor, collated[name])
    batch["image"].zero_()  # a batch is a copy
    assert rows.columns["image"].values.any()


def open_data(path, test=(0, 1, 2, 5, 7, -1), names=None):
    """A file whose training images have the classes 1, 2 and 5, its test images others too."""
    train = np.array([1, 2, 5] * 10)
    labels = {"y_train": train, "y_test": np.array(test)}
    if names is not None:
        labels = {key: np.array([names[n] for n in part]) for key, part in labels.items()}
    np.savez(path, x_train=pictures(30), x_test=pictures(len(test), seed=1), **labels)
    return path


def test_an_open_set_has_the_classes_of_training(tmp_path):
    path = open_data(tmp_path / "open.npz")
    corpus = read_image_corpus(config(path, open_set=True))
    assert corpus.facts["label"] == {"classes": 3, "names": ["1", "2", "5"]}
    wanted = [STRANGE, 0, 1, 2, STRANGE, MISSING]
    assert corpus.test.columns["label"].values.tolist() == wanted
    assert set(corpus.train.columns["label"].values) == {0, 1, 2}
    assert read_image_corpus(config(path)).facts["label"] == {"classes": 8}


def test_an_open_set_keeps_the_names_of_its_classes(tmp_path):
    names = {0: "ant", 1: "bee", 2: "cat", 5: "dog", 7: "eel", -1: ""}
    path = open_data(tmp_path / "open.npz", names=names)
    corpus = read_image_corpus(config(path, open_set=True))
    assert corpus.facts["label"] == {"classes": 3, "names": ["bee", "cat", "dog"]}
    wanted = [STRANGE, 0, 1, 2, STRANGE, MISSING]
    assert corpus.test.columns["label"].values.tolist() == wanted


def test_other_data_are_read_with_the_classes_of_the_model(tmp_path):
    path = open_data(tmp_path / "open.npz", test=(5, 9, 1))
    rows, _ = read_image_split(config(path, open_set=True), ("1", "2", "5"))
    assert rows.columns["label"].values.tolist() == [2, STRANGE, 0]
    assert rows.facts["label"] == {"classes": 3, "names": ["1", "2", "5"]}


def test_an_open_set_needs_two_classes(tmp_path):
    np.savez(tmp_path / "one.npz", x=pictures(20), y=np.zeros(20, int))
    with pytest.raises(DataError, match=r"open_set needs training images of two classes \(got 1\)"):
        read_image_corpus(config(tmp_path / "one.npz", open_set=True))
