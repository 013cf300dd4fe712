"""What readers saw and did not use is an error or a note: columns, rows, files, splits, keys."""

import gzip
import json
from pathlib import Path

import pytest

from textvae.data.readers import DataError, read_corpus, read_labelled, read_split, read_texts

REVIEWS = (
    "text\tlabel\n"
    '"wonderful film , said the critic .\t1\n'
    "a dull evening at the cinema .\t0\n"
    'the cast is fine , said the other"\t1\n'
)


def write(path: Path, content: str | bytes) -> str:
    raw = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(raw) if path.name.endswith(".gz") else raw)
    return str(path)


def parquet_bytes(columns: dict | object) -> bytes:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table(columns) if isinstance(columns, dict) else columns
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)
    return sink.getvalue().to_pybytes()


# Tab-separated files have no quoting.


@pytest.mark.parametrize("name", ["t.tsv", "t.tsv.gz"])
def test_quotation_marks_in_tsv_are_characters(tmp_path, name):
    path = write(tmp_path / name, REVIEWS)
    texts = [line.split("\t")[0] for line in REVIEWS.splitlines()[1:]]
    assert read_texts(path) == texts
    assert read_labelled(path)["train"] == (texts, ["1", "0", "1"])


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('"wonderful" is the word', '"wonderful" is the word'),
        ('the word is "wonderful"', 'the word is "wonderful"'),
        ('"a" and "b"', '"a" and "b"'),
        ('"', '"'),
        ('5" and 6" pipes', '5" and 6" pipes'),
        ('"quoted whole"', "quoted whole"),
        ('"a ""quoted"" word"', 'a "quoted" word'),
        ('"with a\ttab"', "with a\ttab"),
    ],
)
def test_only_whole_cells_of_tsv_are_unquoted(tmp_path, cell, text):
    path = write(tmp_path / "t.tsv", f"text\tlabel\r\n{cell}\t1\r\nplain\t0\r\n")
    assert read_labelled(path)["train"] == ([text, "plain"], ["1", "0"])


def test_labels_in_a_table_beside_the_texts_have_no_quoting(tmp_path):
    write(tmp_path / "train.txt", "x\ny\nz\n")
    write(tmp_path / "train.labels.tsv", 'label\n"open\nb\nclose"\n')
    assert read_labelled(str(tmp_path))["train"].labels == ['"open', "b", 'close"']


def test_line_end_in_a_quoted_cell_of_tsv_is_refused(tmp_path):
    with pytest.raises(DataError, match="line 2: 1 cells where the header has 2"):
        read_texts(write(tmp_path / "t.tsv", 'text\tlabel\n"a\nb"\t1\n'))


# Names that stand twice.


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "text,text,label\na,b,1\n"),
        ("t.tsv", "label\ttext\ttext\n1\ta\tb\n"),
        ("t.jsonl", '{"text": "a", "label": 1, "text": "b"}\n'),
        ("t.json", '[{"text": "a"},\n {"text": "b", "text": "c"}]'),
        ("t.json", '{"data": [{"text": "a"}], "data": [{"text": "b"}]}'),
    ],
)
def test_a_text_column_that_stands_twice_is_refused(tmp_path, name, content):
    with pytest.raises(DataError, match="stands twice"):
        read_texts(write(tmp_path / name, content))


def test_a_parquet_column_that_stands_twice_is_refused(tmp_path):
    import pyarrow

    table = pyarrow.table([["a"], ["b"], ["1"]], names=["text", "text", "label"])
    path = write(tmp_path / "t.parquet", parquet_bytes(table))
    with pytest.raises(DataError, match="'text' stands twice"):
        read_texts(path)
    with pytest.raises(DataError, match="'text' stands twice"):
        read_labelled(path)


def test_a_label_column_that_stands_twice_is_refused(tmp_path):
    path = write(tmp_path / "t.csv", "text,label,label\na,1,2\n")
    with pytest.raises(DataError, match="'label' stands twice"):
        read_labelled(path)
    texts, notes = read_split(path)
    assert (texts, notes) == (["a"], ["2 columns not used: label, label"])


def test_many_keys_are_compared_in_linear_time(tmp_path):
    keys = {f"k{number}": number for number in range(20_000)} | {"text": "a"}
    body = json.dumps(keys)
    assert read_texts(write(tmp_path / "t.jsonl", body)) == ["a"]
    with pytest.raises(DataError, match="the key 'k0' stands twice"):
        read_texts(write(tmp_path / "t.jsonl", body[:-1] + ', "k0": 1}'))


# Layouts and encodings.

ENTRIES = [{"text": "a", "label": "1"}, {"text": "b", "label": "2"}]
LAYOUTS = {
    "blank line first": "\n \n" + json.dumps(ENTRIES),
    "indented list": json.dumps(ENTRIES, indent=2),
    "objects one after the other": "".join(map(json.dumps, ENTRIES)),
    "indented objects": "\n".join(json.dumps(entry, indent=2) for entry in ENTRIES),
    "two lists": "\n".join(json.dumps([entry]) for entry in ENTRIES),
    "list under a key": json.dumps({"version": 1, "data": ENTRIES}),
    "indented list under a key": "\n" + json.dumps({"data": ENTRIES, "tags": []}, indent=1),
    "columns": json.dumps({"text": ["a", "b"], "label": ["1", "2"]}),
}


@pytest.mark.parametrize("name", ["t.json", "t.jsonl", "t.json.gz"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_json_is_read(tmp_path, layout, name):
    path = write(tmp_path / name, LAYOUTS[layout])
    assert read_texts(path) == ["a", "b"]
    assert read_labelled(path)["train"] == (["a", "b"], ["1", "2"])


def test_the_key_of_the_list_that_is_read_is_named(tmp_path):
    path = write(tmp_path / "t.json", LAYOUTS["list under a key"])
    assert read_split(path).notes == [
        f"{path}: read the list under the key data",
        "1 column not used: version",
        "1 column not used: label",
    ]
    several = json.dumps({"train": ENTRIES, "test": ENTRIES})
    with pytest.raises(DataError, match=r"several lists of objects \(train, test\)"):
        read_texts(write(tmp_path / "t.json", several))
    uneven = json.dumps({"text": ["a", "b"], "label": ["1"]})
    with pytest.raises(DataError, match=r"different lengths under text, label \(2, 1\)"):
        read_labelled(write(tmp_path / "t.json", uneven))


def test_object_with_a_list_among_others_is_an_entry(tmp_path):
    lines = '{"text": "a", "tags": ["x"]}\n\n{"text": "b", "tags": []}\n'
    texts, notes = read_split(write(tmp_path / "t.jsonl", lines))
    assert texts == ["a", "b"]
    assert notes[0] == "1 column not used: tags" and "skipped 1 blank line" in notes[1]
    tokens = '{"text": ["a", "b"]}\n{"text": ["c"]}\n'
    with pytest.raises(DataError, match="line 1: the text must be a string .got list"):
        read_texts(write(tmp_path / "t.jsonl", tokens))


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("t.txt", "a\n", "b\nc\n"),
        ("t.csv", "text\na\n", "b\nc\n"),
        ("t.jsonl", '{"text": "a"}\n', '{"text": "b"}\n{"text": "c"}\n'),
        ("t.json", '[{"text": "a"}]\n', '[{"text": "b"}, {"text": "c"}]\n'),
    ],
)
def test_byte_order_marks_of_joined_files_are_dropped_and_noted(tmp_path, name, first, second):
    path = write(tmp_path / name, "\ufeff\ufeff" + first + "\ufeff" + second)
    texts, (note,) = read_split(path)
    assert texts == ["a", "b", "c"]
    assert note == f"{path}: byte order marks of joined files: 1 dropped at the beginning of lines"
    assert read_split(write(tmp_path / name, "\ufeff" + first)).notes == []


def test_a_byte_order_mark_inside_a_line_is_noted(tmp_path):
    path = write(tmp_path / "t.txt", "a\ufeffb\nc\n")
    texts, (note,) = read_split(path)
    assert texts == ["a\ufeffb", "c"] and "1 lines with one inside; is a line end missing?" in note


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.txt", "a\r\nб\u2028😀\n"),
        ("t.csv", 'text\r\na\r\n"б\u2028😀"\r\n'),
        ("t.tsv.gz", "text\na\nб\u2028😀\n"),
        ("t.json", '[{"text": "a"},\n{"text": "б\u2028😀"}]'),
        ("t.jsonl", '{"text": "a"}\n{"text": "б\u2028😀"}\n'),
    ],
)
def test_utf_16_with_its_mark_is_read(tmp_path, name, content, encoding):
    mark = "" if encoding == "utf-16" else "\ufeff"
    assert read_texts(write(tmp_path / name, (mark + content).encode(encoding))) == [
        "a",
        "б\u2028😀",
    ]


# Cells without a text.


def table_of(name: str, cells: list[tuple]) -> bytes:
    """Texts and labels in a format; None is null, where the format has it, or blank."""
    if name == "t.csv":
        rows = (",".join("" if cell is None else cell for cell in row) for row in cells)
        return "\n".join(["text,label", *rows]).encode()
    columns = dict(zip(("text", "label"), map(list, zip(*cells, strict=True)), strict=True))
    if name == "t.parquet":
        return parquet_bytes(columns)
    return "\n".join(json.dumps({"text": text, "label": label}) for text, label in cells).encode()


@pytest.mark.parametrize("missing", [None, "", " "])
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_null_and_blank_texts_are_skipped_and_counted_alike(tmp_path, name, missing):
    cells = [("a", "1"), (missing, missing), (missing, "2"), ("b", "3")]
    path = write(tmp_path / name, table_of(name, cells))
    texts, notes = read_split(path)
    assert texts == ["a", "b"] and f"{path}: skipped 2 blank " in notes[1]
    for partly in (False, True):
        notes = []
        assert read_labelled(path, partly=partly, notes=notes) == {"train": (texts, ["1", "3"])}
        (note,) = notes
        assert note.startswith(f"{path}: skipped 2 blank ")


@pytest.mark.parametrize("missing", [None, "", " "])
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_null_and_blank_labels_are_missing_alike(tmp_path, name, missing):
    path = write(tmp_path / name, table_of(name, [("a", "1"), ("b", missing)]))
    assert read_labelled(path, partly=True)["train"] == (["a", "b"], ["1", ""])
    with pytest.raises(DataError, match=r"(line 3|line 2|row 2): the label is missing"):
        read_labelled(path)


def test_nan_is_a_blank_text(tmp_path):
    path = write(tmp_path / "t.jsonl", '{"text": "a"}\n{"text": NaN}\n')
    assert read_split(path) == (["a"], [f"{path}: skipped 1 blank line"])
    path = write(tmp_path / "t.parquet", parquet_bytes({"text": [None, None]}))
    with pytest.raises(DataError, match=r"holds no text \(2 blank rows\)"):
        read_texts(path)


# Columns, files and folders.


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.json", "t.parquet"])
def test_columns_that_are_not_used_are_named_once(tmp_path, name):
    columns = {"id": ["1", "2"], "text": ["a", "b"], "": ["x", "y"]}
    rows = list(zip(*columns.values(), strict=True))
    if name == "t.parquet":
        content = parquet_bytes(columns)
    elif "json" in name:
        content = "\n".join(json.dumps(dict(zip(columns, row, strict=True))) for row in rows)
    else:
        mark = "," if name == "t.csv" else "\t"
        content = "\n".join(mark.join(row) for row in [list(columns), *rows])
    for split in ("train", "valid"):
        write(tmp_path / name.replace("t.", f"{split}."), content)
    notes = read_corpus(str(tmp_path), test_fraction=0).notes
    assert notes == ["2 columns not used: id, ''"]
    labelled = read_corpus(str(tmp_path), test_fraction=0, label_column="id").notes
    assert labelled == ["1 column not used: ''"]


def test_files_and_folders_that_are_not_used_are_named(tmp_path):
    for name in ("train.txt", "dev.txt", "pos.txt", "neg.txt", "README.md", ".hidden", "x.bin"):
        write(tmp_path / name, f"{name}\n")
    write(tmp_path / "test" / "pos" / "1.txt", "a")
    expected = [
        f"{tmp_path}: 3 files not used: neg.txt, pos.txt, x.bin",
        f"{tmp_path}: 1 folder not used: test",
    ]
    assert read_corpus(str(tmp_path), test_fraction=0).notes == expected
    assert read_split(str(tmp_path)).notes[1:] == expected


def test_folders_without_a_file_of_texts_are_named(tmp_path):
    write(tmp_path / "train" / "pos" / "1.txt", "a")
    with pytest.raises(DataError, match="folders, which are not read: train"):
        read_corpus(str(tmp_path))


def test_companions_that_are_read_are_not_named(tmp_path):
    write(tmp_path / "train.txt", "x\ny\n")
    write(tmp_path / "train.labels.tsv", "label\n1\n2\n")
    write(tmp_path / "valid.feat", "1 1:1\n")
    write(tmp_path / "vocab.txt", "word\n")
    notes: list[str] = []
    read_labelled(str(tmp_path), notes=notes)
    assert notes == []
    assert read_corpus(str(tmp_path), test_fraction=0).notes == [
        f"{tmp_path}: 1 file not used: train.labels.tsv",
        "1 column not used: label",
    ]


@pytest.mark.parametrize(
    "pointer",
    [
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "/annex/objects/MD5E-s32--d41d.txt\n",
    ],
)
@pytest.mark.parametrize("name", ["train.txt", "t.csv", "t.txt.gz", "t.parquet", "vocab.txt"])
def test_pointers_to_large_files_are_refused(tmp_path, name, pointer):
    (tmp_path / "t.feat").write_text("1 1:1\n")
    (tmp_path / name).write_text(pointer)
    source = str(tmp_path / ("t.feat" if name == "vocab.txt" else name))
    with pytest.raises(DataError, match=rf"{name}: is a pointer of Git LFS|git-annex"):
        read_texts(source)


def test_splits_of_the_hub_that_are_not_used_are_named(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict({"text": ["a", "b", None], "id": [1, 2, 3]})
    splits = datasets.DatasetDict({"train": rows, "unsupervised": rows, "dev": rows, "val": rows})
    monkeypatch.setattr(datasets, "load_dataset", lambda name, config=None: splits)
    monkeypatch.chdir(tmp_path)
    corpus = read_corpus("owner/name", test_fraction=0)
    assert list(corpus.train) == ["a", "b"] and corpus.valid == ["a", "b"]
    assert corpus.notes == [
        "owner/name: 2 splits not used: unsupervised, dev",
        "1 column not used: id",
        "owner/name: train: skipped 1 blank row",
        "owner/name: val: skipped 1 blank row",
    ]
