"""Tables of commands: numbers of any size as cells."""

import math

import pytest

from textvae.console import shown, table


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
