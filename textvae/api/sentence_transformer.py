"""A trained model as the first module of a SentenceTransformer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import InputModule
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from textvae.api.features import Kind, check_kind, latent_features
from textvae.api.sentence import SentenceVAE


class LatentEmbedding(InputModule):
    """Texts -> features of a VAE as sentence embeddings; gradients reach all they depend on.

    A folder it is saved in is a model folder like any other: `SentenceVAE` reads it too.

    Args:
        vae: model and tokenizer. Its weights are used, not copied; what the embeddings do not
            depend on, the decoder above all, is frozen.
        kind: see `SentenceVAE.features`.
    """

    tokenizer: PreTrainedTokenizerFast
    save_in_root = True
    config_file_name = "latent_embedding.json"

    def __init__(self, vae: SentenceVAE, kind: Kind = "mean"):
        super().__init__()
        check_kind(kind)
        vae.require_latent()
        self.vae = vae.model
        self.tokenizer = vae.tokenizer
        self.kind: Kind = kind
        self.dimension = sum(vae.feature_sizes(kind))
        learning = ("encoders.",) if kind == "hidden" else ("encoders.", "latents.")
        for name, parameter in self.vae.named_parameters():
            parameter.requires_grad_(name.startswith(learning))

    def preprocess(
        self, inputs: Sequence[str], prompt: str | None = None, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Padded token ids of texts, `input_ids`, (B, T), int64."""
        texts = [(prompt or "") + text for text in inputs]
        with self.face() as face:
            return {"input_ids": face.token_ids(texts)}

    @contextmanager
    def face(self) -> Iterator[SentenceVAE]:
        """The model with its tokenizer, in evaluation mode; afterwards in the mode it was in."""
        training = self.vae.training
        try:
            yield SentenceVAE(self.vae, self.tokenizer)
        finally:
            self.vae.train(training)

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """The same with `sentence_embedding`, (B, F)."""
        fields = {"text": features["input_ids"]}
        return {**features, "sentence_embedding": latent_features(self.vae, fields, self.kind)}

    def get_embedding_dimension(self) -> int:
        """F."""
        return self.dimension

    def get_config_dict(self) -> dict[str, Any]:
        """What `load` needs beside the model."""
        return {"kind": self.kind}

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Write the whole model, decoder included, and the kind of features."""
        with self.face() as face:
            face.save_pretrained(output_path)
        self.save_config(output_path)

    @classmethod
    def load(cls, model_name_or_path: str, **kwargs: Any) -> "LatentEmbedding":
        """What `save` wrote; only called where code outside sentence-transformers is trusted."""
        known = ("subfolder", "token", "cache_folder", "revision", "local_files_only")
        config = cls.load_config(
            model_name_or_path, **{key: kwargs[key] for key in known if key in kwargs}
        )
        return cls(SentenceVAE.from_pretrained(model_name_or_path), config.get("kind", "mean"))


def as_sentence_transformer(
    model: str | PathLike[str] | SentenceVAE,
    kind: Kind = "mean",
    device: str | torch.device = "cpu",
) -> SentenceTransformer:
    """A SentenceTransformer that encodes with a trained VAE.

    `SentenceTransformer(folder)` would refuse the folder without `trust_remote_code=True`, since
    its module is not one of the library's own.

    Args:
        model: folder or hub name, or a `SentenceVAE`, whose weights are then shared.
        kind: see `SentenceVAE.features`.
        device: where to compute.

    Raises:
        CheckpointError: there is no such model, or it is damaged.
        ValueError: an unknown kind, or the model has no latent.
    """
    vae = model if isinstance(model, SentenceVAE) else SentenceVAE.from_pretrained(model)
    return SentenceTransformer(modules=[LatentEmbedding(vae, kind)], device=str(device))
