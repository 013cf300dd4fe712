"""The folder of a saved model: where it is, and its config.json; without torch."""

import json
from os import PathLike
from pathlib import Path
from typing import Any

from textvae.checkpoints import CheckpointError
from textvae.console import quoted
from textvae.data.errors import nearest_name
from textvae.graph.registration import MODEL_TYPE

CONFIG, CARD = "config.json", "README.md"

FILES = ["*.json", "*.safetensors", CARD, "*.png"]
"""What is read of a model on the hub: no code, nothing pickled."""


def local_folder(name: str | PathLike[str]) -> Path:
    """The folder itself, or the local copy of a model on the hub.

    Raises:
        CheckpointError: neither exists.
    """
    folder = Path(name)
    if folder.exists():
        return folder
    # Imported here: a model in a folder need not wait for the library of the hub.
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(name), allow_patterns=FILES))
    except (OSError, ValueError) as error:
        text = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"{name}: no such folder{nearest_name(folder)}, and no model that the hub gives now "
            f"({text})"
        ) from None


def read_document(folder: Path) -> dict[str, Any]:
    """The contents of a model's config.json.

    Raises:
        CheckpointError: there is none, or it is of another kind.
        ValueError: it is no JSON object.
        OSError: it cannot be read.
    """
    if not (folder / CONFIG).is_file():
        unfinished = (folder / "recipe.yaml").is_file()
        hint = " (training has not finished: --resume)" if unfinished else ""
        raise CheckpointError(f"{folder} holds no model: {CONFIG} is missing{hint}")
    try:
        document = dict(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError):
        raise ValueError(f"{CONFIG} is not a valid JSON file") from None
    kind = document.get("model_type")
    if kind != MODEL_TYPE:
        raise CheckpointError(f"{folder} holds a {quoted(kind)} model, not one of ours")
    return document


def is_image_model(folder: str | PathLike[str]) -> bool:
    """Whether a folder or a hub name contains an image model; False where it holds no model.

    Raises:
        CheckpointError: neither exists.
    """
    fields = observed_facts(folder).values()
    return any("shape" in facts and "values" not in facts for facts in fields)


def is_table_model(folder: str | PathLike[str]) -> bool:
    """Whether a folder or a hub name contains a model that writes neither texts nor images.

    Raises:
        CheckpointError: neither exists.
    """
    observed = observed_facts(folder)
    if not observed or is_image_model(folder):
        return False
    try:
        decoders = read_document(local_folder(folder)).get("decoders") or []
        written = [
            node.get("field", node["name"]) for node in decoders if node.get("auxiliary") is None
        ]
    except (ValueError, OSError, TypeError, KeyError, AttributeError):
        return False  # loading the model raises the error
    return all(is_of_table(observed.get(field)) for field in written)


def is_of_table(facts: Any) -> bool:
    """Whether the facts of a field are those of a label, a set of labels or a vector."""
    known = facts.keys() if isinstance(facts, dict) else set[str]()
    return not {"classes", "label_set", "values"}.isdisjoint(known)


def observed_facts(folder: str | PathLike[str]) -> dict[str, dict[str, Any]]:
    """The facts of each field of a model; empty where a folder or a hub name holds none.

    Raises:
        CheckpointError: neither exists.
    """
    local = local_folder(folder)
    try:
        observed = read_document(local).get("observed")
    except (ValueError, OSError, TypeError):
        return {}  # loading the model raises the error
    fields = observed.items() if isinstance(observed, dict) else ()
    return {name: facts for name, facts in fields if isinstance(facts, dict)}


def several_fields(folder: str | PathLike[str]) -> list[str]:
    """The fields of a model that reads texts by field; empty for one of one text, or of none."""
    facts = observed_facts(folder)
    texts = [name for name, each in facts.items() if not is_of_table(each) and "shape" not in each]
    plain = texts in ([], ["text"]) and not any("plate" in each for each in facts.values())
    return [] if plain else list(facts)


def has_parts(folder: str | PathLike[str]) -> bool:
    """Whether a folder or a hub name contains a model of rows with parts; see `is_image_model`."""
    return any("plate" in facts for facts in observed_facts(folder).values())
