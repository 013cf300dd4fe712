"""The training loss as compiled code or as CUDA graphs: a GPU need not wait for its process."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from textvae.graph.loss import training_loss
from textvae.graph.model import VAE
from textvae.objectives.outputs import Loss
from textvae.objectives.schedules import Schedule

Shapes = tuple[tuple[str, torch.Size, torch.dtype], ...]


class TensorSchedule(Schedule):
    """A schedule's weight at the current step as a tensor, which `set` changes in place.

    Compiled code takes a number for a constant, and each step has another.

    Args:
        schedule: that the weight comes from.
        device: of the tensor.
    """

    def __init__(self, schedule: Schedule, device: torch.device):
        self.schedule = schedule
        self.value = torch.zeros((), device=device)

    def set(self, step: int) -> None:
        """Take the weight at an optimizer step."""
        self.value.fill_(self.schedule(step))

    def __call__(self, step: int) -> Any:
        """The weight that was set, ()."""
        return self.value


def with_tensors(objective: Any, device: torch.device) -> tuple[Any, list[TensorSchedule]]:
    """An objective whose schedules are tensors, and these schedules; parameters are shared."""
    copied = copy.copy(objective)
    terms = tuple(copy.copy(term) for term in objective.terms)
    schedules = []
    for part in (copied, *terms):
        for name, value in list(vars(part).items()):
            if isinstance(value, Schedule):
                schedules.append(TensorSchedule(value, device))
                vars(part)[name] = schedules[-1]
    if terms:
        vars(copied)["terms"] = terms
    return copied, schedules


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Afterwards the random state and the buffers of a model are as before."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = {buffer.device for buffer in model.parameters() if buffer.device.type == "cuda"}
    with torch.random.fork_rng(devices):
        yield
    with torch.no_grad():
        for buffer, before in buffers:
            buffer.copy_(before)


class CompiledLoss:
    """The loss of a model in training by torch.compile, as a whole and for texts of any length.

    Its noise is not that of the loss which it takes the place of.

    Args:
        model: with its objective, on its device.
        mode: of torch.compile; "reduce-overhead" has CUDA graphs.
        backend: of torch.compile.
    """

    def __init__(self, model: VAE, mode: str | None = None, backend: Any = "inductor"):
        self.model = model
        self.objective, self.schedules = with_tensors(model.objective, model.device)
        self.begun = False
        self.compiled = torch.compile(self.loss, fullgraph=True, backend=backend, mode=mode)

    def loss(self, fields: dict[str, Tensor]) -> Loss:
        """The loss of a batch under the weights that were set."""
        return training_loss(self.model, self.objective, 0, fields)

    def __call__(self, step: int, **fields: Tensor) -> Loss:
        """The objective's loss of a batch at an optimizer step.

        Raises:
            ValueError: the model cannot be compiled as a whole.
        """
        # Imported here: it takes two seconds.
        from torch._dynamo.exc import TorchDynamoException

        for schedule in self.schedules:
            schedule.set(step)
        if not self.begun:
            # torch.distributions looks up its KLs once, in a way that cannot be compiled.
            with torch.no_grad(), undisturbed(self.model):
                self.loss(fields)
            self.begun = True
        for value in fields.values():
            if value.dim() == 2 and not value.is_floating_point():
                torch._dynamo.maybe_mark_dynamic(value, 1)  # the length of texts
        torch.compiler.cudagraph_mark_step_begin()
        try:
            loss = self.compiled(fields)
        except TorchDynamoException as error:
            reason = str(error).strip().splitlines()[0]
            allowed = "allowed for this model: none, cudagraphs"
            raise ValueError(f"train.compile: torch.compile: {reason} ({allowed})") from error
        # The next CUDA graph overwrites what this one returns.
        return Loss(loss.value.clone(), {name: each.clone() for name, each in loss.terms.items()})


class LossParts(nn.Module):
    """A loss as a module of tensors alone, as CUDA graphs need it.

    Args:
        model: whose loss it is.
        objective: of the loss.
        fields: names of the tensors that it is called with.
    """

    def __init__(self, model: VAE, objective: Any, fields: list[str]):
        super().__init__()
        self.model = model
        self.objective = objective
        self.fields = fields
        self.terms: list[str] = []
        """Names of the terms, once it was called."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        """The value of the loss, (), and its terms, (number of terms,)."""
        fields = dict(zip(self.fields, tensors, strict=True))
        loss = training_loss(self.model, self.objective, 0, fields)
        self.terms = list(loss.terms)
        return loss.value, torch.stack(list(loss.terms.values())).detach()


class GraphedLoss:
    """The loss of a model in training by CUDA graphs, one for each shape of a batch.

    A graph repeats the kernels of a first call, forward and backward, without the process that
    started them. The gradients of a batch overwrite those of the batch before: they cannot be added
    up over several.

    Args:
        model: with its objective, on its device.
        capture: makes the graphs of a module from examples of its inputs.
    """

    def __init__(self, model: VAE, capture: Callable[..., Any] | None = None):
        self.model = model
        self.objective, self.schedules = with_tensors(model.objective, model.device)
        self.capture = capture or torch.cuda.make_graphed_callables
        self.graphs: dict[Shapes, tuple[LossParts, Callable[..., Any]]] = {}
        self.pool: Any = torch.cuda.graph_pool_handle() if capture is None else None

    def __call__(self, step: int, **fields: Tensor) -> Loss:
        """The objective's loss of a batch at an optimizer step.

        Raises:
            ValueError: the model waits for values on the device, which a graph cannot.
        """
        for schedule in self.schedules:
            schedule.set(step)
        shapes = tuple((name, value.shape, value.dtype) for name, value in fields.items())
        kind = self.model.device.type
        half, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
        # Weights that autocast keeps from another call are not where a graph looks for them.
        with torch.autocast(kind, dtype, enabled=half, cache_enabled=False):
            if shapes not in self.graphs:
                self.graphs[shapes] = self.captured(fields)
            parts, graph = self.graphs[shapes]
            value, terms = graph(*fields.values())
        # The next batch of this shape overwrites what the graph returns.
        each = terms.detach().clone().unbind()
        return Loss(value.clone(), dict(zip(parts.terms, each, strict=True)))

    def captured(self, fields: dict[str, Tensor]) -> tuple[LossParts, Callable[..., Any]]:
        """The graph of the loss of batches like this one."""
        parts = LossParts(self.model, self.objective, list(fields))
        examples = tuple(value.clone() for value in fields.values())
        try:
            with undisturbed(self.model):
                graph = self.capture(parts, examples, allow_unused_input=True, pool=self.pool)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"train.compile: no CUDA graph of this model: {reason} (none)") from (
                error
            )
        return parts, graph


def compiled_loss(model: VAE, kind: str) -> CompiledLoss | GraphedLoss:
    """The loss of a model as `train.compile` asks for it, other than "none"."""
    return GraphedLoss(model) if kind == "cudagraphs" else CompiledLoss(model, kind)
