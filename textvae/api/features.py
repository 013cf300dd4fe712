"""Latents of texts as vectors for other models: tensors in, tensors out."""

import copy
from collections.abc import Mapping, Sequence
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from textvae.encoders.label import LabelEncoder
from textvae.families import Family
from textvae.graph.model import VAE
from textvae.randomness import seeded
from textvae.registry import suggest
from textvae.vocabulary import BOS, EOS

Kind = Literal["mean", "hidden", "sample", "layers"]
"""`mean`: posterior means; `hidden`: pooled features of the encoders, before the latents' heads,
without labels; `sample`: one posterior sample; `layers`: every layer of the encoders, then the
latents as decoders read them, such as topic proportions."""


def check_kind(kind: str) -> None:
    """Refuse an unknown kind of features.

    Raises:
        ValueError: the message contains the known kinds.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"unknown kind of features {kind!r} {suggest(kind, get_args(Kind))}")


def feature_parts(model: VAE, fields: Mapping[str, Tensor], kind: Kind = "mean") -> list[Tensor]:
    """The vectors that `latent_features` concatenates, (B, H) each, with gradients.

    Raises:
        ValueError: an unknown kind, the model has no latent, or rows have parts.
    """
    check_kind(kind)
    if not len(model.latents):
        raise ValueError("the model has no latent: it is a language model")
    if model.config.plates:
        raise ValueError("features are of whole rows, and the model reads parts: see encode_parts")
    encoded = model.encoder_features(fields)
    if kind == "hidden":
        return [
            features.pooled
            for name, features in encoded.items()
            if not isinstance(model.encoders[name], LabelEncoder)
        ]
    batch = len(next(iter(fields.values())))
    drawn = model.draw(encoded, 1, batch, use_mean=kind != "sample")
    values = {name: latent.value[0] for name, latent in drawn.items()}
    if kind != "layers":
        return list(values.values())
    layers = [layer for each in encoded.values() for layer in each.layers or (each.pooled,)]
    latents = [cast(Family, model.latents[name]).embed(value) for name, value in values.items()]
    return layers + latents


def latent_features(model: VAE, fields: Mapping[str, Tensor], kind: Kind = "mean") -> Tensor:
    """Features of a batch, (B, F), float32; dropout and noise apply in training mode.

    Args:
        model: with at least one latent.
        fields: observed batch by field name.
        kind: see `Kind`.

    Raises:
        ValueError: an unknown kind, or the model has no latent.
    """
    return torch.cat([part.float() for part in feature_parts(model, fields, kind)], -1)


@torch.no_grad()
def feature_sizes(model: VAE, kind: Kind = "mean") -> list[int]:
    """The width of each vector that `latent_features` concatenates; their sum is F."""
    trained = model.training
    empty = torch.tensor([[BOS, EOS]], device=model.device)
    fields = {node["field"]: empty for node in model.config.nodes("encoders")}
    with seeded(0):
        sizes = [part.shape[-1] for part in feature_parts(model.eval(), fields, kind)]
    model.train(trained)
    return sizes


class EncoderModule(nn.Module):
    """The encoders and latents of a VAE as a module of another network: token ids to features.

    The module contains a copy of the model without its decoders, so that training it does not
    change the VAE. Only parameters that the features depend on have gradients.

    Args:
        model: VAE with one field to encode.
        kind: see `Kind`.
        frozen: whether the weights are constant; the module is then always in evaluation mode,
            without dropout and noise.

    Raises:
        ValueError: an unknown kind, no latent, or encoders of several fields.
    """

    def __init__(self, model: VAE, kind: Kind = "mean", frozen: bool = True):
        super().__init__()
        fields = {node["field"] for node in model.config.nodes("encoders")}
        if len(fields) > 1:
            raise ValueError(f"one field to encode is needed (the model has {sorted(fields)})")
        self.sizes = feature_sizes(model, kind)
        """Width of each vector of the features; see `ScalarMix`."""
        self.features = sum(self.sizes)
        """F."""
        (self.field,) = fields
        self.kind: Kind = kind
        self.frozen = frozen
        self.model = copy.deepcopy(model)
        self.model.decoders = nn.ModuleDict()
        learning = {"hidden": ("encoders.",)}.get(kind, ("encoders.", "latents."))
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(not frozen and name.startswith(learning))
        self.train()

    def forward(self, ids: Tensor) -> Tensor:
        """Features, (B, F), of padded token ids, (B, T), int64: see `SentenceVAE.token_ids`."""
        return latent_features(self.model, {self.field: ids}, self.kind)

    def train(self, mode: bool = True) -> "EncoderModule":
        """Set the training mode; a frozen module stays in evaluation mode."""
        return super().train(mode and not self.frozen)


class ScalarMix(nn.Module):
    """gamma sum_l softmax(w)_l h_l: a learned weighted sum of vectors of one width.

    >>> mix = ScalarMix([2, 2])
    >>> mix(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    tensor([[2., 3.]], grad_fn=<MulBackward0>)

    Args:
        sizes: width of each vector, all equal: `EncoderModule.sizes` of kind `layers`.

    Raises:
        ValueError: no vector, or vectors of different widths.

    Source: Peters et al. 2018, eq. 1, arXiv:1802.05365; Gururangan et al. 2019, section 3.3,
    arXiv:1906.02242.
    """

    def __init__(self, sizes: Sequence[int]):
        super().__init__()
        if len(set(sizes)) != 1:
            raise ValueError(f"a scalar mix needs vectors of one width (got {list(sizes)})")
        self.features = sizes[0]
        self.weights = nn.Parameter(torch.zeros(len(sizes)))
        self.gamma = nn.Parameter(torch.ones(()))

    def forward(self, features: Tensor) -> Tensor:
        """The mix, (..., H), of concatenated vectors, (..., L H)."""
        layers = features.unflatten(-1, (len(self.weights), self.features))
        return self.gamma * (self.weights.softmax(0)[:, None] * layers).sum(-2)
