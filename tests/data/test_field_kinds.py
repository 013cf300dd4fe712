"""Sets of labels in tables: what a cell may be, which names there are, and what is missing."""

import json

import pytest
from support.rows import write_table

from textvae.config import DataConfig
from textvae.data.cells import label_set_of
from textvae.data.errors import DataError
from textvae.data.field_kinds import column_of_facts, learned_facts
from textvae.data.tables import read_table_corpus

FIELDS = {"text": {}, "tags": {"kind": "labels"}}


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("a, b", ("a", "b")),
        ("a,b,a,", ("a", "b")),
        (" one ", ("one",)),
        ('["x, y", "z"]', ("x, y", "z")),
        ("['x', 'y']", ("x", "y")),
        ("[]", ()),
        ([], ()),
        (["a", 2, True, None], ("a", "2", "True")),
        (3, ("3",)),
        ("", None),
        ("  ", None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_a_cell_is_a_list_a_text_or_missing(cell, labels):
    assert label_set_of(cell, "row 1", ",") == labels


@pytest.mark.parametrize("cell", ["[a", "[1,", {"a": 1}, [["a"]], [1.5]])
def test_another_cell_is_refused_with_its_place(cell):
    with pytest.raises(DataError, match=r"^row 7: "):
        label_set_of(cell, "row 7", ",")


def folder(path, tags, test=None):
    for split in ("train", "valid", "test"):
        cells = test if test is not None and split == "test" else tags
        write_table(path / f"{split}.csv", {"text": ["a"] * len(cells), "tags": cells})
    return DataConfig(source=str(path), fields=FIELDS)


def test_sets_are_read_named_by_the_training_rows_and_counted(tmp_path):
    corpus = read_table_corpus(folder(tmp_path, ["b10, a", "", "[]", "b9"]))
    cells = corpus.train.columns["tags"]
    assert cells == [("b10", "a"), None, (), ("b9",)]
    facts = learned_facts(corpus.fields["tags"], cells, "tags")
    assert facts == {"label_set": 3, "names": ["a", "b9", "b10"]}
    column = column_of_facts(facts, cells, "tags")
    assert column.values.tolist() == [[1, 0, 1], [-1, -1, -1], [0, 0, 0], [0, 1, 0]]
    assert column.facts == facts
    batch = column.stack([column[0], column[2]])
    assert batch.dtype.is_floating_point and batch.tolist() == [[1, 0, 1], [0, 0, 0]]


def test_a_separator_is_the_fields_own(tmp_path):
    path = write_table(tmp_path / "t.csv", {"text": list("abcd"), "tags": ["x, y;z"] * 4})
    fields = FIELDS | {"tags": {"kind": "labels", "separator": ";"}}
    corpus = read_table_corpus(DataConfig(source=str(path), fields=fields))
    assert set(corpus.train.columns["tags"]) == {("x, y", "z")}


def test_json_lists_are_read_as_csv_is(tmp_path):
    tags = [["a", "b"], [], None, ["c"]]
    lines = [json.dumps({"text": "t", "tags": each}) for each in tags]
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    corpus = read_table_corpus(DataConfig(source=str(tmp_path), fields=FIELDS))
    assert corpus.train.columns["tags"] == [("a", "b"), (), None, ("c",)]


def test_an_unknown_label_is_refused_with_field_and_row():
    facts = {"label_set": 2, "names": ["date", "time"]}
    with pytest.raises(DataError, match=r"^tags: row 2: unknown label 'tyme' \(did you mean 'time"):
        column_of_facts(facts, [("date",), ("tyme",)], "tags")


def test_sets_that_are_all_empty_are_refused():
    field = DataConfig(fields=FIELDS).fields["tags"]
    with pytest.raises(DataError, match="tags: no training row has a label"):
        learned_facts(field, [(), None], "tags")


def test_the_fingerprint_follows_every_label(tmp_path):
    found = {
        read_table_corpus(folder(tmp_path, tags)).fingerprint()
        for tags in (["a, b", "c"], ["a", "b, c"], ["a, b", ""], ["a, b", "[]"])
    }
    assert len(found) == 4
