"""Vectors in tables: their columns, their values, what is missing, how they are standardised."""

import json

import numpy as np
import pytest
from support.rows import write_table

from textvae.config import DataConfig
from textvae.data.cells import number_of, vector_of
from textvae.data.errors import DataError
from textvae.data.field_kinds import column_of_facts, learned_facts
from textvae.data.fields import as_in_table
from textvae.data.tables import read_table_corpus, read_table_split

X = {"x": {"kind": "vector"}}
COLUMNS = {
    "id": ["a1", "a2", "a3", "a4"],
    "height": ["1.5", "2", "-3e2", "0"],
    "n": ["1", "0", "2", "7"],
    "city": ["x", "y", "x", "y"],
}


def folder(path, columns=COLUMNS):
    for split in ("train", "valid", "test"):
        write_table(path / f"{split}.csv", columns)
    return path


def read(source, fields=X, **settings):
    return read_table_corpus(DataConfig(source=str(source), fields=fields, **settings))


@pytest.mark.parametrize(
    ("cell", "number"),
    [("1", 1.0), (" -2.5e1 ", -25.0), (3, 3.0), (True, 1.0)],
)
def test_a_cell_is_a_number_or_missing(cell, number):
    assert number_of(cell, "row 1") == number


@pytest.mark.parametrize("cell", ["", "NA", "nan", None, float("nan"), "?"])
def test_some_cells_are_missing_numbers(cell):
    assert number_of(cell, "row 1") is None


@pytest.mark.parametrize("cell", ["one", "1,5", "1_000", "inf", [1], 10**400])
def test_another_cell_is_refused_with_its_place(cell):
    with pytest.raises(DataError, match="^row 1 must be a finite number"):
        number_of(cell, "row 1")


@pytest.mark.parametrize(
    ("values", "cell", "allowed"),
    [("bits", "2", "0 or 1"), ("counts", "-1", "from 0 on"), ("counts", "1.5", "whole number")],
)
def test_values_of_another_kind_are_refused(values, cell, allowed):
    with pytest.raises(DataError, match=rf"line 3: 'b' must be .*{allowed}"):
        vector_of(["1", cell], ["a", "b"], "t.csv: line 3", values)


def test_all_columns_of_numbers_that_no_other_field_reads_are_taken(tmp_path):
    corpus = read(folder(tmp_path), X | {"city": {"kind": "label"}})
    assert corpus.fields["x"].columns == ["height", "n"]
    assert [list(cell) for cell in corpus.train.columns["x"]] == [
        [1.5, 1],
        [2, 0],
        [-300, 2],
        [0, 7],
    ]
    assert "x: the 2 columns of numbers height, n" in corpus.notes
    assert "1 column not used: id" in corpus.notes


def test_named_columns_keep_their_order(tmp_path):
    corpus = read(folder(tmp_path), {"x": {"kind": "vector", "columns": ["n", "height"]}})
    assert list(corpus.train.columns["x"][0]) == [1.0, 1.5]


def test_rows_without_a_number_are_skipped_and_counted(tmp_path):
    columns = COLUMNS | {"n": ["1", "", "NA", "7"]}
    corpus = read(folder(tmp_path, columns))
    assert [list(cell) for cell in corpus.train.columns["x"]] == [[1.5, 1], [0, 7]]
    assert f"{tmp_path}/train.csv: skipped 2 lines: a number of 'x' is missing" in corpus.notes


def test_a_table_without_numbers_is_refused(tmp_path):
    with pytest.raises(DataError, match="x: no column of numbers is left"):
        read(folder(tmp_path, {"id": ["a", "b"], "city": ["x", "y"]}))


def test_lists_npz_and_csv_have_the_same_rows(tmp_path):
    rows = np.random.default_rng(0).random((40, 3)).round(3)
    labels = np.eye(4, dtype=np.int8)[np.arange(40) % 4]
    labels[3] = 0
    names = ["a", "b", "c", "d"]
    np.savez(tmp_path / "t.npz", x_train=rows, tags_train=labels, tag_names=names, other=rows)
    sets = [[names[i] for i in np.flatnonzero(row)] for row in labels]
    lines = [json.dumps({"x": x, "tags": s}) for x, s in zip(rows.tolist(), sets, strict=True)]
    (tmp_path / "t.jsonl").write_text("\n".join(lines) + "\n")
    columns = {f"c{i}": rows[:, i].tolist() for i in range(3)}
    write_table(tmp_path / "t.csv", columns | {"tags": [json.dumps(each) for each in sets]})
    fields = X | {"tags": {"kind": "labels"}}
    found = [read(tmp_path / name, fields) for name in ("t.npz", "t.jsonl", "t.csv")]
    assert len({corpus.fingerprint() for corpus in found}) == 1
    assert f"{tmp_path}/t.npz: arrays left out: other" in found[0].notes


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y_train": np.zeros((3, 2))}, "no array x_train"),
        ({"x_train": np.zeros(3)}, r"must be \(N, D\) of numbers"),
        ({"x_train": np.full((3, 2), 0.5)}, "row 1, column 1: must be 0 or 1"),
        ({"x_train": np.full((3, 2), np.nan)}, "holds no row"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "t.npz", {"x": {"kind": "vector", "values": "bits"}})


def test_rows_of_different_sizes_are_refused(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"x": [1, 2]}\n{"x": [1, 2, 3]}\n')
    with pytest.raises(DataError, match="'x' has rows of 2 and of 3 numbers"):
        read(tmp_path / "t.jsonl")


def test_real_numbers_are_standardised_by_the_training_rows_and_back(tmp_path):
    corpus = read(folder(tmp_path, {"a": ["1", "3", "5", "7"], "b": ["2"] * 4}))
    cells = corpus.train.columns["x"]
    facts = learned_facts(corpus.fields["x"], cells, "x")
    assert facts["columns"] == ["a", "b"] and facts["centre"] == [4.0, 2.0]
    assert facts["scale"] == [pytest.approx(5**0.5), 1.0]  # b never varies
    column = column_of_facts(facts, cells, "x")
    assert column.values.dtype == np.float32 and abs(column.values[:, 0].std() - 1) < 1e-6
    np.testing.assert_allclose(as_in_table(column.values, facts), np.array(cells), atol=1e-5)
    json.dumps(facts)


def test_counts_and_bits_stay_as_they_are():
    fields = DataConfig(fields={"x": {"kind": "vector", "values": "counts"}}).fields
    facts = learned_facts(fields["x"], [[3.0, 0.0]], "x")
    assert facts == {"shape": [2], "values": "counts"}
    assert as_in_table(np.array([[3.0, 0.0]]), facts).tolist() == [[3, 0]]


def test_one_split_of_a_folder_is_read(tmp_path):
    table, notes = read_table_split(str(folder(tmp_path)), {"x": DataConfig(fields=X).fields["x"]})
    assert len(table) == 4 and f"{tmp_path}: read the test split" in notes


def test_a_column_that_is_nearly_one_of_numbers_is_said(tmp_path):
    place = folder(tmp_path, COLUMNS | {"weight": ["1", "2", "inf", "4"]})
    notes = read(place).notes
    assert "x: the 2 columns of numbers height, n" in notes
    (said,) = [note for note in notes if "'weight'" in note]
    assert "line 4: 'weight' must be a finite number (got str 'inf')" in said
    assert not any("'city'" in note for note in notes)
