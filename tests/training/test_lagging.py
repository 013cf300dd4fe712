"""Aggressive encoder updates: only encoders move before a step, only decoders in it."""

import copy

import numpy as np
import pytest
import torch
from support.runs import assert_equal, corpus, recipe

from textvae.config import LaggingConfig
from textvae.recipes import read_recipe
from textvae.registry import SpecError
from textvae.training.lagging import Falling, is_aggressive, similar_texts
from textvae.training.runs import train_run
from textvae.training.trainer import VAETrainer


def lagging(**train):
    document = recipe(**{"optimizer": "sgd", "learning_rate": 0.5, **train}).document()
    document["train"]["lagging"] = {"steps": 7, "window": 3}
    return read_recipe(document, "lagging")


@pytest.mark.parametrize(
    ("values", "aggressive"),
    [([], True), ([0.5], True), ([0.5, 0.7], True), ([0.5, 0.5], False), ([0.5, 0.4, 0.9], False)],
)
def test_aggressive_until_mutual_information_stops_rising(values, aggressive):
    history = [{"loss": 1.0}]
    for value in values:
        history += [{"eval_mutual_information": value}, {"loss": 1.0}]
    assert is_aggressive(LaggingConfig(), history) == aggressive


def test_aggressive_updates_end_after_the_last_epoch():
    config = LaggingConfig(epochs=2)
    rising = [{"eval_mutual_information": value} for value in (0.1, 0.2, 0.3)]
    assert [is_aggressive(config, rising[:n]) for n in range(4)] == [True, True, False, False]


def test_several_micro_batches_are_refused():
    with pytest.raises(SpecError, match=r"lagging needs gradient_accumulation_steps 1 \(got 2\)"):
        lagging(gradient_accumulation_steps=2)


def test_a_loss_falls_from_window_to_window():
    falling = Falling(LaggingConfig(window=2))
    assert [falling(loss) for loss in (5.0, 9.0, 4.0, 8.0, 7.0, 5.0)] == [True] * 5 + [False]


def test_texts_of_similar_length_are_shared_by_the_processes():
    lengths = np.random.default_rng(0).integers(3, 50, 200)
    order = np.argsort(lengths, kind="stable")
    shares = [similar_texts(order, 16, (1, 2, 3), rank, 2) for rank in range(2)]
    assert len(shares[0]) == len(shares[1]) == 8 and not set(shares[0]) & set(shares[1])
    both = np.sort(lengths[shares[0] + shares[1]])
    start = np.searchsorted(np.sort(lengths), both[0])
    assert (both == np.sort(lengths)[start : start + 16]).all() or both[-1] - both[0] < 10
    starts = {similar_texts(order, 16, (1, 2, n), 0, 1)[0] for n in range(50)}
    assert len(starts) > 30


def test_encoder_updates_leave_decoders_as_they_are(tmp_path, monkeypatch):
    seen = []
    update_encoders = VAETrainer.update_encoders

    def watched(self, model, config):
        before = copy.deepcopy(self.vae.state_dict())
        update_encoders(self, model, config)
        seen.append((before, copy.deepcopy(self.vae.state_dict())))

    monkeypatch.setattr(VAETrainer, "update_encoders", watched)
    train_run(lagging(epochs=1), corpus(), tmp_path / "run")
    assert len(seen) == 8
    for before, after in seen:
        for name, value in before.items():
            unchanged = name.startswith("decoders")
            assert torch.equal(value, after[name]) == unchanged, name
    for (_, after), (before, _) in zip(seen, seen[1:], strict=False):
        for name, value in after.items():
            unchanged = name.startswith(("encoders", "latents"))
            assert torch.equal(value, before[name]) == unchanged, f"{name} in the decoders' step"


def test_ends_with_mutual_information(tmp_path, monkeypatch):
    """After a validation with less mutual information than before, all parts move in each step."""
    values = iter([0.5, 0.4, 0.9])
    validations, calls = [], []

    def validated(event, metrics):
        if event == "validation":
            validations.append(metrics)
            calls.append(0)

    import textvae.training.trainer as module

    known = module.validate

    def scripted(*arguments):
        return known(*arguments) | {"mutual_information": next(values)}

    update_encoders = VAETrainer.update_encoders

    def counted(self, model, config):
        calls.append(1)
        update_encoders(self, model, config)

    monkeypatch.setattr(module, "validate", scripted)
    monkeypatch.setattr(VAETrainer, "update_encoders", counted)
    train_run(lagging(epochs=3), corpus(), tmp_path / "run", report=validated)
    assert calls == [1] * 8 + [0] + [1] * 8 + [0] + [0]


def test_resumes_to_the_same_weights(tmp_path):
    train_run(lagging(), corpus(), tmp_path / "whole")

    def stop(event, values):
        if event == "step" and values["step"] == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(lagging(), corpus(), tmp_path / "run", report=stop)
    train_run(lagging(), corpus(), tmp_path / "run", resume=True)
    assert_equal(tmp_path / "whole", tmp_path / "run")


def test_the_number_of_updates_is_logged(tmp_path):
    logs = []

    def report(event, values):
        if event == "log":
            logs.append(values)

    train_run(lagging(epochs=7), corpus(), tmp_path / "run", report=report)
    assert 3 <= logs[0]["encoder_updates"] <= 7
