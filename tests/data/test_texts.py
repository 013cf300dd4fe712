"""Texts are read anew in every pass, and known by their SHA-256."""

import pytest

from textvae.data.held_out import ByRow
from textvae.data.texts import DataError, Texts, checked, hold_out, sha_of

PAIRS = {
    "another text": (["a", "b"], ["a", "c"]),
    "another order": (["a", "b"], ["b", "a"]),
    "one text fewer": (["a", "b"], ["a"]),
    "joined": (["a", "b"], ["ab"]),
    "a line end inside": (["a", "b"], ["a\nb"]),
    "line ends elsewhere": (["a\nb", "c"], ["a", "b\nc"]),
    "a letter of two bytes": (["\xff"], ["\n"]),
}


def texts_of(*lists: list[str]) -> Texts:
    """Texts whose first pass gives the first list, and so on."""
    passes = iter(lists)
    return checked("source", lambda notes: iter(next(passes)), [])


@pytest.mark.parametrize(("first", "second"), PAIRS.values(), ids=PAIRS)
def test_only_equal_texts_have_equal_sums(first, second):
    assert sha_of(first).digest() != sha_of(second).digest()
    assert sha_of(first).digest() == sha_of(tuple(first)).digest()
    assert sha_of(first).digest() == sha_of(texts_of(first)).digest()
    with pytest.raises(DataError, match="source: changed while it was read"):
        list(texts_of(first, second))


def test_a_sum_can_be_gone_on_with_many_times():
    texts = texts_of(["a"])
    sha_of(texts).update(b"more")
    assert sha_of(texts).digest() == sha_of(["a"]).digest()


@pytest.mark.parametrize(
    "change", [["a", "b", "c", "x"], ["a", "b", "c"], ["a", "b", "c", "d", "e"]]
)
def test_what_is_held_out_of_changed_texts_is_refused(change):
    with pytest.raises(DataError, match="source: changed while it was read"):
        hold_out(texts_of([*"abcd"], change), ByRow({1: "valid"}))
    division = ByRow({1: "valid", 2: "test"})
    rest, held = hold_out(texts_of([*"abcd"], [*"abcd"], [*"abcd"]), division)
    assert [*rest] == ["a", "d"] and len(rest) == 2
    assert held == {"valid": ["b"], "test": ["c"]}
    assert sha_of(rest).digest() == sha_of(["a", "d"]).digest()
