"""Aggressive encoder updates: many of the encoders before each one of the decoders.

Source: He et al. 2019, algorithm 1, arXiv:1901.05534.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from torch import nn

from textvae.config import LaggingConfig
from textvae.graph.model import VAE
from textvae.randomness import seed_process

MUTUAL_INFORMATION = "eval_mutual_information"


def is_aggressive(config: LaggingConfig, history: Sequence[Mapping[str, Any]]) -> bool:
    """Whether mutual information on the validation texts has risen each time so far.

    Args:
        config: with the largest number of epochs.
        history: all logs, oldest first.
    """
    values = [log[MUTUAL_INFORMATION] for log in history if MUTUAL_INFORMATION in log]
    if config.epochs is not None and len(values) >= config.epochs:
        return False
    return all(later > earlier for earlier, later in pairwise(values))


def split_parameters(model: VAE) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters of the inference network (encoders, heads of posteriors), and all others."""
    inference = [*model.encoders.parameters(), *model.latents.parameters()]
    members = set(inference)
    return inference, [p for p in model.parameters() if p not in members]


def drop_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Remove gradients, so that an optimizer skips these parameters."""
    for parameter in parameters:
        parameter.grad = None


class Falling:
    """Whether a loss still falls, from its means over windows of updates.

    Args:
        config: with the length of a window.
    """

    def __init__(self, config: LaggingConfig):
        self.window = config.window
        self.before = float("inf")
        self.losses: list[float] = []

    def __call__(self, loss: float) -> bool:
        """Add a loss; False when a window's mean is not below the mean of the previous one."""
        self.losses.append(loss)
        if len(self.losses) < self.window:
            return True
        mean = sum(self.losses) / self.window
        falls, self.before, self.losses = mean < self.before, mean, []
        return falls


def similar_texts(
    order: np.ndarray, size: int, seed: Sequence[int], rank: int, world: int
) -> list[int]:
    """A process's share of `size` consecutive texts of `order`, from a random start.

    Args:
        order: indices of all texts by length.
        size: texts of all processes together.
        seed: of the start.
        rank: of this process.
        world: number of processes.
    """
    start = int(np.random.default_rng(seed).integers(len(order) - size + 1))
    return order[start : start + size][rank::world].tolist()


def seed_noise(*parts: int) -> None:
    """Seed torch by several numbers."""
    seed_process(int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1))
