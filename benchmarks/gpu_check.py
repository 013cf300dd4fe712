"""Parts of the GPU check: rows, sections, the texts that they read, facts of the machine."""

import argparse
import json
import math
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from likelihood import SENTENCES
from models import sentence_vae
from texts import first, of_lengths, penn_lengths
from timing import matmul_peak, shown
from torch.nn import functional
from training import Loop, ours

from textvae.data.batching import Sentences
from textvae.data.readers import read_corpus
from textvae.data.tokenizers import train_tokenizer
from textvae.graph.model import VAE
from textvae.training.compiling import CompiledLoss, GraphedLoss, compiled_loss
from textvae.vocabulary import PAD

ROOT = Path(__file__).resolve().parent.parent
VOCABULARY = 10_000
MULTIPLE = 8
"""What the length of a compiled batch is a multiple of."""
TRAIN_SENTENCES = 42_068
"""Of the Penn Treebank."""
RANDOM_TEXTS = "random words with the sentence lengths of the Penn Treebank, seeds 0 and 1"
RANDOM_IMAGES = "random pixels, 28 x 28, seed 0"
UNITS = {
    "tests": "tests",
    "milliseconds": "ms a step",
    "tokens_per_second": "tokens/s",
    "tflops": "TFLOP/s",
    "utilisation": "of the matmul peak",
    "first_seconds": "s of first steps",
    "peak_memory": "MB peak memory",
    "loss": "nats a text, loss",
    "nll": "nats a text, nll",
    "elbo": "nats a text, ELBO",
    "sentences_per_second": "sentences/s",
    "tokens_per_sentence": "tokens a sentence",
    "epoch_seconds": "s an epoch",
    "first_epoch_seconds": "s the first epoch",
    "nll_seconds": "s the test set",
    "images_per_second": "images/s",
}
"""Every metric of a row, and what the table prints after its value."""

Metrics = dict[str, float | None]


class OutOfTimeError(Exception):
    """The time budget is spent."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        section: that it belongs to.
        name: of what was measured or tested.
        status: "ok", "failed" or "skipped".
        seconds: that the row took, preparation and warm-up included.
        metrics: by the names of `UNITS`; None where it is not measured on this device.
        note: why it failed or was skipped.
    """

    section: str
    name: str
    status: str = "ok"
    seconds: float = 0.0
    metrics: Metrics = field(default_factory=dict)
    note: str = ""

    @property
    def markdown(self) -> str:
        """The row of the table."""
        found = [
            f"{value:.0%} {UNITS[name]}" if name == "utilisation" else f"{shown(value)} {unit}"
            for name, unit in UNITS.items()
            if (value := self.metrics.get(name)) is not None
        ]
        note = [f"{self.status}: {self.note}" if self.note else self.status]
        result = "; ".join(found if self.status == "ok" and found else note)
        cells = [self.section, self.name, result, f"{self.seconds:.1f}"]
        return f"| {' | '.join(' '.join(cell.replace('|', '/').split()) for cell in cells)} |"


@dataclass(frozen=True)
class Texts:
    """What the text sections read.

    Args:
        train: training sentences.
        test: held-out sentences.
        vocab_size: number of token ids.
        source: where they come from.
    """

    train: Sentences
    test: Sentences
    vocab_size: int
    source: str


class Check:
    """The rows measured so far, and the time that is left.

    Args:
        arguments: of the command line.
        texts: that the text sections read.
    """

    def __init__(self, arguments: argparse.Namespace, texts: Texts):
        self.arguments = arguments
        self.texts = texts
        self.quick: bool = arguments.smoke
        self.device = "cpu" if arguments.smoke else "cuda"
        self.begin = time.perf_counter()
        self.facts = machine(self.device)
        self.rows: list[Row] = []
        self.peaks: dict[str, float | None] = {}
        self.deadline = float(arguments.seconds)
        self.section = ""
        images = arguments.images or RANDOM_IMAGES
        self.sources = {"texts": texts.source, "images": images, "smoke": arguments.smoke}

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self.begin

    @property
    def left(self) -> float:
        """Seconds of the section's time budget that are left."""
        return self.deadline - self.seconds

    def in_time(self) -> None:
        """Stop a row for which no time is left.

        Raises:
            OutOfTimeError: the time budget is spent.
        """
        if self.left <= 0:
            raise OutOfTimeError

    def measure(self, name: str, task: Callable[[], Metrics]) -> Metrics:
        """Add the row of a task and return its metrics; empty if it failed or was skipped."""
        name = f"{name} (tiny)" if self.quick else name
        begin, status, note, metrics = time.perf_counter(), "ok", "", {}
        try:
            self.in_time()
            found = task()
            if wrong := [n for n, v in found.items() if v is not None and not math.isfinite(v)]:
                raise ArithmeticError(f"not finite: {', '.join(wrong)}")
            metrics = found
        except OutOfTimeError:
            status, note = "skipped", "out of time"
        except Exception as error:  # the other rows go on
            status, note = "failed", f"{type(error).__name__}: {error}"
        seconds = time.perf_counter() - begin
        self.add(Row(self.section, name, status, seconds, metrics, note))
        return metrics

    def add(self, row: Row) -> None:
        """Print a row and write all rows so far."""
        self.rows.append(row)
        print(row.markdown, flush=True)
        self.write()

    def write(self) -> None:
        """Write the JSON file, whole at any time."""
        document = {
            "machine": self.facts,
            "sources": self.sources,
            "seconds": self.seconds,
            "rows": [asdict(row) for row in self.rows],
        }
        path = Path(self.arguments.out)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}")
        beside.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        beside.replace(path)

    def run(self, sections: Mapping[str, tuple[float, Callable[["Check"], None]]]) -> int:
        """Run sections; the exit code.

        Args:
            sections: share of the time budget and function of each, by name. What one leaves goes
                to those after it, and one that is late takes nothing from those before.
        """
        print(f"# textvae on {self.facts['gpu'] or 'a CPU, tiny sizes'}\n")
        for name, fact in {**self.facts, **self.sources}.items():
            if fact is not None:
                print(f"- {name}: {fact}")
        print("\n| section | row | result | s |\n| --- | --- | --- | --- |", flush=True)
        total, self.deadline = sum(share for share, _ in sections.values()), 0.0
        for self.section, (share, section) in sections.items():
            self.deadline += self.arguments.seconds * share / total
            try:
                section(self)
                if self.device == "cuda":
                    torch.cuda.empty_cache()
            except Exception as error:  # the other sections go on
                note = f"{type(error).__name__}: {error}"
                self.add(Row(self.section, "preparation", "failed", note=note))
        return int(any(row.status == "failed" for row in self.rows))

    def model(self, kind: str, size: Mapping[str, Any]) -> VAE:
        """A sentence VAE on the device; a tiny one in a smoke run."""
        sizes = {} if self.quick else size
        return sentence_vae(kind, self.texts.vocab_size, self.quick, **sizes).to(self.device)

    def loop(self, model: VAE, batch_size: int, precision: str, kind: str = "none") -> Loop:
        """The training loop of `training.py` for a model, compiled as `train.compile` has it."""
        # Adam for all models, as `textvae train` has it: "transformer" chooses the optimizer alone.
        settings = {"device": self.device, "precision": precision, "compile": False}
        settings["model"] = "transformer"
        loop = ours(model, self.texts.train, argparse.Namespace(batch_size=batch_size, **settings))
        if kind != "none":
            compiled = self.compiled(model.train(), kind)
            loop.forward = lambda ids: compiled(0, text=ids).value
            loop.batches = (
                functional.pad(ids, (0, -ids.shape[1] % MULTIPLE), value=PAD)
                for ids in loop.batches
            )
        return loop

    def compiled(self, model: VAE, kind: str) -> CompiledLoss | GraphedLoss:
        """The loss of a model; in a smoke run without what a CPU lacks."""
        if not self.quick:
            return compiled_loss(model, kind)
        if kind == "cudagraphs":
            return GraphedLoss(model, lambda module, examples, **options: module)
        return CompiledLoss(model, backend="eager")

    def peak(self, precision: str) -> float | None:
        """The matmul peak in a precision, TFLOP/s, measured once; None where it failed."""
        if precision not in self.peaks:
            half, rounds = precision == "bfloat16", 1 if self.quick else 15
            task = partial(matmul_peak, self.device, half, rounds)
            found = self.measure(f"matmul peak, {precision}", lambda: {"tflops": task() / 1e12})
            self.peaks[precision] = found.get("tflops")
        return self.peaks[precision]

    def peak_memory(self) -> float | None:
        """Most MB that tensors held since `reset_memory`; None on a CPU."""
        return torch.cuda.max_memory_allocated() / 2**20 if self.device == "cuda" else None

    def reset_memory(self) -> None:
        """Begin `peak_memory` anew."""
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def read_texts(data: str | None, quick: bool) -> Texts:
    """The texts of a folder, or random ones of the Penn Treebank's size.

    Args:
        data: folder with train.txt, valid.txt and test.txt; None for random words.
        quick: few texts and words.

    Raises:
        DataError: the folder cannot be read.
    """
    vocabulary, *counts = (200, 64, 8) if quick else (VOCABULARY, TRAIN_SENTENCES, SENTENCES)
    if data is None:
        train, test = (
            of_lengths(penn_lengths(count), vocabulary, seed) for seed, count in enumerate(counts)
        )
        return Texts(train, test, vocabulary, RANDOM_TEXTS)
    corpus = read_corpus(data)
    tokenizer = train_tokenizer("word", corpus.train, vocabulary)
    train, test = (
        Sentences.encoded(tokenizer, texts) for texts in (corpus.train, corpus.test or corpus.valid)
    )
    if quick:
        train, test = (first(texts, n) for texts, n in zip((train, test), counts, strict=True))
    return Texts(train, test, len(tokenizer), data)


def machine(device: str) -> dict[str, Any]:
    """What the rows were measured on and with."""
    cuda = device == "cuda"
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "gpu_gib": torch.cuda.get_device_properties(0).total_memory // 2**30 if cuda else None,
        "driver": output_of(query) if cuda else None,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        # With TF32, products of float32 keep ten bits of each factor.
        "cudnn_tf32": torch.backends.cudnn.allow_tf32 if cuda else None,
        "matmul_tf32": torch.backends.cuda.matmul.allow_tf32 if cuda else None,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "commit": output_of(["git", "-C", str(ROOT), "rev-parse", "HEAD"]),
    }


def output_of(command: list[str]) -> str | None:
    """The first line that a command prints; None where it is not there or fails."""
    try:
        printed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(printed.stdout.splitlines()), None)
