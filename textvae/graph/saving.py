"""A model as files: its config and its weights, in one file or in shards, written and read."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from textvae.checkpoints import (
    MANIFEST,
    CheckpointError,
    incoming_files,
    read_object,
    update_manifest,
)
from textvae.console import quoted
from textvae.graph.config import VAEConfig
from textvae.graph.folders import read_document
from textvae.graph.model import VAE
from textvae.randomness import draws, seeded

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
"""Names the shard of each weight, as transformers writes it."""

WEIGHT_FILE = re.compile(r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?")

M = TypeVar("M", bound=VAE)


def write_model(
    model: VAE, folder: Path, weights: Mapping[str, Tensor], max_shard_size: int | str
) -> None:
    """Write the config and the weights of a model, in place of those in the folder.

    Args:
        model: whose config is written.
        folder: made if it is not there.
        weights: by name.
        max_shard_size: of a file in bytes, or as "5GB"; more are several files and an index.
    """
    # Imported here: it is slow, and only saving needs it.
    from huggingface_hub import save_torch_state_dict

    with incoming_files(folder) as incoming:
        model.config.save_pretrained(incoming, dtype=next(model.parameters()).dtype)
        # On a GPU the weights of an LSTM are parts of one tensor, which a file would hold once.
        apart = {name: weight.detach().cpu().clone() for name, weight in weights.items()}
        save_torch_state_dict(apart, incoming, max_shard_size=max_shard_size)
        new = {path.name for path in incoming.iterdir()}
    for old in folder.iterdir():
        if WEIGHT_FILE.fullmatch(old.name) and old.name not in new:
            old.unlink()
    if (folder / MANIFEST).exists():
        update_manifest(folder, new)


def weights_sha(model: VAE) -> str:
    """The SHA-256 of the names, types and values of a model's weights, wherever they are."""
    sha = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        values = weight.detach().cpu().contiguous()
        sha.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        # numpy has no bfloat16: the bytes are the same under any type.
        sha.update(values.flatten().view(torch.uint8).numpy())
    return sha.hexdigest()


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights in a folder by name, from one file or from shards; safetensors only.

    Raises:
        OSError: a file is missing.
        SafetensorError: a file is damaged.
        ValueError: the index is damaged, or names what is no safetensors file of the folder.
    """
    if (folder / WEIGHTS).exists() or not (folder / INDEX).exists():
        return load_file(folder / WEIGHTS)
    try:
        index = read_object(folder / INDEX)
        files = list(dict.fromkeys(index["weight_map"].values()))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ValueError(f"{INDEX} is not a valid index") from None
    weights: dict[str, Tensor] = {}
    for file in files:
        # A path could lead out of the folder.
        if Path(str(file)).name != file or not file.endswith(".safetensors"):
            raise ValueError(f"{INDEX} names {file!r}, which is no safetensors file beside it")
        weights |= load_file(folder / file)
    return weights


def load_model(folder: Path, kind: type[M] = VAE) -> M:
    """The model in a folder, whose weights all match its config; in evaluation mode.

    Keys of the config other than the graph's are ignored: transformers would follow them, even to
    code on the hub.

    Raises:
        CheckpointError: there is none, it is of another kind, or it is damaged.
    """
    try:
        config = read_config(folder)
        stored = read_weights(folder)
        with seeded(0), draws():
            model = kind(config)
    except CheckpointError:
        raise
    except (OSError, ValueError, RuntimeError, TypeError, SafetensorError) as error:
        text = str(error).strip().split("\n")[0]
        raise CheckpointError(f"{folder} holds no sound model: {text}") from None
    # A checkpoint also contains the weights of its objective.
    weights = {name: w for name, w in stored.items() if not name.startswith("objective.")}
    if mismatches := weight_mismatches(model.state_dict(), weights):
        details = "; ".join(mismatches)
        raise CheckpointError(f"{folder} is damaged: its weights do not match: {details}")
    model.load_state_dict(weights)
    return model.eval()


def read_config(folder: Path) -> VAEConfig:
    """The graph that a folder's config.json describes.

    Raises:
        CheckpointError: there is none, or it is of another kind.
        ValueError: not JSON, or no graph.
    """
    document = read_document(folder)
    try:
        return VAEConfig(**{name: document[name] for name in VAEConfig.names() if name in document})
    except StrictDataclassError as error:
        # The message of the library has the value, however long, and every type that is allowed.
        field = re.search(r"field '(\w+)'", str(error))
        name = field[1] if field else "a value"
        raise ValueError(
            f"config.json: {name} is of another type (got {quoted(document.get(name))})"
        ) from None


def weight_mismatches(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> list[str]:
    """The names of weights that are missing, unknown or of another shape, one string for each."""
    common = expected.keys() & weights.keys()
    names = {
        "missing": expected.keys() - weights.keys(),
        "unknown": weights.keys() - expected.keys(),
        "of another shape": {n for n in common if expected[n].shape != weights[n].shape},
    }
    return [f"{', '.join(sorted(group))} ({what})" for what, group in names.items() if group]
