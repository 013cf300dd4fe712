"""Linear projection and cross-entropy in one, without logits for every token at once."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

CHUNK = 2**25
"""Most logits that exist at once; a batch with fewer keeps what follows from them for the backward
pass."""

BLOCK = 512
"""Tokens of the vocabulary whose logits a CPU works on at once, so that they stay in its cache."""
LINE = 16
"""Numbers in 64 bytes: where rows of a result begin elsewhere, MKL takes up to 1.7 times as long
on an AMD processor (704 x 256 by 256 x 10,002: 114 ms of CPU time, and 66 aligned)."""

SPARE: list[Tensor] = []
"""Memory of a CPU's last backward pass, at most `CHUNK` numbers, for the next forward pass."""

STATES = 768
"""States whose logits a CPU works on at once where nothing is kept."""

ROWS = 64
"""Rows of a CPU's bfloat16 products, or a multiple: it compiles code for each new shape."""


def linear_cross_entropy(
    states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor
) -> Tensor:
    """-log softmax(W h + b)[y] of each row, (M,), nats, float32 (float64 for float64 states).

    The logits exist for `CHUNK` / V rows at a time: memory grows with M (F + 1), not with M V. With
    more rows than that, the backward pass computes the logits again: four products in place of
    three. Logits have autocast's type; what follows them is float32. Compiled code has all logits
    at once: the number of pieces would be another for each M.

    Logits are laid out as (V, M), so that a block of the vocabulary is contiguous and what follows
    from its logits is computed in the cache.

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
    given = *padded(states, targets), weight, bias, dtype
    if torch.is_grad_enabled():
        return LinearCrossEntropy.apply(*given)[:rows]  # type: ignore[index]
    return cross_entropy(*given)[:rows]


def padded(states: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """States, (M, F), and targets, (M,), padded with zeros to a multiple of `ROWS`."""
    extra = -len(states) % ROWS
    if not extra or states.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return states, targets
    return F.pad(states, (0, 0, 0, extra)), F.pad(targets, (0, extra))


class LinearCrossEntropy(torch.autograd.Function):
    """The function behind `linear_cross_entropy`, with a gradient."""

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
        losses = states.new_empty(len(states), dtype=torch.promote_types(dtype, torch.float32))
        for rows in chunks(len(states), len(weight)):
            read = states[rows].to(dtype)
            if buffer is None:
                buffer = memory(read, len(narrow))
            buffer, total, losses[rows] = exponentials(read, narrow, offset, targets[rows], buffer)
            if len(read) == len(states):
                ctx.kept = buffer, total
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        """d losses / d (states, weight, bias): softmax minus one-hot, through the projection."""
        states, targets, weight, bias = ctx.saved_tensors
        (gradient,) = upstream
        to_states = torch.empty_like(states)
        to_weight = to_bias = values = None
        for rows in chunks(len(states), len(weight)):
            read = states[rows].to(weight.dtype)
            if ctx.kept is not None:
                values, total = ctx.kept
            else:
                values = memory(read, len(weight)) if values is None else values
                values, total, _ = exponentials(read, weight, bias, targets[rows], values)
            scale = (gradient[rows] / total)[:, None]
            to_states[rows] = (values.t() @ weight) * scale
            if ctx.needs_input_grad[2]:
                scaled = (read * scale).to(weight.dtype)
                to_weight = plus_product(to_weight, values, scaled, ctx.wide)
            if ctx.needs_input_grad[3]:
                to_bias = plus_product(to_bias, values, scale.to(weight.dtype), ctx.wide)
        # A second backward pass computes it again.
        ctx.kept = None
        if values is not None and values.device.type == "cpu" and values._base is not None:
            SPARE[:] = [values._base]
        return to_states, None, to_weight, None if to_bias is None else to_bias[:, 0], None


def exponentials(
    states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, buffer: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """s (p - 1[y]), (V, M), for p = softmax(W h + b), s, (M,), and the losses, -log p[y], (M,).

    s is the sum of exp(l - max l) of the logits l: p itself would need one more pass over them.
    """
    values = buffer[:, : len(states)]
    wide = torch.promote_types(states.dtype, torch.float32)
    top = states.new_full((len(states),), -torch.inf, dtype=wide)
    for block in blocks(weight):
        offset = None if bias is None else bias[block]
        top = torch.maximum(top, project(states, weight[block], offset, values[block]).amax(0))
    chosen = values.gather(0, targets[None])[0].to(wide) - top
    total = torch.zeros_like(top)
    for block in blocks(weight):
        part = values[block]
        exponential = (part.sub_(top) if part.dtype == wide else part - top).exp_()
        total += exponential.sum(0)
        if part.dtype != wide:
            part.copy_(exponential)
    # Exact where p[y] is close to 1, whatever the type of the values.
    values.scatter_(0, targets[None], (chosen.exp() - total)[None].to(values.dtype))
    return values, total, total.log() - chosen


def cross_entropy(
    states: Tensor, targets: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype
) -> Tensor:
    """The losses, (M,), without a gradient: no more logits than fit a CPU's cache at once."""
    weight, bias = weight.to(dtype), None if bias is None else bias.to(dtype)
    losses = states.new_empty(len(states), dtype=torch.promote_types(dtype, torch.float32))
    step = STATES if states.device.type == "cpu" else max(1, CHUNK // len(weight))
    parts = [slice(start, start + step) for start in range(0, len(states), step)]
    tokens = blocks(weight)
    buffer = aligned(weight, len(weight[tokens[0]]), min(step, len(states)))
    for rows in parts:
        read, wanted = states[rows].to(dtype), targets[rows]
        top = losses.new_full(wanted.shape, -torch.inf)
        total, chosen = torch.zeros_like(top), torch.zeros_like(top)
        for block in tokens:
            part = weight[block]
            out = buffer[: len(part), : len(read)]
            logits = project(read, part, None if bias is None else bias[block], out)
            within = wanted - block.start
            there = (within >= 0) & (within < len(part))
            logit = logits.gather(0, within.clamp(0, len(part) - 1)[None])[0]
            chosen = torch.where(there, logit.to(top.dtype), chosen)
            before, top = top, torch.maximum(top, logits.amax(0))
            exponential = logits.to(top.dtype).sub_(top).exp_()
            total = total * (before - top).exp() + exponential.sum(0)
        losses[rows] = total.log() - (chosen - top)
    return losses


def memory(states: Tensor, rows: int) -> Tensor:
    """Memory for (rows, M), of the last backward pass where it is enough: new pages cost time."""
    width = -(-len(states) // LINE) * LINE
    try:
        spare = SPARE.pop()
    except IndexError:
        spare = states.new_empty(0)
    fits = spare.dtype == states.dtype and spare.device == states.device
    if not fits or spare.numel() < rows * width:
        spare = states.new_empty(rows * width)
    return spare[: rows * width].view(rows, width)[:, : len(states)]


def aligned(like: Tensor, rows: int, columns: int, dtype: torch.dtype | None = None) -> Tensor:
    """Memory for (rows, columns), each row at a multiple of `LINE` numbers."""
    whole = like.new_empty(rows, -(-columns // LINE) * LINE, dtype=dtype)
    return whole[:, :columns]


def project(states: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> Tensor:
    """W h + b of each row, (V, M), in `out`: new memory costs time."""
    if bias is None:
        return torch.mm(weight, states.t(), out=out)
    return torch.addmm(bias[:, None], weight, states.t(), out=out)


def plus_product(total: Tensor | None, left: Tensor, right: Tensor, dtype: torch.dtype) -> Tensor:
    """A sum in `dtype` with one more product, (V, F), in place; None is a sum of nothing."""
    first = total is None
    if total is None:
        total = left.new_empty(len(left), right.shape[1], dtype=dtype)
    for block in blocks(left):
        if dtype == left.dtype:
            total[block].addmm_(left[block], right, beta=0 if first else 1)
        elif first:
            total[block] = left[block] @ right
        else:
            total[block] += left[block] @ right
    return total


def chunks(rows: int, columns: int) -> list[slice]:
    """Slices of at most `CHUNK` elements, at least one row each."""
    size = max(1, CHUNK // columns)
    return [slice(start, start + size) for start in range(0, max(rows, 1), size)]


def blocks(values: Tensor) -> list[slice]:
    """Slices of a vocabulary, (V, ...), that a CPU works on in turn; elsewhere, all of it."""
    size = BLOCK if values.device.type == "cpu" else len(values)
    return [slice(start, start + size) for start in range(0, len(values), size)]
