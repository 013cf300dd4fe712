"""Recipes trained with several seeds in one process: the figures that claims are about, in a table.

Run: python benchmarks/seeds.py DATA OUT RECIPE:SEED[:key=value[;key=value]] ... [--samples 5].
OUT is a JSON file that rows are added to. Pictures are not drawn. Seconds are user CPU seconds of
training, on one thread, without the start of Python and reading. Mutual information, whose time is
the square of the number of images, is left out.
"""

import argparse
import json
import resource
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from textvae.api.image import ImageVAE
from textvae.data.images import ImageCorpus
from textvae.evaluation.codes import code_metrics
from textvae.evaluation.likelihood import likelihood
from textvae.recipes import load_recipe
from textvae.training.run_data import corpus_of
from textvae.training.runs import train_run

SHOWN = ("elbo", "nll", "kl")


def user_seconds() -> float:
    """User CPU seconds of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def measured(asked: str, data: str, samples: int, corpora: dict[str, Any]) -> dict[str, Any]:
    """The metrics of a recipe with a seed on the test images of the data."""
    name, seed, *sets = asked.split(":", 2)
    overrides = [f"train.seed={seed}", f"data.source={data}", *";".join(sets).split(";")]
    recipe = load_recipe(name, [override for override in overrides if override])
    key = recipe.data.model_dump_json()
    corpus: ImageCorpus = corpora.get(key) or corpora.setdefault(key, corpus_of(recipe.data))
    assert corpus.test is not None, "the data have test images"
    with tempfile.TemporaryDirectory() as folder:
        start = user_seconds()
        model, _ = train_run(recipe, corpus, Path(folder) / "run", device="cpu")
        seconds = user_seconds() - start
    vae, batches = ImageVAE(model), [batch for _, batch in corpus.test.in_length_order()]
    estimate = likelihood(model, batches, samples)
    numbers = {name: getattr(estimate, name).mean().item() for name in SHOWN}
    numbers |= vae.label_metrics(corpus.test)
    codes = code_metrics(model, batches)
    numbers |= {} if codes is None else asdict(codes)
    return {"recipe": name, "seed": int(seed), "set": sets, **numbers, "seconds": seconds}


def main() -> None:
    """Train, print and record each row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("out", type=Path)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--samples", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    corpora: dict[str, Any] = {}
    for asked in arguments.recipes:
        row = measured(asked, arguments.data, arguments.samples, corpora)
        known = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
        arguments.out.write_text(json.dumps([*known, row], indent=1) + "\n")
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)


if __name__ == "__main__":
    main()
