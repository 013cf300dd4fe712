"""Words of the training texts: every training text is allowed, and no other word."""

import pytest

from textvae.data.batching import Sentences
from textvae.data.known_words import KnownWords, words_of
from textvae.data.tokenizers import encode_texts, load_tokenizer, train_tokenizer

TEXTS = [
    "the cat sat .",
    "the dog didn't sit (on 12 mats) .",
    "a caterpillar, a cathedral; the mat .",
    "Zürich's doghouse is 99% wood!",
] * 30


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def tokenizer(request):
    return train_tokenizer(request.param, TEXTS, 300)


@pytest.fixture(scope="module")
def known(tokenizer):
    words = words_of(tokenizer.pieces, Sentences.encoded(tokenizer, TEXTS))
    return KnownWords(tokenizer.pieces, words)


def is_allowed(known, ids):
    """Whether each of the ids after the first may follow those before it."""
    node, fine = [0], True
    for token in ids[1:]:
        fine = fine and bool(known.allowed(node)[0, token])
        node = known.advance(node, [token])
    return fine


def test_training_texts_are_allowed(tokenizer, known):
    assert all(is_allowed(known, ids) for ids in encode_texts(tokenizer, TEXTS))


@pytest.mark.parametrize("text", ["the dog sat .", "12 doghouse mats, 9999 (wood) !", "didn't"])
def test_known_words_in_new_texts_are_allowed(tokenizer, known, text):
    assert all(is_allowed(known, ids) for ids in encode_texts(tokenizer, [text]))


@pytest.mark.parametrize("word", ["dogpillar", "cath", "catsat", "thecat", "q"])
def test_new_words_are_not_allowed(tokenizer, known, word):
    (ids,) = encode_texts(tokenizer, [f"the {word} sat ."])
    assert not is_allowed(known, ids)


def test_a_word_after_a_sign_does_not_continue_another():
    pieces = ["<pad>", "<s>", "</s>", "▁dog", "(", "on"]
    known = KnownWords(pieces, [[3], [4], [5]])
    after_dog, after_sign = (known.advance([0], [token]) for token in (3, 4))
    assert known.allowed(after_dog)[0].tolist() == [False, False, True, True, True, False]
    assert known.allowed(after_sign)[0, 5]


def test_a_word_that_has_begun_is_ended_before_the_next():
    pieces = ["<pad>", "<s>", "</s>", "▁d", "og", "own", "!"]
    known = KnownWords(pieces, [[3, 4], [3, 5], [6]])
    begun = known.advance([0], [3])
    assert known.allowed(begun)[0].tolist() == [False, False, False, False, True, True, False]


def test_texts_without_blanks_have_no_words():
    texts = [
        "老师喜欢昨天的报纸和今天早上在学校门口买的那本书。",
        "我们在学校门口见面然后去图书馆看书。",
    ] * 20
    tokenizer = train_tokenizer("bpe", texts, 300)
    assert words_of(tokenizer.pieces, Sentences.encoded(tokenizer, texts)) is None


def test_words_are_saved_with_the_tokenizer(tokenizer, tmp_path):
    tokenizer.words = words_of(tokenizer.pieces, Sentences.encoded(tokenizer, TEXTS))
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path).words == tokenizer.words


@pytest.mark.parametrize("content", ["[[99999]]", "[[-1]]", "{", '[["a"]]', "3"])
def test_damaged_words_are_refused(tokenizer, tmp_path, content):
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "words.json").write_text(content)
    with pytest.raises(ValueError, match=r"words\.json"):
        load_tokenizer(tmp_path)
