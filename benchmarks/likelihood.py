"""Importance-weighted nll: ours, the best public loop, and one sentence and sample at a time.

Run: python benchmarks/likelihood.py [--vocabulary 10002] [--quick]. The loop of plain.py decodes
samples together, as many as are fastest for it (`--plain-rows`). Time is linear in sentences and
samples, so few are measured; the time for 3,761 sentences (the Penn Treebank's test set) with 500
samples is extrapolated.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch
from models import sentence_vae
from plain import PlainLSTM, PlainTransformer
from texts import of_lengths, penn_lengths
from timing import interleaved, peak_memory, table
from torch import Tensor

from textvae.data.batching import Batch
from textvae.evaluation.likelihood import LikelihoodEstimate, likelihood
from textvae.graph.model import VAE
from textvae.vocabulary import PAD

SENTENCES = 3761
MODELS = {
    "LSTM 512 / 1024": ("lstm", {}),
    "LSTM 256 / 256": ("lstm", {"hidden": 256, "embedding": 256}),
    "Transformer 4 x 256": ("transformer", {}),
}


def some_batches(count: int) -> list[Batch]:
    """The first texts of four of the batches that 3,761 sentences make in the order of length."""
    batches = [b for _, b in of_lengths(penn_lengths(SENTENCES), 10_000).in_length_order()]
    return [{"text": batches[len(batches) * n // 8]["text"][:count]} for n in (1, 3, 5, 7)]


def unpadded(batches: list[Batch]) -> list[Tensor]:
    """The same texts in batches of equal length, (B, T)."""
    rows = [row[row != PAD] for batch in batches for row in batch["text"]]
    lengths = sorted({len(row) for row in rows})
    return [torch.stack([row for row in rows if len(row) == length]) for length in lengths]


def tokens(batches: list[Batch]) -> int:
    """Tokens that are predicted."""
    return sum(int((batch["text"][:, 1:] != PAD).sum()) for batch in batches)


@torch.no_grad()
def looped(model: VAE, batches: list[Batch], samples: int) -> None:
    """One sentence, one sample: the encoder reads a sentence as often as it has samples."""
    for batch in batches:
        for row in batch["text"]:
            text = row[row != PAD][None]
            weights = torch.cat([model.infer(text=text).log_weight for _ in range(samples)])
            torch.logsumexp(weights, 0)


def measured(name: str, arguments: argparse.Namespace) -> tuple[object, ...]:
    """The row of a model."""
    kind, size = MODELS[name]
    sizes: dict[str, Any] = {} if arguments.quick else size
    model = sentence_vae(kind, arguments.vocabulary, arguments.quick, **sizes).eval()
    plain = (PlainLSTM if kind == "lstm" else PlainTransformer)(model).eval()
    few, many, samples = some_batches(1), some_batches(8), 32
    equal_lengths = unpadded(many)

    def plain_nll() -> Tensor:
        return torch.cat([plain.nll(ids, samples, arguments.plain_rows) for ids in equal_lengths])

    if arguments.quick:
        # Means over 32 texts; an untrained posterior is close to the prior.
        assert abs(likelihood(model, many, samples).nll.mean() - plain_nll().mean()) < 1
    costs = interleaved(
        {
            "loop": lambda: looped(model, few, 5),
            "plain": plain_nll,
            "ours": lambda: likelihood(model, many, samples),
        },
        arguments.rounds,
    )
    loop = costs["loop"].user / tokens(few) / 5
    batched, ours = (costs[part].user / tokens(many) / samples for part in ("plain", "ours"))
    hours = SENTENCES * 21.9 * 500 * ours / 3600
    speeds = 1 / loop, 1 / batched, 1 / ours
    return name, *speeds, f"{loop / ours:.2f} x", f"{batched / ours:.2f} x", hours


def prepared(samples: int, quick: bool) -> Callable[[], LikelihoodEstimate]:
    """The nll of some sentences."""
    size: dict[str, Any] = {} if quick else {"hidden": 256, "embedding": 256}
    model = sentence_vae("lstm", 10_002, quick, **size)
    batches = some_batches(4)
    likelihood(model, batches, 1)
    return lambda: likelihood(model, batches, samples)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vocabulary", type=int, default=10_002)
    parser.add_argument("--plain-rows", type=int, default=128, help="sequences decoded at once")
    parser.add_argument("--only", choices=list(MODELS), help="one of the models")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script")
    arguments = parser.parse_args()
    rows = [measured(name, arguments) for name in ([arguments.only] if arguments.only else MODELS)]
    table(
        rows,
        ["tokens x samples / user s", "loop", "plain", "ours", "/ loop", "/ plain", "ours, hours"],
    )
    if arguments.only:
        return
    sizes = [50, 500]
    memory = [peak_memory(prepared, samples, arguments.quick) for samples in sizes]
    table([("MB above the model", *memory)], ["", *(f"{samples} samples" for samples in sizes)])


if __name__ == "__main__":
    main()
