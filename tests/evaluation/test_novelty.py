"""Novelty: scores of unknown rows, a threshold without them, and figures that follow from both."""

import numpy as np
import pytest
import torch
from conftest import vae

from textvae.data.fields import Fields, Labels, Vectors
from textvae.evaluation.novelty import area_under_curve, novelty, novelty_scores
from textvae.vocabulary import MISSING, STRANGE

OBSERVED = {"x": {"shape": [2]}, "label": {"classes": 2}}
X = {"kind": "mlp", "hidden": [4]}
PLACES = torch.tensor([[[-3.0, 0.0]], [[3.0, 0.0]]])


def rows(points, labels) -> Fields:
    values = np.asarray(points, np.float32)
    labels = np.asarray(labels, np.int64)
    return Fields({"x": Vectors(values, {"shape": [2]}), "label": Labels(labels, 2)})


def mixture():
    """A model whose posterior mean is x itself, and whose classes lie at -3 and 3."""
    net = vae(
        [{"name": "x", "kind": "mlp", "hidden": [2], "activation": "relu"}],
        [
            {"name": "z", "kind": "gaussian", "dim": 2, "given": ["x"], "field": "label"}
            | {"prior": {"kind": "class_mixture", "components": 1}}
        ],
        [{"name": "x", **X, "likelihood": {"kind": "gaussian"}, "given": ["z"]}],
        observed=OBSERVED,
    ).eval()
    with torch.no_grad():
        layer, head = net.encoders["x"].layers[1][0], net.latents["z"].head
        layer.weight.copy_(torch.eye(2)), layer.bias.fill_(10.0)
        head.weight.zero_(), head.bias.fill_(-10.0)
        head.weight[:2].copy_(torch.eye(2))
        net.priors["z"].means.copy_(PLACES)
    return net


def test_area_is_the_share_of_pairs_in_order():
    draw = np.random.default_rng(0)
    known, unknown = draw.integers(0, 5, 40), draw.integers(2, 7, 30)
    pairs = (unknown[:, None] > known) + 0.5 * (unknown[:, None] == known)
    assert area_under_curve(known, unknown) == pytest.approx(pairs.mean())


def test_scores_are_distances_to_the_classes():
    found = rows([[-3, 0], [0, 4], [3, 0], [5, 0]], [0, STRANGE, 1, 1])
    probabilities, scores = novelty_scores(mixture(), found)
    assert probabilities.argmax(1).tolist()[0::2] == [0, 1]
    assert scores["nearest"] == pytest.approx([0, 5, 0, 2], abs=1e-4)
    assert scores["ratio"] == pytest.approx([0, 1, 0, 2 / 8], abs=1e-4)
    assert scores["confidence"] == pytest.approx(1 - probabilities.max(1), abs=1e-6)


def test_figures_of_rows_that_are_told_apart():
    net, draw = mixture(), np.random.default_rng(0)
    labels = np.arange(200) % 2
    known = np.stack([6.0 * labels - 3, np.zeros(200)], 1) + 0.3 * draw.normal(size=(200, 2))
    far = np.stack([np.zeros(50), 5 + draw.normal(size=50)], 1)
    held_out = rows([*known[:100], *far], [*labels[:100], *[STRANGE] * 50])
    validation = rows(known[100:], labels[100:])
    found = novelty(net, held_out, validation)
    assert found is not None
    assert found.auroc == found.ratio_auroc == 1.0 and found.accuracy == 1.0
    assert (found.known, found.unknown, found.validated) == (100, 50, 100)
    assert found.rejected == 1.0 and found.accepted == pytest.approx(0.95, abs=0.05)
    wrong = round(100 * (1 - found.accepted))
    # Known rows that are refused cost recall of their classes and precision of the unknown one.
    assert found.macro_f1 < 1.0 or wrong == 0
    assert found.gain == found.auroc - max(found.nearest_auroc, found.reconstruction_auroc)
    _, scores = novelty_scores(net, validation)
    assert np.mean(scores["ratio"] <= found.threshold) == pytest.approx(0.95)


def test_unknown_rows_choose_no_threshold():
    net = mixture()
    held_out = rows([[-3, 0], [0, 9]], [0, STRANGE])
    validation = rows([[-3.5, 0], [3.2, 0]], [0, 1])
    also = rows([[-3.5, 0], [3.2, 0], [0, 9], [0, 8]], [0, 1, STRANGE, MISSING])
    assert novelty(net, held_out, validation) == novelty(net, held_out, also)


def test_strangers_take_the_place_of_unknown_rows():
    net, validation = mixture(), rows([[-3.5, 0], [3.2, 0]], [0, 1])
    known, strange = rows([[-3, 0], [4, 1]], [0, 1]), rows([[0, 9], [1, 7]], [0, MISSING])
    also = rows([[-3, 0], [0, 0.2], [4, 1]], [0, STRANGE, 1])
    joined = rows([[-3, 0], [4, 1], [0, 9], [1, 7]], [0, 1, STRANGE, STRANGE])
    wanted = novelty(net, joined, validation)
    assert wanted is not None and wanted == novelty(net, known, validation, strange)
    assert wanted == novelty(net, also, validation, strange)


def test_rows_without_a_label_count_nowhere():
    net, validation = mixture(), rows([[-3.5, 0], [3.2, 0]], [0, 1])
    held_out = rows([[-3, 0], [0, 9]], [0, STRANGE])
    more = rows([[-3, 0], [0, 9], [0, 0.5]], [0, STRANGE, MISSING])
    assert novelty(net, held_out, validation) == novelty(net, more, validation)


@pytest.mark.parametrize("labels", [[0, 1], [STRANGE, STRANGE], [MISSING, MISSING]])
def test_without_known_and_unknown_rows_there_is_nothing_to_tell(labels):
    validation = rows([[-3.5, 0], [3.2, 0]], [0, 1])
    assert novelty(mixture(), rows([[-3, 0], [0, 9]], labels), validation) is None


def test_a_classifier_without_places_is_scored_by_its_confidence():
    net = vae(
        [{"name": "x", **X, "hidden": [3]}],
        [
            {"name": "y", "kind": "categorical", "field": "label", "given": ["x"]},
            {"name": "z", "kind": "gaussian", "dim": 1, "given": ["x"]},
        ],
        [{"name": "x", **X, "likelihood": {"kind": "gaussian"}, "given": ["z"]}],
        observed=OBSERVED,
    )
    held_out = rows([[-3, 0], [0, 9]], [0, STRANGE])
    found = novelty(net, held_out, rows([[-3.5, 0], [3.2, 0]], [0, 1]))
    assert found is not None and found.ratio_auroc is None
    assert found.auroc == found.confidence_auroc


def test_a_model_without_a_label_is_refused():
    net = vae(
        [{"name": "x", **X, "hidden": [3]}],
        [{"name": "z", "kind": "gaussian", "dim": 1, "given": ["x"]}],
        [{"name": "x", **X, "likelihood": {"kind": "gaussian"}, "given": ["z"]}],
        observed=OBSERVED,
    )
    held_out = rows([[-3, 0]], [0])
    with pytest.raises(ValueError, match="no latent has a field"):
        novelty_scores(net, held_out)
    assert novelty(net, held_out, held_out) is None
