"""Trainings of codes: resumed to the bit, in two stages, frozen."""

import signal

import pytest
import torch
from support.runs import CODES, assert_equal, corpus, recipe, weights

from textvae.recipes import read_recipe
from textvae.training.folders import InterruptedRunError
from textvae.training.runs import train_run

PLAIN = {key: value for key, value in CODES.items() if key != "prior"}


def test_a_codebook_is_resumed_to_the_bit(tmp_path):
    def press(event, values):
        if event == "step" and values["step"] == 5:
            signal.raise_signal(signal.SIGINT)

    train_run(recipe(CODES), corpus(), tmp_path / "whole")
    with pytest.raises(InterruptedRunError):
        train_run(recipe(CODES), corpus(), tmp_path / "run", report=press)
    train_run(recipe(CODES), corpus(), tmp_path / "run", resume=True)
    assert_equal(tmp_path / "whole", tmp_path / "run")


def test_a_prior_is_trained_on_frozen_codes(tmp_path):
    document = recipe(CODES, epochs=1, keep="last").document()
    parts = ["encoders", "latents", "decoders"]
    document["pretrain"] = {
        "model": {"latents": [{"name": "z", "given": ["text"], **PLAIN}]},
        "objective": {"kind": "elbo"},
        "train": {"epochs": 1, "keep": "last"},
        "transfer": parts,
        "freeze": parts,
    }
    train_run(read_recipe(document, "staged"), corpus(), tmp_path / "run")
    first, second = weights(tmp_path / "run/pretrain"), weights(tmp_path / "run")
    assert all(torch.equal(second[name], value) for name, value in first.items())
    assert second["priors.z.output"].abs().sum() > 0
