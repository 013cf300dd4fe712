"""Spectral norms against singular values, and what a penalty on them does to a training."""

import signal

import pytest
import torch
from support.runs import assert_equal, corpus, recipe, weights
from torch import nn

from textvae.layers.spectral import spectral_norm, spectral_norms
from textvae.training.folders import InterruptedRunError
from textvae.training.runs import train_run

SHAPES = {"tall": (40, 7), "wide": (5, 60), "square": (30, 30), "convolution": (8, 3, 3, 3)}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_norms_and_gradients_are_those_of_the_largest_singular_value(shape):
    weight = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    exact = torch.linalg.matrix_norm(weight.flatten(1), 2)
    near, often = spectral_norm(weight), spectral_norm(weight, 5000)
    assert 0.9 * exact < near <= exact * (1 + 1e-9)
    torch.testing.assert_close(often, exact)
    (gradient,) = torch.autograd.grad(often, weight, retain_graph=True)
    (expected,) = torch.autograd.grad(exact, weight)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4)


def test_a_zero_matrix_has_a_norm_of_zero():
    weight = torch.zeros(4, 3, requires_grad=True)
    norm = spectral_norm(weight)
    norm.backward()
    assert norm == 0
    assert weight.grad is not None
    assert weight.grad.isfinite().all()


def test_all_weights_that_train_count_but_embeddings():
    model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4), nn.LayerNorm(4), nn.LSTM(4, 2))
    model[1].weight.data = torch.diag(torch.tensor([2.0, 1.0, 0.5, 0.0]))
    lstm = sum(spectral_norm(w) for name, w in model[3].named_parameters() if "weight" in name)
    torch.testing.assert_close(spectral_norms(model), 2.0 + lstm)
    model[3].requires_grad_(False)
    assert spectral_norms(model).item() == pytest.approx(2.0)
    assert spectral_norms(nn.Embedding(9, 4)) == 0


def test_a_penalty_makes_weights_smaller_and_resumes_to_the_same(tmp_path):
    losses = []

    def read(event, values):
        if event == "log":
            losses.append(values)

    def press(event, values):
        if event == "step" and values["step"] == 9:
            signal.raise_signal(signal.SIGINT)

    penalized = recipe(epochs=8, spectral_penalty=0.5)
    train_run(recipe(epochs=8), corpus(), tmp_path / "plain")
    train_run(penalized, corpus(), tmp_path / "whole", report=read)
    assert losses[-1]["spectral_norms"] > 0
    norms = {
        name: sum(spectral_norm(w) for key, w in weights(tmp_path / name).items() if w.ndim > 1)
        for name in ("plain", "whole")
    }
    assert norms["whole"] < 0.95 * norms["plain"]
    with pytest.raises(InterruptedRunError):
        train_run(penalized, corpus(), tmp_path / "run", report=press)
    train_run(penalized, corpus(), tmp_path / "run", resume=True)
    assert_equal(tmp_path / "whole", tmp_path / "run")
