"""Columns by which points are coloured."""

import numpy as np
import pytest

from textvae.analysis.columns import (
    CLASSES,
    MISSING_BYTE,
    OTHER,
    class_column,
    first_word_column,
    length_column,
    most_explaining,
    number_column,
)


def test_few_classes_have_their_own_and_blanks_none():
    column = class_column("kind", ["b", "a", "", "b"])
    assert (column.names, column.numbers.tolist()) == (("a", "b"), [1, 0, -1, 1])
    assert (column.counts, column.others) == ([1, 2, 0, 1], 0)
    assert column.bytes.tolist() == [1, 0, MISSING_BYTE, 1]


def test_of_many_classes_the_nine_largest_have_their_own():
    values = [f"c{n:02}" for n in range(12) for _ in range(20 - n)]
    column = class_column("kind", values)
    assert column.names == tuple(f"c{n:02}" for n in range(CLASSES - 1))
    assert column.others == 3 and column.counts[-2] == 11 + 10 + 9
    assert set(column.bytes[-30:].tolist()) == {OTHER}


def test_ten_classes_are_not_cut():
    assert class_column("digit", list("0123456789")).names == tuple("0123456789")


@pytest.mark.parametrize("count", [11, 300])
def test_many_numbers_become_ranges_with_as_many_rows(count):
    column = class_column("year", [str(n) for n in range(count)] + [""])
    assert column.ordered and len(column.names) <= CLASSES - 1
    assert column.names[0].startswith("0 to ") and column.names[-1].endswith(f"to {count - 1}")
    sizes = column.counts[: len(column.names)]
    assert sum(sizes) == count and max(sizes) <= 2 * min(sizes)
    assert column.counts[-1] == 1


def test_ranges_contain_their_numbers():
    values = [float(n) for n in np.random.default_rng(0).integers(0, 60, 400)]
    column = number_column("n", values)
    for value, number in zip(values, column.numbers, strict=True):
        low, _, high = column.names[number].partition(" to ")
        assert float(low) <= value <= float(high or low)


def test_length_and_first_word_follow_the_unit_of_the_texts():
    assert length_column(["a b c", "a"]).name == "length in words"
    assert length_column(["a b c", "a"]).names == ("1", "3")
    assert first_word_column(["the dog", "a cat", "the cat"]).names == ("the", "a")
    chinese = ["老师喜欢昨天的报纸。", "他不来。"]
    assert length_column(chinese).names == ("4", "10")
    assert set(first_word_column(chinese).names) == {"老", "他"}


def test_the_column_that_explains_most_variance_is_found():
    draw = np.random.default_rng(0)
    classes = draw.integers(0, 3, 300)
    points = draw.normal(size=(300, 2)) + 4 * classes[:, None]
    columns = [
        class_column("chance", [str(n) for n in draw.integers(0, 3, 300)]),
        class_column("true", [str(n) for n in classes]),
        class_column("unique", [f"x{n}" for n in range(300)]),
    ]
    assert most_explaining(columns, points) == "true"
    assert columns[0].explained(points) < 0.02
    assert most_explaining([], points) == "none"
