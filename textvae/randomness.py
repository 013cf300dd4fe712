"""Random numbers from a seed, in one thread, without the random state of the process."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

DRAWS = frozenset(
    [
        # Functions.
        torch.bernoulli,
        torch.binomial,
        torch.multinomial,
        torch.normal,
        torch.poisson,
        torch.rand,
        torch.randint,
        torch.randn,
        torch.randperm,
        torch._sample_dirichlet,  # type: ignore[attr-defined]
        torch._standard_gamma,  # type: ignore[attr-defined]
        # Methods.
        Tensor.bernoulli,
        Tensor.bernoulli_,
        Tensor.cauchy_,
        Tensor.exponential_,
        Tensor.geometric_,
        Tensor.log_normal_,
        Tensor.multinomial,
        Tensor.normal_,
        Tensor.random_,
        Tensor.uniform_,
        # Initial weights.
        nn.init.kaiming_uniform_,
        nn.init.normal_,
        nn.init.uniform_,
    ]
)
"""Functions of torch that draw random numbers and take a generator."""
LIKE = {torch.rand_like: torch.rand, torch.randn_like: torch.randn}
"""Functions that draw a tensor like another, and take none in every version of torch."""


def seed_process(seed: int) -> None:
    """`torch.manual_seed`: the random numbers of the process are those of a seed, on all devices.

    Without a device beside the CPU it costs a microsecond. torch's function then takes 0.2 ms, and
    keeps a stack trace of each call for devices that are never there.
    """
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


class Generators(TorchFunctionMode):
    """Within it, and in this thread alone, draws come from generators with a seed, one a device.

    A draw that names its generator keeps it. Dropout takes no generator: it belongs to training,
    which uses the random state of the process.
    """

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed
        self.by_device: dict[torch.device, torch.Generator] = {}

    def on(self, device: torch.device) -> torch.Generator:
        """The generator of a device."""
        if device not in self.by_device:
            self.by_device[device] = torch.Generator(device).manual_seed(self.seed)
        return self.by_device[device]

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The function's result, with a generator for one that draws."""
        kwargs = kwargs or {}
        if func not in DRAWS and func not in LIKE:
            return func(*args, **kwargs)
        if func in LIKE:
            like, func, args = args[0], LIKE[func], (args[0].shape,)
            kwargs = {"dtype": like.dtype, "device": like.device} | kwargs
        if kwargs.get("generator") is None:
            kwargs = kwargs | {"generator": self.on(device_of(args, kwargs))}
        return func(*args, **kwargs)


def device_of(args: tuple, kwargs: dict[str, Any]) -> torch.device:
    """The device that a call draws on: of its first tensor, or the one it names."""
    tensors = (value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
    like = next(tensors, None)
    return torch.device(kwargs.get("device") or "cpu") if like is None else like.device


CURRENT: ContextVar[Generators | None] = ContextVar("CURRENT", default=None)


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Within it, what draws under `draws` has its random numbers from a seed; None changes nothing.

    The random state of the process neither changes them nor is changed, so that threads do not
    disturb each other. On a CPU they are those after `torch.manual_seed(seed)`.

    >>> with seeded(3), draws():
    ...     first = torch.rand(2)
    >>> with seeded(3), draws():
    ...     bool((torch.rand(2) == first).all())
    True
    """
    token = CURRENT.set(CURRENT.get() if seed is None else Generators(seed))
    try:
        yield
    finally:
        CURRENT.reset(token)


def draws() -> AbstractContextManager:
    """Around calls that draw: their generators where there is a seed, else nothing.

    Around little else: each operation within it takes some microseconds more. Compiled code, which
    trains, takes the random state of the process: torch.compile cannot read a context variable.
    """
    if torch.compiler.is_compiling():
        return nullcontext()
    return CURRENT.get() or nullcontext()
