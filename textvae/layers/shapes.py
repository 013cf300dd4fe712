"""Whether shapes may follow from values of tensors, which a GPU has to compute first."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

STATIC: ContextVar[bool] = ContextVar("STATIC", default=False)


@contextmanager
def static_shapes() -> Iterator[None]:
    """Within it shapes do not follow from values on a CPU either; results differ by rounding."""
    token = STATIC.set(True)
    try:
        yield
    finally:
        STATIC.reset(token)


def may_follow_values(tensor: Tensor) -> bool:
    """Whether shapes may follow from the values of a tensor.

    On a CPU, where they are known. A GPU works through a queue: the process that fills the queue
    would wait for the values, and the GPU for the process. Compiled code has fixed shapes too.
    """
    if torch.compiler.is_compiling():
        return False
    return tensor.device.type == "cpu" and not STATIC.get()
