"""The MixUp weight of chen2020_vpu, chosen by a loss of validation rows without negatives.

Run: python benchmarks/mixup_weight.py POSITIVES [--weights 0 1 3 10] [--seeds 0]. POSITIVES is
positives.npz of benchmarks/small_mnist.py. For each weight: log E_U Phi - E_P log Phi of the
validation images, the accuracy of test images, the same with Phi divided by the largest Phi of the
training images as the paper does, and that largest Phi.
"""

import argparse
import resource
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from textvae.api.image import ImageVAE
from textvae.data.fields import Fields, Labels
from textvae.objectives.positive_unlabelled import variational_loss
from textvae.recipes import load_recipe
from textvae.training.run_data import corpus_of
from textvae.training.runs import train_run

RECIPE = "chen2020_vpu"


def phi(vae: ImageVAE, rows: Fields) -> tuple[np.ndarray, np.ndarray]:
    """Phi of each row and its label, (N,) both."""
    labels = rows.columns["label"]
    assert isinstance(labels, Labels), "the files have labels"
    return vae.classify(rows)[:, 1], labels.values


def row(data: str, weight: float, seed: int, corpora: dict[int, Any]) -> dict[str, float]:
    """The figures of one training."""
    sets = [f"train.seed={seed}", f"objective.mixup={weight}", f"data.source={data}"]
    recipe = load_recipe(RECIPE, sets)
    corpus = corpora.setdefault(0, corpus_of(recipe.data))
    start = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    with tempfile.TemporaryDirectory() as folder:
        model, _ = train_run(recipe, corpus, Path(folder) / "run", device="cpu")
    seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime - start
    vae = ImageVAE(model)
    valid, known = phi(vae, corpus.valid)
    test, truth = phi(vae, corpus.test)
    largest = phi(vae, corpus.train)[0].max()
    loss = variational_loss(torch.from_numpy(valid).log(), torch.from_numpy(known == 1))
    return {
        "weight": weight,
        "seed": seed,
        "validation loss": loss.item(),
        "accuracy": float(((test > 0.5) == truth).mean()),
        "divided": float(((test / largest > 0.5) == truth).mean()),
        "largest phi": float(largest),
        "seconds": seconds,
    }


def main() -> None:
    """Print a row for each weight and seed, and the weight whose mean loss is least."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--weights", nargs="+", type=float, default=[0, 1, 3, 10])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    corpora: dict[int, Any] = {}
    losses: dict[float, list[float]] = {}
    for weight in arguments.weights:
        for seed in arguments.seeds:
            figures = row(arguments.data, weight, seed, corpora)
            losses.setdefault(weight, []).append(figures["validation loss"])
            print({name: round(value, 4) for name, value in figures.items()}, flush=True)
    print("chosen:", min(losses, key=lambda weight: float(np.mean(losses[weight]))))


if __name__ == "__main__":
    main()
