"""Metrics of predicted sets of labels."""

import numpy as np
import pytest
import torch
from conftest import TEXT, Z, ids, vae
from sklearn.metrics import f1_score

from textvae.data.batching import Sentences
from textvae.data.fields import Fields, LabelSets
from textvae.evaluation.label_sets import (
    best_threshold,
    label_probabilities,
    label_set_evaluation,
    label_set_metrics,
    predicted_set,
)

OBSERVED = {"text": {}, "labels": {"label_set": 3}}


def predictor(rank=None, latent=True):
    decoder = {"name": "labels", "kind": "labels", "given": ["z", "text"] if latent else ["text"]}
    encoders = [TEXT, {"name": "labels", "kind": "labels"}] if latent else [TEXT]
    latents = [{**Z, "given": ["text", "labels"], "prior": {"given": ["text"]}}]
    decoder |= {} if rank is None else {"rank": rank}
    return vae(encoders, latents if latent else None, [decoder], observed=OBSERVED)


def test_f1_is_that_of_scikit_learn():
    draw = np.random.default_rng(0)
    truth, probabilities = draw.integers(0, 2, (50, 4)), draw.random((50, 4))
    found = label_set_metrics(probabilities, truth, 0.4, 0)
    predicted = probabilities > 0.4
    averages = {"micro": found.micro_f1, "macro": found.macro_f1, "samples": found.example_f1}
    for average, value in averages.items():
        assert value == pytest.approx(f1_score(truth, predicted, average=average, zero_division=1))
    assert found.exact_match == pytest.approx((truth == predicted).all(1).mean())


def test_empty_sets_that_are_predicted_are_right_and_missing_ones_do_not_count():
    truth = np.array([[0, 0], [1, 0], [-1, -1]])
    found = label_set_metrics(np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]), truth, 0.5, 0)
    assert (found.example_f1, found.exact_match, found.micro_f1, found.rows) == (1.0, 1.0, 1.0, 2)
    assert found.macro_f1 == 1.0
    with pytest.raises(ValueError, match="no row has a set"):
        label_set_metrics(np.zeros((1, 2)), np.full((1, 2), -1), 0.5, 0)


def test_the_threshold_has_the_highest_micro_f1():
    truth = np.array([[1, 0], [1, 0]])
    assert best_threshold(np.array([[0.3, 0.1], [0.2, 0.05]]), truth) == pytest.approx(0.1)


@pytest.mark.parametrize(("rank", "latent"), [(None, True), (2, True), (None, False)])
def test_probabilities_do_not_read_the_labels(rank, latent):
    model = predictor(rank, latent)
    text = ids(3, 5)
    found = [
        label_probabilities(model, [{"text": text, "labels": torch.full((2, 3), value)}], 3)
        for value in (0.0, 1.0)
    ]
    assert torch.equal(*found) and found[0].shape == (2, 3)
    assert found[0].min() > 0 and found[0].max() < 1
    assert predicted_set(model) == ("labels", "labels", False)


def test_a_latent_that_labels_fix_is_what_predicts():
    y = {"name": "y", "kind": "label_set", "field": "labels", "given": ["text"]}
    model = vae([TEXT], [y], [{**TEXT, "given": ["y"]}], observed=OBSERVED)
    text = ids(3, 5)
    found = label_probabilities(model, [{"text": text}])
    torch.testing.assert_close(found, model.encode(text=text)["y"].mean.detach())


def test_rows_are_in_their_order_and_the_threshold_is_chosen_on_others():
    model = predictor(latent=False)
    texts = Sentences(
        np.array([1, 5, 6, 7, 2, 1, 8, 2, 1, 9, 2]), np.array([0, 5, 8, 11]), 5, "text"
    )
    sets = np.array([[1, 0, 1], [0, 1, 0], [-1, -1, -1]], np.int8)
    rows = Fields({"text": texts, "labels": LabelSets(sets, ("a", "b", "c"))})
    alone = label_set_evaluation(model, rows, None)["label_sets"]
    assert (alone["threshold"], alone["validated"], alone["rows"]) == (0.5, 0, 2)
    chosen = label_set_evaluation(model, rows, rows)["label_sets"]
    assert chosen["validated"] == 2 and chosen["micro_f1"] >= alone["micro_f1"]
    assert label_set_evaluation(vae(decoders=[TEXT]), rows, None) == {}
