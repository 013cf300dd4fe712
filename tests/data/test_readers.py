"""Readers: the texts of each format, the files of each split, errors of one line."""

import gzip
import json
import os
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest

from textvae.data import formats
from textvae.data.readers import DataError, read_corpus, read_labelled, read_split, read_texts

TEXTS = ["one", "NA", "null", "two, three", 'a "quoted" word', "line\u2028sep\x0cform", "é😀"]


def write(path, content):
    """Write text or bytes, gzipped where the name says so."""
    raw = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(raw) if path.name.endswith(".gz") else raw)
    return str(path)


def splits_of(corpus):
    return list(corpus.train), corpus.valid, corpus.test


def lines_of(texts, labels):
    return "\n".join(texts)


def csv_of(texts, labels, delimiter=","):
    cells = ('"' + text.replace('"', '""') + '"' for text in texts)
    rows = [f"{label}{delimiter}{cell}" for label, cell in zip(labels, cells, strict=True)]
    return "\n".join([f"label{delimiter}text", *rows])


def objects_of(texts, labels):
    return [{"label": label, "text": text} for text, label in zip(texts, labels, strict=True)]


def json_lines_of(texts, labels, **options):
    return "\n".join(json.dumps(entry, **options) for entry in objects_of(texts, labels))


def parquet_of(columns):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns), sink)
    return sink.getvalue().to_pybytes()


def bags_of(texts, labels):
    bags = ([f"{VOCABULARY.index(word) + 1}:1" for word in text.split()] for text in texts)
    return "\n".join(" ".join([label, *bag]) for label, bag in zip(labels, bags, strict=True))


VOCABULARY = sorted({word for text in [*TEXTS, "a", "b", "c"] for word in text.split()})
"""The words of bags of words, which have no other spaces than one between words."""


class Case(NamedTuple):
    """A file in a format: its name, and its content for texts and their labels."""

    format: str
    file: str
    content: Callable


FORMATS = [
    Case("txt", "t.txt", lines_of),
    Case("csv", "t.csv", csv_of),
    Case("tsv", "t.tsv", partial(csv_of, delimiter="\t")),
    Case("jsonl", "t.jsonl", lambda t, y: json_lines_of(t, y) + "\n"),
    Case("json", "t.json", lambda t, y: json.dumps(objects_of(t, y), indent=1)),
    Case("json", "lines.json", partial(json_lines_of, ensure_ascii=False)),
    Case("parquet", "t.parquet", lambda t, y: parquet_of({"label": y, "text": t})),
    Case("feat", "t.feat", bags_of),
]
CASES = [
    *FORMATS,
    *(
        case._replace(file=case.file + ".gz")
        for case in FORMATS
        if formats.FORMATS[case.format].compressed
    ),
    FORMATS[0]._replace(file="T.TXT"),
]


def each_case(holds=lambda case: True):
    """Runs a test with each file for which a condition holds."""
    cases = [case for case in CASES if holds(case)]
    return pytest.mark.parametrize("case", cases, ids=[case.file for case in cases])


def has_labels(case):
    return formats.FORMATS[case.format].labelled


def content_of(suffix, texts, labels=None):
    """The content of a file with this suffix; without labels each is 7."""
    case = next(case for case in FORMATS if case.file == f"t.{suffix}")
    return case.content(texts, labels or ["7"] * len(texts))


@pytest.fixture
def write_case(tmp_path):
    """Writes a file of a case, and the words of bags next to it."""

    def write_file(case, texts, labels=None, change=lambda content: content):
        write(tmp_path / "vocab.txt", "\n".join(VOCABULARY))
        content = case.content(texts, labels or ["7"] * len(texts))
        return write(tmp_path / case.file, change(content))

    return write_file


def as_read(case, texts):
    """The texts that a reader gives: bags keep words and no spaces."""
    return [" ".join(text.split()) for text in texts] if case.format == "feat" else texts


def test_every_registered_format_has_a_row():
    assert {case.format for case in FORMATS} == set(formats.FORMATS)


def test_a_suffix_belongs_to_one_format():
    with pytest.raises(TypeError, match="another format has one of"):
        formats.register(formats.Format("other", (".csv",), "line", read=read_texts))
    assert "other" not in formats.FORMATS


@each_case()
def test_every_format_gives_the_same_texts(write_case, case):
    assert read_texts(write_case(case, TEXTS)) == as_read(case, TEXTS)


@each_case()
def test_blank_texts_are_skipped_and_counted(write_case, case):
    path = write_case(case, ["", " a \t", "  ", "\u00a0b\u00a0"])
    texts, notes = read_split(path)
    assert texts == ["a", "b"]
    *columns, note = notes
    assert note.startswith(f"{path}: skipped 2 blank ")
    assert columns == ["1 column not used: label"] * has_labels(case)


@each_case(lambda case: case.format != "parquet")
def test_bom_and_windows_line_ends_are_dropped(write_case, case):
    path = write_case(
        case, TEXTS, change=lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
    )
    assert read_texts(path) == as_read(case, TEXTS)


@each_case(has_labels)
def test_every_labelled_format_pairs_labels_with_texts(write_case, case):
    rows = [("two, three", "b"), ("one", "a"), ("one", "b")]
    splits = read_labelled(write_case(case, *zip(*rows, strict=True)))
    assert list(splits) == ["train"]
    assert list(zip(*splits["train"], strict=True)) == rows


@each_case(lambda case: not has_labels(case))
def test_format_without_labels_is_refused(write_case, case):
    with pytest.raises(DataError, match="holds no labels"):
        read_labelled(write_case(case, ["a"]))


def test_notes_of_a_reader_reach_the_user_once(tmp_path, monkeypatch):
    def read_with_note(path, columns, notes):
        for number in range(1, 4):
            yield number, (f"x{number}",) * len(columns)
        notes.append("a note")

    form = formats.Format("noted", (".noted",), "row", read_with_note)
    monkeypatch.setitem(formats.FORMATS, form.name, form)
    path = write(tmp_path / "t.noted", "")
    assert read_split(path).notes == ["a note"]
    for label_column in (None, "label"):
        assert read_corpus(path, label_column=label_column).notes[:-1] == ["a note"]


def test_another_column_can_be_the_text(tmp_path):
    assert read_texts(write(tmp_path / "t.csv", "a,text\nx,y\n"), text_column="a") == ["x"]


def test_quoted_csv_keeps_inner_line_ends_and_counts_lines(tmp_path):
    path = write(tmp_path / "t.csv", 'text\n"a\nb"\nc\n')
    assert read_texts(path) == ["a\nb", "c"]
    path = write(tmp_path / "t.csv", 'text,n\n"a\nb",1\nc\n')
    with pytest.raises(DataError, match=r"line 4: 1 cells where the header has 2"):
        read_texts(path)


@pytest.mark.parametrize(
    ("train", "valid", "test"),
    [
        ("train.txt", "valid.txt", "test.txt"),
        ("ptb.train.txt.gz", "ptb.valid.txt", "ptb.test.txt"),
        ("news-train.csv", "news-dev.jsonl", "news_test.tsv.gz"),
        ("Train.TXT", "val.txt", "TEST.txt"),
        ("training.txt", "validation.txt", "test.txt"),
        ("train-00000-of-00001.parquet", "validation-00000-of-00001.parquet", "test.txt"),
    ],
)
def test_folder_is_read_by_split(tmp_path, train, valid, test):
    for name, text in ((train, "a"), (valid, "b"), (test, "c")):
        kind = name.lower().removesuffix(".gz").split(".")[-1]
        write(tmp_path / name, content_of(kind, [text]))
    write(tmp_path / "train.labels.tsv", "label\n1\n")
    write(tmp_path / ".train.txt.swp", "swap")
    write(tmp_path / "SOURCE.md", "source")
    (tmp_path / "train").mkdir()
    corpus = read_corpus(str(tmp_path))
    assert splits_of(corpus) == (["a"], ["b"], ["c"])
    assert corpus.source == str(tmp_path)
    assert [note for note in corpus.notes if "column" not in note] == [
        f"{tmp_path}: 1 file not used: train.labels.tsv",
        f"{tmp_path}: 1 folder not used: train",
    ]
    for split, text in (("train", "a"), ("valid", "b"), ("test", "c")):
        assert read_texts(str(tmp_path), split=split) == [text]


@pytest.mark.parametrize(
    ("splits", "chosen"),
    [(("train", "valid", "test"), "test"), (("train", "valid"), "valid"), (("train",), "train")],
)
def test_default_split_is_the_last_there_is_and_is_named(tmp_path, splits, chosen):
    for split in splits:
        write(tmp_path / f"{split}.txt", f"{split}\n\n")
    texts, notes = read_split(str(tmp_path))
    assert texts == read_texts(str(tmp_path)) == [chosen]
    assert notes[0] == f"{tmp_path}: read the {chosen} split"
    assert "skipped 1 blank line" in notes[1]


@pytest.mark.parametrize("name", ["t.txt", "folder/train.txt"])
def test_splits_without_a_file_are_held_out_and_noted(tmp_path, name):
    texts = [f"sentence {i}" for i in range(200)]
    path = write(tmp_path / name, "\n".join(texts))
    source = path if name == "t.txt" else str(tmp_path / "folder")
    corpus = read_corpus(source)
    train, valid, test = splits_of(corpus)
    assert (len(corpus.train), len(train), len(valid), len(test)) == (160, 160, 20, 20)
    assert sorted([*train, *valid, *test]) == sorted(texts)
    for part in (train, valid, test):
        assert part == [text for text in texts if text in part]
    assert corpus.notes == [
        "no validation or test data: held out of 200 texts: 20 for validation and 20 for test "
        "(by content, seed 0; data.valid_fraction, data.test_fraction); metrics on fewer than 100 "
        "texts are rough"
    ]
    assert splits_of(read_corpus(source)) == (train, valid, test)
    assert read_corpus(source, seed=1).valid != corpus.valid
    assert len(read_corpus(source, valid_fraction=0.001).valid) == 1
    assert len(read_corpus(source, valid_fraction=0.999).train) == 1
    assert list(read_corpus(source, valid_fraction=0, test_fraction=0).train) == texts


def test_former_runs_keep_their_split(tmp_path):
    texts = [f"sentence {i}" for i in range(200)]
    path = write(tmp_path / "t.txt", "\n".join(texts))
    corpus = read_corpus(path, valid_fraction=0.05, test_fraction=0, split_by="row")
    held = random.Random(0).sample(range(200), 10)  # of version 0.1
    assert corpus.valid == [texts[i] for i in sorted(held)]
    assert list(corpus.train) == [text for i, text in enumerate(texts) if i not in held]
    assert corpus.test == []
    both = read_corpus(path, valid_fraction=0.05, test_fraction=0.1, split_by="row")
    assert both.valid == corpus.valid and len(both.test) == 20
    assert not set(both.test) & set(both.valid)


@pytest.mark.parametrize("ends", ["txt", "txt.gz", "csv", "jsonl", "parquet"])
@pytest.mark.parametrize("numbers", [("00000", "00001", "00002"), ("2", "0", "1")])
def test_shards_are_one_split_in_their_order(tmp_path, ends, numbers):
    for number in numbers:
        texts = [f"{int(number)} {line}" for line in "abc"]
        content = content_of(ends.removesuffix(".gz"), [*texts, " "])
        write(tmp_path / f"news.train-{number}-of-{len(numbers):0{len(number)}}.{ends}", content)
    write(tmp_path / "dev.txt", "valid")
    corpus = read_corpus(str(tmp_path), test_fraction=0)
    whole = [f"{number} {line}" for number in range(3) for line in "abc"]
    assert splits_of(corpus) == (whole, ["valid"], [])
    skipped = [note for note in corpus.notes if "column" not in note]
    assert len(skipped) == 3 and "train-" + min(numbers) in skipped[0]
    assert len(corpus.notes) - 3 == (not ends.startswith("txt"))  # once for all shards
    assert read_texts(str(tmp_path), split="train") == whole


def test_ten_shards_come_in_the_order_of_their_numbers(tmp_path):
    for number in range(11):
        write(tmp_path / f"train-{number}-of-11.txt", str(number))
    assert read_texts(str(tmp_path)) == list(map(str, range(11)))


@pytest.mark.parametrize("split_by", ["content", "row"])
def test_only_the_texts_of_a_pass_are_in_memory(tmp_path, split_by, monkeypatch):
    monkeypatch.setattr("textvae.data.held_out.ROOM", 64)

    def peak(count):
        lines = "".join(f"sentence {number} of words\n" for number in range(count))
        path = write(tmp_path / f"{count}.txt", lines)
        tracemalloc.start()
        try:
            corpus = read_corpus(path, valid_fraction=1e-9, test_fraction=0, split_by=split_by)
            assert sum(1 for _ in corpus.train) == count - 1
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)  # what is imported and cached at first
    # A list of the further texts would take 120 kB.
    assert peak(2000) < peak(200) + 10_000


def test_texts_that_change_while_they_are_read_are_refused(tmp_path):
    path = write(tmp_path / "t.txt", "a\nb\nc")
    for fraction in (0, 0.3):
        write(tmp_path / "t.txt", "a\nb\nc")
        train = read_corpus(path, valid_fraction=fraction, test_fraction=0).train
        assert list(train) == list(train)
        write(tmp_path / "t.txt", "x\ny\nz")
        with pytest.raises(DataError, match=r"t.txt: changed while it was read"):
            list(train)


def test_edited_file_of_the_same_size_and_time_is_read_anew(tmp_path):
    path = write(tmp_path / "t.csv", "text\na\n")
    before = os.stat(path)
    assert read_texts(path) == ["a"]
    write(tmp_path / "t.csv", "text\nb\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read_texts(path) == ["b"]


BAD_FILES = {
    "empty": ("t.txt", "", r"holds no text \(empty\)"),
    "empty gz": ("t.csv.gz", "", r"holds no text \(empty\)"),
    "blank": ("t.txt", "\n \n\t\n", r"holds no text \(3 blank lines\)"),
    "header only": ("t.csv", "id,text\n", r"holds no text \(empty\)"),
    "binary": ("t.txt", b"ok\nPK\x00\x03", "line 2: NUL byte"),
    "utf-16 without its mark": ("t.txt", "text".encode("utf-16-le"), "line 1: NUL byte"),
    "utf-32": ("t.txt", "text".encode("utf-32"), "line 1: NUL byte"),
    "cut utf-16": ("t.txt", "a\nb".encode("utf-16")[:-1], "line 2: invalid UTF-16, truncated"),
    "invalid utf-8": ("t.txt", b"ok\nab\xff", "line 2: invalid UTF-8, byte 0xff at position 2"),
    "latin-1 in csv": ("t.csv", b"text\na\n\xe9t\xe9\n", "line 3: invalid UTF-8, byte 0xe9"),
    "windows-1252": ("t.txt", b"a caf\xe9 here\n", "if 'café' is right, convert it: iconv -f"),
    "no windows-1252": ("t.txt", b"a caf\x81 here\n", "byte 0x81 at position 5$"),
    "long line": ("t.txt", "a\n" + "b" * 100_001, "line 2: 100001 characters, at most 100000"),
    "long cell": ("t.jsonl", json.dumps({"text": "b" * 100_001}), "line 1: 100001 characters"),
    "csv column": ("t.csv", "id,body\n1,a\n", r"no column 'text' \(known: id, body\)"),
    "tsv column": ("t.tsv", "id\tbody\n1\ta\n", r"no column 'text' \(known: id, body\)"),
    "json key": ("t.jsonl", '{"text": "a"}\n{"id": 1}', r"line 2: no column 'text' \(known: id"),
    "json number": ("t.jsonl", '{"text": 1.5}', r"line 1: .*string \(got float '1.5'"),
    "json string": ("t.jsonl", '"a"', "line 1: must be an object with the key 'text'"),
    "json in a list": ("t.json", '[{"text": "a"},\n\n{"text": 1}]', "entry 2: .*got int"),
    "json broken": ("t.jsonl", '{"text": "a"}\n{"text": ', "line 2: malformed JSON"),
    "list broken": ("t.json", '[{"text": "a"},\n{"text": ', "line 2: malformed JSON"),
    "surrogate": ("t.jsonl", '{"text": "\\ud83d"}', "line 1: half of a surrogate pair"),
    "open quote": ("t.csv", 'text\n"a\nb\n', "line 3: malformed csv"),
    "stray quote": ("t.csv", 'text,n\n"a" b,1\n', "line 2: malformed csv"),
    "ragged": ("t.csv", "id,text\n1,a\n2\n", "line 3: 1 cells where the header has 2"),
    "not gz": ("t.txt.gz", None, "is not a gzip file"),
    "cut gz": ("t.txt.gz", 10, "damaged or cut short"),
    "no parquet": ("t.parquet", "text", "is no readable parquet file"),
    "type": (
        "t.docx",
        "a",
        r"unknown file type '.docx' \(allowed: .txt, .csv, .tsv, .json, .jsonl, .feat "
        r"\(each also .gz\) or .parquet\)$",
    ),
    "images": ("train-images-idx3-ubyte", "a", "for images see: textvae recipes images, for tab"),
    "arrays": ("t.NPZ", "a", "for tables of numbers: textvae recipes tables"),
    "picture": ("t.jpeg", "a", "textvae recipes images"),
    "no type": ("corpus", "a", r"unknown file type '' \(allowed: .txt"),
}


@pytest.mark.parametrize("name", ["t10k-images-idx3-ubyte.gz", "x.npz", "x.png"])
def test_a_folder_of_images_names_their_recipes(name, tmp_path):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match="or give one file; for images see: textvae recipes images"):
        read_corpus(str(tmp_path))
    (tmp_path / name).rename(tmp_path / "x.md")
    with pytest.raises(DataError, match="or give one file$"):
        read_corpus(str(tmp_path))


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES.values(), ids=BAD_FILES)
@pytest.mark.parametrize("read", [read_texts, read_corpus])
def test_bad_file_is_one_line_that_names_it(tmp_path, name, content, message, read):
    path = tmp_path / name
    if content is None:
        path.write_bytes(b"plain text")
    elif isinstance(content, int):
        path.write_bytes(gzip.compress(b"many lines\n" * 100)[:-content])
    else:
        write(path, content)
    with pytest.raises(DataError, match=message) as caught:
        read(str(path))
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": [1]}, "row 1: .*got int"),
        ({"body": ["a"]}, r"no column 'text' \(known: body\)"),
    ],
)
def test_bad_parquet_is_named_by_row(tmp_path, columns, message):
    with pytest.raises(DataError, match=message):
        read_texts(write(tmp_path / "t.parquet", parquet_of(columns)))


BAD_FOLDERS = {
    "empty": ([], r"no file is named by its split.*found: no text file"),
    "unlabelled": (["a.txt", "b.txt"], r"found: a.txt, b.txt; allowed: .txt.*or give one file"),
    "companion": (["train.labels.txt"], "found: train.labels.txt"),
    "two trains": (["train.txt", "x.train.txt.gz"], "for train: train.txt, x.train.txt.gz"),
    "shard beside a file": (["train-0-of-1.txt", "train.txt"], "several files for train: train-0"),
    "shards of two sets": (["train-0-of-2.txt", "x.train-1-of-2.txt"], "several files for train"),
    "shards of two formats": (["train-0-of-2.txt", "train-1-of-2.csv"], "several files for train"),
    "too many shards": (["train-0-of-1.txt", "train-1-of-1.txt"], "several files for train"),
    "two valids": (["train.txt", "dev.txt", "val.csv"], "for valid: dev.txt, val.csv"),
    "first shard missing": (["train-1-of-2.txt"], "the shard train-0-of-2.txt is missing"),
    "inner shard missing": (
        ["train-00000-of-00003.txt", "train-00002-of-00003.txt"],
        "the shard train-00001-of-00003.txt is missing",
    ),
    "many shards missing": (["train-0-of-99999999999.txt"], "shard train-1-of-.* is missing"),
}


@pytest.mark.parametrize(("names", "message"), BAD_FOLDERS.values(), ids=BAD_FOLDERS)
@pytest.mark.parametrize("read", [read_texts, read_corpus])
def test_bad_folder_is_refused_by_name(tmp_path, names, message, read):
    for name in names:
        write(tmp_path / name, "a")
    with pytest.raises(DataError, match=message) as caught:
        read(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_splits_that_are_missing_or_unknown_are_refused(tmp_path):
    path = write(tmp_path / "test.txt", "a")
    with pytest.raises(DataError, match=r"has no train split \(found: test\)"):
        read_corpus(str(tmp_path))
    with pytest.raises(DataError, match=r"has no valid split \(found: test\)"):
        read_texts(str(tmp_path), split="valid")
    with pytest.raises(DataError, match=r"unknown 'dev' \(known: train, valid, test\)"):
        read_texts(str(tmp_path), split="dev")
    with pytest.raises(DataError, match="one file has no splits"):
        read_texts(path, split="test")


@pytest.mark.parametrize("fraction", [-0.1, 1, float("nan")])
def test_fraction_outside_its_range_is_refused(tmp_path, fraction):
    path = write(tmp_path / "t.txt", "a\nb")
    with pytest.raises(DataError, match=r"valid_fraction: must be in \[0, 1\)"):
        read_corpus(path, valid_fraction=fraction)
    with pytest.raises(DataError, match=r"test_fraction: must be in \[0, 1\)"):
        read_corpus(path, test_fraction=fraction)


def test_one_sentence_needs_a_validation_file(tmp_path):
    path = write(tmp_path / "train.txt", "only one\n\n")
    with pytest.raises(DataError, match="one sentence cannot be split"):
        read_corpus(path)
    assert list(read_corpus(path, valid_fraction=0, test_fraction=0).train) == ["only one"]
    write(tmp_path / "dev.txt", "another")
    assert read_corpus(str(tmp_path)).valid == ["another"]


@pytest.mark.parametrize("missing", ["corpsu.txt", "sub/corpsu.txt", "corpsu"])
def test_missing_path_suggests_its_neighbour(tmp_path, missing):
    write(tmp_path / "sub" / "corpus.txt", "a")
    near = write(tmp_path / "corpus.txt", "a")
    expected = near if "/" not in missing else str(tmp_path / "sub" / "corpus.txt")
    with pytest.raises(DataError, match="no such file or folder") as caught:
        read_texts(str(tmp_path / missing))
    assert f"did you mean {expected!r}?" in str(caught.value)


@pytest.mark.parametrize("source", ["", "  "])
def test_no_source_is_refused(source):
    with pytest.raises(DataError, match="no data given"):
        read_corpus(source)


@pytest.mark.parametrize("name", ["t.txt", "t.txt.gz", "folder/train.txt", "t.parquet"])
def test_denied_permission_is_one_line(tmp_path, name, monkeypatch):
    path = write(tmp_path / name, content_of(name.split(".")[1], ["a", "b"]))

    # Not chmod: the tests may run as root, who may read everything.
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    monkeypatch.setattr("gzip.open", refuse)
    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    if name.endswith("parquet"):
        monkeypatch.setattr("pyarrow.parquet.ParquetFile", refuse)
    with pytest.raises(DataError, match=": Permission denied$"):
        read_texts(path)
    if "/" in name:
        with pytest.raises(DataError, match=": Permission denied$"):
            read_texts(os.path.dirname(path))


def test_importing_the_readers_imports_nothing_heavy():
    code = (
        "import sys, textvae.data.readers, textvae.data.tokenizers; "
        "print(*{'datasets', 'pandas', 'pyarrow', 'torch', 'transformers', 'tokenizers', "
        "'sentencepiece'} & set(sys.modules))"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    environment = {**os.environ, "PYTHONPATH": root}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""


def test_carriage_returns_alone_end_lines(tmp_path):
    notes = []
    (tmp_path / "t.txt").write_bytes(b"a\rb\r\nc d\re\r")
    found = read_split(str(tmp_path / "t.txt"))
    assert list(found.texts) == ["a", "b", "c d", "e"]
    (said,) = [note for note in found.notes if "carriage" in note]
    assert "3 carriage returns alone are read as line ends" in said
    (tmp_path / "t.csv").write_bytes(b'text,label\r"x, ""y""",1\rz,2\r')
    read = read_labelled(str(tmp_path / "t.csv"), notes=notes)["train"]
    assert (read.texts, read.labels) == (['x, "y"', "z"], ["1", "2"])
    (tmp_path / "t.txt").write_bytes(b"a\rb\n\xff\n")
    with pytest.raises(DataError, match="line 2"):
        read_split(str(tmp_path / "t.txt"))


def test_a_key_that_earlier_objects_have_may_be_left_out(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "a", "label": "x"}\n{"text": "b"}\n{"text": "c", "label": "y"}\n')
    read = read_labelled(str(path), partly=True)["train"]
    assert (read.texts, read.labels) == (["a", "b", "c"], ["x", "", "y"])
    path.write_text('{"text": "b"}\n{"text": "a", "label": "x"}\n')
    with pytest.raises(DataError, match="line 1: no column 'label'"):
        read_labelled(str(path), partly=True)
