"""Images as fields of rows: arrays and picture files, sizes, pixels, and what is refused."""

import numpy as np
import pytest
import torch
from support.pictures import pictures, write_png
from support.rows import write_table

from textvae.config import DataConfig
from textvae.data.cells import cell_text
from textvae.data.errors import DataError
from textvae.data.field_kinds import column_of_facts, learned_facts
from textvae.data.tables import read_table_corpus, read_table_split

VIEWS = {"near": {"kind": "image"}, "far": {"kind": "image"}}


def read(source, fields=None, **settings):
    return read_table_corpus(DataConfig(source=str(source), fields=fields or VIEWS, **settings))


def arrays(path, count=12, **others):
    """A file of two views of each split, of which the second is larger."""
    found = {}
    for seed, split in enumerate(("train", "valid", "test")):
        found[f"near_{split}"] = pictures(count, seed=seed)
        found[f"far_{split}"] = np.pad(pictures(count, seed=seed), [(0, 0), (1, 1), (0, 0)])
    np.savez(path, **(found | others))
    return path


def column(corpus, name):
    field = corpus.fields[name]
    cells = corpus.train.columns[name]
    return column_of_facts(learned_facts(field, cells, name), cells, name)


def test_arrays_of_two_views_are_read(tmp_path):
    corpus = read(arrays(tmp_path / "views.npz"))
    assert [len(table) for table in (corpus.train, corpus.valid, corpus.test)] == [12, 12, 12]
    near, far = (column(corpus, name) for name in VIEWS)
    assert np.array_equal(near.values[:, 0], pictures(12)) and near.values.dtype == np.uint8
    assert near.facts == {"shape": [1, 6, 5], "pixels": "grey", "values": "pixels"}
    assert far.facts["shape"] == [1, 8, 5]
    batch = near.take([3, 1])
    torch.testing.assert_close(batch[0, 0], torch.from_numpy(pictures(12)[3]) / 255)


def test_a_third_view_is_a_third_field(tmp_path):
    third = {f"mid_{split}": pictures(12) for split in ("train", "valid", "test")}
    fields = VIEWS | {"mid": {"kind": "image"}}
    corpus = read(arrays(tmp_path / "views.npz", **third), fields)
    assert list(corpus.train.columns) == ["near", "far", "mid"]


def test_colours_may_be_the_last_axis(tmp_path):
    colours = {f"far_{s}": np.zeros((12, 4, 7, 3), np.uint8) for s in ("train", "valid", "test")}
    corpus = read(arrays(tmp_path / "views.npz", **colours))
    assert corpus.train.columns["far"][0].shape == (3, 4, 7)


def test_bits_and_floats_become_pixels(tmp_path):
    floats = {f"near_{s}": pictures(12) / 255 for s in ("train", "valid", "test")}
    bits = {f"far_{s}": pictures(12) > 100 for s in ("train", "valid", "test")}
    corpus = read(arrays(tmp_path / "views.npz", **floats, **bits))
    near, far = (column(corpus, name).take(range(12)) for name in VIEWS)
    torch.testing.assert_close(near[:, 0], torch.from_numpy(pictures(12)) / 255)
    assert torch.equal(far[:, 0], torch.from_numpy(pictures(12) > 100).float())


def test_a_size_scales_all_images(tmp_path):
    fields = {"near": {"kind": "image", "size": 4}, "far": {"kind": "image", "size": [3, 2]}}
    corpus = read(arrays(tmp_path / "views.npz"), fields)
    assert corpus.train.columns["near"][0].shape == (1, 4, 4)
    assert column(corpus, "far").facts["size"] == [3, 2]


def test_static_bits_are_drawn_once_and_dynamic_ones_each_time(tmp_path):
    path = arrays(tmp_path / "views.npz")
    fields = {"near": {"kind": "image", "pixels": "static"}, "far": {"kind": "image"}}
    once = column(read(path, fields), "near")
    assert set(np.unique(once.values)) == {0, 255} and once.facts["pixels"] == "static"
    fields["near"]["pixels"] = "dynamic"
    drawn = column(read(path, fields), "near")
    batch = drawn.take(range(12))
    assert set(drawn.drawn(batch, None).unique().tolist()) == {0.0, 1.0}


def picture_table(folder, count=6):
    """A table of picture files in the folder of each split, with a class and a blank cell."""
    for split in ("train", "valid", "test"):
        (folder / split).mkdir()
        images = pictures(count)
        for number, image in enumerate(images):
            write_png(folder / split / f"{number}.png", image)
        names = [f"{split}/{number}.png" for number in range(count)]
        columns = {"near": names, "far": [*names[1:], ""], "label": ["a", "b"] * (count // 2)}
        write_table(folder / f"{split}.csv", columns)
    return folder


def test_a_column_of_picture_files_is_a_field(tmp_path):
    fields = VIEWS | {"label": {"kind": "label"}}
    corpus = read(picture_table(tmp_path), fields)
    near, far = corpus.train.columns["near"], corpus.train.columns["far"]
    assert len(near) == 5, "a row without an image is skipped"
    assert np.array_equal(np.stack(near)[:, 0], pictures(6)[:5])
    assert np.array_equal(np.stack(far)[:, 0], pictures(6)[1:])
    assert any("skipped 1" in note and "'far'" in note for note in corpus.notes)
    table, _ = read_table_split(str(tmp_path / "test.csv"), corpus.fields)
    assert len(table) == 5


def test_picture_files_that_are_missing_or_differ_are_refused(tmp_path):
    picture_table(tmp_path)
    write_png(tmp_path / "train/2.png", pictures(1)[0][:3])
    with pytest.raises(DataError, match=r"one size; --set data.fields.near.size=32 makes them so"):
        read(tmp_path)
    (tmp_path / "train/2.png").unlink()
    with pytest.raises(DataError, match=r"train/2.png: no such image"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"near_train": np.zeros((12, 6))}, r"images must be \(N, H, W\)"),
        ({"near_train": pictures(12) * 2.0}, r"near: images of floats must be in \[0, 1\]"),
        ({"near_train": pictures(11)}, "every field needs as many train rows"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, change, line):
    with pytest.raises(DataError, match=line):
        read(arrays(tmp_path / "views.npz", **change))


def test_splits_of_another_size_are_refused(tmp_path):
    corpus = read(arrays(tmp_path / "views.npz"))
    facts = learned_facts(corpus.fields["near"], corpus.train.columns["near"], "near")
    with pytest.raises(DataError, match="near: the model reads images of 6 x 5 pixels"):
        column_of_facts(facts, corpus.test.columns["far"], "near")


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ({"kind": "vector", "pixels": "grey"}, "pixels is for kind 'image'"),
        ({"kind": "text", "size": 8}, "size is for kind 'image'"),
        ({"kind": "image", "size": 0}, "must be a number of pixels from 1"),
        ({"kind": "image", "columns": ["a"]}, "columns is for kind 'vector'"),
        ({"kind": "image", "plate": "turn"}, "plate is for texts"),
    ],
)
def test_mistakes_in_an_image_field_are_one_line(field, line):
    with pytest.raises(ValueError, match=line):
        DataConfig(fields={"near": field})


def test_images_of_other_shapes_and_pixels_have_other_texts():
    zeros = np.zeros((1, 2, 3), np.uint8)
    found = [zeros, zeros.reshape(1, 3, 2), zeros.astype(np.float32), zeros + 1]
    assert len({cell_text(cell) for cell in found}) == 4
