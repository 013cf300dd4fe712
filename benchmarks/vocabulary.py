"""Projection and cross-entropy under large vocabularies: memory and time, against plain logits.

Run: python benchmarks/vocabulary.py [--quick]. Memory is the most that one forward and backward
pass holds above the states, the weights and their gradients.
"""

import argparse
from collections.abc import Callable

import torch
from timing import Task, equal, interleaved, peak_memory, table
from torch import Tensor
from torch.nn import functional as F

from textvae.layers.crossentropy import CHUNK, linear_cross_entropy

Losses = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def plain(states: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """All logits at once."""
    return F.cross_entropy(F.linear(states, weight, bias), targets, reduction="none")


def prepared(losses: Losses, tokens: int, vocab_size: int, width: int) -> Callable[[], Tensor]:
    """One forward and backward pass; it returns the gradient of the states."""
    torch.manual_seed(0)
    states = torch.randn(tokens, width, requires_grad=True)
    weight = torch.randn(vocab_size, width).mul_(width**-0.5).requires_grad_()
    bias = torch.zeros(vocab_size, requires_grad=True)
    targets = torch.randint(vocab_size, (tokens,))

    def task() -> Tensor:
        for given in (states, weight, bias):
            given.grad = None
        losses(states, weight, bias, targets).mean().backward()
        assert states.grad is not None
        return states.grad

    return task


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--tokens", type=int, nargs="+", default=[700, 2800])
    parser.add_argument("--vocabulary", type=int, nargs="+", default=[10_000, 32_000, 128_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.tokens, arguments.vocabulary, arguments.width = [700], [2000, 8000], 64
    print(f"one chunk: {CHUNK:,} logits, {4 * CHUNK / 2**20:.0f} MB\n")
    rows = []
    for tokens in arguments.tokens:
        for vocab_size in arguments.vocabulary:
            sizes = tokens, vocab_size, arguments.width
            gradients = 4 * arguments.width * (tokens + vocab_size) / 2**20
            tasks = {
                "plain": prepared(plain, *sizes),
                "ours": prepared(linear_cross_entropy, *sizes),
            }
            equal(tasks["ours"](), tasks["plain"](), "gradient")
            costs = interleaved(dict[str, Task](tasks), arguments.rounds, warmup=0)
            del tasks
            memory = [
                peak_memory(prepared, f, *sizes) - gradients for f in (plain, linear_cross_entropy)
            ]
            speed = costs["plain"].cpu / costs["ours"].cpu
            spent = [1e3 * costs[name].cpu for name in ("plain", "ours")]
            rows.append((f"{tokens} x {vocab_size:,}", *memory, *spent, f"{speed:.2f} x"))
    table(rows, ["tokens x ids", "plain MB", "ours MB", "plain CPU ms", "ours CPU ms", "speed"])


if __name__ == "__main__":
    main()
