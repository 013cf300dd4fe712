"""Drift: symmetric KL by hand, areas under the curve, and rows whose parts change."""

import numpy as np
import pytest
import torch
from conftest import vae
from torch.distributions import Independent, Normal, kl_divergence

from textvae.data.fields import Fields, Vectors
from textvae.data.packed import Packed
from textvae.evaluation.drift import (
    area,
    distance_of,
    drift_fields,
    drift_metrics,
    drift_of,
    drifts,
    symmetric_kl,
)

FACTS = {"shape": [2], "values": "real", "centre": [0.0, 0.0], "scale": [2.0, 1.0]}


def model(latent: dict | None = None):
    observed = {"docs": {**FACTS, "plate": "part"}, "part": {"counts": {"4": 1}}}
    likelihood = {"likelihood": {"kind": "gaussian"}}
    return vae(
        [{"name": "docs", "kind": "mlp", "hidden": [4]}],
        [{"name": "level", "kind": "gaussian", "dim": 2, "given": ["docs"], **(latent or {})}],
        [{"name": "docs", "kind": "mlp", "hidden": [4], "given": ["level"], **likelihood}],
        vocab_size=0,
        observed=observed,
    )


def rows(*windows: np.ndarray) -> Fields:
    values = np.concatenate(windows).astype(np.float32)
    return Fields({"docs": Packed.of(Vectors(values, FACTS), windows, "part")})


def test_the_symmetric_kl_is_that_of_torch():
    draw = torch.Generator().manual_seed(0)
    means, others = torch.randn(2, 3, generator=draw), torch.randn(4, 3, generator=draw)
    scales, of_others = (torch.rand(n, 3, generator=draw) + 0.5 for n in (2, 4))
    found = symmetric_kl(*(each.numpy() for each in (means, scales, others, of_others)))
    for a in range(2):
        for b in range(4):
            p = Independent(Normal(means[a], scales[a]), 1)
            q = Independent(Normal(others[b], of_others[b]), 1)
            expected = kl_divergence(p, q) + kl_divergence(q, p)
            assert found[a, b] == pytest.approx(expected.item(), rel=1e-5)


def test_the_halves_of_a_row_are_compared():
    means, ones = np.array([[0.0], [0.0], [0.0], [2.0], [2.0]]), np.ones((5, 1))
    # The second half is the longer one: the third part is a quiet one of it.
    assert drift_of(means, ones) == pytest.approx(4 * 2 / 3)
    assert distance_of(means) == pytest.approx(2 * 2 / 3)


@pytest.mark.parametrize(
    ("quiet", "changed", "expected"),
    [([0, 1], [2, 3], 1.0), ([2, 3], [0, 1], 0.0), ([1, 1], [1, 1], 0.5), ([0, 2], [1, 3], 0.75)],
)
def test_the_area_is_the_share_of_pairs_in_order(quiet, changed, expected):
    assert area(np.array(quiet), np.array(changed)) == expected


def test_rows_of_any_length_keep_their_order():
    draw = np.random.default_rng(0)
    windows = [draw.normal(size=(count, 2)) for count in (4, 1, 2, 5)]
    net = model()
    found, raw = drifts(net, rows(*windows))
    assert np.isnan(found).tolist() == [False, True, False, False]
    for number in (0, 2, 3):
        alone = drifts(net, rows(windows[number]))
        np.testing.assert_allclose([alone[0][0], alone[1][0]], [found[number], raw[number]], 1e-4)
    # As in the table: what was divided by the scale is put back.
    assert raw[2] == pytest.approx(np.linalg.norm((windows[2][0] - windows[2][1]) * [2, 1]), 1e-5)


def test_a_change_is_found_and_alarms_are_those_above_the_threshold():
    draw = np.random.default_rng(0)
    quiet = [draw.normal(0, 0.1, (4, 2)) for _ in range(50)]
    loud = [each + np.array([[0], [0], [9], [9]]) for each in quiet]
    labels = ["0"] * 50 + ["10"] * 50
    net, data = model(), rows(*quiet, *loud)
    found = drift_metrics(net, data, labels, (data, labels))
    assert found is not None and found.auc == {"10": 1.0} and found.alarms == {"10": 1.0}
    assert found.false_alarms == 0.02 and found.rows == {"0": 50, "10": 50}
    assert found.gain["10"] == found.auc["10"] - found.raw_auc["10"]
    without = drift_metrics(net, data, labels)
    assert without is not None and without.false_alarms is None
    assert drift_metrics(net, data, ["0"] * 100) is None


def test_drift_is_of_gaussian_latents_of_parts_that_are_vectors():
    assert drift_fields(model()) == ("level", "docs")
    assert drift_fields(model({"kind": "vmf"})) is None
