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

from textvae.data.batching import Sentences
from textvae.evaluation.likelihood import Likelihood, likelihood
from textvae.model import VAE

MODELS = {
    "LSTM 512 / 1024": ("lstm", {}),
    "LSTM 256 / 256": ("lstm", {"hidden": 256, "embedding": 256}),
    "Transformer 4 x 256": ("transformer", {}),
}


def batched(model: VAE, texts: Sentences, samples: int) -> Likelihood:
    """Ours."""
    return likelihood(model, [batch for _, batch in texts.in_length_order()], samples)


@torch.no_grad()
def looped(model: VAE, texts: Sentences, samples: int) -> None:
    """One sentence, one sample: the encoder reads a sentence as often as it has samples."""
    for number in range(len(texts)):
        ids = torch.from_numpy(texts[number])[None]
        weights = torch.cat([model.infer(text=ids).log_weight for _ in range(samples)])
        torch.logsumexp(weights, 0)


def prepared(samples: int, quick: bool) -> Callable[[], Likelihood]:
    """The nll of some sentences."""
    model = sentence_vae(
        "lstm", 10_000, quick, **({} if quick else {"hidden": 256, "embedding": 256})
    )
    texts = of_lengths(penn_lengths(16), 10_000)
    batched(model, texts, 1)
    return lambda: batched(model, texts, samples)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script")
    arguments = parser.parse_args()
    few, many = of_lengths(penn_lengths(6), 10_000), of_lengths(penn_lengths(48), 10_000)
    rows = []
    for name, (kind, size) in MODELS.items():
        model = sentence_vae(
            kind, 10_000, arguments.quick, **({} if arguments.quick else size)
        ).eval()
        costs = interleaved(
            {
                "loop": lambda model=model: looped(model, few, 5),
                "ours": lambda model=model: batched(model, many, 30),
            },
            arguments.rounds,
        )
        loop, ours = costs["loop"].cpu / few.targets / 5, costs["ours"].cpu / many.targets / 30
        hours = [3761 * 21.9 * 500 * cost / 3600 for cost in (loop, ours)]
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
