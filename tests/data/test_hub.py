"""Data sets of the hub, and packages that a reader needs and that are not installed."""

import json
import os
import subprocess
import sys

import pytest

from textvae.data.readers import DataError, read_corpus, read_split, read_texts


def write_split(folder, name, texts):
    folder.mkdir(parents=True, exist_ok=True)
    entries = (json.dumps({"id": 7, "text": text}) for text in texts)
    (folder / name).write_text("\n".join(entries) + "\n")


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
    write_split(hub / "owner" / "name", "train.jsonl", ["a", "b", " "])
    write_split(hub / "owner" / "name", "validation.jsonl", ["c"])
    corpus = read_corpus("owner/name", test_fraction=0)
    assert (list(corpus.train), corpus.valid, corpus.test) == (["a", "b"], ["c"], [])
    unused = "1 column not used: id"
    assert corpus.notes == [unused, "owner/name: train: skipped 1 blank row"]
    assert read_split("owner/name") == (["c"], ["owner/name: read the valid split", unused])
    with pytest.raises(DataError, match=r"train: no column 'body' \(known: id, text\)"):
        read_texts("owner/name", text_column="body", split="train")
    with pytest.raises(DataError, match="train: row 1: .*got int"):
        read_texts("owner/name", text_column="id", split="train")


def test_local_folder_or_file_goes_before_the_hub(hub, tmp_path):
    write_split(hub / "name", "train.jsonl", ["hub"])
    assert read_texts("name") == ["hub"]
    (tmp_path / "name").mkdir()
    (tmp_path / "name" / "train.txt").write_text("local")
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
    (tmp_path / "t.parquet").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError, match=message):
        read_texts(source)
