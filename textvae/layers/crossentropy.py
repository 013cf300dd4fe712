"""Linear projection and cross-entropy in one, without logits for every token at once."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

CHUNK = 2**25
"""Most logits that exist at once; a batch with fewer keeps them for the backward pass."""
PIECE = 2**19
"""Logits that a CPU turns into probabilities at once, so that they stay in its cache."""

ROWS = 64
"""Rows of a CPU's bfloat16 products, or a multiple: it compiles code for each new shape."""

COLUMNS = 512
"""Columns of logits that a CPU computes at once: MKL is a third slower for all at once on AMD."""


def linear_cross_entropy(
    states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor
) -> Tensor:
    """-log softmax(W h + b)[y] of each row, (M,), nats, float32 (float64 for float64 states).

    The logits exist for `CHUNK` / V rows at a time: memory grows with M (F + 1), not with M V. With
    more rows than that, the backward pass computes the logits again: four products in place of
    three. Logits have autocast's type; what follows them is float32. Compiled code has all logits
    at once: the number of pieces would be another for each M.

    Args:
        states: h, (M, F).
        weight: W, (V, F).
        bias: b, (V,), or None.
        targets: y, (M,), int64, in [0, V).
    """
    if torch.compiler.is_compiling():
        logits = F.linear(states, weight, bias)
        wide = torch.promote_types(logits.dtype, torch.float32)
        return F.cross_entropy(logits.to(wide), targets, reduction="none")
    device = states.device.type
    half = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if half else states.dtype
    rows = len(states)
    losses = LinearCrossEntropy.apply(*padded(states, targets), weight, bias, dtype)
    return losses[:rows]  # type: ignore[index]


def padded(states: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """States, (M, F), and targets, (M,), padded with zeros to a multiple of `ROWS`."""
    extra = -len(states) % ROWS
    if not extra or states.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return states, targets
    return F.pad(states, (0, 0, 0, extra)), F.pad(targets, (0, extra))


class LinearCrossEntropy(torch.autograd.Function):
    """The function behind `linear_cross_entropy`."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        targets: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        dtype: torch.dtype,
    ) -> Tensor:
        """The losses, (M,)."""
        narrow, offset, buffer = weight.to(dtype), None if bias is None else bias.to(dtype), None
        ctx.save_for_backward(states, targets, narrow, offset)
        ctx.wide = weight.dtype
        ctx.kept = None
        wide = torch.promote_types(dtype, torch.float32)
        losses = torch.empty(len(states), dtype=wide, device=states.device)
        for rows in chunks(len(states), len(weight)):
            logits = buffer = project(states[rows].to(dtype), narrow, offset, buffer)
            chosen = targets[rows, None]
            for piece in pieces(logits):
                log_probs = F.log_softmax(logits[piece], -1, dtype=wide)
                losses[rows][piece] = -log_probs.gather(1, chosen[piece]).squeeze(1)
            if len(logits) == len(states):
                ctx.kept = logits
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        """d losses / d (states, weight, bias): softmax minus one-hot, through the projection."""
        states, targets, weight, bias = ctx.saved_tensors
        (gradient,) = upstream
        to_states = torch.empty_like(states)
        to_weight = to_bias = buffer = None
        # What is kept is overwritten here, so a second backward pass computes it again.
        kept, ctx.kept = ctx.kept, None
        for rows in chunks(len(states), len(weight)):
            read = states[rows].to(weight.dtype)
            logits = buffer = kept if kept is not None else project(read, weight, bias, buffer)
            to_logits_(logits, targets[rows], gradient[rows])
            to_states[rows] = logits @ weight
            if ctx.needs_input_grad[2]:
                to_weight = plus_product(to_weight, logits.t(), read, ctx.wide)
            if ctx.needs_input_grad[3]:
                # A product is several times faster than a sum over rows.
                ones = logits.new_ones(1, len(logits))
                to_bias = plus_product(to_bias, ones, logits, ctx.wide)
        return to_states, None, to_weight, None if to_bias is None else to_bias[0], None


def project(
    states: Tensor, weight: Tensor, bias: Tensor | None, buffer: Tensor | None = None
) -> Tensor:
    """W h + b of each row, (M, V), in the first rows of `buffer`: new memory costs time."""
    shape = (len(states), len(weight))
    out = states.new_empty(shape) if buffer is None else buffer[: len(states)]
    step = COLUMNS if states.device.type == "cpu" else len(weight)
    for start in range(0, len(weight), step):
        columns = slice(start, start + step)
        part, narrow = out[:, columns], weight[columns].t()
        if bias is None:
            torch.mm(states, narrow, out=part)
        else:
            torch.addmm(bias[columns], states, narrow, out=part)
    return out


def to_logits_(logits: Tensor, targets: Tensor, gradient: Tensor) -> None:
    """Replace logits, (M, V), by the gradient with respect to them."""
    wide = gradient.dtype
    for piece in pieces(logits):
        share = F.softmax(logits[piece], -1, dtype=wide)
        chosen = targets[piece, None]
        share.scatter_add_(1, chosen, share.new_full(chosen.shape, -1.0))
        logits[piece] = share.mul_(gradient[piece, None])


def plus_product(total: Tensor | None, left: Tensor, right: Tensor, dtype: torch.dtype) -> Tensor:
    """A sum in `dtype` with one more product, in place; None is a sum of nothing."""
    if total is None:
        return (left @ right).to(dtype)
    if dtype == left.dtype:
        return total.addmm_(left, right)
    return total.add_(left @ right)


def chunks(rows: int, columns: int) -> list[slice]:
    """Slices of at most `CHUNK` elements, at least one row each."""
    size = max(1, CHUNK // columns)
    return [slice(start, start + size) for start in range(0, max(rows, 1), size)]


def pieces(logits: Tensor) -> list[slice]:
    """Slices of the rows that fit a CPU's cache; on other devices, all rows."""
    rows, columns = logits.shape
    size = max(1, PIECE // columns) if logits.device.type == "cpu" else max(1, rows)
    return [slice(start, start + size) for start in range(0, rows, size)]
