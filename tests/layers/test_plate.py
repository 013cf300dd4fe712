"""Sums, repeats and padding of the parts of rows."""

import torch

from textvae.layers.plate import Plate

COUNTS = [2, 1, 4]


def plate() -> Plate:
    return Plate.of(torch.tensor(COUNTS), sum(COUNTS))


def test_parts_know_their_row_and_place():
    assert plate().owner.tolist() == [0, 0, 1, 2, 2, 2, 2]
    assert plate().places.tolist() == [0, 1, 0, 0, 1, 2, 3]
    assert plate().counts.tolist() == COUNTS and plate().last.tolist() == [1, 2, 6]


def test_the_sum_of_a_row_is_bit_equal_alone_and_among_others():
    values = torch.randn(5, 7)
    together = plate().sum_parts(values)
    start = 0
    for row, count in enumerate(COUNTS):
        alone = Plate.of(torch.tensor([count])).sum_parts(values[:, start : start + count])
        assert torch.equal(together[:, row], alone[:, 0])
        start += count
    torch.testing.assert_close(together[:, 0], values[:, 0] + values[:, 1])


def test_values_of_rows_are_repeated_for_their_parts():
    rows = torch.randn(2, 3, 4)
    assert torch.equal(plate().repeat_rows(rows, 1)[:, 3], rows[:, 2])
    assert torch.equal(plate().sum_parts(plate().repeat_rows(rows, 1))[:, 1], rows[:, 1])


def test_padding_is_added_and_removed():
    values = torch.randn(7, 3)
    padded = plate().padded(values)
    assert padded.shape == (3, 4, 3) and not padded[0, 2:].any() and not padded[1, 1:].any()
    assert torch.equal(padded[2], values[3:]) and torch.equal(plate().packed(padded), values)
