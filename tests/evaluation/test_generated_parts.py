"""Metrics of rows with parts, beside those of held-out rows."""

import pytest

from textvae.evaluation.generated_parts import GeneratedParts, parts_style

REAL = {
    "text": [("a b c d", "a b"), ("c d",)],
    "slots": [(("x",), ()), (("x", "y"),)],
    "speaker": [("p", "p"), ("p",)],
}
WRITTEN = {
    "text": [("a a", "a a"), ("a a",)],
    "slots": [((), ()), ((),)],
    "speaker": [("p", "q"), ("p",)],
}


def style(columns):
    return parts_style(columns, {"text": "turn"}, ["slots", "speaker"])


def test_a_metric_is_divided_by_that_of_real_rows():
    relative = GeneratedParts(style(WRITTEN), style(REAL)).relative
    # six words of one kind against eight of four; three pairs of one kind against five of three
    assert relative["distinct_1"] == pytest.approx((1 / 6) / (4 / 8))
    assert relative["distinct_2"] == pytest.approx((1 / 3) / (3 / 5))
    assert relative["entropy_words"] == relative["slots"] == 0.0


def test_a_metric_that_is_0_for_real_rows_has_no_ratio():
    relative = GeneratedParts(style(REAL), style(WRITTEN)).relative
    assert "entropy_words" not in relative and "slots" not in relative
    same = GeneratedParts(style(REAL), style(REAL)).relative
    assert "speaker" not in same and set(same.values()) == {1.0}


def test_the_words_of_conditions_are_looked_up_in_their_own_row():
    given = [("a z",), ("a c",)]
    found = parts_style(REAL, {"text": "turn"}, [], given).given_words
    assert found == pytest.approx((1 / 2 + 1 / 2) / 2)
    with pytest.raises(ValueError, match="no row"):
        parts_style({"text": []}, {"text": "turn"}, [])
