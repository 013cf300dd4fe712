"""Training of an image VAE, 784-400-20: textvae's trainer against two plain loops.

Run: python benchmarks/images.py FOLDER [--batch 64 128]. FOLDER holds MNIST as idx files; without
it the images are random. All train the same sizes on the same grey images, an epoch a round, on one
thread, and take turns. Validation and checkpoints are not counted.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from overhead import Clock
from timing import Cost, table
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from textvae.checkpoints import quiet_transformers
from textvae.data.fields import Fields
from textvae.data.images import read_image_corpus
from textvae.recipes import load_recipe
from textvae.training.runs import build_model
from textvae.training.trainer import VAETrainer


class PlainImageVAE(nn.Module):
    """An MLP VAE as a plain script has it: two heads, sigmoid outputs, binary cross-entropy."""

    def __init__(self, pixels: int = 784, hidden: int = 400, dim: int = 20):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(hidden, dim), nn.Linear(hidden, dim)
        self.decoder = nn.Sequential(
            nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, pixels), nn.Sigmoid()
        )

    def forward(self, images: Tensor) -> Tensor:
        """The mean negative ELBO of images, (B, 1, 28, 28)."""
        x = images.reshape(len(images), -1)
        read = self.encoder(x)
        mean, log_variance = self.mean(read), self.log_variance(read)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        loss = F.binary_cross_entropy(self.decoder(z), x, reduction="none").sum(-1)
        kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp(), dim=-1)
        return (loss + kl).mean()


class BatchedImageVAE(PlainImageVAE):
    """The same with one head, and with logits in place of probabilities."""

    def __init__(self, pixels: int = 784, hidden: int = 400, dim: int = 20):
        super().__init__(pixels, hidden, dim)
        self.head = nn.Linear(hidden, 2 * dim)
        self.decoder = self.decoder[:-1]
        del self.mean, self.log_variance

    def forward(self, images: Tensor) -> Tensor:
        """The mean negative ELBO of images, (B, 1, 28, 28)."""
        x = images.flatten(1)
        mean, log_variance = self.head(self.encoder(x)).chunk(2, -1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        loss = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        return (loss + kl) / len(x)


class Rows(Dataset):
    """One image and its label at a time."""

    def __init__(self, images: Tensor, labels: Tensor):
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One image, (1, 28, 28), and its label, ()."""
        return {"data": self.images[index], "labels": self.labels[index]}


def row_by_row(rows: Fields, batch: int) -> Callable[[], object]:
    """An epoch of the plain design: a DataLoader over rows, its default collate, Adam."""
    images, labels = tensors(rows)
    torch.manual_seed(0)
    model = PlainImageVAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(Rows(images, labels), batch, shuffle=True)

    def epoch() -> float:
        model.train()
        total = 0.0
        for inputs in loader:
            loss = model(inputs["data"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total / len(loader)

    return epoch


def by_index(rows: Fields, batch: int) -> Callable[[], object]:
    """An epoch of a better loop: batches are indexed out of one tensor, and Adam is fused."""
    images, _ = tensors(rows)
    torch.manual_seed(0)
    model = BatchedImageVAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def epoch() -> None:
        model.train()
        for chosen in torch.randperm(len(images)).split(batch):
            model(images[chosen]).backward()
            optimizer.step()
            optimizer.zero_grad()

    return epoch


def tensors(rows: Fields) -> tuple[Tensor, Tensor]:
    """All images, (N, 1, 28, 28), float32 in [0, 1], and labels, (N,)."""
    columns: Any = rows.columns
    return torch.from_numpy(columns["image"].values) / 255, torch.from_numpy(
        columns["label"].values
    )


def ours(rows: Fields, batch: int) -> Callable[[], Cost]:
    """An epoch of `kingma2014_image` under the trainer; the first step counts as the others do."""
    recipe = load_recipe("kingma2014_image", ["train.epochs=1", f"train.batch_size={batch}"])
    few = rows.select(np.arange(64))

    def epoch() -> Cost:
        model, clock = build_model(recipe, observed=rows.facts), Clock()
        with tempfile.TemporaryDirectory() as folder, quiet_transformers():
            VAETrainer(
                model, recipe.train, rows, few, Path(folder), device="cpu", callbacks=[clock]
            ).train()
        scale = (len(clock.steps) + 1) / len(clock.steps)
        return Cost(
            scale * sum(step.wall for step in clock.steps),
            scale * sum(step.cpu for step in clock.steps),
        )

    return epoch


def spent(epoch: Callable[[], object]) -> Cost:
    """What an epoch costs: as it says itself, else all of it."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = epoch()
    if isinstance(answer, Cost):
        return answer
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def read(source: str | None) -> Fields:
    """Grey images with labels: MNIST's training set, or as many random ones."""
    data = load_recipe("kingma2014_image").data
    if source is None:
        random = np.random.default_rng(0)
        images = random.integers(0, 256, (60_000, 1, 28, 28), np.uint8)
        given = {"train": (images, random.integers(0, 10, 60_000)), "valid": (images[:64], None)}
        return read_image_corpus(data, given=given).train  # type: ignore[arg-type]
    config = data.model_copy(update={"source": source, "test_fraction": 0.0})
    return read_image_corpus(config).train


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="?", help="folder of MNIST; random images without it")
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = read(arguments.source)
    lines = []
    for batch in arguments.batch:
        cases = {
            "row by row": row_by_row(rows, batch),
            "by index": by_index(rows, batch),
            "textvae": ours(rows, batch),
        }
        costs: dict[str, list[Cost]] = {name: [] for name in cases}
        for _ in range(arguments.rounds):
            for name, epoch in cases.items():
                costs[name].append(spent(epoch))
        first = median(cost.cpu for cost in costs["row by row"])
        for name, each in costs.items():
            cpu, wall = median(c.cpu for c in each), median(c.wall for c in each)
            lines.append((f"{name}, batch {batch}", cpu, wall, f"{first / cpu:.2f} x"))
    table(lines, [f"an epoch of {len(rows):,} images", "CPU s", "wall s", "speed"])


if __name__ == "__main__":
    main()
