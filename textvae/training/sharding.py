"""Weights and optimizer state divided among processes (FSDP): seen, saved and loaded as a whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import FSDPModule
from torch.optim import Optimizer

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
"""On the first process a state holds everything, on the others nothing."""


@contextmanager
def gathered(model: nn.Module) -> Iterator[None]:
    """All weights of a model on every process, for what does not go through its `forward`."""
    if isinstance(model, FSDPModule):
        model.unshard()
    try:
        yield
    finally:
        if isinstance(model, FSDPModule):
            model.reshard()


def full_state_dict(model: nn.Module) -> dict[str, Any]:
    """The weights of a divided model; every process must ask."""
    return get_model_state_dict(model, options=WHOLE)


def set_weights(model: nn.Module, weights: dict[str, Any], strict: bool) -> None:
    """Give a model its weights; every process of a divided one has read them.

    Raises:
        RuntimeError: names or shapes differ.
    """
    if isinstance(model, FSDPModule):
        options = StateDictOptions(full_state_dict=True, strict=strict)
        set_model_state_dict(model, weights, options=options)
    else:
        model.load_state_dict(weights, strict=strict)


def full_optimizer_state(model: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """The state of a divided model's optimizer; every process must ask."""
    return get_optimizer_state_dict(model, optimizer, options=WHOLE)


def set_optimizer(model: nn.Module, optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Give the optimizer of a divided model its state, which every process has read."""
    options = StateDictOptions(full_state_dict=True)
    set_optimizer_state_dict(model, optimizer, optim_state_dict=state, options=options)
