"""Random state of the tests, and the tiny components and models that several of them use."""

import random
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.commands import Answer, listing, run_quietly, trained_runs
from torch.distributions import Independent, Normal

from textvae.cli import main
from textvae.config import ImageDataConfig
from textvae.data.images import ImageCorpus, read_image_corpus
from textvae.graph.model import VAE, VAEConfig
from textvae.objectives.outputs import Latent, VAEOutput
from textvae.recipes import read_recipe
from textvae.vocabulary import BOS, EOS, PAD

VOCAB = 12

ENCODERS = (
    {
        f"lstm-{pooling}-{'both' if bidirectional else 'forward'}-{layers}": {
            "kind": "lstm",
            "hidden": 6,
            "embedding": 5,
            "layers": layers,
            "bidirectional": bidirectional,
            "pooling": pooling,
        }
        for pooling, bidirectional, layers in product(
            ("last", "max", "mean"), (False, True), (1, 2)
        )
    }
    | {
        "lstm-last-normed": {
            "kind": "lstm",
            "hidden": 6,
            "layers": 2,
            "layer_norm": True,
            "locked": True,
        }
    }
    | {
        f"transformer-{pooling}": {
            "kind": "transformer",
            "hidden": 8,
            "layers": 2,
            "heads": 2,
            "pooling": pooling,
            "dropout": 0.0,
        }
        for pooling in ("last", "max", "mean")
    }
    | {
        f"bag-{pooling}": {"kind": "bag", "hidden": 6, "pooling": pooling}
        for pooling in ("max", "mean")
    }
    | {"attention": {"kind": "attention", "hidden": 6, "heads": 2}}
    | {f"counts-{layers}": {"kind": "counts", "hidden": 6, "layers": layers} for layers in (1, 2)}
    | {"counts-log": {"kind": "counts", "hidden": 6, "log_counts": True}}
)
"""Every encoder: a new kind adds a row, without dropout."""

DECODERS = {
    "lstm": {"kind": "lstm", "hidden": 6, "embedding": 5},
    "lstm-tied": {"kind": "lstm", "hidden": 6, "tied": True},
    "lstm-deep": {"kind": "lstm", "hidden": 6, "layers": 3},
    "lstm-narrow": {"kind": "lstm", "hidden": 6, "embedding": 5, "tied": True},
    "lstm-normed": {"kind": "lstm", "hidden": 6, "layers": 2, "layer_norm": True},
    "lstm-locked": {"kind": "lstm", "hidden": 6, "layers": 2, "locked": True},
    "lstm-mixture": {"kind": "lstm", "hidden": 6, "embedding": 5, "tied": True, "mixtures": 3},
    "lstm-mixture-untied": {"kind": "lstm", "hidden": 6, "mixtures": 2},
    "lstm-adaptive": {"kind": "lstm", "hidden": 6, "embedding": 5, "tied": True, "cutoffs": [5, 7]},
    "lstm-adaptive-untied": {"kind": "lstm", "hidden": 6, "cutoffs": [6]},
    "lstm-initial": {"kind": "lstm", "hidden": 6, "embedding": 5, "every_step": False},
    "lstm-inputless": {"kind": "lstm", "hidden": 6, "word_dropout": 1.0},
    "transformer": {"kind": "transformer", "hidden": 8, "layers": 1, "heads": 2, "dropout": 0.0},
    "transformer-tied": {
        "kind": "transformer",
        "hidden": 8,
        "heads": 2,
        "dropout": 0.0,
        "tied": True,
    },
    "transformer-deep": {
        "kind": "transformer",
        "hidden": 8,
        "layers": 3,
        "heads": 1,
        "dropout": 0.0,
    },
    "transformer-inputless": {
        "kind": "transformer",
        "hidden": 8,
        "heads": 2,
        "dropout": 0.0,
        "word_dropout": 1.0,
    },
    "bag": {"kind": "bag", "hidden": 6},
    "topics": {"kind": "topics"},
    "skip": {"kind": "skip_lstm", "hidden": 6},
    "skip-deep": {"kind": "skip_lstm", "hidden": 6, "layers": 3, "tied": True, "cutoffs": [5]},
}
"""Every decoder: a new kind adds a row, without dropout."""

IMAGE_ENCODERS = {
    "mlp": {"kind": "mlp", "hidden": [6, 5], "activation": "leaky_relu"},
    "conv": {"kind": "conv", "channels": [2, 3], "hidden": 6},
    "grid": {"kind": "conv", "channels": [2, 3], "hidden": None, "activation": "leaky_relu"},
    "resnet": {
        "kind": "conv",
        "channels": [2, 3],
        "hidden": 6,
        "blocks": 2,
        "activation": "leaky_relu",  # a ReLU of so few channels may be dead
    },
}
IMAGE_DECODERS = {
    "mlp": {"kind": "mlp", "hidden": [6, 5], "likelihood": {"kind": "bernoulli"}},
    "conv": {
        "kind": "conv",
        "channels": [2, 3],
        "hidden": 6,
        "likelihood": {"kind": "gaussian", "variance": "pixel"},
    },
    "resnet": {
        "kind": "conv",
        "channels": [2, 3],
        "hidden": 6,
        "blocks": 1,
        "activation": "leaky_relu",
        "likelihood": {"kind": "logistic", "mixture": 2, "levels": 4},
    },
}
"""Those of images: a new kind adds a row."""

TEXT_ENCODERS = sorted({spec["kind"] for spec in ENCODERS.values()})
TEXT_DECODERS = sorted({spec["kind"] for spec in DECODERS.values()})
"""The kinds that read and write texts."""

TEXT = {"name": "text", "kind": "lstm", "hidden": 6}
Z = {"name": "z", "kind": "gaussian", "dim": 3, "given": ["text"]}
GRAPHS = {
    "vae": {"encoders": [TEXT], "latents": [Z], "decoders": [{**TEXT, "given": ["z"]}]},
    "language model": {"decoders": [TEXT]},
    "free prior": {
        "encoders": [TEXT],
        "latents": [{**Z, "prior": {"given": []}}],
        "decoders": [{**TEXT, "given": ["z"]}],
    },
    "fitted prior": {
        "encoders": [TEXT],
        "latents": [{**Z, "prior": {"fitted": True}}],
        "decoders": [{**TEXT, "given": ["z"]}],
    },
    "learned prior": {
        "encoders": [{**TEXT, "name": "context"}, {**TEXT, "name": "answer"}],
        "latents": [{**Z, "given": ["context", "answer"], "prior": {"given": ["context"]}}],
        "decoders": [{**TEXT, "name": "answer", "given": ["z", "context"]}],
    },
    "crossed": {
        "encoders": [{**TEXT, "name": "question"}, {**TEXT, "name": "answer", "hidden": 4}],
        "latents": [
            {**Z, "name": "zq", "given": ["question"]},
            {**Z, "name": "za", "dim": 2, "given": ["answer"]},
        ],
        "decoders": [
            {**TEXT, "name": "question", "given": ["za"]},
            {**TEXT, "name": "answer", "given": ["zq"]},
        ],
    },
    "hierarchy": {
        "encoders": [TEXT],
        "latents": [
            {**Z, "name": "top"},
            {**Z, "dim": 2, "given": ["text", "top"], "prior": {"given": ["top"]}},
        ],
        "decoders": [{**TEXT, "given": ["z", "top"]}],
    },
    "classes": {
        "encoders": [TEXT],
        "latents": [
            {"name": "y", "kind": "categorical", "dim": 3, "given": ["text"]},
            {**Z, "given": ["text", "y"]},
        ],
        "decoders": [{**TEXT, "given": ["y", "z"]}],
    },
    "bag-of-words loss": {
        "encoders": [TEXT],
        "latents": [Z],
        "decoders": [
            {**TEXT, "given": ["z"]},
            {"name": "bag", "kind": "bag", "field": "text", "given": ["z"], "auxiliary": 0.5},
        ],
    },
    "one decoder without latents": {
        "encoders": [TEXT],
        "latents": [Z],
        "decoders": [
            {**TEXT, "given": ["z"]},
            {**TEXT, "name": "again", "field": "text", "given": ["text"]},
            {**TEXT, "name": "alone", "field": "text"},
        ],
    },
}
"""Graphs of one or two text fields, one of each shape that a recipe may have."""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors are faster on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory) -> Iterator[Path]:
    """Where the tests keep tokenizers and encoded texts: not in the user's own folder."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXTVAE_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Every test begins with the same random state and leaves the one it found."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    yield
    random.setstate(before[0])
    np.random.set_state(before[1])
    torch.set_rng_state(before[2])


def vae(encoders=None, latents=None, decoders=None, **settings) -> VAE:
    """A model in evaluation mode with weights large enough for every part to matter."""
    settings = {"vocab_size": VOCAB, "init_range": 0.6, **settings}
    graph = {"encoders": encoders, "latents": latents, "decoders": decoders}
    return VAE(VAEConfig(**graph, **settings)).eval()


def pair(encoder: str, decoder: str) -> VAE:
    """A VAE of one text field with an encoder and a decoder of the tables."""
    return vae(
        [{"name": "text", **ENCODERS[encoder]}],
        [Z],
        [{"name": "text", "given": ["z"], **DECODERS[decoder]}],
    )


def ids(*lengths: int, width: int = 0, vocab: int = VOCAB) -> torch.Tensor:
    """Texts of random words, (B, T): begin, as many words as said, end, padding up to `width`."""
    rows = torch.full((len(lengths), max(*lengths, width - 2, 0) + 2), PAD)
    for row, length in zip(rows, lengths, strict=True):
        row[: length + 2] = torch.tensor(
            [BOS, *torch.randint(EOS + 2, vocab, (length,)).tolist(), EOS]
        )
    return rows


def fields_of(model: VAE, *lengths: int) -> dict[str, torch.Tensor]:
    """Random texts for each field that a model reads or writes."""
    nodes = [*model.config.nodes("encoders"), *model.config.nodes("decoders")]
    return {name: ids(*lengths) for name in sorted({node["field"] for node in nodes})}


class LinearGaussian:
    """x = slope z + noise, z ~ N(0, I): a model whose evidence and posterior are known.

    Its approximate posterior is the exact one with the mean moved by `shift` and the scale
    multiplied by `stretch`, so that the default is exact. It answers as a VAE does.

    Args:
        x: observed, (B, D).
    """

    def __init__(self, x, shift=0.0, stretch=1.0, slope=0.8, noise=0.5):
        self.x, self.slope, self.noise = x, slope, noise
        self.latents, self.copies = {"z": None}, 1
        self.device = x.device
        precision = 1 + (slope / noise) ** 2
        self.exact = normal(slope / noise**2 * x / precision, precision**-0.5)
        self.posterior = normal(self.exact.mean + shift, stretch * precision**-0.5)
        variance = slope**2 + noise**2
        self.evidence = normal(torch.zeros_like(x), variance**0.5).log_prob(x)

    def eval(self):
        return self

    def read(self, fields):
        return {}

    def infer(self, samples=1, **fields):
        return self.infer_from({}, fields, samples)

    def infer_from(self, features, fields, samples):
        q = self.posterior
        value = q.expand((samples, *q.batch_shape)).rsample()
        latent = Latent(value, normal(q.mean[None], q.stddev[None]), normal(0 * q.mean[None], 1.0))
        likelihood = normal(self.slope * value, self.noise).log_prob(self.x)
        return VAEOutput({"z": latent}, {"x": likelihood}, fields, features={"text": self.x})


def normal(mean, scale):
    """N(mean, scale^2 I), event (D,); unchecked, as the families' are."""
    scale = torch.as_tensor(scale).expand_as(mean)
    return Independent(Normal(mean, scale, validate_args=False), 1, validate_args=False)


def output(kl=(), reconstruction=0.0, samples=1, batch=1):
    """An output whose latents have the given KLs per dimension, each (B, D), against N(0, I)."""
    latents = {}
    for name, wanted in zip("zabc", kl, strict=False):
        wanted = torch.as_tensor(wanted)
        mean = (2 * wanted)[None].sqrt()
        q = normal(mean, 1.0)
        drawn = q.expand((samples, len(wanted))).rsample()
        latents[name] = Latent(drawn, q, normal(0 * mean, 1.0))
        batch = len(wanted)
    likelihood = torch.full((samples, batch), float(reconstruction))
    return VAEOutput(latents, {"text": likelihood}, features={"text": torch.randn(batch, 2)})


def standard_error(draws: torch.Tensor) -> SimpleNamespace:
    """Mean of draws, (N, ...), and its standard error."""
    return SimpleNamespace(mean=draws.mean(0), error=draws.std(0) / len(draws) ** 0.5)


IMAGE_RECIPE: dict = {
    "model": {
        "encoders": [{"name": "image", "kind": "mlp", "hidden": [32]}],
        "latents": [{"name": "z", "kind": "gaussian", "dim": 4, "given": ["image"]}],
        "decoders": [
            {
                "name": "image",
                "kind": "mlp",
                "hidden": [32],
                "likelihood": {"kind": "bernoulli"},
                "given": ["z"],
            }
        ],
    },
    "objective": {"kind": "elbo"},
    "data": {"modality": "image", "pixels": "dynamic"},
    "train": {"epochs": 4, "batch_size": 32, "max_grad_norm": 0, "learning_rate": 3e-3},
}
"""A small model of the 8 x 8 digits."""


def digits(train=256, **settings) -> ImageCorpus:
    whole = read_image_corpus(ImageDataConfig(modality="image", **settings))
    few = [whole.train.select(np.arange(train)), whole.valid.select(np.arange(40))]
    return ImageCorpus(*few, whole.test.select(np.arange(60)), "the first digits", [])


@pytest.fixture(scope="session")
def image_run(tmp_path_factory):
    """A run in a folder, as the command makes it."""
    folder = tmp_path_factory.mktemp("image")
    recipe = folder / "digits.yaml"
    recipe.write_text(read_recipe(IMAGE_RECIPE, "digits").yaml(), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.raises(SystemExit) as left:
            main(["train", str(recipe), "--output", "run", "--device", "cpu"])
    assert not left.value.code
    return folder / "run"


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> Path:
    """A folder with `texts.txt` and the runs `vae`, `dead` (collapsed) and `lm`."""
    return trained_runs(tmp_path_factory)


@pytest.fixture
def textvae(capsys, monkeypatch, tmp_path):
    """A function that runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Answer:
        capsys.readouterr()
        code = run_quietly(*arguments)
        return Answer(code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(textvae, tmp_path):
    """A function that runs a command which must fail: a line per mistake, no file written."""

    def run(*arguments: object, mistakes: int = 1) -> str:
        before = listing(tmp_path)
        answer = textvae(*arguments)
        assert answer.code == 2, answer
        assert len(answer.errors) == mistakes, answer.err
        assert set(answer.err.splitlines()) - set(answer.errors) <= {
            line for line in answer.err.splitlines() if line.startswith("note: ")
        }
        assert answer.out == ""
        assert listing(tmp_path) == before
        return answer.err

    return run
