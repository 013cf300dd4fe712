"""Encoders of the parts of rows: order, other rows, gradients."""

import pytest
import torch

from textvae.encoders import Encoder
from textvae.encoders.base import pooled_only
from textvae.layers.plate import Plate

ROWS = {
    "sequence": {"kind": "sequence", "hidden": 5},
    "sequence-deep": {"kind": "sequence", "hidden": 5, "layers": 2},
    "past": {"kind": "past", "hidden": 5},
    "set": {"kind": "set", "hidden": 5},
}
"""Every encoder of parts: a new kind adds a row, without dropout."""

COUNTS = torch.tensor([3, 1, 2])
# The same sums in another batch layout: float32 rounding.
ROUNDING = {"atol": 1e-6, "rtol": 1e-5}


@pytest.fixture(params=ROWS.values(), ids=ROWS)
def encoder(request):
    return Encoder.build(request.param, given_features=[3, 2]).eval()


def read(encoder, parts, counts=COUNTS):
    plate = Plate.of(counts)
    first, second = parts.split([3, 2], -1)
    given = [pooled_only(each) for each in (first, second)]
    return encoder(*(each.select(torch.arange(len(parts)), plate) for each in given)).pooled


def test_rows_or_parts_come_out(encoder):
    found = read(encoder, torch.randn(6, 5))
    assert found.shape == (3 if encoder.reduces else 6, encoder.features)


def test_a_row_is_the_same_alone_and_among_others(encoder):
    parts = torch.randn(6, 5)
    together, start = read(encoder, parts), 0
    for row, count in enumerate(COUNTS.tolist()):
        alone = read(encoder, parts[start : start + count], COUNTS[row : row + 1])
        found = together[row : row + 1] if encoder.reduces else together[start : start + count]
        torch.testing.assert_close(found, alone, **ROUNDING)
        start += count


def test_every_parameter_learns(encoder):
    read(encoder, torch.randn(6, 5)).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_the_order_of_parts_matters_but_in_a_set(encoder):
    parts = torch.randn(6, 5)
    moved = parts[[1, 0, 2, 3, 5, 4]]
    same = torch.allclose(read(encoder, parts), read(encoder, moved), atol=1e-6)
    assert same == (encoder.kind == "set")


def test_the_past_of_a_part_is_what_came_before_it():
    encoder = Encoder.build(ROWS["past"], given_features=[3, 2]).eval()
    parts = torch.randn(6, 5)
    before = read(encoder, parts)
    assert not before[[0, 3, 4]].any()
    changed = parts.clone()
    changed[1] += 1
    differs = (read(encoder, changed) != before).any(1)
    assert differs.tolist() == [False, False, True, False, False, False]


def test_the_last_state_of_a_sequence_is_the_past_of_one_more_part():
    sequence = Encoder.build(ROWS["sequence"], given_features=[3, 2]).eval()
    past = Encoder.build(ROWS["past"], given_features=[3, 2]).eval()
    past.load_state_dict(sequence.state_dict())
    parts = torch.randn(3, 5)
    longer = torch.cat([parts, torch.randn(1, 5)])
    torch.testing.assert_close(
        read(sequence, parts, torch.tensor([3]))[0], read(past, longer, torch.tensor([4]))[3]
    )


def test_a_set_is_the_mean_of_a_layer():
    encoder = Encoder.build(ROWS["set"], given_features=[3, 2]).eval()
    parts = torch.randn(6, 5)
    expected = encoder.layer(parts[:3]).relu().mean(0)
    torch.testing.assert_close(read(encoder, parts)[0], expected)
