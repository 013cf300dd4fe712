"""Folders and zip files of images: classes, splits, and what is left out, which is said."""

import zipfile

import numpy as np
import pytest
from PIL import Image
from support.pictures import pictures, png_bytes, write_classes, write_idx, write_png, write_zip

from textvae.config import ImageDataConfig
from textvae.data.images import read_image_corpus, read_source
from textvae.data.texts import DataError


def config(source, **settings):
    return ImageDataConfig(modality="image", source=str(source), **settings)


def read(source, **settings):
    """The splits of a source by number of images, the classes, and the notes in one text."""
    found = read_source(config(source, **settings))
    sizes = {split: len(images) for split, (images, _) in found.splits.items()}
    return sizes, list(found.names), "\n".join(found.notes)


HIDDEN = (".ipynb_checkpoints", "__MACOSX", "@eaDir", ".cache")


@pytest.mark.parametrize("empty", [False, True])
def test_hidden_folders_are_no_classes(empty, tmp_path):
    write_classes(tmp_path, ["0", "1", "2"])
    for name in HIDDEN:
        (tmp_path / name).mkdir()
        if not empty:
            write_png(tmp_path / name / "0.png", pictures(1)[0])
    found = read_source(config(tmp_path))
    assert sorted(found.splits["train"][1].tolist()) == [0] * 4 + [1] * 4 + [2] * 4
    assert f"left out 4 hidden entries: {', '.join(sorted(HIDDEN))}" in found.notes[-1]


def test_hidden_files_are_no_images(tmp_path):
    write_classes(tmp_path, ["cat", "dog"])
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "cat" / "._0.png").write_bytes(b"what macOS writes")
    (tmp_path / "dog" / "Thumbs.db").write_bytes(b"x")
    sizes, names, notes = read(tmp_path)
    assert sizes == {"train": 8} and names == ["cat", "dog"]
    assert "3 hidden entries: .DS_Store, cat/._0.png, dog/Thumbs.db" in notes


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "webp", "bmp", "tif", "tiff", "gif", "ppm"])
def test_pictures_of_every_format_are_read(ending, tmp_path):
    write_classes(tmp_path, ["cat", "fox"])
    write_classes(tmp_path, ["dog"], ending=ending)
    sizes, names, notes = read(tmp_path)
    assert sizes == {"train": 12} and names == ["cat", "dog", "fox"]
    assert "3 classes: cat (4), dog (4), fox (4)" in notes


@pytest.mark.parametrize(
    ("folders", "sizes", "names"),
    [
        (["train/cat", "train/dog", "test/cat"], {"train": 8, "test": 4}, ["cat", "dog"]),
        (["cat/sub", "cat/other", "dog/a/b"], {"train": 12}, ["cat", "dog"]),
        (["train/cat/sub", "val/dog"], {"train": 4, "valid": 4}, ["cat", "dog"]),
        (["cat/train", "dog/train", "cat/test"], {"train": 8, "test": 4}, ["cat", "dog"]),
        (["all/photos/cat", "all/photos/dog"], {"train": 8}, ["cat", "dog"]),
        (["all/train/cat", "all/test/dog"], {"train": 4, "test": 4}, ["cat", "dog"]),
        (["1", "2", "10"], {"train": 12}, ["1", "2", "10"]),
        (["f9", "f10", "b"], {"train": 12}, ["b", "f9", "f10"]),
        (["0", "1", "2"], {"train": 12}, []),
        (["Training/a", "Testing/b", "Training/b"], {"train": 8, "test": 4}, ["a", "b"]),
        (["train", "dev"], {"train": 4, "valid": 4}, []),
        (["cat"], {"train": 4}, ["cat"]),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_folders_are_splits_and_classes(folders, sizes, names, packed, tmp_path):
    source = tmp_path / "photos"
    write_classes(source, folders)
    if packed:
        files = {
            str(path.relative_to(tmp_path)): path.read_bytes() for path in source.rglob("*.png")
        }
        source = tmp_path / "photos.zip"
        write_zip(source, files | {"__MACOSX/photos/._0.png": b"x"})
    assert read(source)[:2] == (sizes, names)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["train", "cat", "dog"], "the folder train is named by a split, and cat, dog beside it"),
        (["car", "plane", "train/x"], "the folder train is named by a split, and car, plane"),
        (["val/a", "validation/a", "train/a"], "the folders val and validation are of one split"),
        (["cat/train", "dog"], "cat/train/0.png is in a folder named by a split, and dog/0.png"),
    ],
)
def test_a_split_beside_classes_is_refused(folders, message, tmp_path):
    write_classes(tmp_path, folders)
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_all_that_is_left_out_is_named(tmp_path):
    write_classes(tmp_path / "photos", ["train/cat", "train/dog"])
    (tmp_path / "photos/train/fox").mkdir()
    (tmp_path / "photos/docs").mkdir()
    (tmp_path / "photos/docs/read.me").write_text("x")
    (tmp_path / "photos/train/cat/a.heic").write_bytes(b"x")
    write_png(tmp_path / "photos/loose.png", pictures(1)[0])
    sizes, names, notes = read(tmp_path / "photos")
    assert sizes == {"train": 8} and names == ["cat", "dog"]
    assert "left out 2 files: docs/read.me, train/cat/a.heic" in notes
    assert "left out 1 picture: loose.png" in notes
    assert "left out 1 empty folder: train/fox" in notes


def test_pictures_beside_classes_are_without_label(tmp_path):
    write_classes(tmp_path, ["a", "b"])
    write_png(tmp_path / "loose.png", pictures(1)[0])
    found = read_source(config(tmp_path))
    assert found.splits["train"][1].tolist() == [-1, 0, 0, 0, 0, 1, 1, 1, 1]
    assert "1 train pictures are in no class folder" in "\n".join(found.notes)


def test_classes_of_test_alone_are_said(tmp_path):
    write_classes(tmp_path, ["train/cat", "train/dog", "test/fox"])
    assert "only outside train: fox" in read(tmp_path)[2]


EMNIST = {
    "emnist-letters-train-images-idx3-ubyte.gz": pictures(20),
    "emnist-letters-train-labels-idx1-ubyte.gz": np.arange(20, dtype=np.uint8) % 3 + 1,
    "emnist-letters-test-images-idx3-ubyte.gz": pictures(8, seed=1),
    "emnist-letters-test-labels-idx1-ubyte.gz": np.ones(8, np.uint8),
}


@pytest.mark.parametrize("prefix", ["", "emnist-letters-", "EMNIST/raw/", "kmnist_"])
def test_names_of_idx_files(prefix, tmp_path):
    for name, array in EMNIST.items():
        write_idx(tmp_path / name.replace("emnist-letters-", prefix), array)
    (tmp_path / "emnist-letters-mapping.txt").write_text("1 65")
    found = read_source(config(tmp_path))
    assert {split: len(x) for split, (x, _) in found.splits.items()} == {"train": 20, "test": 8}
    assert found.splits["train"][1].max() == 3
    notes = "\n".join(found.notes)
    assert "none of 0" in notes and "left out 1 file: emnist-letters-mapping.txt" in notes


def test_emnist_is_turned_upright(tmp_path):
    (tmp_path / "emnist").mkdir()
    (tmp_path / "plain").mkdir()
    for name, array in EMNIST.items():
        write_idx(tmp_path / "emnist" / name, array)
        write_idx(tmp_path / "plain" / name.removeprefix("emnist-letters-"), array)
    turned, plain = (
        read_source(config(tmp_path / "emnist")),
        read_source(config(tmp_path / "plain")),
    )
    for split, (images, _) in turned.splits.items():
        assert np.array_equal(images, plain.splits[split][0].swapaxes(-1, -2))
        assert not np.array_equal(images, plain.splits[split][0])
    said = [note for note in turned.notes if "turned upright" in note]
    assert len(said) == 1 and not any("turned upright" in note for note in plain.notes)
    alone = read_source(config(tmp_path / "emnist" / "emnist-letters-test-images-idx3-ubyte.gz"))
    assert np.array_equal(alone.splits["train"][0], turned.splits["test"][0])


def test_several_sets_of_idx_files_are_refused(tmp_path):
    for name, array in EMNIST.items():
        write_idx(tmp_path / name, array)
        write_idx(tmp_path / name.replace("letters", "digits"), array)
    with pytest.raises(DataError, match="several data sets: emnist-digits, emnist-letters; keep"):
        read(tmp_path)


def test_an_unpacked_idx_file_goes_before_its_gz(tmp_path):
    for name, array in EMNIST.items():
        write_idx(tmp_path / name, array)
        write_idx(tmp_path / name.removesuffix(".gz"), array)
    sizes, _, notes = read(tmp_path)
    assert sizes == {"train": 20, "test": 8} and "left out 4 files: emnist-letters-test-im" in notes


def test_labels_beside_one_idx_file_are_named(tmp_path):
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", pictures())
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.zeros(10, np.uint8))
    assert (
        "its labels, train-labels-idx1-ubyte.gz, are left out"
        in (read(tmp_path / "train-images-idx3-ubyte.gz")[2])
    )


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    "name", ["a/1.png", "a/1.jpg", "x.npz", "train-images-idx3-ubyte.gz", "photos.zip", "one.bmp"]
)
def test_a_pointer_of_git_lfs_is_named(name, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / name).write_bytes(POINTER)
    for source in [tmp_path / name, *([] if name.endswith(("npz", "zip")) else [tmp_path])]:
        with pytest.raises(DataError, match=f"{name}: is a Git LFS pointer, .*git lfs pull"):
            read(source)


def test_a_zip_is_read_in_memory(tmp_path):
    files = {f"../../{n}.png": png_bytes(image) for n, image in enumerate(pictures(3))}
    files |= {f"/etc/{n}.png": png_bytes(image) for n, image in enumerate(pictures(4, seed=1))}
    write_zip(tmp_path / "evil.zip", files)
    before = sorted(tmp_path.parent.rglob("*.png"))
    sizes, _, notes = read(tmp_path / "evil.zip")
    assert sizes == {"train": 4} and "hidden entry: .." in notes
    assert sorted(tmp_path.parent.rglob("*.png")) == before


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"a/{number}.png", png_bytes(pictures(1)[0]))
        for info in archive.filelist:
            info.file_size = 2**30
    with pytest.raises(DataError, match=r"holds 3.0 GiB unpacked \(at most 2\); unpack it and"):
        read(tmp_path / "bomb.zip")


def test_a_file_that_is_larger_than_its_zip_says_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "lies.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.ppm", b"P5 4096 4096 255 " + bytes(2**24))
        archive.filelist[0].file_size = 100
    with pytest.raises(DataError, match=r"a/1.ppm: (cannot be unpacked|is damaged)"):
        read(tmp_path / "lies.zip")


def test_bad_zips_and_links_are_one_line(tmp_path):
    (tmp_path / "text.zip").write_text("words")
    with pytest.raises(DataError, match="is no readable .zip file"):
        read(tmp_path / "text.zip")
    write_zip(tmp_path / "none.zip", {"a.txt": b"words"})
    with pytest.raises(DataError, match="holds no images .found: a.txt"):
        read(tmp_path / "none.zip")
    (tmp_path / "links").mkdir()
    (tmp_path / "links/1.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match="1.png: No such file"):
        read(tmp_path / "links")
    np.savez(tmp_path / "links/x.npz", images=pictures())
    (tmp_path / "links/1.png").unlink()
    with pytest.raises(DataError, match="give one of them, as .*links/x.npz"):
        read(tmp_path / "links")


def test_a_link_to_a_folder_above_is_not_followed(tmp_path):
    write_classes(tmp_path, ["a", "b"])
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert read(tmp_path)[0] == {"train": 8}


@pytest.mark.parametrize("value", [0, 255])
def test_images_without_content_are_refused(value, tmp_path):
    for number in range(4):
        write_png(tmp_path / f"{number}.png", np.full((4, 4), value, np.uint8))
    with pytest.raises(DataError, match="each of 4 images is of one colour"):
        read_image_corpus(config(tmp_path))
    for number in range(4):
        write_png(tmp_path / f"{number}.png", pictures(1, 4, 4)[0])
    with pytest.raises(DataError, match="4 images that are all equal"):
        read_image_corpus(config(tmp_path))


def test_grey_and_colour_pictures_become_colours(tmp_path):
    write_classes(tmp_path, ["a"])
    write_png(tmp_path / "b/1.png", np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8))
    found = read_source(config(tmp_path))
    assert found.splits["train"][0].shape == (5, 3, 6, 5)
    assert "4 of 5 pictures are grey, read as colours" in "\n".join(found.notes)


def test_sizes_that_differ_need_a_size(tmp_path):
    write_classes(tmp_path, ["a"])
    write_classes(tmp_path, ["b"], size=(12, 10))
    write_classes(tmp_path, ["c"], size=(12, 20))
    with pytest.raises(DataError, match=r"12 x 10 pixels of 1 channel, .*--set data.size=32"):
        read(tmp_path)
    found = read_source(config(tmp_path, size=[12, 10]))
    notes = "\n".join(found.notes)
    assert found.splits["train"][0].shape == (12, 1, 12, 10)
    assert "8 of 12 pictures resized to 12 x 10 pixels" in notes
    assert "4 of 12 pictures had other proportions than data.size" in notes
    exact = np.asarray(Image.open(tmp_path / "b/0.png"))
    assert np.array_equal(found.splits["train"][0][4, 0], exact), "one of that size is not touched"
