"""A file of the cache that is cut short is one line or no harm, never SIGBUS."""

import json
import os

import numpy as np
import pytest

from textvae.data import cache
from textvae.data.batching import MAPPED, CutShortError, Sentences, write_sentences
from textvae.data.cache import encoded_sentences
from textvae.data.tokenizers import train_tokenizer

TEXTS = ["the cat sat", "a dog is here now", "the dog", "a cat"] * 5


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer("word", TEXTS, 20)


@pytest.fixture
def folder(tokenizer, tmp_path):
    write_sentences(tmp_path, tokenizer, TEXTS, 100)
    return tmp_path


@pytest.mark.parametrize("least", [0, MAPPED], ids=["mapped", "copied"])
def test_what_was_written_is_read(folder, tokenizer, least):
    found, wanted = Sentences.mapped(folder, least), Sentences.encoded(tokenizer, TEXTS)
    assert np.array_equal(found.ids, wanted.ids) and np.array_equal(found.offsets, wanted.offsets)
    assert isinstance(found.ids.base, np.memmap) == (least == 0)
    assert type(found.ids) is np.ndarray and found.words == wanted.words


def cut(path, size):
    os.truncate(path, size)


HARMS = {
    "ids cut": lambda folder: cut(folder / "ids.bin", 10),
    "ids cut within a token": lambda folder: cut(folder / "ids.bin", 11),
    "ids empty": lambda folder: cut(folder / "ids.bin", 0),
    "ids longer": lambda folder: cut(folder / "ids.bin", 10_000),
    "offsets cut": lambda folder: cut(folder / "offsets.bin", 16),
    "offsets empty": lambda folder: cut(folder / "offsets.bin", 0),
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
@pytest.mark.parametrize("least", [0, MAPPED], ids=["mapped", "copied"])
def test_a_file_of_another_length_is_refused(folder, harm, least):
    harm(folder)
    with pytest.raises(CutShortError, match=r"\.bin is damaged: it must have") as refused:
        Sentences.mapped(folder, least)
    assert "\n" not in str(refused.value)


def test_a_copy_does_not_depend_on_the_file(folder, tokenizer):
    found = Sentences.mapped(folder)
    cut(folder / "ids.bin", 0)
    cut(folder / "offsets.bin", 0)
    wanted = Sentences.encoded(tokenizer, TEXTS)
    assert all(np.array_equal(found[n], wanted[n]) for n in range(len(TEXTS)))


def test_a_map_stays_readable_when_the_files_are_written_again(folder, tokenizer):
    found = Sentences.mapped(folder, 0)
    write_sentences(folder, tokenizer, TEXTS[:2], 100)
    wanted = Sentences.encoded(tokenizer, TEXTS)
    assert all(np.array_equal(found[n], wanted[n]) for n in range(len(TEXTS)))


def test_without_any_text_there_is_nothing_to_map(folder):
    for name in ("ids.bin", "offsets.bin"):
        cut(folder / name, 0 if name == "ids.bin" else 8)
    header = json.loads((folder / "sentences.json").read_text())
    header |= {"tokens": 0, "texts": 0}
    (folder / "sentences.json").write_text(json.dumps(header))
    assert len(Sentences.mapped(folder)) == 0


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_a_file_cut_after_the_check_costs_the_cache_alone(tokenizer, tmp_path, monkeypatch, harm):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))
    encoded_sentences(tokenizer, TEXTS, pytest.fail)
    (entry,) = (tmp_path / "cache").glob("sentences/*")
    monkeypatch.setattr(cache, "damage", lambda folder: None)
    harm(entry)
    notes = []
    found = encoded_sentences(tokenizer, TEXTS, notes.append)
    wanted = Sentences.encoded(tokenizer, TEXTS)
    assert np.array_equal(found.ids, wanted.ids) and np.array_equal(found.offsets, wanted.offsets)
    (note,) = notes
    assert "is damaged" in note and "\n" not in note
