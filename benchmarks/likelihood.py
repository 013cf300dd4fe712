"""Importance-weighted nll: samples folded into batches, against one sentence and sample at a time.

Run: python benchmarks/likelihood.py [--quick]. Time is linear in sentences and samples, so few are
measured and the time for 3,761 sentences (the Penn Treebank's test set) with 500 samples is said.
"""

import argparse
from collections.abc import Callable

import torch
from models import sentence_vae
from texts import of_lengths, penn_lengths
from timing import interleaved, peak_memory, table

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


def prepared(samples: int, quick: bool) -> Callable[[], LikelihoodEstimate]:
    """The nll of some sentences."""
    model = sentence_vae(
        "lstm", 10_000, quick, **({} if quick else {"hidden": 256, "embedding": 256})
    )
    batches = some_batches(4)
    likelihood(model, batches, 1)
    return lambda: likelihood(model, batches, samples)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script")
    arguments = parser.parse_args()
    few, many = some_batches(2), some_batches(16)
    rows = []
    for name, (kind, size) in MODELS.items():
        model = sentence_vae(
            kind, 10_000, arguments.quick, **({} if arguments.quick else size)
        ).eval()
        costs = interleaved(
            {
                "loop": lambda model=model: looped(model, few, 5),
                "ours": lambda model=model: likelihood(model, many, 32),
            },
            arguments.rounds,
        )
        loop, ours = costs["loop"].cpu / tokens(few) / 5, costs["ours"].cpu / tokens(many) / 32
        hours = [SENTENCES * 21.9 * 500 * cost / 3600 for cost in (loop, ours)]
        rows.append((name, 1 / loop, 1 / ours, f"{loop / ours:.1f} x", *hours))
    table(
        rows,
        ["tokens x samples / CPU s", "loop", "ours", "speed", "loop, hours", "ours, hours"],
    )
    sizes = [50, 500]
    memory = [peak_memory(prepared, samples, arguments.quick) for samples in sizes]
    table([("MB above the model", *memory)], ["", *(f"{samples} samples" for samples in sizes)])


if __name__ == "__main__":
    main()
