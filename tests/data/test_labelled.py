"""Labelled texts, and bags of words."""

import gzip
import json

import pytest

from textvae.data.readers import DataError, read_corpus, read_labelled, read_texts


def test_blank_rows_of_a_labelled_table_are_skipped(tmp_path):
    (tmp_path / "a.csv").write_text('label,text\npets,the dog\n\nletters,"a, b"\n')
    rows = [("the dog", "pets"), ("a, b", "letters")]
    assert list(zip(*read_labelled(str(tmp_path / "a.csv"))["train"], strict=True)) == rows


def test_labels_of_lines_are_in_a_table_of_their_own(tmp_path):
    (tmp_path / "train.txt").write_text("x\ny\n")
    table = tmp_path / "train.labels.tsv"
    table.write_text("label\n1\n2\n")
    assert read_labelled(str(tmp_path)) == {"train": (["x", "y"], ["1", "2"])}
    for labels in ("1\n", "1\n2\n3\n"):
        table.write_text("label\n" + labels)
        with pytest.raises(DataError, match="must have a label for each text of train.txt"):
            read_labelled(str(tmp_path))


def test_labels_may_be_numbers_and_splits_are_kept_apart(tmp_path):
    for split, label in (("train", 3), ("test", True)):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"s": "x y", "y": label}) + "\n")
    splits = read_labelled(str(tmp_path), text_column="s", label_column="y")
    assert splits == {"train": (["x y"], ["3"]), "test": (["x y"], ["True"])}
    (tmp_path / "b.jsonl").write_text('{"text": "x", "label": 2.0}\n')
    assert read_labelled(str(tmp_path / "b.jsonl"))["train"] == (["x"], ["2"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,label\nx,1\ny,\n", "line 3: the label is missing"),
        ("a.csv", "text,lable\nx,1\n", "no column 'label' .known: text, lable"),
        ("a.csv", "text,label\n", "holds no labelled text"),
        ("a.jsonl", '{"text": "x", "label": null}\n', "line 1: the label is missing .got None"),
        ("a.jsonl", '{"text": "x", "label": NaN}\n', "line 1: the label is missing .got nan"),
        ("a.jsonl", '{"text": "x", "label": 4.5}\n', "line 1: a label is text or a whole .*4.5"),
        ("a.jsonl", "[" * 100_000, "line 1: JSON nested too deeply"),
        ("a.jsonl", f'{{"text": "x", "label": {"1" * 5000}}}\n', "line 1: .*too many digits"),
        ("a.jsonl", '{"text": "x"}\n', "line 1: no column 'label'"),
        ("a.txt", "x\n", "a .txt file holds no labels"),
    ],
)
def test_rows_without_text_or_label_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_labelled(str(tmp_path / name))


def test_bags_of_words_are_texts_of_their_words(tmp_path):
    (tmp_path / "vocab.new").write_text("who 9\nout 5\npeople 2\n")
    (tmp_path / "train.feat").write_text("1 2:1 1:3\n2\n1 3:2\n")
    with gzip.open(tmp_path / "test.feat.gz", "wt") as file:
        file.write("2 1:1\n")
    corpus = read_corpus(str(tmp_path), valid_fraction=0)
    assert list(corpus.train) == ["out who who who", "people people"]
    assert corpus.test == ["who"] and "skipped 1 blank line" in corpus.notes[1]
    labelled = read_labelled(str(tmp_path / "test.feat.gz"))
    assert labelled["train"] == (["who"], ["2"])


@pytest.mark.parametrize("pair", ["4:1", "0:1", "1", "1:x", "a:1", "1:-2"])
def test_a_bag_that_is_none_is_refused(tmp_path, pair):
    (tmp_path / "vocab.txt").write_text("who\nout\npeople\n")
    (tmp_path / "a.feat").write_text(f"1 1:1 {pair}\n")
    message = f"line 1: must be id:count with ids from 1 to 3 .got '{pair}'"
    with pytest.raises(DataError, match=message):
        read_texts(str(tmp_path / "a.feat"))
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(DataError, match=r"must stand beside it in vocab\.new or vocab\.txt"):
        read_texts(str(tmp_path / "a.feat"))
