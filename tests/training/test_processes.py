"""Micro-batches and processes take the same steps as one process."""

import shutil
from pathlib import Path

import pytest
import torch
from support.runs import (
    FIXED_CODES,
    TWO_RANKS,
    assert_equal,
    corpus,
    launch,
    recipe,
    weights,
)

from textvae.checkpoints import checkpoints
from textvae.training.runs import train_run


def test_accumulation_gives_the_same_steps(tmp_path):
    train_run(recipe(latent=False), corpus(), tmp_path / "whole")
    train_run(recipe(latent=False, gradient_accumulation_steps=4), corpus(), tmp_path / "parts")
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    for name, value in whole.items():
        # Sums in another order: float32 rounding, grown by 24 Adam steps.
        torch.testing.assert_close(parts[name], value, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("divided", [False, True], ids=["ddp", "fsdp"])
def test_two_ranks_equal_one_on_the_same_global_batch(tmp_path, divided):
    train_run(recipe(latent=False), corpus(), tmp_path / "one")
    two_ranks(tmp_path / "two", "latent=False", divided)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=2e-4, rtol=1e-3)


def test_codebooks_of_two_ranks_follow_the_points_of_both(tmp_path):
    train_run(recipe(FIXED_CODES, noisy=False, epochs=1), corpus(), tmp_path / "one")
    two_ranks(tmp_path / "two", "runs.FIXED_CODES, noisy=False, epochs=1", False)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=2e-4, rtol=1e-3)


def test_codes_of_two_ranks_begin_and_are_replaced_alike(tmp_path):
    """Both ranks take the points of the first: with different codebooks the run would not end."""
    two_ranks(tmp_path / "two", "runs.CODES, epochs=1", False)
    assert weights(tmp_path / "two")["latents.z.begun"]


def two_ranks(folder: Path, arguments: str, divided: bool) -> None:
    process = launch(folder, arguments, TWO_RANKS, divided)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def test_a_sharded_run_resumes_to_the_same_weights(tmp_path):
    two_ranks(tmp_path / "whole", "", True)
    shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
    newest = checkpoints(tmp_path / "stopped/checkpoints")[-1]
    shutil.rmtree(newest)
    (tmp_path / "stopped/model.safetensors").unlink()
    two_ranks(tmp_path / "stopped", "", True)
    assert_equal(tmp_path / "whole", tmp_path / "stopped")
