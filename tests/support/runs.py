"""A tiny recipe and corpus, their runs, and training in other processes."""

import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import torch
from safetensors.torch import load_file

from textvae.data.readers import Corpus
from textvae.recipes import read_recipe

WORDS = "the a cat dog bird sees likes finds small red old house tree river".split()


def corpus() -> Corpus:
    draw = random.Random(1)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(1, 9))) for _ in range(150)]
    return Corpus(texts[:128], texts[128:], [], "made by the test", [])


GAUSSIAN = {"kind": "gaussian", "dim": 3}
CODES = {"kind": "vq", "codes": 2, "size": 6, "code_dim": 3, "replace_after": 2}
CODES |= {"prior": {"kind": "codes", "hidden_size": 5}}
FIXED_CODES = CODES | {"start": "random", "batch_norm": False, "replace_after": 0}
"""Codes whose training draws nothing."""


def recipe(latent: dict | bool = True, noisy: bool = True, **train):
    given = {"given": ["z"]} if latent else {}
    decoder = {"name": "text", "kind": "lstm", "hidden": 12, **given}
    noise = {"dropout": 0.2, "word_dropout": 0.3} if latent and noisy else {}
    model: dict = {"decoders": [decoder | noise]}
    if latent:
        family = GAUSSIAN if latent is True else latent
        model["encoders"] = [{"name": "text", "kind": "lstm", "hidden": 12}]
        model["latents"] = [{"name": "z", "given": ["text"], **family}]
    return read_recipe(
        {
            "model": model,
            "objective": {"kind": "elbo", "kl_weight": {"kind": "linear", "steps": 20}},
            "tokenizer": {"kind": "word", "vocab_size": 50},
            "train": {"epochs": 3, "batch_size": 16, "validation_samples": 1, **train},
        },
        "test",
    )


def staged(**pretrain):
    """The recipe with a first training: an autoencoder whose encoder goes on."""
    document = recipe(epochs=2).document()
    document["pretrain"] = {
        "objective": {"kind": "elbo", "kl_weight": 0.0},
        "train": {"epochs": 2, "keep": "last"},
        "transfer": ["encoders", "latents"],
        "freeze": ["encoders.text"],
        **pretrain,
    }
    return read_recipe(document, "staged")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def assert_equal(first: Path, second: Path) -> None:
    left, right = weights(first), weights(second)
    assert left.keys() == right.keys()
    different = [name for name in left if not torch.equal(left[name], right[name])]
    assert not different


PROGRAM = textwrap.dedent(
    """
    import sys
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    import torch
    torch.set_num_threads(1)
    from support import runs
    from textvae.training.runs import train_run

    folder = Path({folder!r})
    train_run(runs.recipe({arguments}), runs.corpus(), folder, folder.exists())
    """
)
TWO_RANKS = ("-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone")
DIVIDED = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "NO_WRAP"}
"""What `accelerate launch --use_fsdp --fsdp_version 2` says to its processes."""


def pretend_to_be_gpus() -> None:
    """Make accelerate divide the weights of CPU processes, which it does on GPUs alone."""
    from accelerate.state import DistributedType, PartialState

    begin = PartialState.__init__

    def begin_as_gpu(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.MULTI_GPU

    PartialState.__init__ = begin_as_gpu


def launch(
    folder: Path, arguments: str = "", launcher: tuple[str, ...] = (), divided: bool = False
) -> subprocess.Popen:
    """Train in a folder, or go on with the run in it."""
    program = folder.with_suffix(".py")
    text = PROGRAM.format(
        tests=str(Path(__file__).resolve().parents[1]), arguments=arguments, folder=str(folder)
    )
    text = text.replace("\nfolder", "\nruns.pretend_to_be_gpus()\nfolder") if divided else text
    program.write_text(text)
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | (DIVIDED if divided else {})
    command = [sys.executable, *launcher, str(program)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
