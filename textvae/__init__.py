"""Variational autoencoders of texts, images and tables.

The names below are imported when they are first used, so that `import textvae` stays fast.
"""

import importlib
from typing import TYPE_CHECKING, Any

from textvae.graph.registration import register
from textvae.version import __version__

if TYPE_CHECKING:
    from textvae.api.image import ImageVAE
    from textvae.api.sentence import SentenceVAE
    from textvae.api.sentence_transformer import as_sentence_transformer
    from textvae.api.table import TableVAE
    from textvae.graph.decoding import Decoding
    from textvae.graph.model import VAE, VAEConfig
    from textvae.recipes import Recipe, load_recipe

__all__ = [
    "VAE",
    "Decoding",
    "ImageVAE",
    "Recipe",
    "SentenceVAE",
    "TableVAE",
    "VAEConfig",
    "__version__",
    "as_sentence_transformer",
    "load_recipe",
]

MODULES = {
    "Decoding": "graph.decoding",
    "ImageVAE": "api.image",
    "Recipe": "recipes",
    "SentenceVAE": "api.sentence",
    "TableVAE": "api.table",
    "VAE": "graph.model",
    "VAEConfig": "graph.model",
    "as_sentence_transformer": "api.sentence_transformer",
    "load_recipe": "recipes",
}


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module 'textvae' has no attribute {name!r}")
    return getattr(importlib.import_module(f"textvae.{MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


# AutoModel.from_pretrained reads our models after `import textvae`, in either order of imports.
register()
