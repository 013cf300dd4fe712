"""Sharded weights and optimizer state (FSDP): saved and loaded as a full state dict."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
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

from textvae.checkpoints import CheckpointError

FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)
"""The first process gets the full state, the others an empty one."""


@contextmanager
def unsharded(model: nn.Module) -> Iterator[None]:
    """Full weights on every process, for calls that bypass the model's `forward`."""
    if isinstance(model, FSDPModule):
        model.unshard()
    try:
        yield
    finally:
        if isinstance(model, FSDPModule):
            model.reshard()


def full_state_dict(model: nn.Module) -> dict[str, Any]:
    """The full state dict of a sharded model; every process must call this."""
    return get_model_state_dict(model, options=FULL)


def set_weights(model: nn.Module, weights: dict[str, Any], strict: bool) -> None:
    """Load a full state dict; for a sharded model every process must have read it.

    Raises:
        RuntimeError: names or shapes differ.
    """
    if isinstance(model, FSDPModule):
        options = StateDictOptions(full_state_dict=True, strict=strict)
        set_model_state_dict(model, weights, options=options)
    else:
        model.load_state_dict(weights, strict=strict)


def load_weights(module: nn.Module, file: Path, strict: bool = True) -> None:
    """Load the weights in a file into a module, sharded or not.

    Raises:
        CheckpointError: the file is missing or does not fit the module.
    """
    try:
        set_weights(module, load_file(file), strict)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{file} cannot be used: {str(error).splitlines()[0]}") from None


def full_optimizer_state(model: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """The full optimizer state of a sharded model; every process must call this."""
    return get_optimizer_state_dict(model, optimizer, options=FULL)


def set_optimizer(model: nn.Module, optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Load the full optimizer state of a sharded model; every process must have read it."""
    options = StateDictOptions(full_state_dict=True)
    set_optimizer_state_dict(model, optimizer, optim_state_dict=state, options=options)
