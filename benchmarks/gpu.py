"""A GPU in one script: its tests, training steps, epochs, likelihood, images and generation.

Run: sh benchmarks/gpu.sh [--data ptb] [--images mnist] [--seconds 540] [--out gpu.json] [--smoke].
Prints a Markdown table row by row and writes the same as JSON after each row. An error in a row is
recorded and the next row follows; the exit code is then 1. Each section has a share of the time;
rows that no time is left for are skipped. A second table compares what is aimed at.
--smoke runs all of it on the CPU with tiny sizes, to try the script.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch
from generation import decoder_of
from gpu_check import ROOT, UNITS, Check, Metrics, Row, read_texts
from likelihood import MODELS
from models import flops
from timing import Cost, cost, shown
from training import Loop
from transformers import TrainerCallback

from textvae.checkpoints import quiet_transformers
from textvae.config import TrainingConfig
from textvae.data.batching import Batch, Examples
from textvae.data.images import read_image_corpus
from textvae.evaluation.likelihood import likelihood
from textvae.graph.decoding import Decoding
from textvae.graph.generation import generate
from textvae.graph.model import VAE
from textvae.recipes import load_recipe
from textvae.training.runs import build_model
from textvae.training.trainer import VAETrainer
from textvae.vocabulary import PAD

PRECISIONS = ("float32", "bfloat16")
SIZES: dict[str, tuple[str, dict[str, Any]]] = {
    **MODELS,
    "Transformer 12 x 768": ("transformer", {"hidden": 768, "layers": 12, "heads": 12}),
}
STEPS = (
    ("LSTM 256 / 256", 128, "float32"),
    ("LSTM 256 / 256", 128, "bfloat16"),
    ("Transformer 12 x 768", 128, "bfloat16"),
    ("Transformer 12 x 768", 512, "bfloat16"),
    ("LSTM 512 / 1024", 128, "bfloat16"),
    ("Transformer 4 x 256", 128, "bfloat16"),
    ("LSTM 512 / 1024", 128, "float32"),
    ("Transformer 4 x 256", 128, "float32"),
    ("Transformer 12 x 768", 128, "float32"),
    ("LSTM 256 / 256", 32, "bfloat16"),
)
"""Model, texts of a batch and precision of training steps; what is aimed at comes first."""

TARGETS = (
    ("training", "LSTM 256 / 256, batch 128", "tokens_per_second", 400_000),
    ("training", "Transformer 12 x 768", "utilisation", 0.4),
    ("epoch", "LSTM 256 / 256, batch 128", "epoch_seconds", 3),
    ("nll", "500 samples", "nll_seconds", 20),
)
"""Section, part of the row's name, metric, and what it has to reach on one H100 or H200."""


def tests(check: Check) -> None:
    """The tests that are marked `gpu`, one row each, run by a process of their own."""
    check.measure("pytest", partial(run_tests, check))


def run_tests(check: Check) -> Metrics:
    """Run the tests and add a row for each.

    Raises:
        RuntimeError: pytest did not run to its end.
    """
    # A pytest around this process must not configure the one below.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu"]
        finished = subprocess.run(
            [*command, f"--junitxml={report}", str(ROOT / "tests/gpu")],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=check.left,
        )
        found = list(reported(report)) if report.exists() else []
    for row in found:
        check.add(row)
    # 1 is a failed test, which has a row of its own.
    if finished.returncode not in (0, 1) or not found:
        lines = (finished.stdout + finished.stderr).strip().splitlines()
        raise RuntimeError(f"pytest ended with {finished.returncode}: {' / '.join(lines[-3:])}")
    return {"tests": float(len(found))}


def reported(report: Path) -> Iterator[Row]:
    """A row for each test of a JUnit report."""
    for case in ElementTree.parse(report).iter("testcase"):
        status, note = "ok", ""
        for tag, meaning in (("skipped", "skipped"), ("failure", "failed"), ("error", "failed")):
            if (problem := case.find(tag)) is not None:
                status, note = meaning, (problem.get("message") or "").strip()[:500]
        name = case.get("name", "").removeprefix("test_")
        yield Row("tests", name, status, float(case.get("time", 0)), note=note)


def training(check: Check) -> None:
    """Training steps of several models, with CUDA graphs and without."""
    step_rows(check, ("cudagraphs", "none"), STEPS)


def compiling(check: Check) -> None:
    """Training steps by torch.compile, with CUDA graphs and without; it compiles for minutes."""
    transformers = [row for row in STEPS if row[0].startswith("Transformer")]
    step_rows(check, ("reduce-overhead", "default"), transformers)


def step_rows(check: Check, kinds: Sequence[str], steps: Iterable[tuple[str, int, str]]) -> None:
    """A row for each kind of compiled step and each of `STEPS`; in a smoke run only for one."""
    # A CPU without instructions for bfloat16 takes minutes for products in it.
    chosen = [row for row in steps if not check.quick or row[2] == "float32"]
    for name, batch_size, precision in chosen[:1] if check.quick else chosen:
        peak = check.peak(precision)
        for kind in kinds:
            size = 4 if check.quick else batch_size
            row = f"{name}, batch {size}, {precision}, {kind}"
            check.measure(row, partial(step_cost, check, SIZES[name], size, precision, kind, peak))


def step_cost(
    check: Check,
    sizes: tuple[str, Mapping[str, Any]],
    batch_size: int,
    precision: str,
    kind: str,
    peak: float | None,
) -> Metrics:
    """Training steps of a model: time, tokens, arithmetic and memory.

    Utilisation is that of `training.py`: padding is no token, and a CPU counts its own time.
    """
    rounds, steps = (2, 1) if check.quick else (5, 20)
    check.reset_memory()
    model = check.model(*sizes)
    loop = check.loop(model, batch_size, precision, kind)
    # So many that nearly all lengths occur: each is compiled, or captured, once.
    first, _ = timed(loop, 1 if check.quick else 40)
    costs = []
    for _ in range(rounds):
        check.in_time()
        costs.append(timed(loop, steps))
    tokens = sum(count for _, count in costs)
    wall, cpu = (sum(getattr(spent, name) for spent, _ in costs) for name in ("wall", "cpu"))
    done = flops(model, tokens) / (cpu if check.device == "cpu" else wall)
    return {
        "milliseconds": 1e3 * statistics.median(spent.wall for spent, _ in costs) / steps,
        "tokens_per_second": tokens / wall,
        "tflops": done / 1e12,
        "utilisation": None if peak is None else done / 1e12 / peak,
        "first_seconds": first.wall,
        "peak_memory": check.peak_memory(),
    }


def timed(loop: Loop, steps: int) -> tuple[Cost, int]:
    """The cost of some steps, and the tokens they predicted."""
    tokens: list[int] = []
    return cost(lambda: tokens.extend(loop.step() for _ in range(steps))), sum(tokens)


def nll(check: Check) -> None:
    """The importance-weighted nll of the test sentences under a briefly trained LSTM VAE."""
    model = check.model(*MODELS["LSTM 256 / 256"])
    steps = 2 if check.quick else 200
    task = partial(trained, check, model, steps)
    done = check.measure(f"LSTM 256 / 256, {steps} training steps", task)
    weights = f"after {steps} steps" if done else "training not finished"
    for samples in (4, 2) if check.quick else (500, 100):
        name = f"{len(check.texts.test):,} sentences, {samples} samples, {weights}"
        check.measure(name, partial(nll_of, check, model, samples))


def trained(check: Check, model: VAE, steps: int) -> Metrics:
    """Train a model for some steps; the loss of the next batch."""
    loop = check.loop(model, 32, "float32")
    for _ in range(steps):
        check.in_time()
        loop.step()
    with torch.no_grad():
        return {"loss": float(loop.loss(next(loop.batches).to(check.device)))}


def nll_of(check: Check, model: VAE, samples: int) -> Metrics:
    """The nll of the test sentences."""
    check.reset_memory()
    batches = [batch for _, batch in check.texts.test.in_length_order()]
    begin = time.perf_counter()
    estimate = likelihood(model, in_time(check, batches), samples)
    seconds = time.perf_counter() - begin
    return {
        "nll": estimate.nll.mean().item(),
        "elbo": estimate.elbo.mean().item(),
        "nll_seconds": seconds,
        "sentences_per_second": len(check.texts.test) / seconds,
        "peak_memory": check.peak_memory(),
    }


def in_time(check: Check, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Batches for as long as there is time."""
    for batch in batches:
        check.in_time()
        yield batch


class EpochTimes(TrainerCallback):
    """Seconds of each epoch's training steps, without validation and checkpoint.

    Args:
        check: whose time budget holds.
    """

    def __init__(self, check: Check):
        self.check = check
        self.seconds: list[float] = []

    def on_epoch_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self.begin = time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Stop where no time is left."""
        self.check.in_time()

    def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
        """Stop the clock once the device has finished."""
        if self.check.device == "cuda":
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self.begin)


def images(check: Check) -> None:
    """Epochs of an image VAE, 784-400-20, under the trainer."""
    for precision, kind in trainer_settings(check):
        task = partial(image_epochs, check, precision, kind)
        check.measure(f"kingma2014_image, batch 128, {precision}, {kind}", task)


def trainer_settings(check: Check) -> list[tuple[str, str]]:
    """`train.precision` and `train.compile` of epochs; a CPU may refuse all but the defaults."""
    rows = [("bfloat16", "cudagraphs"), ("float32", "cudagraphs"), ("float32", "none")]
    return [("float32", "none")] if check.quick else rows


def epoch(check: Check) -> None:
    """Epochs of a text VAE under the trainer."""
    for precision, kind in trainer_settings(check):
        for size in (16,) if check.quick else (128, 32):
            task = partial(text_epochs, check, size, precision, kind)
            check.measure(f"LSTM 256 / 256, batch {size}, {precision}, {kind}", task)


def text_epochs(check: Check, batch_size: int, precision: str, kind: str) -> Metrics:
    """Two epochs of the training texts, validation and checkpoints not counted."""
    check.reset_memory()
    texts = check.texts
    plan = TrainingConfig(
        epochs=2, batch_size=batch_size, precision=precision, compile=kind, validation_samples=1
    )
    seconds = epoch_times(
        check, check.model(*SIZES["LSTM 256 / 256"]), plan, texts.train, texts.test
    )
    return {
        "epoch_seconds": seconds[-1],
        "first_epoch_seconds": seconds[0],
        "tokens_per_second": texts.train.targets / seconds[-1],
        "peak_memory": check.peak_memory(),
    }


def epoch_times(
    check: Check, model: VAE, plan: TrainingConfig, train: Examples, valid: Examples
) -> list[float]:
    """Seconds of each epoch's steps under the trainer; the first includes the warm-up."""
    times = EpochTimes(check)
    device = "cpu" if check.device == "cpu" else None
    with tempfile.TemporaryDirectory() as folder, quiet_transformers():
        VAETrainer(
            model, plan, train, valid, Path(folder), device=device, callbacks=[times]
        ).train()
    return times.seconds


def image_epochs(check: Check, precision: str, kind: str) -> Metrics:
    """Two epochs, validation and checkpoints not counted; the first includes the warm-up."""
    recipe = load_recipe("kingma2014_image")
    source = {"source": check.arguments.images, "test_fraction": 0.0}
    given = None
    if check.arguments.images is None:
        random, count = np.random.default_rng(0), 300 if check.quick else 60_000
        given = {"train": (random.integers(0, 256, (count, 1, 28, 28), np.uint8), None)}
    corpus = read_image_corpus(recipe.data.model_copy(update=source), given=given)
    check.reset_memory()
    model = build_model(recipe, observed=corpus.facts)
    settings = {"epochs": 2, "precision": precision, "compile": kind}
    plan = recipe.train.model_copy(update=settings)
    seconds = epoch_times(check, model, plan, corpus.train, corpus.valid)
    return {
        "epoch_seconds": seconds[-1],
        "first_epoch_seconds": seconds[0],
        "images_per_second": len(corpus.train) / seconds[-1],
        "peak_memory": check.peak_memory(),
    }


def generation(check: Check) -> None:
    """Sampled sentences of three decoders whose sentences have 21 words on average."""
    for name, (kind, size) in MODELS.items():
        for count in (8, 16) if check.quick else (256, 1024):
            check.measure(f"{name}, batch {count}", partial(sampled, check, kind, size, count))


def sampled(check: Check, kind: str, size: Mapping[str, Any], count: int) -> Metrics:
    """Sentences a second; the median of some rounds after a first."""
    decoder = decoder_of(kind, check.texts.vocab_size, check.quick, dict(size)).to(check.device)
    context = torch.randn(count, 32, device=check.device)
    check.reset_memory()
    walls, words = [], 0
    for turn in range(2 if check.quick else 6):
        check.in_time()
        written: list[torch.Tensor] = []
        decoding = Decoding(do_sample=True, max_new_tokens=128)
        spent = cost(lambda: written.append(generate(decoder, context, decoding)))  # noqa: B023
        if turn:
            walls.append(spent.wall)
            words += int((written[0] != PAD).sum())
    return {
        "sentences_per_second": count / statistics.median(walls),
        "tokens_per_sentence": words / count / len(walls),
        "peak_memory": check.peak_memory(),
    }


SECTIONS = {
    "tests": (110, tests),
    "training": (150, training),
    "epoch": (60, epoch),
    "nll": (70, nll),
    "images": (40, images),
    "generation": (40, generation),
    "compile": (70, compiling),
}
"""Sections and their shares of the time, in seconds of the usual nine minutes."""


def compare(check: Check) -> None:
    """Print the best row for each target."""
    print("\n| target | aimed at | best | row |\n| --- | --- | --- | --- |")
    for section, name, metric, wanted in TARGETS:
        rows = [r for r in check.rows if r.section == section and name in r.name]
        values = [(v, r.name) for r in rows if (v := r.metrics.get(metric)) is not None]
        best = min if metric.endswith("seconds") else max
        value, row = best(values) if values else ("not measured", "")
        bound = "at most" if best is min else "at least"
        print(f"| {name}: {UNITS[metric]} | {bound} {shown(wanted)} | {shown(value)} | {row} |")


def main() -> int:
    """Run the sections; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="folder of train.txt, valid.txt, test.txt; else random")
    parser.add_argument("--images", help="folder of idx files or an .npz file; else random")
    parser.add_argument("--seconds", type=float, default=540, help="time budget (540)")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help="sections to run")
    folder = os.environ.get("OUT", ".")
    parser.add_argument("--out", default=f"{folder}/gpu.json", help="JSON file ($OUT/gpu.json)")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes on the CPU")
    arguments = parser.parse_args()
    if not arguments.smoke and not torch.cuda.is_available():
        parser.error("torch.cuda.is_available() is false; --smoke runs tiny sizes on the CPU")
    try:
        texts = read_texts(arguments.data, arguments.smoke)
    except ValueError as error:
        parser.error(f"--data: {error}")
    chosen = {n: s for n, s in SECTIONS.items() if n in (arguments.only or SECTIONS)}
    check = Check(arguments, texts)
    code = check.run(chosen)
    compare(check)
    return code


if __name__ == "__main__":
    sys.exit(main())
