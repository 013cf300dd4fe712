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
from textvae.data.python_texts import checked_text, text_list


class LatentEmbedding(InputModule):
    """Texts -> features of a VAE as sentence embeddings, with gradients.

    `SentenceVAE` also reads a folder in which the module is saved.

    Args:
        vae: model and tokenizer. The weights are shared, not copied. Weights that the embeddings
            do not depend on, such as the decoder's, are frozen.
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
        self.text_tokenizer = vae.tokenizer
        self.tokenizer = vae.tokenizer.for_transformers()
        self.kind: Kind = kind
        self.dimension = sum(vae.feature_sizes(kind))
        learning = ("encoders.",) if kind == "hidden" else ("encoders.", "latents.")
        for name, parameter in self.vae.named_parameters():
            parameter.requires_grad_(name.startswith(learning))

    def preprocess(
        self, inputs: Sequence[str], prompt: str | None = None, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Padded token ids of texts, `input_ids`, (B, T), int64.

        Raises:
            TypeError: an input is no string; its index is that in the batch.
            ValueError: an input is not valid Unicode, or too long.
        """
        texts = [(prompt or "") + text for text in text_list(inputs, "inputs")]
        with self.wrapped() as vae:
            return {"input_ids": vae.token_ids(texts)}

    @contextmanager
    def wrapped(self) -> Iterator[SentenceVAE]:
        """The model with its tokenizer, in evaluation mode; the mode is restored afterwards."""
        training = self.vae.training
        try:
            yield SentenceVAE(self.vae, self.text_tokenizer)
        finally:
            self.vae.train(training)

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """The features with `sentence_embedding`, (B, F)."""
        fields = {"text": features["input_ids"]}
        return {**features, "sentence_embedding": latent_features(self.vae, fields, self.kind)}

    def get_embedding_dimension(self) -> int:
        """F."""
        return self.dimension

    def get_config_dict(self) -> dict[str, Any]:
        """The arguments of `load` besides the model."""
        return {"kind": self.kind}

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Write the whole model, decoder included, and the kind of features."""
        with self.wrapped() as vae:
            vae.save_pretrained(output_path)
        self.save_config(output_path)

    @classmethod
    def load(cls, model_name_or_path: str, **kwargs: Any) -> "LatentEmbedding":
        """The module that `save` wrote; called only with `trust_remote_code=True`."""
        known = ("subfolder", "token", "cache_folder", "revision", "local_files_only")
        config = cls.load_config(
            model_name_or_path, **{key: kwargs[key] for key in known if key in kwargs}
        )
        return cls(SentenceVAE.from_pretrained(model_name_or_path), config.get("kind", "mean"))


class TextTransformer(SentenceTransformer):
    """A SentenceTransformer whose `encode` checks its texts as `SentenceVAE` does.

    It takes one text, or a list: a table would be encoded by the names of its columns.
    """

    def encode(self, *args: Any, **kwargs: Any) -> Any:
        """Embeddings of texts, see `SentenceTransformer.encode`.

        Raises:
            TypeError: an input is no string, or the inputs are no list.
            ValueError: an input is not valid Unicode, or too long.
        """
        if args:
            args = (checked_inputs(args[0]), *args[1:])
        for name in {"inputs", "sentences"} & kwargs.keys():  # the second is the former name
            kwargs[name] = checked_inputs(kwargs[name])
        return super().encode(*args, **kwargs)


def checked_inputs(inputs: Any) -> str | list[str]:
    """One text or a list of texts, see `text_list`."""
    if isinstance(inputs, str):
        return checked_text(inputs, "inputs")
    return text_list(inputs, "inputs", empty=True)


def as_sentence_transformer(
    model: str | PathLike[str] | SentenceVAE,
    kind: Kind = "mean",
    device: str | torch.device = "cpu",
) -> SentenceTransformer:
    """A SentenceTransformer that encodes with a trained VAE.

    `SentenceTransformer(folder)` refuses the folder without `trust_remote_code=True`, since its
    module is not part of sentence-transformers.

    Args:
        model: folder or hub name, or a `SentenceVAE`, whose weights are shared.
        kind: see `SentenceVAE.features`.
        device: of the computation.

    Raises:
        CheckpointError: no such model, or a damaged one.
        ValueError: an unknown kind, or the model has no latent.
    """
    vae = model if isinstance(model, SentenceVAE) else SentenceVAE.from_pretrained(model)
    return TextTransformer(modules=[LatentEmbedding(vae, kind)], device=str(device))
