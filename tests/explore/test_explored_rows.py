"""Held-out rows and their labels."""

import pytest
from support.commands import copy_run

from textvae.data.texts import DataError
from textvae.explore.held_out import read_held_out_images, read_held_out_texts


def read(run, data=None, columns=(), limit=5000, seed=0):
    return read_held_out_texts(str(run), data and str(data), "text", columns, limit, seed)


@pytest.fixture
def folder(tmp_path):
    """Texts with a table of labels beside them."""
    (tmp_path / "train.txt").write_text("a\nb\n")
    (tmp_path / "test.txt").write_text("the dog\na cat\nmy uncle\n")
    (tmp_path / "test.labels.tsv").write_text("kind\tsize\npet\tlarge\npet\t\nman\tlarge\n")
    (tmp_path / "train.labels.tsv").write_text("kind\tsize\npet\tlarge\npet\t\n")
    return tmp_path


def test_labels_beside_the_texts_are_read(runs, folder):
    rows = read(runs / "vae", folder)
    assert rows.texts == ["the dog", "a cat", "my uncle"]
    assert rows.labels == {"kind": ["pet", "pet", "man"], "size": ["large", "", "large"]}
    assert (rows.total, rows.source) == (3, folder.name)


def test_labels_of_a_table_are_read_by_column(runs, tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("text,stars,by\nthe dog,5,a\na cat,,b\nmy uncle,1,a\n")
    rows = read(runs / "vae", table, ["stars", "by"])
    assert rows.labels == {"stars": ["5", "", "1"], "by": ["a", "b", "a"]}
    assert read(runs / "vae", table).labels == {}
    with pytest.raises(DataError, match="no column 'start'"):
        read(runs / "vae", table, ["start"])


def test_labels_beside_other_texts_are_not_taken(runs, folder):
    (folder / "test.txt").write_text("the dog\na cat\n")
    assert read(runs / "vae", folder).labels == {}


def test_the_limit_draws_with_the_seed(runs, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(f"text {n}" for n in range(50)))
    few = read(runs / "vae", texts, limit=10, seed=1)
    assert (len(few.texts), few.total) == (10, 50)
    assert few.texts == read(runs / "vae", texts, limit=10, seed=1).texts
    assert few.texts != read(runs / "vae", texts, limit=10, seed=2).texts
    assert few.texts == sorted(few.texts, key=lambda text: int(text.split()[1]))


def test_a_drawn_text_keeps_its_label(runs, tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("\n".join(["text,n", *(f"text {n},{n}" for n in range(50))]))
    few = read(runs / "vae", table, ["n"], limit=10)
    assert [text.split()[1] for text in few.texts] == few.labels["n"]


def test_without_data_the_held_out_texts_of_the_run_are_read(runs):
    rows = read(runs / "vae")
    assert rows.source == "texts.txt" and set(rows.texts) <= set(
        (runs / "texts.txt").read_text().splitlines()
    )
    assert any("test texts" in note or "validation texts" in note for note in rows.notes)


def test_a_folder_without_a_run_asks_for_data(runs, tmp_path):
    bare = copy_run(runs / "vae", tmp_path / "bare")
    (bare / "recipe.yaml").unlink()
    with pytest.raises(ValueError, match=r"recipe\.yaml|no run"):
        read(bare)
    assert read(bare, runs / "texts.txt").total == 100


def test_images_have_their_labels(image_run):
    rows = read_held_out_images(str(image_run), None, 20, 0)
    assert len(rows.images) == 20 and rows.total > 20
    assert set(rows.labels["label"]) <= set("0123456789") and rows.source == "8 x 8 digits"
