"""Model cards: the README.md beside a model, with the metadata that the hub reads."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from textvae.api.display import model_facts
from textvae.console import markdown_table
from textvae.graph.folders import CARD
from textvae.graph.saving import read_weights
from textvae.version import __version__

if TYPE_CHECKING:
    from textvae.api.base import TrainedVAE

TASKS = {
    "SentenceVAE": "text-generation",
    "ImageVAE": "unconditional-image-generation",
    "TableVAE": "other",
}
"""What the hub calls the task of a model, by its interface."""

ENCODE = 'z = vae.encode(["the soup was cold ."])  # posterior means, (N, D)\nvae.decode(z)\n'
LABELS = ", labels=[0] * 5"


def card_text(
    title: str, interface: str, latent: bool, labels: bool, parts: Sequence[str], **metadata: Any
) -> str:
    """A model card: metadata in YAML, a title, parts in Markdown, and how to load the model.

    Args:
        title: of the card.
        interface: `SentenceVAE` or `ImageVAE`.
        latent: whether there is one: a language model encodes nothing.
        labels: whether images are sampled for labels.
        parts: that follow the title.
        metadata: of `huggingface_hub.ModelCardData`, beside library, task and tags; `tags` are
            added to ours.
    """
    # Imported here: it is slow, and only cards need it.
    from huggingface_hub import ModelCardData

    tags = ["textvae", "variational-autoencoder", *metadata.pop("tags", ())]
    data = ModelCardData(
        library_name="textvae", pipeline_tag=TASKS[interface], tags=tags, **metadata
    )
    body = "\n\n".join([f"# {title}", *parts, loading(interface, latent, labels)])
    return f"---\n{data.to_yaml()}\n---\n\n{body}\n"


def loading(interface: str, latent: bool, labels: bool) -> str:
    """How to load a model, as a section; see `card_text`."""
    code = (
        f"from textvae import {interface}\n\n"
        f'vae = {interface}.from_pretrained("PATH")  # this folder, or its name on the hub\n'
        f"{ENCODE if latent and interface == 'SentenceVAE' else ''}"
        f"vae.sample(5, seed=0{LABELS if labels else ''})"
    )
    plain = (
        "import textvae  # registers the type of model\n"
        "from transformers import AutoModel\n\n"
        'model = AutoModel.from_pretrained("PATH")'
    )
    return (
        f"## How to load it\n\n{fenced(code, 'python')}\n\n"
        f"The graph itself, as a model of transformers:\n\n{fenced(plain, 'python')}\n\n"
        f"Written by textvae {__version__}. The weights are safetensors; nothing is unpickled."
    )


def fenced(text: str, language: str = "text") -> str:
    """A text as a block of code, whatever it contains; unprintable characters are escaped."""
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`{3,}", shown))])
    return f"{fence}{language}\n{shown}\n{fence}"


def bare_card(vae: "TrainedVAE") -> str:
    """The card of a model of which no metrics are known."""
    facts = model_facts(vae.model)
    name = facts.get("recipe", "A variational autoencoder")
    interface = next(cls.__name__ for cls in type(vae).__mro__ if cls.__name__ in TASKS)
    rows = [[key, value] for key, value in facts.items() if key != "device"]
    parts = [markdown_table(["", ""], rows), "No metrics of these weights were recorded."]
    labels = bool(getattr(vae, "classes", 0))
    return card_text(name, interface, vae.dim > 0, labels, parts)


def card_files(vae: "TrainedVAE") -> dict[str, bytes]:
    """The card of a model and the pictures that it shows, by file name.

    It is the card of the folder that the model was loaded from, as long as the weights are those;
    otherwise a bare one, since metrics of other weights would be wrong.
    """
    folder = vae.loaded_from
    if folder is not None and (folder / CARD).is_file() and has_weights_of(vae, folder):
        content = (folder / CARD).read_bytes()
        names = re.findall(rb"!\[[^]]*\]\(([\w.-]+\.png)\)", content)
        pictures = [folder / name.decode() for name in dict.fromkeys(names)]
        return {CARD: content} | {p.name: p.read_bytes() for p in pictures if p.is_file()}
    return {CARD: bare_card(vae).encode()}


def has_weights_of(vae: "TrainedVAE", folder: Path) -> bool:
    """Whether the weights of a model are those in a folder, bit for bit."""
    try:
        stored = read_weights(folder)
    except (OSError, ValueError, SafetensorError):
        return False
    own = vae.model.state_dict()
    return own.keys() == stored.keys() and all(
        weight.dtype == own[name].dtype and torch.equal(weight, own[name].cpu())
        for name, weight in stored.items()
    )
