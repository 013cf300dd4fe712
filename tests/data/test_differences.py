"""Words that two texts share."""

import pytest

from textvae.data.differences import MOST_WORDS, compare_words


def words_of(runs, joint=" "):
    return joint.join(run.text for run in runs)


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("the soup was cold .", "the soup was cold .", ["the soup was cold ."]),
        ("the soup was cold .", "the soup is cold .", ["the soup", "cold ."]),
        ("a b c", "d e", []),
        ("a b", "b a", ["a"]),
        ("", "a b", []),
        ("a a a", "a", ["a"]),
    ],
)
def test_shared_words_stand_in_both_texts_in_order(first, second, shared):
    own, other = compare_words(first, second)
    assert (words_of(own), words_of(other)) == (first, second)
    assert len([run for run in own if run.shared]) == len(shared)
    for runs in (own, other):
        assert sorted(run.text for run in runs if run.shared) == sorted(shared)
        assert all(a.shared != b.shared for a, b in zip(runs, runs[1:], strict=False))


def test_texts_without_blanks_are_compared_by_character():
    own, other = compare_words("老师喜欢昨天的报纸。" * 3, "老师不喜欢昨天的书。" * 3)
    assert words_of(own, "") == "老师喜欢昨天的报纸。" * 3
    assert [run.text for run in other if not run.shared][:2] == ["不", "书"]


def test_words_after_the_first_ones_count_as_different():
    text = " ".join(["word"] * (MOST_WORDS + 7))
    own, _ = compare_words(text, text)
    assert [(run.shared, len(run.text.split())) for run in own] == [(True, MOST_WORDS), (False, 7)]
