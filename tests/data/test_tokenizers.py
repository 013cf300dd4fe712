"""Tokenizers: exact round trips, SentencePiece's own ids, saved and loaded without change."""

import json
import random
from collections import Counter

import pytest

from textvae.data.tokenizers import (
    count_words,
    decode_ids,
    drawn,
    encode_texts,
    escape_literals,
    load_tokenizer,
    subword_tokenizer,
    tokenizer_kind,
    train_sentencepiece,
    train_tokenizer,
    wrap,
)
from textvae.vocabulary import BOS, EOS, PAD, SPECIAL_TOKENS, UNK

SUBWORDS = ("unigram", "bpe")
KINDS = (*SUBWORDS, "word")

WORDS = ["the", "a", "cat", "dog", "film", "nice", "terrible", "slowly", "over", "<unk>", "1987"]

HARD = {
    "empty": "",
    "space": " ",
    "spaces at the ends and doubled": "  two  spaces  ",
    "tabs": "\ta\t\tb\t",
    "line ends": "a\nb\r\nc\u2028d\x0ce",
    "no-break space": "a\u00a0b\u3000c",
    "Chinese": "你好，世界",
    "emoji": "fine 😀 👩‍👩‍👧 👍🏽",
    "ligatures": "ﬁne ﬂat ½ ①",
    "right to left": "שלום עולם مرحبا",
    "combining marks": "e\u0301 is not é",
    "control characters": "\x00\x01\x1b\x7f\x85\ufeff",
    "special tokens": "<s> </s> <unk> <pad> <mask> <<s>> <s <unk><unk>",
    "byte pieces": "<0x41><0xE2> <0xe2> <0x0A>",
    "SentencePiece's space": "▁ ▁▁a▁ _",
    "SentencePiece's unknown mark": "▅ ⁇",
    "our own escapes": "\x10 \x100 \x101 \x102 \x103 \x10\x10",
    "unseen words": "Zürich QUIXOTIC jabberwocky",
}


def sentences(count=400, seed=0):
    generator = random.Random(seed)
    return [" ".join(generator.choices(WORDS, k=generator.randint(1, 12))) for _ in range(count)]


@pytest.fixture(scope="module")
def corpus():
    return sentences()


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request, corpus):
    return train_tokenizer(request.param, corpus, 400)


@pytest.fixture(scope="module", params=SUBWORDS)
def subword(request, corpus):
    return train_tokenizer(request.param, corpus, 400)


def test_special_ids_are_the_vocabulary_s(tokenizer):
    vocabulary = tokenizer.get_vocab()
    assert [vocabulary[token] for token in SPECIAL_TOKENS] == [PAD, BOS, EOS, UNK]
    theirs = tokenizer.for_transformers()
    ids = (theirs.pad_token_id, theirs.bos_token_id, theirs.eos_token_id)
    assert (*ids, theirs.unk_token_id) == (PAD, BOS, EOS, UNK)


def test_corpus_round_trips_between_bos_and_eos(tokenizer, corpus):
    encoded = encode_texts(tokenizer, corpus)
    assert all(ids[0] == BOS and ids[-1] == EOS for ids in encoded)
    assert [decode_ids(tokenizer, ids) for ids in encoded] == corpus
    assert max(map(max, encoded)) < len(tokenizer)


@pytest.mark.parametrize("text", HARD.values(), ids=HARD)
def test_any_text_round_trips_without_special_tokens_inside(subword, text):
    (ids,) = encode_texts(subword, [text])
    assert decode_ids(subword, ids) == text
    assert not {PAD, BOS, EOS, UNK} & set(ids[1:-1])
    assert subword.for_transformers()(text)["input_ids"] == ids


@pytest.mark.parametrize("kind", SUBWORDS)
def test_ids_are_sentencepiece_s_own(kind, corpus):
    import sentencepiece

    model = train_sentencepiece(kind, corpus, 400)
    reference = sentencepiece.SentencePieceProcessor(model_proto=model)
    texts = [*corpus, *HARD.values()]
    expected = reference.encode([escape_literals(text) for text in texts])
    encoded = encode_texts(wrap(subword_tokenizer(model, kind), kind), texts)
    assert [ids[1:-1] for ids in encoded] == expected
    assert all(escape_literals(text) == text for text in corpus if "<" not in text)


def test_literal_unk_of_a_corpus_costs_one_token(subword):
    (ids,) = encode_texts(subword, ["the <unk> the"])
    assert len(ids) == 5


def test_training_is_deterministic(tokenizer, corpus):
    again = train_tokenizer(tokenizer.init_kwargs["kind"], iter(corpus), 400)
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


@pytest.mark.parametrize("through", ["load_tokenizer", "AutoTokenizer"])
def test_saved_tokenizer_loads_equal(tokenizer, corpus, tmp_path, through):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    # A model lies in the same folder; AutoTokenizer must not ask for its unknown model type.
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "textvae"}))
    load = load_tokenizer if through == "load_tokenizer" else AutoTokenizer.from_pretrained
    loaded = load(tmp_path)
    texts = [*corpus, *HARD.values()]
    encoded = encode_texts(tokenizer, texts)
    callable_one = loaded.for_transformers() if through == "load_tokenizer" else loaded
    assert callable_one(texts)["input_ids"] == encode_texts(loaded, texts) == encoded
    assert [decode_ids(loaded, i) for i in encoded] == [decode_ids(tokenizer, i) for i in encoded]
    assert tokenizer_kind(loaded) == tokenizer_kind(tokenizer) in KINDS


def test_load_refuses_a_folder_without_our_tokenizer(tokenizer, tmp_path):
    with pytest.raises(ValueError, match="holds no tokenizer"):
        load_tokenizer(tmp_path)
    with pytest.raises(ValueError, match="holds no tokenizer"):
        load_tokenizer(tmp_path / "missing")
    tokenizer.save_pretrained(tmp_path)
    foreign = (tmp_path / "tokenizer.json").read_text().replace("<pad>", "[PAD]")
    (tmp_path / "tokenizer.json").write_text(foreign)
    with pytest.raises(ValueError, match="must be 0, 1, 2, 3"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        load_tokenizer(tmp_path)


def test_encoding_ignores_settings_left_by_a_call(tokenizer, corpus):
    before = encode_texts(tokenizer, corpus)
    called = tokenizer.for_transformers()
    called(corpus, truncation=True, max_length=4, padding="max_length")
    called("<s>", split_special_tokens=False)
    assert encode_texts(called, corpus) == encode_texts(tokenizer, corpus) == before


def test_decoding_stops_at_eos_and_keeps_unk(tokenizer):
    (ids,) = encode_texts(tokenizer, ["the cat"])
    generated = [BOS, *ids[1:-1], EOS, PAD, PAD, *ids]
    assert decode_ids(tokenizer, generated) == "the cat"
    assert decode_ids(tokenizer, [BOS, PAD, *ids[1:-1]]) == "the cat"
    assert decode_ids(tokenizer, []) == decode_ids(tokenizer, [BOS, EOS]) == ""
    assert "<unk>" in decode_ids(tokenizer, [BOS, UNK, *ids[1:]])


@pytest.mark.parametrize("kind", SUBWORDS)
@pytest.mark.parametrize("vocab_size", [261, 300, 5000])
@pytest.mark.parametrize(
    "texts",
    [
        ["a short sentence"],
        ["a"],
        ["\t"],
        ["\0"],
        ["▅▅"],
        ["▁"],
        ["<s> <unk> <0x41>"] * 20,
        ["", "x", ""],
        ["no space " * 20_000, "z" * 20_000],
        ["".join(map(chr, range(0x4E00, 0x5200)))],
    ],
    ids=["sentence", "letter", "tab", "nul", "mark", "space", "special", "blank", "long", "wide"],
)
def test_any_corpus_trains(kind, vocab_size, texts):
    tokenizer = train_tokenizer(kind, texts, vocab_size)
    assert 260 < len(tokenizer) <= vocab_size
    probes = [*texts, *HARD.values()]
    encoded = encode_texts(tokenizer, probes)
    assert [decode_ids(tokenizer, ids) for ids in encoded] == probes
    assert UNK not in {i for ids in encoded for i in ids}


def test_large_corpora_are_sampled_the_same_way_each_time(monkeypatch, corpus):
    monkeypatch.setattr("textvae.data.tokenizers.TRAINING_SENTENCES", 50)
    assert train_sentencepiece("bpe", corpus, 300) == train_sentencepiece("bpe", corpus, 300)


@pytest.mark.parametrize("limit", [1, 50, 399, 400, 1000])
def test_lines_are_drawn_in_their_order(limit):
    lines = [f"{number:03}" for number in range(400)]
    kept = drawn(iter(lines), limit)
    assert len(set(kept)) == min(limit, 400) and kept == sorted(kept)
    assert drawn(lines, limit) == kept


def test_every_line_is_as_likely_to_be_drawn():
    kept = [int(line) for line in drawn(map(str, range(20_000)), 2000)]
    counts = [
        sum(start <= number < start + 4000 for number in kept) for start in range(0, 20_000, 4000)
    ]
    # Hypergeometric: 400 of each fifth, variance 2000 * .2 * .8 * .9.
    assert max(abs(count - 400) for count in counts) < 5 * 288**0.5


@pytest.mark.parametrize(
    ("kind", "texts", "vocab_size", "error", "message"),
    [
        ("wordpiece", ["a"], 300, ValueError, r"unknown .*'wordpiece' \(known: unigram, bpe, word"),
        ("bpe", "a string", 300, TypeError, "not one string"),
        ("unigram", ["a"], 260, ValueError, "at least 261 .*got 260"),
        ("bpe", [], 300, ValueError, "no text"),
        ("unigram", ["", ""], 300, ValueError, "no text"),
        ("word", ["", " "], 300, ValueError, "no text"),
        ("word", ["a"], 4, ValueError, "at least 5 .*got 4"),
    ],
)
def test_bad_requests_are_refused(kind, texts, vocab_size, error, message):
    with pytest.raises(error, match=message):
        train_tokenizer(kind, texts, vocab_size)


def test_encoding_one_string_is_refused(tokenizer):
    with pytest.raises(TypeError, match="not one string"):
        encode_texts(tokenizer, "a text")


def test_sentencepiece_is_silent(capfd, corpus):
    train_tokenizer("unigram", corpus, 5000)
    train_tokenizer("bpe", ["x" * 10_000], 5000)
    assert capfd.readouterr() == ("", "")


def test_words_are_the_most_frequent_ones_with_ties_in_order():
    texts = ["b a c <unk> <unk> <s>", "c a d\u3000b", "e </s> <pad>"]
    tokenizer = train_tokenizer("word", texts, 9)
    assert tokenizer.for_transformers().convert_ids_to_tokens(list(range(9))) == [
        *SPECIAL_TOKENS,
        *"abcde",
    ]
    assert train_tokenizer("word", reversed(texts), 8).get_vocab().keys() == {
        *SPECIAL_TOKENS,
        *"abcd",
    }
    assert len(train_tokenizer("word", texts, 1000)) == 9


def test_words_outside_the_vocabulary_and_literals_are_unk(corpus):
    tokenizer = train_tokenizer("word", corpus, 1000)
    assert len(tokenizer) == len(Counter(w for t in corpus for w in t.split()) - Counter()) + 3
    (ids,) = encode_texts(tokenizer, ["<s>  </s> <pad>\t<unk> zebra <s>x the "])
    assert ids == [BOS, *[UNK] * 6, tokenizer.get_vocab()["the"], EOS]
    assert decode_ids(tokenizer, ids) == " ".join(["<unk>"] * 6 + ["the"])


@pytest.mark.parametrize(
    ("text", "count"), [("", 1), ("one", 2), ("  two\twords ", 3), ("<unk> a\u00a0b", 4)]
)
def test_words_are_counted_with_the_end(text, count):
    assert count_words(text) == count


@pytest.mark.parametrize("text", ["नमस्ते दुनिया", "crème brûlée", "السَّلام عليكم"])
def test_a_bag_knows_the_words_that_it_cuts(text):
    tokenizer = train_tokenizer("bag", [text], 300)
    (ids,) = encode_texts(tokenizer, [text])
    assert len(ids) >= 4 and UNK not in ids


def test_bag_keeps_only_content_words_in_lower_case():
    texts = ["The dog's 3 dogs, dog42 THE the!", "a Río rio of cats_and under"]
    tokenizer = train_tokenizer("bag", texts, 300)
    ids = encode_texts(tokenizer, [*texts, "unseen", "the"])
    words = [tokenizer.for_transformers().convert_ids_to_tokens(row[1:-1]) for row in ids]
    assert words[0] == ["the", "dog", "dogs", "dog", "the", "the"]
    assert words[1] == ["río", "rio", "cats", "and", "under"]
    assert words[2] == [] and words[3] == ["the"]
    assert all(row[0] == BOS and row[-1] == EOS for row in ids)
    without = train_tokenizer("bag", texts, 300, stop_words="english")
    assert encode_texts(without, ["the under"]) == [[BOS, EOS]]
    assert len(train_tokenizer("bag", texts, 6)) == 6


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("word", ("model", "unk_token"), "x"),
        ("unigram", ("model", "unk_id"), None),
        ("unigram", ("decoder", "decoders", 3, "stop"), 2**40),
    ],
)
def test_a_stranger_s_tokenizer_fails_with_a_value_error(tmp_path, kind, path, value):
    train_tokenizer(kind, ["the dog saw a cat ."] * 20, 300).save_pretrained(tmp_path)
    file = tmp_path / "tokenizer.json"
    stored = json.loads(file.read_text())
    part = stored
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    file.write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=r"the tokenizer failed|cannot be read"):
        tokenizer = load_tokenizer(tmp_path)
        for ids in encode_texts(tokenizer, ["the dog", "zebra \u00e9", ""]):
            decode_ids(tokenizer, ids)
