"""Where the ids of one text stand in another."""

import torch
from conftest import ids

from textvae.data.tokenizers import encode_texts, train_tokenizer
from textvae.layers.spans import find_spans
from textvae.vocabulary import PAD

WHOLE = torch.tensor([1, 7, 5, 6, 9, 5, 6, 8, 2])


def spans_of(*parts):
    """Found, start and end of texts in `WHOLE`, padded to the longest."""
    width = max(map(len, parts)) + 2
    rows = torch.tensor([[1, *part, 2, *[PAD] * (width - len(part) - 2)] for part in parts])
    found = find_spans(rows, WHOLE.expand(len(parts), -1))
    return [(f, s, e) for f, s, e in zip(found.found, found.start, found.end, strict=True)]


def test_the_first_place_is_found_and_only_whole_runs_of_words():
    cases = {(5, 6): (True, 2, 3), (5, 6, 8): (True, 5, 7), (7,): (True, 1, 1), (8,): (True, 7, 7)}
    cases |= {(6, 5): (False, 0, 0), (5, 9): (False, 0, 0), (8, 2): (True, 7, 7)}
    assert spans_of(*cases) == list(cases.values())
    for part, expected in cases.items():
        assert spans_of(part) == [expected], "alone as among others"


def test_nothing_and_what_is_longer_than_the_whole_is_not_found():
    assert spans_of((), (7, 5, 6, 9, 5, 6, 8, 5, 5, 5)) == [(False, 0, 0)] * 2
    assert spans_of((7, 5, 6, 9, 5, 6, 8)) == [(True, 1, 7)]


def test_positions_inside_are_those_of_the_span():
    parts, whole = torch.tensor([[1, 5, 6, 2], [1, 4, 2, PAD]]), WHOLE.expand(2, -1)
    inside = find_spans(parts, whole).inside(9)
    assert inside.nonzero().tolist() == [[0, 2], [0, 3]]


def test_every_run_of_words_of_a_text_is_found_where_its_ids_are():
    texts = ids(9, 9, 9)
    for start, count in [(1, 3), (4, 1), (7, 3)]:
        cut = texts[:, start : start + count]
        found = find_spans(torch.cat([texts[:, :1], cut, texts[:, -1:]], 1), texts)
        assert found.found.all()
        rows = zip(texts, cut, found.start, found.end, strict=True)
        assert all(torch.equal(text[s : e + 1], part) for text, part, s, e in rows)
        assert (found.start <= start).all()


def test_subwords_of_a_word_between_blanks_are_equal_wherever_it_stands():
    texts = ["air pollution reduced the visibility", "he dislikes air pollution", "the pollution"]
    for kind in ("unigram", "bpe", "word"):
        tokenizer = train_tokenizer(kind, texts * 5, 300)
        part, *wholes = encode_texts(tokenizer, ["air pollution", *texts])
        for whole, expected in zip(wholes, (True, True, False), strict=True):
            found = find_spans(torch.tensor([part]), torch.tensor([whole]))
            assert found.found.item() is expected, kind
            if expected:
                assert whole[found.start : found.end + 1] == part[1:-1]
