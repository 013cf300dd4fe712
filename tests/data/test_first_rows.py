"""The first rows of data, read before a model is built or loaded."""

import gzip

import pytest

from textvae.config import DataConfig
from textvae.data.errors import DataError
from textvae.data.first_rows import FIRST, check_first_rows

CASES = {
    "column": ("a.csv", "body\nx\n", r"no column 'text' .*; --text-column names another"),
    "key": ("a.jsonl", '{"text": "x"}\n{"body": "y"}\n', "entry 2|line 2.*--text-column"),
    "no text": ("a.txt", "\n\n", "holds no text"),
    "cell": ("a.jsonl", '{"text": 7}\n', "must be a string"),
    "number": ("a.jsonl", "7\n", "must be an object"),
    "suffix": ("a.doc", "x", "unknown file type"),
}


@pytest.mark.parametrize(("name", "content", "message"), CASES.values(), ids=CASES)
def test_mistakes_in_the_first_rows_are_found(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        check_first_rows(DataConfig(source=str(tmp_path / name)))


def test_every_split_is_looked_at(tmp_path):
    (tmp_path / "train.csv").write_text("text\nx\n")
    (tmp_path / "test.csv.gz").write_bytes(gzip.compress(b"body\nx\n"))
    with pytest.raises(DataError, match=r"test\.csv\.gz: no column 'text'"):
        check_first_rows(DataConfig(source=str(tmp_path)))


def test_labels_are_looked_for_in_tables_alone(tmp_path):
    (tmp_path / "a.csv").write_text("text,stars\nx,1\n")
    check_first_rows(DataConfig(source=str(tmp_path / "a.csv")), ["stars"])
    with pytest.raises(DataError, match="no column 'label' .*; --label-column names another"):
        check_first_rows(DataConfig(source=str(tmp_path / "a.csv")), ["label"])
    (tmp_path / "b.txt").write_text("x\n")
    check_first_rows(DataConfig(source=str(tmp_path / "b.txt")), ["label"])


def test_a_missing_column_of_a_field_names_the_option(tmp_path):
    (tmp_path / "a.csv").write_text("cause,reply\nx,y\n")
    fields = {"event": {}, "reply": {}}
    with pytest.raises(DataError, match="no column 'event' .*; --field event=COLUMN names another"):
        check_first_rows(DataConfig(source=str(tmp_path / "a.csv"), fields=fields))
    with pytest.raises(DataError, match=r"no column 'event' \(known: cause, reply\)$"):
        check_first_rows(DataConfig(source=str(tmp_path / "a.csv"), fields=fields), options=())


def test_rows_after_the_first_are_left_to_the_reader(tmp_path):
    good = '{"text": "x"}\n' * FIRST
    (tmp_path / "a.jsonl").write_text(good + "{}\n")
    check_first_rows(DataConfig(source=str(tmp_path / "a.jsonl")))


@pytest.mark.parametrize("source", [None, "owner/name"])
def test_data_that_are_no_files_are_left_to_the_reader(source):
    check_first_rows(DataConfig(source=source))
