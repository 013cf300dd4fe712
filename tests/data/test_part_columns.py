"""Tables whose rows have parts: what is read, what is refused, and the batches of them."""

import json

import numpy as np
import pytest
import torch
from support.dialogues import FIELDS, dialogues, write_dialogues

from textvae.config import DataConfig, FieldConfig, read_section
from textvae.data.batching import Sentences
from textvae.data.errors import DataError
from textvae.data.fields import Fields, Labels
from textvae.data.packed import Packed
from textvae.data.tables import read_table_corpus, read_table_split


def read(path, fields=FIELDS):
    config = DataConfig(source=str(path), fields={n: FieldConfig(**f) for n, f in fields.items()})
    return read_table_split(str(path), config.fields)[0].columns


def one(path, row, fields=FIELDS):
    return read(write_dialogues(path / "rows.jsonl", [row]), fields)


def test_keys_of_parts_are_read_by_field(tmp_path):
    row = {
        "mood": "calm",
        "turns": [{"text": " hi there ", "speaker": "a"}, {"text": "yes", "speaker": None}],
    }
    assert one(tmp_path, row) == {
        "mood": ["calm"],
        "text": [("hi there", "yes")],
        "speaker": [("a", "")],
    }


LIST = {"text": {"column": "turns", "plate": "turn"}}


def test_a_list_of_texts_needs_no_key(tmp_path):
    # The one object of a file may have a list for each column; two are rows.
    path = write_dialogues(tmp_path / "rows.jsonl", [{"turns": ["a b", "c"]}, {"turns": ["d"]}])
    assert read(path, LIST) == {"text": [("a b", "c"), ("d",)]}


def test_cells_of_csv_are_split_or_are_json(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('turns\nhow are you | fine | good\n"[""a"", ""b""]"\n')
    fields = {"text": {**LIST["text"], "separator": "|"}}
    assert read(path, fields) == {"text": [("how are you", "fine", "good"), ("a", "b")]}


def test_parts_are_joined_to_one_text(tmp_path):
    rows = [{"turns": ["a b", " c "]}, {"turns": "d"}]
    path = write_dialogues(tmp_path / "rows.jsonl", rows)
    assert read(path, {"text": {"column": "turns", "join": " / "}}) == {"text": ["a b / c", "d"]}


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ([], "'turns.text': has no part; a row needs at least one turn"),
        ("hi", "'turns.text': must be a list of parts, or a text with a 'separator'"),
        (None, "'turns.text': must be a list of parts"),
        (["hi"], "'turns.text': part 1 must be an object with the key 'text' (got str 'hi')"),
        ([{"text": "a", "speaker": "x"}, {"text": " ", "speaker": "x"}], "part 2 is blank"),
        ([{"text": 3, "speaker": "x"}], "part 1: 'turns': the text must be a string (got int '3')"),
        ([{"text": "a", "speaker": ["x"]}], "a label is text or a whole number"),
    ],
)
def test_a_row_that_has_no_such_parts_is_refused(tmp_path, turns, words):
    with pytest.raises(DataError) as error:
        one(tmp_path, {"mood": "calm", "turns": turns})
    (line,) = str(error.value).splitlines()
    assert words in line and "line 1" in line


def test_lists_of_different_lengths_are_refused(tmp_path):
    fields = {"text": {"plate": "turn"}, "speaker": {"plate": "turn", "kind": "label"}}
    with pytest.raises(DataError, match="line 1: 'text' has 2 parts and 'speaker' has 1"):
        rows = [{"text": ["a", "b"], "speaker": ["x"]}] * 2
        read(write_dialogues(tmp_path / "rows.jsonl", rows), fields)


def test_blank_lines_are_counted(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"turns": ["a"]}) + "\n\n" + json.dumps({"turns": ["b"]}) + "\n")
    fields = {"text": FieldConfig(**LIST["text"])}
    table, notes = read_table_split(str(path), fields)
    assert len(table) == 2 and any("skipped 1 blank line" in note for note in notes)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"text": {"plate": "text"}}, "text.plate: must be a word that is no field"),
        ({"text": {"plate": "a b"}}, "text.plate: must be a word"),
        ({"text": {"separator": "|"}}, "separator is for kind 'labels' and for a field"),
        ({"text": {"plate": "turn", "join": " "}}, "join is for a field without a plate"),
        ({"text": {"plate": "turn", "ends": "x"}}, "ends is for kind 'label'"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(fields, words):
    problems = read_section(DataConfig, {"fields": fields}, "data")[1]
    assert len(problems) == 1 and words in problems[0]


def test_parts_count_in_the_fingerprint(tmp_path):
    rows = [{"turns": ["a", "b"]}, {"turns": ["c"]}, {"turns": ["d"]}]
    other = [{"turns": ["a"]}, {"turns": ["b", "c"]}, {"turns": ["d"]}]
    prints = []
    for number, each in enumerate((rows, other)):
        folder = tmp_path / str(number)
        folder.mkdir()
        for split in ("train", "valid", "test"):
            write_dialogues(folder / f"{split}.jsonl", each)
        config = DataConfig(source=str(folder), fields={"text": FieldConfig(**LIST["text"])})
        prints.append(read_table_corpus(config).fingerprint())
    assert prints[0] != prints[1]


def test_dialogues_are_held_out_whole(tmp_path):
    path = write_dialogues(tmp_path / "rows.jsonl", dialogues(60))
    fields = {"text": FieldConfig(**FIELDS["text"])}
    corpus = read_table_corpus(DataConfig(source=str(path), fields=fields))
    train, valid = (set(each.columns["text"]) for each in (corpus.train, corpus.valid))
    assert valid and not train & valid


def packed() -> Fields:
    texts = Sentences(np.array([1, 5, 2, 1, 2, 1, 6, 7, 2], np.int32), np.array([0, 3, 5, 9]), 0)
    labels = Labels(np.array([0, 1, -1]), 2)
    cells = [[0, 0], [0]]
    return Fields(
        {
            "text": Packed.of(texts, cells, "turn"),
            "speaker": Packed.of(labels, cells, "turn"),
            "mood": Labels(np.array([1, 0]), 2),
        }
    )


def test_a_batch_has_all_parts_and_their_counts():
    rows = packed()
    expected = {
        "text": [[1, 5, 2, 0], [1, 2, 0, 0], [1, 6, 7, 2]],
        "speaker": [0, 1, -1],
        "mood": [1, 0],
        "turn": [2, 1],
    }
    for batch in (
        rows.batch([0, 1]),
        rows.collate([rows[0], rows[1]]),
        rows.drawn(rows.batch([0, 1])),
    ):
        assert {name: value.tolist() for name, value in batch.items()} == expected
    assert rows.batch(np.array([1]))["text"].tolist() == [[1, 6, 7, 2]]


def test_rows_of_parts_are_selected_and_measured():
    rows = packed()
    assert rows.lengths.tolist() == [5, 4] and rows.longest.tolist() == [3, 4]
    turned = rows.select(np.array([1, 0]))
    assert turned.batch([0, 1])["speaker"].tolist() == [-1, 0, 1]
    assert turned.lengths.tolist() == [4, 5]


def test_facts_name_the_plate_and_count_its_parts():
    assert packed().facts == {
        "text": {"plate": "turn"},
        "speaker": {"classes": 2, "plate": "turn"},
        "mood": {"classes": 2},
        "turn": {"counts": {"1": 1, "2": 1}},
    }
    assert packed().batch([0])["turn"].dtype == torch.int64
