"""Gradient steps that improve each text's posterior, and the gradients through them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.autograd.function import once_differentiable

from textvae.config import Section
from textvae.randomness import seeded
from textvae.registry import Count

TextLoss = Callable[[Tensor, int], Tensor]
"""f(lambda, seed): the loss of each text, (B,), nats, of variational parameters, (B, P). Its random
numbers follow from the seed."""

REACH = 0.03
"""Length of the step between the points of a difference: a shorter one drowns in the rounding of a
float32 loss, a longer one sees its third derivative."""


class Refinement(Section):
    """Steps of each text by itself from the encoders' variational parameters.

        v_k+1 = momentum v_k - clip(grad f(lambda_k)),  lambda_k+1 = lambda_k + learning_rate v_k+1

    where f is the negative ELBO of the text under `samples` of its posterior, drawn anew at each
    step.

    Args:
        steps: K.
        learning_rate: of the steps.
        momentum: share of the last step that goes on.
        clip: largest norm of a text's gradient; 0 for none.
        samples: of the posterior at each step.

    Source: Kim et al. 2018, algorithm 1, arXiv:1802.02550. Their code takes 20 steps at rate 1 with
    momentum 0.5, of the mean over a batch; ours are of each text by itself. What is drawn in them
    depends on its row: equal texts of a batch have posteriors that differ by that noise.
    """

    steps: PositiveInt = 10
    learning_rate: PositiveFloat = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.5
    clip: NonNegativeFloat = 5.0
    samples: Count = 1


def refine(
    config: Refinement, loss: TextLoss, start: Tensor, given: Sequence[Tensor], seeds: Sequence[int]
) -> Tensor:
    """lambda_K, (B, P), from lambda_0, with gradients for lambda_0 and all that the loss reads.

    Args:
        config: the steps.
        loss: f.
        start: lambda_0, (B, P), float32.
        given: tensors that f depends on, such as weights; none depends on another.
        seeds: of each step's random numbers.
    """
    return Refine.apply(config, loss, seeds, start, *given)  # type: ignore[return-value]


class Refine(torch.autograd.Function):
    """The function behind `refine`.

    Its backward pass needs products of second derivatives of f with a vector, which neither cuDNN's
    LSTM nor our cross-entropy have. They are derivatives of f along that vector, once more
    differentiated: of a central difference,

        H v = grad [f(lambda + e v) - f(lambda - e v)] / 2e,

    under the same random numbers, with e for each text by itself.

    Source: Kim et al. 2018, algorithm 1 and section 3 (there a one-sided difference).
    """

    @staticmethod
    def forward(
        ctx: Any,
        config: Refinement,
        loss: TextLoss,
        seeds: Sequence[int],
        start: Tensor,
        *given: Any,
    ) -> Tensor:
        """lambda_K, (B, P)."""
        ctx.config, ctx.loss, ctx.seeds, ctx.given, ctx.path = config, loss, seeds, given, []
        value, velocity = start.detach(), torch.zeros_like(start)
        for seed in seeds:
            with torch.enable_grad(), held(given):
                place = value.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(loss(place, seed).sum(), place)
            ctx.path.append((value, gradient))
            velocity = config.momentum * velocity - clipped(gradient, config.clip)
            value = value + config.learning_rate * velocity
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Any, ...]:
        """Gradients for lambda_0 and the given tensors, from that for lambda_K, (B, P)."""
        config: Refinement = ctx.config
        (to_value,) = upstream
        to_velocity = torch.zeros_like(to_value)
        wanted = [number for number, tensor in enumerate(ctx.given) if tensor.requires_grad]
        inputs = [ctx.given[number] for number in wanted]
        totals: list[Tensor | None] = [None] * len(ctx.given)
        for seed, (value, gradient) in zip(reversed(ctx.seeds), reversed(ctx.path), strict=True):
            to_velocity = to_velocity + config.learning_rate * to_value
            along = clipped_gradient(gradient, to_velocity, config.clip)
            to_place, *others = second_derivatives(ctx.loss, value, along, inputs, seed)
            assert to_place is not None
            to_value = to_value - to_place
            for number, other in zip(wanted, others, strict=True):
                before = totals[number]
                if other is not None:
                    totals[number] = -other if before is None else before - other
            to_velocity = config.momentum * to_velocity
        return None, None, None, to_value, *totals


def second_derivatives(
    loss: TextLoss, value: Tensor, along: Tensor, given: Sequence[Tensor], seed: int
) -> list[Tensor | None]:
    """Derivatives of sum_b v_b . grad f_b(lambda_b) with respect to lambda and the given tensors.

    Args:
        loss: f.
        value: lambda, (B, P).
        along: v, (B, P).
        given: tensors that f depends on.
        seed: of the random numbers of f.
    """
    length = along.norm(dim=-1, keepdim=True)
    share = torch.where(length > 0, REACH / length, 1.0)
    place = value.detach().requires_grad_()
    with torch.enable_grad():
        sides = [loss(place + sign * share * along, seed) for sign in (1, -1)]
        slope = ((sides[0] - sides[1]) / (2 * share[:, 0])).sum()
    return list(torch.autograd.grad(slope, [place, *given], allow_unused=True))


def clipped(gradient: Tensor, most: float) -> Tensor:
    """Gradients, (B, P), each at most so long; 0 for any length."""
    if most == 0.0:
        return gradient
    return gradient * (most / gradient.norm(dim=-1, keepdim=True).clamp(min=most))


def clipped_gradient(gradient: Tensor, upstream: Tensor, most: float) -> Tensor:
    """The product of a vector, (B, P), with the derivative of `clipped` at a gradient, (B, P)."""
    with torch.enable_grad():
        place = gradient.detach().requires_grad_()
        (product,) = torch.autograd.grad(clipped(place, most), place, upstream)
    return product


@contextmanager
def held(tensors: Iterable[Tensor]) -> Iterator[None]:
    """Within it, backward passes leave out the gradients of the parameters among these tensors."""
    learning = [tensor for tensor in tensors if tensor.is_leaf and tensor.requires_grad]
    for tensor in learning:
        tensor.requires_grad_(False)
    try:
        yield
    finally:
        for tensor in learning:
            tensor.requires_grad_(True)


@contextmanager
def replayed(seed: int, training: bool) -> Iterator[None]:
    """Random numbers from a seed, in training those of dropout too, which has no generator."""
    if not training:
        with seeded(seed):
            yield
        return
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
