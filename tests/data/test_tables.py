"""Tables of several fields: what is read, skipped, refused, and held out."""

import json

import pytest
from support.rows import table, write_table

from textvae.config import DataConfig
from textvae.data.errors import DataError
from textvae.data.tables import read_table_corpus, read_table_split

FIELDS = {"event": {}, "reply": {}}


def read(source, fields=FIELDS, **settings):
    return read_table_corpus(DataConfig(source=str(source), fields=fields, **settings))


def folder(path, **columns):
    for split in ("train", "valid", "test"):
        write_table(path / f"{split}.csv", columns)
    return path


def test_columns_are_read_by_field(tmp_path):
    place = folder(
        tmp_path, source=[" a b ", "c"], reply=["d", "e"], mood=["x", ""], other=["1", "2"]
    )
    fields = {"event": {"column": "source"}, "reply": {}, "mood": {"kind": "label"}}
    corpus = read(place, fields)
    assert corpus.train.columns == {"event": ["a b", "c"], "reply": ["d", "e"], "mood": ["x", ""]}
    assert corpus.texts == ["event", "reply"] and len(corpus.test) == 2
    assert corpus.notes == ["1 column not used: other"] and corpus.held_out is None


def test_rows_without_a_text_are_skipped_and_counted(tmp_path):
    place = folder(tmp_path, event=["a", "", "c", "d"], reply=["x", "y", " ", "z"])
    corpus = read(place)
    assert corpus.train.columns == {"event": ["a", "d"], "reply": ["x", "z"]}
    for field in ("event", "reply"):
        assert f"{place}/train.csv: skipped 1 blank line: no {field!r}" in corpus.notes


def test_another_column_stands_for_a_blank_text(tmp_path):
    place = folder(tmp_path, event=["a", "b"], context=["in a", ""], reply=["x", "y"])
    fields = {"event": {}, "context": {"otherwise": "event"}, "reply": {}}
    assert read(place, fields).train.columns["context"] == ["in a", "b"]


def test_json_lines_are_read_as_csv_is(tmp_path):
    rows = table(20)
    write_table(tmp_path / "rows.csv", rows)
    lines = [
        json.dumps(dict(zip(rows, row, strict=True))) for row in zip(*rows.values(), strict=True)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    fields = FIELDS | {"mood": {"kind": "label"}}
    first, second = (read(tmp_path / name, fields) for name in ("rows.csv", "rows.jsonl"))
    assert first.fingerprint() == second.fingerprint()
    assert first.test_fingerprint() == second.test_fingerprint()


def test_rows_of_one_first_field_are_in_one_split(tmp_path):
    rows = {
        "event": [f"event {n // 3}" for n in range(300)],
        "reply": [f"r {n}" for n in range(300)],
    }
    corpus = read(write_table(tmp_path / "rows.csv", rows))
    parts = [set(part.columns["event"]) for part in (corpus.train, corpus.valid, corpus.test)]
    assert all(parts) and not (parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2])
    assert sum(map(len, (corpus.train, corpus.valid, corpus.test))) == 300
    assert "rows of equal 'event' are in one split" in corpus.notes


def test_a_fingerprint_follows_every_cell_and_field(tmp_path):
    first = read(folder(tmp_path, event=["a", "b"], reply=["x", "y"]))
    sums = {first.fingerprint()}
    for column, cells in {"event": ["a", "c"], "reply": ["x", "z"]}.items():
        changed = {"event": ["a", "b"], "reply": ["x", "y"], column: cells}
        sums.add(read(folder(tmp_path, **changed)).fingerprint())
    assert len(sums) == 3


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.csv", "event,answer\na,b\n", "no column 'reply' (known: event, answer)"),
        ("a.csv", "event,reply\n,b\n", "holds no row with all of event, reply"),
        ("a.txt", "a\nb\n", "a txt file has no columns (needed: event, reply"),
        ("a.jsonl", '{"event": "a", "reply": 3}\n', "line 1: 'reply': the text must be a string"),
        ("a.csv", "event,reply\na,b\n", "one sentence cannot be split into train and valid"),
    ],
)
def test_a_table_that_cannot_be_used_costs_one_line(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as error:
        read(tmp_path / name)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_data_must_be_named():
    with pytest.raises(
        DataError, match="name the data: --data, a table with the columns event, reply"
    ):
        read_table_corpus(DataConfig(fields=FIELDS))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values, message",
    [
        ({"fields": {"two words": {}}}, "the name of a field must be a word"),
        ({"fields": {"samples": {}}}, "the name of a field must be a word"),
        ({"fields": {}}, "at least one field is needed"),
        ({"fields": {"a": {"separator": ";"}}}, "separator is for kind 'labels'"),
        ({"fields": {"a": {"values": "bits"}}}, "values is for kind 'vector'"),
        (
            {"fields": {"a": {"kind": "vector", "columns": ["x"], "column": "x"}}},
            "column and columns: give one of them",
        ),
        (
            {"fields": {"a": {"kind": "vector"}, "b": {"kind": "vector"}}},
            "name the columns of all but one of a, b",
        ),
        ({"fields": {"a": {}}, "labelled": 3}, "labelled needs label_column, or a field of labels"),
        ({"fields": {"a": {}}, "label_column": "b"}, "not with fields"),
        ({"fields": {"a": {"kind": "label", "otherwise": "b"}}}, "otherwise is for kind 'text'"),
    ],
)
def test_mistakes_in_fields_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        DataConfig(**values)


def test_a_split_is_chosen_and_named(tmp_path):
    config = DataConfig(fields=FIELDS)  # type: ignore[arg-type]
    place = folder(tmp_path, event=["a"], reply=["x"])
    assert config.fields is not None
    rows, notes = read_table_split(str(place), config.fields)
    assert rows.columns == {"event": ["a"], "reply": ["x"]} and notes == [
        f"{place}: read the test split"
    ]
    with pytest.raises(DataError, match="has no train split"):
        (place / "train.csv").unlink()
        read_table_split(str(place), config.fields, "train")
