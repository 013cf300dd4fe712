"""The cache gives what was made, for equal arguments only, and is never in the way."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock, Timeout

from textvae.data import cache
from textvae.data.batching import Sentences
from textvae.data.cache import cache_folder, encoded_sentences, trained_tokenizer
from textvae.data.readers import DataError
from textvae.data.tokenizers import tokenizer_kind, train_tokenizer

TEXTS = ["the cat sat", "a dog is here now", "the dog", "a cat"] * 5


def fail(note: str) -> None:
    raise AssertionError(note)


def refuse(*arguments) -> None:
    raise AssertionError("made again")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer("word", TEXTS, 20)


def assert_same(found: Sentences, wanted: Sentences) -> None:
    assert np.array_equal(found.ids, wanted.ids) and np.array_equal(found.offsets, wanted.offsets)
    assert found.words == wanted.words


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*/manifest.json"))


@pytest.mark.parametrize("kind", ["word", "bpe", "unigram"])
def test_a_tokenizer_is_trained_once(kind, monkeypatch):
    first = trained_tokenizer(kind, TEXTS, 300, fail)
    monkeypatch.setattr(cache, "train_tokenizer", refuse)
    second = trained_tokenizer(kind, TEXTS, 300, fail)
    wanted = train_tokenizer(kind, TEXTS, 300)
    for tokenizer in (first, second):
        assert tokenizer.backend_tokenizer.to_str() == wanted.backend_tokenizer.to_str()
        assert tokenizer_kind(tokenizer) == kind


def test_texts_are_encoded_once(tokenizer, monkeypatch):
    first = encoded_sentences(tokenizer, TEXTS, fail)
    monkeypatch.setattr(cache, "write_sentences", refuse)
    second = encoded_sentences(tokenizer, TEXTS, fail)
    for found in (first, second):
        assert_same(found, Sentences.encoded(tokenizer, TEXTS))


def test_every_argument_is_part_of_the_key(tokenizer, folder):
    trained_tokenizer("word", TEXTS, 20, fail)
    trained_tokenizer("word", TEXTS[::-1], 20, fail)
    trained_tokenizer("word", TEXTS, 9, fail)
    trained_tokenizer("bpe", TEXTS, 300, fail)
    trained_tokenizer("unigram", TEXTS, 300, fail)
    assert len(entries(folder)) == 5
    encoded_sentences(tokenizer, TEXTS, fail)
    encoded_sentences(tokenizer, TEXTS[::-1], fail)
    encoded_sentences(tokenizer, TEXTS, fail, 5)
    encoded_sentences(train_tokenizer("word", TEXTS, 9), TEXTS, fail)
    assert len(entries(folder)) == 9


DAMAGES = {
    "cut short": lambda entry: os.truncate(entry / "ids.bin", 10),
    "empty": lambda entry: os.truncate(entry / "offsets.bin", 0),
    "changed": lambda entry: (entry / "ids.bin").write_bytes(
        bytes(len((entry / "ids.bin").read_bytes()))
    ),
    "missing": lambda entry: (entry / "sentences.json").unlink(),
    "not finished": lambda entry: (entry / "manifest.json").unlink(),
    "manifest cut short": lambda entry: os.truncate(entry / "manifest.json", 20),
    "deleted": shutil.rmtree,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_files_are_written_anew(tokenizer, folder, damage, monkeypatch):
    encoded_sentences(tokenizer, TEXTS, fail)
    (entry,) = folder.glob("sentences/*")
    damage(entry)
    wanted = Sentences.encoded(tokenizer, TEXTS)
    assert_same(encoded_sentences(tokenizer, TEXTS, fail), wanted)
    monkeypatch.setattr(cache, "write_sentences", refuse)
    assert_same(encoded_sentences(tokenizer, TEXTS, fail), wanted)


def test_sentences_outlive_the_cache(tokenizer, folder):
    found = encoded_sentences(tokenizer, TEXTS, fail)
    shutil.rmtree(folder)
    assert_same(found, Sentences.encoded(tokenizer, TEXTS))


@pytest.mark.parametrize("problem", ["a file in its place", "a full disk"])
def test_without_a_cache_all_goes_on_with_a_note(tokenizer, folder, monkeypatch, problem):
    if problem == "a full disk":

        def full(beside):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("textvae.checkpoints.write_manifest", full)
    else:
        folder.write_text("")
    notes = []
    found = encoded_sentences(tokenizer, TEXTS, notes.append)
    assert_same(found, Sentences.encoded(tokenizer, TEXTS))
    again = trained_tokenizer("word", TEXTS, 20, notes.append)
    assert again.get_vocab() == tokenizer.get_vocab()
    assert len(notes) == 2 and all(n.startswith(f"no cache in {folder} ([Errno") for n in notes)
    assert entries(folder) == []


def test_an_error_of_the_texts_is_not_the_cache_s(tokenizer, folder):
    with pytest.raises(DataError, match="max_tokens = 2 tokens"):
        encoded_sentences(tokenizer, TEXTS, fail, 2)
    with pytest.raises(ValueError, match="at least 5"):
        trained_tokenizer("word", TEXTS, 4, fail)
    assert entries(folder) == [] and not list(folder.rglob("ids.bin"))


def test_one_process_writes_while_the_others_wait(tokenizer, folder, monkeypatch):
    write = cache.write_sentences

    def watched(beside, *arguments):
        with pytest.raises(Timeout):
            FileLock(beside.parent / ".lock", timeout=0).acquire()
        write(beside, *arguments)

    monkeypatch.setattr(cache, "write_sentences", watched)
    encoded_sentences(tokenizer, TEXTS, fail)
    (entry,) = folder.glob("sentences/*")
    with FileLock(entry / ".lock", timeout=0):
        encoded_sentences(tokenizer, TEXTS, fail)  # what is there is read without the lock


def test_what_was_written_meanwhile_is_not_written_again(tokenizer, monkeypatch):
    class Waited(FileLock):
        def __enter__(self):
            monkeypatch.setattr(cache, "FileLock", FileLock)
            encoded_sentences(tokenizer, TEXTS, fail)
            monkeypatch.setattr(cache, "write_sentences", refuse)
            return super().__enter__()

    monkeypatch.setattr(cache, "FileLock", Waited)
    found = encoded_sentences(tokenizer, TEXTS, fail)
    assert_same(found, Sentences.encoded(tokenizer, TEXTS))


@pytest.mark.parametrize(
    ("named", "caches", "folder"),
    [("/a/b", "/c", "/a/b"), (None, "/c", "/c/textvae"), ("", "", "/home/me/.cache/textvae")],
)
def test_the_folder_can_be_named(monkeypatch, named, caches, folder):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", caches)
    monkeypatch.delenv("TEXTVAE_CACHE")
    if named is not None:
        monkeypatch.setenv("TEXTVAE_CACHE", named)
    assert cache_folder() == Path(folder)
