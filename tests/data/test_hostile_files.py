"""Files of strangers: a reader raises its own error, before memory is taken."""

import gzip
import itertools
import json
import tracemalloc

import pytest

from textvae.data import formats
from textvae.data.formats.txt import iter_lines
from textvae.data.readers import DataError, read_corpus, read_labelled, read_texts
from textvae.training.run_data import entropy_of

SUFFIXES = [
    f"{suffix}{gz}"
    for format in formats.FORMATS.values()
    for suffix in format.suffixes
    for gz in (["", ".gz"] if format.compressed else [""])
]
CONTENTS = {
    "missing": None,
    "empty": b"",
    "null": b"null",
    "list": b"[1, [], null]",
    "number": b"12",
    "text": b"hello",
    "list nested deeply": b"[" * 100_000,
    "closed list nested deeply": b"[" * 100_000 + b"]" * 100_000,
    "object nested deeply": b'{"text":' * 100_000,
    "wrong types": b'[{"text": [1, {"a": null}], "label": {}}]',
    "nested cell": b'{"text": ' + b"[" * 900 + b"]" * 900 + b"}",
    "digits": b'{"text": ' + b"1" * 5000 + b"}",
    "infinite label": b'{"text": "a", "label": 1e999}',
    "surrogate": b'{"\\ud800": "a", "text": "\\ud800"}',
    "open quote": b'text,label\n"a',
    "field limit": b'text,label\n"' + b"a" * 200_000 + b'",1\n',
    "header alone": b"text\tlabel\n",
    "header of blanks": b"\t\n\t\n",
    "other bytes": b"\x80\xfe",
    "half of utf-16": b"\xff\xfea",
    "ends of parquet": b"PAR1" + b"\0" * 20 + b"PAR1",
    "bag": b"1 1:" + b"9" * 5000,
}
READABLE = {("open quote", ".tsv"), ("infinite label", ".json"), ("infinite label", ".jsonl")}
"""Contents, by suffix, that have a text; plain text has one in most of them."""


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_content_is_read_or_refused_by_name(tmp_path, suffix, content):
    (tmp_path / "vocab.txt").write_text("word\n")
    path = tmp_path / f"t{suffix}"
    raw = CONTENTS[content]
    readable = 0
    for bytes_of_file in {raw, gzip.compress(raw) if raw and suffix.endswith(".gz") else raw}:
        if bytes_of_file is not None:
            path.write_bytes(bytes_of_file)
        for read in (read_texts, read_corpus, read_labelled):
            try:
                read(str(path))
                readable += 1
            except DataError as error:
                assert str(path) in str(error) and "\n" not in str(error)
                assert "memory" not in str(error) and len(str(error)) < 1000
    plain = suffix.removesuffix(".gz")
    assert not readable or plain == ".txt" or (content, plain) in READABLE


@pytest.mark.parametrize("counts", [" ".join(["1:30000"] * 2), "1:99999 1:1", "1:2000000000"])
def test_a_bag_of_too_many_words_takes_no_memory(tmp_path, counts):
    (tmp_path / "vocab.txt").write_text("word\n")
    path = tmp_path / "t.feat"
    path.write_text(f"1 1:1\n1 {counts}\n")
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"t\.feat: line 2: counts of [\d,]+ characters"):
            read_texts(str(path))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    path.write_text("1 1:20000\n")
    assert len(read_texts(str(path))[0]) == 99_999


@pytest.mark.parametrize("name", ["t.txt", "t.txt.gz"])
def test_an_endless_line_is_not_read_to_its_end(tmp_path, name):
    raw = b"a\n" + b"b" * 5_000_000
    path = tmp_path / name
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="line 2: longer than the 1,000 bytes"):
            list(iter_lines(path, most=1000))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("read", [read_texts, read_labelled])
def test_values_of_a_parquet_dictionary_are_shared(tmp_path, read):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    long = "y" * 90_000
    columns = {"text": pyarrow.array([long] * 1000), "label": pyarrow.array([long] * 1000)}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    parquet.write_table(
        pyarrow.table({name: column.dictionary_encode() for name, column in columns.items()}),
        tmp_path / "categories.parquet",
    )
    for name in ("t.parquet", "categories.parquet"):
        tracemalloc.start()
        try:
            found = read(str(tmp_path / name))
            texts = found if isinstance(found, list) else found["train"].texts
            assert texts == [long] * 1000
            assert tracemalloc.get_traced_memory()[1] < 5_000_000  # 1,000 copies have 90 MB
        finally:
            tracemalloc.stop()


def test_parquet_values_are_those_that_were_written(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    texts = [f"text {number % 700}" for number in range(3000)]
    labels = [None if number % 7 == 0 else number % 3 for number in range(3000)]
    table = pyarrow.table({"text": texts, "label": labels})
    for options in ({}, {"use_dictionary": False}, {"row_group_size": 1000}):
        parquet.write_table(table, tmp_path / "t.parquet", **options)
        train = read_labelled(str(tmp_path / "t.parquet"), partly=True)["train"]
        assert train.texts == texts
        assert train.labels == ["" if label is None else str(label) for label in labels]


def test_long_labels_are_refused(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"text": "a", "label": "b" * 100_001}))
    with pytest.raises(DataError, match="line 1: a label of 100001 characters"):
        read_labelled(str(path))


FOREIGN = ["{}", "[]", "null", "{", "[" * 100_000, '{"name": "textvae-english"}', '{"name": {}}']


@pytest.mark.parametrize("content", [*FOREIGN, '{"entropy_nats_per_sentence": 3.5}'])
def test_a_foreign_corpus_json_is_left_alone(tmp_path, content):
    (tmp_path / "corpus.json").write_text(content)
    assert entropy_of("no run", str(tmp_path)) == {}
    (tmp_path / "train.txt").write_text("a\nb\nc\n")
    notes = read_corpus(str(tmp_path), test_fraction=0).notes
    unused = f"{tmp_path}: 1 file not used: corpus.json"
    assert (unused in notes) == ("textvae-english" not in content)


def test_the_own_corpus_json_has_the_entropy(tmp_path):
    facts = {"name": "textvae-english", "entropy_nats_per_sentence": 24.5}
    (tmp_path / "corpus.json").write_text(json.dumps(facts))
    assert entropy_of("no run", str(tmp_path)) == {"entropy": 24.5}


def test_a_parser_may_raise_anything(tmp_path, monkeypatch):
    errors = (TypeError, RecursionError, OverflowError, MemoryError, KeyError, ArithmeticError)
    (tmp_path / "t.odd").write_text("x")
    for error, rows in itertools.product(errors, (0, 2)):

        def read(path, columns, notes, rows=rows, error=error):
            for number in range(1, rows + 1):
                yield number, ("a",)
            raise error("it\nfails")

        monkeypatch.setitem(formats.FORMATS, "odd", formats.Format("odd", (".odd",), "row", read))
        with pytest.raises(DataError, match=r"t\.odd: (is no readable odd file|does not fit)"):
            read_texts(str(tmp_path / "t.odd"))
