"""What VAETrainer adds to a step: the same model and batches in it and in a bare loop.

Run: python benchmarks/overhead.py [--quick]. Validation and checkpoints are not counted.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from models import sentence_vae
from texts import first, of_lengths, penn_lengths
from timing import Cost, cost, median, table
from torch import nn
from transformers import TrainerCallback

from textvae.checkpoints import quiet_transformers
from textvae.config import TrainingConfig
from textvae.data.batching import Sentences, ShuffledBatches
from textvae.graph.model import VAE
from textvae.training.trainer import VAETrainer

MODELS = {
    "LSTM 128 / 128, 2,000 ids": (2000, {"hidden": 128, "embedding": 128}),
    "LSTM 256 / 256, 10,000 ids": (10_000, {"hidden": 256, "embedding": 256}),
    "LSTM 512 / 1024, 10,000 ids": (10_000, {}),
}


class Clock(TrainerCallback):
    """What each step but the first costs, with all that happens between two steps."""

    def __init__(self):
        self.steps: list[Cost] = []
        self.before: Cost | None = None

    def on_step_end(self, *args, **kwargs) -> None:
        """Note the time."""
        now = Cost(time.perf_counter(), time.process_time())
        if self.before is not None:
            self.steps.append(Cost(now.wall - self.before.wall, now.cpu - self.before.cpu))
        self.before = now


def trained(model: VAE, texts: Sentences, config: TrainingConfig, folder: str) -> list[Cost]:
    """Steps of an epoch of VAETrainer, in an empty folder."""
    clock, valid = Clock(), first(texts, 8)
    with quiet_transformers():
        VAETrainer(
            model, config, texts, valid, Path(folder), device="cpu", callbacks=[clock]
        ).train()
    return clock.steps


def bare(model: VAE, texts: Sentences, config: TrainingConfig) -> list[Cost]:
    """The same steps in a loop of five lines."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=0.0, fused=True
    )
    order = iter(ShuffledBatches(texts.lengths, config.batch_size, config.seed))

    def step(rows: list[int]) -> None:
        batch = texts.collate([texts[row] for row in rows])
        model(0, **batch).value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()

    model.train()
    return [cost(lambda rows=rows: step(rows)) for rows in order][1:]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="the smallest model only")
    arguments = parser.parse_args()
    rows = []
    for name, (vocab_size, size) in list(MODELS.items())[: 1 if arguments.quick else None]:
        config = TrainingConfig(epochs=1, batch_size=32)
        texts = of_lengths(penn_lengths(32 * arguments.steps), vocab_size)
        found: dict[str, list[Cost]] = {"bare": [], "VAETrainer": []}
        for _ in range(arguments.rounds):
            model = sentence_vae("lstm", vocab_size, **size)
            found["bare"] += bare(model, texts, config)
            model = sentence_vae("lstm", vocab_size, **size)
            with tempfile.TemporaryDirectory() as folder:
                found["VAETrainer"] += trained(model, texts, config, folder)
        loop, ours = median(found["bare"]), median(found["VAETrainer"])
        rows.append(
            (
                name,
                1e3 * loop.cpu,
                1e3 * ours.cpu,
                f"{ours.cpu / loop.cpu - 1:+.1%}",
                f"{ours.wall / loop.wall - 1:+.1%}",
            )
        )
    table(rows, ["ms of CPU per step", "bare", "VAETrainer", "overhead", "by the clock"])


if __name__ == "__main__":
    main()
