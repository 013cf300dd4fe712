"""Accuracy of predicted labels counts the rows that have one."""

import pytest
import torch

from textvae.evaluation.labels import classification

PROBABILITIES = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])


def test_rows_without_a_label_do_not_count():
    found = classification(PROBABILITIES, torch.tensor([0, 1, 1, -1]))
    assert found.accuracy == pytest.approx(2 / 3) and found.labelled == 3
    same = classification(PROBABILITIES[:3], torch.tensor([0, 1, 1]))
    assert found == same


def test_without_any_label_there_is_no_accuracy():
    with pytest.raises(ValueError, match="no text has a label"):
        classification(PROBABILITIES, torch.full((4,), -1))
