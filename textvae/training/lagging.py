"""Encoders that catch up with the decoders before each step."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from textvae.config import LaggingConfig
from textvae.graph.model import VAE

MUTUAL_INFORMATION = "eval_mutual_information"


def is_aggressive(config: LaggingConfig, history: Sequence[Mapping[str, Any]]) -> bool:
    """Whether mutual information on the validation texts has risen each time so far.

    Args:
        config: how long at most.
        history: what was logged, in its order.
    """
    found = [log[MUTUAL_INFORMATION] for log in history if MUTUAL_INFORMATION in log]
    if config.epochs is not None and len(found) >= config.epochs:
        return False
    return all(later > earlier for earlier, later in pairwise(found))


def split_parameters(model: VAE) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """What infers, encoders and heads of posteriors, and all else."""
    inference = [*model.encoders.parameters(), *model.latents.parameters()]
    held = set(inference)
    return inference, [p for p in model.parameters() if p not in held]


def drop_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Take gradients away, so that an optimizer leaves these parameters as they are."""
    for parameter in parameters:
        parameter.grad = None


class Falling:
    """Whether a loss still falls, from its means over windows of updates.

    Args:
        config: how long a window is.
    """

    def __init__(self, config: LaggingConfig):
        self.window = config.window
        self.before = float("inf")
        self.losses: list[float] = []

    def __call__(self, loss: float) -> bool:
        """Take one more loss; False when a window's mean is not below that of the one before."""
        self.losses.append(loss)
        if len(self.losses) < self.window:
            return True
        mean = sum(self.losses) / self.window
        falls, self.before, self.losses = mean < self.before, mean, []
        return falls


def similar_texts(
    order: np.ndarray, size: int, seed: Sequence[int], rank: int, world: int
) -> list[int]:
    """A process's share of `size` texts of similar length, at a random place.

    Args:
        order: indices of all texts by length.
        size: texts of all processes together.
        seed: of the place.
        rank: number of this process.
        world: number of processes.
    """
    start = int(np.random.default_rng(seed).integers(len(order) - size + 1))
    return order[start : start + size][rank::world].tolist()


def seed_noise(*parts: int) -> None:
    """Seed torch's noise by several numbers."""
    torch.manual_seed(int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1))
