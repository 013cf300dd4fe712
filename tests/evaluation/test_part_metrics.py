"""Metrics of rows with parts."""

import pytest
import torch
from support.dialogues import batch, dialogue, dialogue_vae

from textvae.evaluation.latent import information
from textvae.evaluation.likelihood import likelihood
from textvae.evaluation.parts import latent_kls, part_metrics, row_kls
from textvae.randomness import seeded


def test_kls_of_latents_add_up_to_the_kl():
    model, fields = dialogue_vae(), batch(2, 1, 4)
    found = latent_kls(model, [fields], seed=3)
    with seeded(3), torch.no_grad():
        out = model.infer(**fields)
    assert sum(found.values()) == pytest.approx(out.kl.mean().item(), rel=1e-5)
    assert list(found) == ["z", "who", "words"]


def test_rows_and_not_parts_are_counted():
    model, batches = dialogue_vae(), [batch(2, 1, 4), batch(3)]
    estimate = likelihood(model, batches, samples=4)
    assert estimate.nll.shape == (4,) and set(estimate.features) == {"mood", "whole", "bag"}
    found = part_metrics(model, batches)
    assert found["parts"] == {"turn": 2.5}
    assert len(found["variances"]) == 3 + 4 + 2


def test_information_is_of_latents_of_whole_rows():
    model = dialogue_vae()
    estimate = likelihood(model, [batch(2, 1, 4)], samples=1)
    known = information(model, estimate.features, samples=50)
    assert 0 < known.mutual_information <= torch.log(torch.tensor(3.0))
    assert len(known.variances) == 3


def test_kls_of_dimensions_add_up_to_those_of_whole_rows():
    model, fields = dialogue_vae().eval(), batch(2, 1, 3)
    assert sum(row_kls(model, [fields])) == pytest.approx(latent_kls(model, [fields])["z"])
    split = [dialogue(fields, number) for number in range(3)]
    assert row_kls(model, split) == pytest.approx(row_kls(model, [fields]), rel=1e-4)
