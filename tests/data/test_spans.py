"""Texts inside other texts: their characters, and their token ids there."""

import json

import pytest

from textvae.config import DataConfig
from textvae.data.errors import DataError
from textvae.data.spans import encoded_within, place_of
from textvae.data.tables import read_table_corpus, text_inside
from textvae.data.tokenizers import decode_ids, encode_texts, train_tokenizer

WHOLE = "In 1870 the club (FC) met, in 18 towns."


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("18", (30, 32)),
        ("187", (3, 6)),
        ("FC", (18, 20)),
        ("In", (0, 2)),
        ("towns.", (33, 39)),
        ("clubs", None),
        ("", None),
    ],
)
def test_the_place_is_that_of_whole_words_where_there_is_one(text, place):
    assert place_of(text, WHOLE) == place
    if place is not None:
        assert WHOLE[slice(*place)] == text


@pytest.mark.parametrize("kind", ["unigram", "bpe", "word"])
def test_the_ids_are_those_inside_and_decode_to_the_text(kind):
    tokenizer = train_tokenizer(kind, [WHOLE, "the club met", "FC", "1870"] * 4, 320)
    texts = ["FC", "1870", "the club", "nowhere"]
    rows, missing = encoded_within(tokenizer, texts, [WHOLE] * 4, "answer")
    whole, own = encode_texts(tokenizer, [WHOLE, "nowhere"])
    assert missing == 1 and rows[3].tolist() == own and rows.field == "answer"
    for number, text in enumerate(texts[:3]):
        inner = rows[number].tolist()[1:-1]
        assert any(whole[i : i + len(inner)] == inner for i in range(len(whole))), text
        if kind != "word":
            assert text in decode_ids(tokenizer, inner)
    assert rows.words == 2 + 2 + 3 + 2


def test_a_span_of_characters_is_text_and_any_other_is_refused():
    assert text_inside(WHOLE, [18, 20], "here") == "FC"
    for span in ([20, 18], [0, 40], [-1, 2], [0.0, 2.0], [True, 2], ["0", "2"], [1], []):
        with pytest.raises(DataError, match=r"here: a span must be its text, or \[start, end\)"):
            text_inside(WHOLE, span, "here")


def test_a_table_has_answers_as_texts_or_as_characters(tmp_path):
    table = tmp_path / "rows.jsonl"
    rows = [json.dumps({"p": WHOLE, "a": cell}) for cell in ([18, 20], "FC", [3, 7])]
    table.write_text("\n".join(rows * 4), encoding="utf-8")
    fields = {"p": {}, "a": {"within": "p"}}
    corpus = read_table_corpus(DataConfig(source=str(table), fields=fields, split_by="row"))
    cells = [cell for t in (corpus.train, corpus.valid, corpus.test) for cell in t.columns["a"]]
    assert sorted(cells) == ["1870"] * 4 + ["FC"] * 8
    table.write_text(rows[0].replace("20", "90"), encoding="utf-8")
    with pytest.raises(DataError, match=r"rows.jsonl: .* 1: 'a': a span .* 39 characters"):
        read_table_corpus(DataConfig(source=str(table), fields=fields))


@pytest.mark.parametrize("within", ["q", "a", "label"])
def test_what_a_text_is_within_is_another_text(within):
    fields = {"p": {}, "a": {"within": within}, "label": {"kind": "label"}}
    with pytest.raises(ValueError, match=rf"a.within: unknown '{within}' .*known: p\)"):
        DataConfig(fields=fields)
    with pytest.raises(ValueError, match="within is for kind 'text'"):
        DataConfig(fields={"p": {}, "label": {"kind": "label", "within": "p"}})
