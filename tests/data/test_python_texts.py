"""Texts given in Python: what is a list of texts, and the index of what is none."""

import numpy as np
import pytest

from textvae.data.python_texts import MAX_CHARS, text_list
from textvae.data.readers import Corpus, DataError, read_corpus
from textvae.data.tokenizers import train_tokenizer
from textvae.training.workflow import train

pandas = pytest.importorskip("pandas")
TEXTS = ["one", "two", "three"]
LISTS = {
    "list": TEXTS,
    "tuple": tuple(TEXTS),
    "array of strings": np.array(TEXTS),
    "array of objects": np.array(TEXTS, object),
    "series": pandas.Series(TEXTS, index=[7, 8, 9]),
    "index": pandas.Index(TEXTS),
    "values of a dict": dict(enumerate(TEXTS)).values(),
}
NO_LISTS = {
    "string": ("one text", "got one string"),
    "bytes": (b"one", "got bytes"),
    "dict": ({"text": TEXTS}, "got a dict: choose the value of one key"),
    "table": (pandas.DataFrame({"text": TEXTS}), "got a table: choose one column"),
    "array of two dimensions": (np.array([TEXTS]), "got a table: 2 dimensions, not 1"),
    "array without dimensions": (np.array("one"), "got a table: 0 dimensions, not 1"),
    "none": (None, "got NoneType"),
    "number": (3, "got int"),
}
NO_TEXTS = {
    "none": (None, r"texts\[1\]: must be a string \(got NoneType\)"),
    "nan": (float("nan"), r"texts\[1\]: must be a string \(got float nan\)"),
    "missing": (pandas.NA, r"texts\[1\]: must be a string \(got NAType\)"),
    "bytes": (b"two", r"texts\[1\]: must be a string \(got bytes\)"),
    "list": (["two"], r"texts\[1\]: must be a string \(got list\)"),
    "surrogate": ("t\udcff", r"texts\[1\]: a text must be valid Unicode"),
    "long": ("a" * (MAX_CHARS + 1), r"texts\[1\]: 100001 characters, at most 100000"),
}


@pytest.mark.parametrize("given", LISTS)
def test_every_kind_of_list_is_one_of_texts(given):
    found = text_list(LISTS[given])
    assert found == TEXTS and all(type(text) is str for text in found)
    assert text_list(iter(LISTS[given])) == TEXTS


@pytest.mark.parametrize("given", NO_LISTS)
def test_what_is_no_list_is_refused(given):
    texts, message = NO_LISTS[given]
    with pytest.raises(TypeError, match=f"X must be a list of strings .{message}"):
        text_list(texts, "X")


@pytest.mark.parametrize("given", NO_TEXTS)
@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_what_is_no_text_is_refused_by_its_index(given, kind):
    text, message = NO_TEXTS[given]
    with pytest.raises((TypeError, ValueError), match=message):
        text_list(kind(["one", text, None]))


def test_no_text_is_refused_unless_allowed():
    with pytest.raises(ValueError, match="at least one text is needed"):
        text_list([])
    assert text_list([], empty=True) == []
    assert len(text_list(["a" * 200_000], most=None)[0]) == 200_000


def test_a_corpus_made_in_python_is_checked():
    corpus = Corpus(pandas.Series(TEXTS), (text for text in TEXTS), [], "mine", [])
    assert (corpus.train, corpus.valid) == (TEXTS, TEXTS)
    with pytest.raises(TypeError, match=r"valid\[2\]: must be a string \(got NoneType\)"):
        Corpus(TEXTS, ["a", "b", None], [], "mine", [])
    with pytest.raises(TypeError, match="train must be a list of strings .got a table"):
        Corpus(pandas.DataFrame({"text": TEXTS}), TEXTS, [], "mine", [])


@pytest.mark.parametrize("kind", ["word", "bag", "bpe", "unigram"])
def test_a_tokenizer_is_trained_on_a_list_of_texts(kind):
    with pytest.raises(TypeError, match="got a table"):
        train_tokenizer(kind, pandas.DataFrame({"text": TEXTS}), 300)
    with pytest.raises(TypeError, match=r"texts\[3\]: must be a string"):
        train_tokenizer(kind, [*TEXTS, None], 300)


@pytest.mark.parametrize("data", [TEXTS, {"text": TEXTS}, pandas.DataFrame({"text": TEXTS}), 3])
def test_data_of_a_training_are_named_not_given(data):
    with pytest.raises(DataError, match="data must be a folder, a file or the name of"):
        read_corpus(data)
    with pytest.raises(ValueError, match="data must be a folder, a file or the name of"):
        train("sentence_vae", [], data, None, None, print, print)
