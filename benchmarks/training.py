"""Training steps of ours and of the best public loop: tokens per second, loss, where time goes.

Run: python benchmarks/training.py [--data ptb] [--batch-size 64] [--model transformer] [--quick].
The other loop is described in plain.py: equal lengths, no padding, full softmax. On a GPU add
--device cuda, --precision bfloat16 and --compile.
"""

import argparse
import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from models import flops, sentence_vae
from plain import PlainLSTM, PlainTransformer
from texts import equal_lengths, sentences
from timing import Cost, cost, equal, matmul_peak, median, table
from torch import Tensor, nn
from torch.profiler import profile, record_function

from textvae.data.batching import Sentences, ShuffledBatches
from textvae.graph.model import VAE
from textvae.vocabulary import PAD

PARTS = {
    "LSTM": "mkldnn_rnn_layer|MkldnnRnnLayer|_cudnn_rnn|CudnnRnn",
    "attention": "scaled_dot_product|ScaledDotProduct",
    "projection + CE": "LinearCrossEntropy|cross_entropy|LogSoftmax|NllLoss",
    "embedding": "aten::embedding|EmbeddingBackward",
    "linear": "aten::linear|aten::addmm|AddmmBackward|aten::mm",
    "optimizer": "Optimizer.step|Optimizer.zero_grad",
    "clip": "clip",
    "norm": "layer_norm|LayerNorm",
}
"""What an operation of the profiler belongs to; the outermost name decides."""


@dataclass
class Loop:
    """A training loop that can be run step by step.

    Args:
        model: gives the loss of a batch, (B, T).
        optimizer: of its parameters.
        batches: endless.
        loss: of a batch.
        device: that the batches go to.
        half: whether products are in bfloat16.
        compiled: whether training steps go through torch.compile, which draws other noise.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    batches: Iterator[Tensor]
    loss: Callable[[Tensor], Tensor]
    device: str
    half: bool
    compiled: bool

    def __post_init__(self):
        self.forward = torch.compile(self.loss, dynamic=True) if self.compiled else self.loss

    def step(self) -> int:
        """One step; the number of tokens that it predicted."""
        ids = next(self.batches)
        tokens = int((ids[:, 1:] != PAD).sum())
        if self.device == "cuda":
            ids = ids.pin_memory()
        ids = ids.to(self.device, non_blocking=True)
        with torch.autocast(self.device, torch.bfloat16) if self.half else nullcontext():
            loss = self.forward(ids)
        loss.backward()
        with record_function("clip"):
            nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return tokens

    @torch.no_grad()
    def held_out(self, texts: Sentences) -> Tensor:
        """Mean loss of held-out texts, nats per text, always with the same noise."""
        torch.manual_seed(0)
        total = torch.zeros(())
        for batch in equal_lengths(texts, 32, 0):
            ids = batch.to(self.device)
            total += self.loss(ids).cpu() * len(ids)
        return total / len(texts)


def ours(model: VAE, train: Sentences, arguments: argparse.Namespace) -> Loop:
    """Batches of similar length, logits of real tokens."""

    def batches() -> Iterator[Tensor]:
        order = ShuffledBatches(train.lengths, arguments.batch_size, seed=0)
        while True:
            for rows in order:
                yield train.collate([train[row] for row in rows])["text"]
            order.epoch += 1

    return Loop(
        model,
        optimizer(model, arguments),
        batches(),
        lambda ids: model(0, text=ids).value,
        arguments.device,
        arguments.precision == "bfloat16",
        arguments.compile,
    )


def plain(model: VAE, train: Sentences, arguments: argparse.Namespace) -> Loop:
    """The loop of plain.py."""
    kind = PlainLSTM if arguments.model == "lstm" else PlainTransformer
    copy = kind(model)

    def batches() -> Iterator[Tensor]:
        epoch = 0
        while True:
            yield from equal_lengths(train, arguments.batch_size, epoch)
            epoch += 1

    return Loop(
        copy,
        optimizer(copy, arguments),
        batches(),
        copy,
        arguments.device,
        arguments.precision == "bfloat16",
        arguments.compile,
    )


def optimizer(model: nn.Module, arguments: argparse.Namespace) -> torch.optim.Optimizer:
    """SGD for LSTMs, as all do on the Penn Treebank; Adam for Transformers."""
    if arguments.model == "lstm":
        return torch.optim.SGD(model.parameters(), lr=arguments.learning_rate)
    return torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)


def shares(loop: Loop, steps: int) -> dict[str, float]:
    """The share of a step's CPU time that each of `PARTS` takes."""
    with profile() as profiler:
        for _ in range(steps):
            loop.step()
    spent = dict.fromkeys([*PARTS, "other"], 0.0)
    for event in profiler.events() or ():
        name, above = "other", event
        while above is not None:
            name = next((n for n, p in PARTS.items() if re.search(p, above.name)), name)
            above = above.cpu_parent
        spent[name] += event.self_cpu_time_total
    total = sum(spent.values())
    return {name: part / total for name, part in spent.items() if part}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=["lstm", "transformer"], default="lstm")
    parser.add_argument("--hidden", type=int, default=256, help="of an LSTM, and its embeddings")
    parser.add_argument("--data", help="folder or file of texts; default: random words")
    parser.add_argument("--vocabulary", type=int, default=10_000)
    parser.add_argument("--cutoffs", type=int, nargs="+", help="of an adaptive softmax, ours alone")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1.0, help="of SGD")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=5, help="steps of a round")
    parser.add_argument("--shares", action="store_true", help="profile where time goes")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--compile", action="store_true", help="torch.compile both")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.vocabulary, arguments.rounds = 500, 3
    half = arguments.precision == "bfloat16"
    train, valid, size = sentences(arguments.data, arguments.vocabulary, 20_000)
    sizes = {"hidden": arguments.hidden, "embedding": arguments.hidden}
    lstm = arguments.model == "lstm" and not arguments.quick
    model = sentence_vae(
        arguments.model, size, arguments.quick, cutoffs=arguments.cutoffs, **(sizes if lstm else {})
    ).to(arguments.device)
    loops = {"ours": ours(model, train, arguments), "plain": plain(model, train, arguments)}
    losses = {name: [loop.held_out(valid)] for name, loop in loops.items()}
    if not arguments.cutoffs:
        equal(losses["ours"][0], losses["plain"][0], "loss before training")
    speeds, peak = compared(loops, arguments.rounds, arguments.steps, half)
    for name, loop in loops.items():
        losses[name].append(loop.held_out(valid))
    report(model, speeds, peak, arguments)
    steps = [0, (arguments.rounds + 1) * arguments.steps]
    rows = zip(steps, losses["ours"], losses["plain"], strict=True)
    table([(n, *(f"{loss:.2f}" for loss in pair)) for n, *pair in rows], ["held-out loss", *loops])
    if not arguments.shares:
        return
    parts = {name: shares(loop, 3) for name, loop in loops.items()}
    table(
        [
            (part, *(f"{parts[name].get(part, 0):.1%}" for name in loops))
            for part in [*PARTS, "other"]
        ],
        ["share of CPU time", *loops],
    )


def compared(
    loops: dict[str, Loop], rounds: int, steps: int, half: bool
) -> tuple[dict[str, Cost], float]:
    """The median cost of a token in each loop, and the peak; loops take turns at every step."""
    device = loops["ours"].device
    speeds: dict[str, list[Cost]] = {name: [] for name in loops}
    peak = matmul_peak(device, half)
    for turn in range(rounds + 1):
        spent, tokens = dict.fromkeys(loops, Cost(0.0, 0.0)), dict.fromkeys(loops, 0)
        for _ in range(steps):
            for name, loop in loops.items():
                done: list[int] = []
                spent[name] += cost(lambda loop=loop, done=done: done.append(loop.step()))
                tokens[name] += done[0]
        for name in loops if turn else []:
            speeds[name].append(spent[name] / tokens[name])
        peak = max(peak, matmul_peak(device, half))
    return {name: median(found) for name, found in speeds.items()}, peak


def report(model: VAE, costs: dict[str, Cost], peak: float, arguments: argparse.Namespace) -> None:
    """Print speed, arithmetic and ratio; of a GPU by the clock, of a CPU by its time.

    Padding is no token, and its arithmetic counts for nothing.
    """
    rows = []
    for name, spent in costs.items():
        seconds = spent.cpu if arguments.device == "cpu" else spent.wall
        done = flops(model, 1) / seconds
        rows.append((name, 1 / spent.wall, 1 / spent.user, done / 1e9, f"{done / peak:.0%}"))
    table(rows, ["", "tokens/s", "tokens/user s", "GFLOP/s", f"of {peak / 1e9:.0f}"])
    ours, plain = costs["ours"], costs["plain"]
    print(f"ours is {plain.user / ours.user:.2f} x by user CPU time, ", end="")
    print(
        f"{plain.cpu / ours.cpu:.2f} x with the system's, {plain.wall / ours.wall:.2f} x by clock"
    )
    print()


if __name__ == "__main__":
    main()
