"""What commands print: cells, tables, durations."""

import math

import pytest

from textvae.console import duration, shown, table


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.1, "1 s"),
        (44.6, "45 s"),
        (60, "1 min"),
        (203, "3 min 20 s"),
        (3594, "59 min 50 s"),
        (3596, "1 h"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_are_rounded(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (True, "yes"),
        (1234, "1,234"),
        (0.12345, "0.123"),
        (999.9, "999.900"),
        (-1234.5, "-1,234"),
        (9.99e14, "999,000,000,000,000"),
        (1e15, "1.000e+15"),
        (-6.595e200, "-6.595e+200"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_values_as_cells(value, cell):
    assert shown(value) == cell


def test_numbers_of_any_size_are_aligned_to_the_right():
    assert table([("a", 1.0), ("b", 1e20)]) == "a      1.000\nb  1.000e+20"
    assert table([("a", "1-3"), ("b", "20-")]) == "a  1-3\nb  20-"
    assert table([("a", "see"), ("b", "e+")]) == "a  see\nb  e+"
