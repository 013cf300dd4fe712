"""Readers: what is read from each format, which file is which split, one-line errors."""

import gzip
import json
import os
import random
import subprocess
import sys
import tracemalloc

import pytest

from textvae.data.readers import DataError, read_corpus, read_labelled, read_split, read_texts

TEXTS = ["one", "NA", "null", "two, three", 'a "quoted" word', "line\u2028sep\x0cform", "é😀"]


def write(path, content):
    """Write text or bytes, gzipped where the name says so."""
    raw = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(raw) if path.name.endswith(".gz") else raw)
    return str(path)


def csv_of(texts, delimiter=","):
    cells = ('"' + text.replace('"', '""') + '"' for text in texts)
    return "\n".join([f"id{delimiter}text", *(f"7{delimiter}{cell}" for cell in cells)])


def parquet_of(columns):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns), sink)
    return sink.getvalue().to_pybytes()


def objects_of(texts):
    return [{"id": 7, "text": text} for text in texts]


def splits_of(corpus):
    return list(corpus.train), corpus.valid, corpus.test


FORMATS = {
    "t.txt": lambda t: "\n".join(t),
    "t.csv": csv_of,
    "t.tsv": lambda t: csv_of(t, "\t"),
    "t.jsonl": lambda t: "\n".join(map(json.dumps, objects_of(t))) + "\n",
    "t.json": lambda t: json.dumps(objects_of(t), indent=1),
    "lines.json": lambda t: "\n".join(json.dumps(o, ensure_ascii=False) for o in objects_of(t)),
    "t.parquet": lambda t: parquet_of({"id": [7] * len(t), "text": t}),
}
NAMES = [*FORMATS, *(name + ".gz" for name in FORMATS if name != "t.parquet"), "T.TXT"]


@pytest.mark.parametrize("name", NAMES)
def test_every_format_gives_the_same_texts(tmp_path, name):
    content = FORMATS[name.lower().removesuffix(".gz")](TEXTS)
    assert read_texts(write(tmp_path / name, content)) == TEXTS


@pytest.mark.parametrize("name", NAMES)
def test_blank_texts_are_skipped_and_counted(tmp_path, name):
    content = FORMATS[name.lower().removesuffix(".gz")](["", " a \t", "  ", "\u00a0b\u00a0"])
    path = write(tmp_path / name, content)
    texts, notes = read_split(path)
    assert texts == ["a", "b"]
    (note,) = notes
    assert note.startswith(f"{path}: skipped 2 blank ")


@pytest.mark.parametrize("name", [name for name in NAMES if "parquet" not in name])
def test_bom_and_windows_line_ends_are_dropped(tmp_path, name):
    content = FORMATS[name.lower().removesuffix(".gz")](TEXTS).replace("\n", "\r\n")
    assert read_texts(write(tmp_path / name, b"\xef\xbb\xbf" + content.encode())) == TEXTS


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
        write(tmp_path / name, FORMATS[f"t.{kind}"]([text]))
    write(tmp_path / "train.labels.tsv", "label\n1\n")
    write(tmp_path / ".train.txt.swp", "swap")
    write(tmp_path / "SOURCE.md", "source")
    (tmp_path / "train").mkdir()
    corpus = read_corpus(str(tmp_path))
    assert splits_of(corpus) == (["a"], ["b"], ["c"])
    assert (corpus.source, corpus.notes) == (str(tmp_path), [])
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
def test_validation_is_split_off_once_and_noted(tmp_path, name):
    texts = [f"sentence {i}" for i in range(200)]
    path = write(tmp_path / name, "\n".join(texts))
    source = path if name == "t.txt" else str(tmp_path / "folder")
    corpus = read_corpus(source)
    train, valid, test = splits_of(corpus)
    assert (len(corpus.train), len(train), len(valid), test) == (190, 190, 10, [])
    # The published split.
    held = random.Random(0).sample(range(200), 10)
    assert valid == [texts[i] for i in sorted(held)]
    assert train == [text for i, text in enumerate(texts) if i not in held]
    assert corpus.notes == ["no validation file: split off 5 % (10 sentences) of train with seed 0"]
    assert splits_of(read_corpus(source)) == (train, valid, test)
    assert read_corpus(source, seed=1).valid != corpus.valid
    assert len(read_corpus(source, valid_fraction=0.001).valid) == 1
    assert len(read_corpus(source, valid_fraction=0.999).train) == 1
    assert list(read_corpus(source, valid_fraction=0).train) == texts


@pytest.mark.parametrize("ends", ["txt", "txt.gz", "csv", "jsonl", "parquet"])
@pytest.mark.parametrize("numbers", [("00000", "00001", "00002"), ("2", "0", "1")])
def test_shards_are_one_split_in_their_order(tmp_path, ends, numbers):
    for number in numbers:
        texts = [f"{int(number)} {line}" for line in "abc"]
        content = FORMATS[f"t.{ends.removesuffix('.gz')}"]([*texts, " "])
        write(tmp_path / f"news.train-{number}-of-{len(numbers):0{len(number)}}.{ends}", content)
    write(tmp_path / "dev.txt", "valid")
    corpus = read_corpus(str(tmp_path))
    whole = [f"{number} {line}" for number in range(3) for line in "abc"]
    assert splits_of(corpus) == (whole, ["valid"], [])
    assert len(corpus.notes) == 3 and "train-" + min(numbers) in corpus.notes[0]
    assert read_texts(str(tmp_path), split="train") == whole


def test_ten_shards_come_in_the_order_of_their_numbers(tmp_path):
    for number in range(11):
        write(tmp_path / f"train-{number}-of-11.txt", str(number))
    assert read_texts(str(tmp_path)) == list(map(str, range(11)))


def test_only_the_texts_of_a_pass_are_in_memory(tmp_path):
    def peak(count):
        path = write(tmp_path / f"{count}.txt", "a sentence of words\n" * count)
        tracemalloc.start()
        try:
            assert sum(1 for _ in read_corpus(path, valid_fraction=1e-9).train) == count - 1
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
        train = read_corpus(path, valid_fraction=fraction).train
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
    "utf-16": ("t.txt", "text".encode("utf-16"), "line 1: NUL byte"),
    "invalid utf-8": ("t.txt", b"ok\nab\xff", "line 2: invalid UTF-8, byte 0xff at position 2"),
    "latin-1 in csv": ("t.csv", b"text\na\n\xe9t\xe9\n", "line 3: invalid UTF-8, byte 0xe9"),
    "long line": ("t.txt", "a\n" + "b" * 100_001, "line 2: 100001 characters, at most 100000"),
    "long cell": ("t.jsonl", json.dumps({"text": "b" * 100_001}), "line 1: 100001 characters"),
    "csv column": ("t.csv", "id,body\n1,a\n", r"no column 'text' \(known: id, body\)"),
    "tsv column": ("t.tsv", "id\tbody\n1\ta\n", r"no column 'text' \(known: id, body\)"),
    "json key": ("t.jsonl", '{"text": "a"}\n{"id": 1}', r"line 2: no column 'text' \(known: id"),
    "json null": ("t.jsonl", '{"text": "a"}\n\n{"text": null}', "line 3: .*string .*null"),
    "json number": ("t.jsonl", '{"text": 1.5}', r"line 1: .*string \(got float '1.5'"),
    "json string": ("t.jsonl", '"a"', "line 1: must be an object with the key 'text'"),
    "json in a list": ("t.json", '[{"text": "a"},\n\n{"text": 1}]', "entry 2: .*got int"),
    "json broken": ("t.jsonl", '{"text": "a"}\n{"text": ', "line 2: malformed JSON"),
    "list broken": ("t.json", '[{"text": "a"},\n{"text": ', "line 2: malformed JSON"),
    "surrogate": ("t.jsonl", '{"text": "\\ud83d"}', "line 1: half of a surrogate pair"),
    "open quote": ("t.csv", 'text\n"a\nb\n', "line 3: malformed csv"),
    "stray quote": ("t.tsv", 'text\tn\n"a" b\t1\n', "line 2: malformed csv"),
    "ragged": ("t.csv", "id,text\n1,a\n2\n", "line 3: 1 cells where the header has 2"),
    "not gz": ("t.txt.gz", None, "is not a gzip file"),
    "cut gz": ("t.txt.gz", 10, "damaged or cut short"),
    "no parquet": ("t.parquet", "text", "is no readable parquet file"),
    "type": ("t.docx", "a", r"unknown file type '.docx' \(allowed: .txt, .csv"),
    "no type": ("corpus", "a", r"unknown file type '' \(allowed: .txt"),
}


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
        ({"text": ["a", None]}, "row 2: .*null"),
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
    with pytest.raises(DataError, match=r"valid_fraction: must be in \[0, 1\)"):
        read_corpus(write(tmp_path / "t.txt", "a\nb"), valid_fraction=fraction)


def test_one_sentence_needs_a_validation_file(tmp_path):
    path = write(tmp_path / "train.txt", "only one\n\n")
    with pytest.raises(DataError, match="one sentence cannot be split"):
        read_corpus(path)
    assert list(read_corpus(path, valid_fraction=0).train) == ["only one"]
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
    path = write(tmp_path / name, FORMATS["t." + name.split(".")[1]](["a", "b"]))

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


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Where hub data sets lie for a test; `datasets` loads them from there."""
    datasets = pytest.importorskip("datasets")
    load = datasets.load_dataset

    def load_locally(name, config=None):
        assert config is None
        return load(str(tmp_path / "hub" / name), cache_dir=str(tmp_path / "cache"))

    monkeypatch.setattr(datasets, "load_dataset", load_locally)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub"


def test_hub_data_set_is_read_by_split(hub):
    lines = FORMATS["t.jsonl"]
    write(hub / "owner" / "name" / "train.jsonl", lines(["a", "b", " "]))
    write(hub / "owner" / "name" / "validation.jsonl", lines(["c"]))
    corpus = read_corpus("owner/name")
    assert splits_of(corpus) == (["a", "b"], ["c"], [])
    assert corpus.notes == ["owner/name: train: skipped 1 blank row"]
    assert read_split("owner/name") == (["c"], ["owner/name: read the valid split"])
    with pytest.raises(DataError, match=r"train: no column 'body' \(known: id, text\)"):
        read_texts("owner/name", text_column="body", split="train")
    with pytest.raises(DataError, match="train: row 1: .*got int"):
        read_texts("owner/name", text_column="id", split="train")


def test_local_folder_or_file_goes_before_the_hub(hub, tmp_path):
    write(hub / "name" / "train.jsonl", FORMATS["t.jsonl"](["hub"]))
    assert read_texts("name") == ["hub"]
    write(tmp_path / "name" / "train.txt", "local")
    assert read_texts("name") == ["local"]


def test_unreachable_hub_is_one_line(tmp_path):
    # A process of its own: huggingface_hub reads HF_HUB_OFFLINE when it is imported.
    pytest.importorskip("datasets")
    (tmp_path / "no_such_datazet").mkdir()
    code = "from textvae.data.readers import read_corpus; read_corpus('no_such_dataset')"
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": root}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert "DataError: no_such_dataset: no such file or folder (did you mean " in last
    assert "no data set that the hub gives now (" in last


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        ("datasets", "owner/name", "owner/name: .*hub data needs datasets"),
        ("pyarrow", "t.parquet", "reading parquet needs pyarrow"),
    ],
)
def test_missing_package_is_named(tmp_path, monkeypatch, module, source, message):
    write(tmp_path / "t.parquet", "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError, match=message):
        read_texts(source)


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


# Labelled texts, and bags of words.


def test_labels_stand_beside_their_texts_in_every_format(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [("the dog", "pets"), ("a, b", "letters")]
    (tmp_path / "a.csv").write_text('label,text\npets,the dog\n\nletters,"a, b"\n')
    (tmp_path / "b.tsv").write_text("text\tlabel\n" + "".join(f"{t}\t{n}\n" for t, n in rows))
    entries = [json.dumps({"text": t, "label": n}) for t, n in rows]
    (tmp_path / "c.jsonl").write_text("\n".join(entries) + "\n")
    table = pyarrow.table({"text": [t for t, _ in rows], "label": [n for _, n in rows]})
    parquet.write_table(table, tmp_path / "d.parquet")
    for name in ("a.csv", "b.tsv", "c.jsonl", "d.parquet"):
        found = read_labelled(str(tmp_path / name))
        assert list(found) == ["train"]
        assert list(zip(*found["train"], strict=True)) == rows, name


def test_labels_may_be_numbers_and_splits_are_kept_apart(tmp_path):
    for split, label in (("train", 3), ("test", True)):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"s": "x y", "y": label}) + "\n")
    found = read_labelled(str(tmp_path), text_column="s", label_column="y")
    assert found == {"train": (["x y"], ["3"]), "test": (["x y"], ["True"])}
    (tmp_path / "b.jsonl").write_text('{"text": "x", "label": 2.0}\n')
    assert read_labelled(str(tmp_path / "b.jsonl"))["train"] == (["x"], ["2"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "text,label\nx,1\n,2\n", "line 3: the text is empty"),
        ("a.csv", "text,label\nx,1\ny,\n", "line 3: the label is missing"),
        ("a.csv", "text,lable\nx,1\n", "no column 'label' .known: text, lable"),
        ("a.csv", "text,label\n", "holds no labelled text"),
        ("a.jsonl", '{"text": "x", "label": null}\n', "line 1: the label is missing .got None"),
        ("a.jsonl", '{"text": "x", "label": NaN}\n', "line 1: the label is missing .got nan"),
        ("a.jsonl", '{"text": "x", "label": 4.5}\n', "line 1: a label is text or a whole .* 4.5"),
        ("a.jsonl", "[" * 100_000, "line 1: JSON nested too deeply"),
        ("a.jsonl", f'{{"text": "x", "label": {"1" * 5000}}}\n', "line 1: .*too many digits"),
        ("a.jsonl", '{"text": "x"}\n', "line 1: no column 'label'"),
        ("a.txt", "x\n", "a .txt file holds no labels"),
    ],
)
def test_rows_without_text_or_label_are_refused(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=said):
        read_labelled(str(tmp_path / name))


def test_bags_of_words_are_texts_of_their_words(tmp_path):
    (tmp_path / "vocab.new").write_text("who 9\nout 5\npeople 2\n")
    (tmp_path / "train.feat").write_text("1 2:1 1:3\n2\n1 3:2\n")
    with gzip.open(tmp_path / "test.feat.gz", "wt") as file:
        file.write("2 1:1\n")
    corpus = read_corpus(str(tmp_path), valid_fraction=0)
    assert list(corpus.train) == ["out who who who", "people people"]
    assert corpus.test == ["who"] and "skipped 1 blank line" in corpus.notes[0]
    labelled = read_labelled(str(tmp_path / "test.feat.gz"))
    assert labelled["train"] == (["who"], ["2"])


@pytest.mark.parametrize("pair", ["4:1", "0:1", "1", "1:x", "a:1", "1:-2"])
def test_a_bag_that_is_none_is_refused(tmp_path, pair):
    (tmp_path / "vocab.txt").write_text("who\nout\npeople\n")
    (tmp_path / "a.feat").write_text(f"1 1:1 {pair}\n")
    said = f"line 1: must be id:count with ids from 1 to 3 .got '{pair}'"
    with pytest.raises(DataError, match=said):
        read_texts(str(tmp_path / "a.feat"))
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(DataError, match=r"must stand beside it in vocab\.new or vocab\.txt"):
        read_texts(str(tmp_path / "a.feat"))
