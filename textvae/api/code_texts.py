"""Texts of the most probable codes of a model whose latent is made of codes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from textvae.api.rows import class_names_of
from textvae.api.writing import batch_of, written_rows
from textvae.data.fields import Fields
from textvae.families import Family
from textvae.families.base import AlikeError, CodeDistribution
from textvae.graph.decoding import Decoding

if TYPE_CHECKING:
    from textvae.api.text_writer import TextWriter

CONDITIONS = 32
"""Most conditions whose codes are listed at once."""

SAME = 1e-6
"""Difference of log-probabilities below which codes are alike."""


@dataclass(frozen=True)
class CodeRow:
    """A row that is written from a code.

    Args:
        row: what each decoder writes, by field.
        code: the class that the code stands for, or the numbers of the codes.
        nll: -log p(code), nats.
    """

    row: dict[str, str]
    code: str
    nll: float


def code_latent(vae: "TextWriter") -> str | None:
    """The name of the latent that is made of codes, if the model has one and no other of them."""
    latents = vae.model.latents.items()
    names = [name for name, family in latents if cast(Family, family).has_codes]
    return names[0] if len(names) == 1 else None


def latent_classes(vae: "TextWriter", latent: str) -> list[str] | None:
    """The names of the classes that a latent's codes stand for; None where they are no classes."""
    (node,) = [node for node in vae.model.config.nodes("latents") if node["name"] == latent]
    return class_names_of(vae.model.config, node["field"]) if "field" in node else None


def code_names(vae: "TextWriter", latent: str, value: Tensor) -> list[str]:
    """The class, or the numbers of the codes, of each latent, (N, D)."""
    numbers = cast(Family, vae.model.latents[latent]).code_numbers(value).tolist()
    names = latent_classes(vae, latent)
    if names is not None:
        return [names[row[0]] for row in numbers]
    return [" ".join(map(str, row)) for row in numbers]


@torch.no_grad()
def likeliest_codes(
    vae: "TextWriter", given: Fields | None, count: int, how: Decoding
) -> list[list[CodeRow]]:
    """The rows that are written from the most probable codes, the most probable first.

    Other latents are at the point estimates of their priors.

    Args:
        vae: the model.
        given: conditions, N of each field; None for a model without: then N is 1.
        count: of codes for each of them.
        how: to choose tokens.

    Raises:
        ValueError: the model has no latent of codes, or several, or no code is likelier.
    """
    latent = code_latent(vae)
    if latent is None:
        raise ValueError("one latent that is made of codes is needed (vq, gumbel)")
    total, found = 1 if given is None else len(given), list[list[CodeRow]]()
    for start in range(0, total, CONDITIONS):
        part = None
        size = min(CONDITIONS, total - start)
        if given is not None:
            part = given.select(np.arange(start, start + size))
        values, log_probs = best_values(vae, latent, part, size, count)
        each = values.shape[1]
        repeated = None if part is None else part.select(np.repeat(np.arange(size), each))
        features = vae.model.encoder_features(batch_of(vae, repeated, slice(0, size * each)))
        flat = values.flatten(0, 1)
        known = vae.model.prior_values(features, size * each, {latent: flat[None]}, use_mean=True)
        rows = written_rows(vae, known, size * each, repeated, how)
        names = code_names(vae, latent, flat)
        nlls = (-log_probs).flatten().tolist()
        every = [CodeRow(*parts) for parts in zip(rows, names, nlls, strict=True)]
        found += [every[row : row + each] for row in range(0, size * each, each)]
    return found


def best_values(
    vae: "TextWriter", latent: str, given: Fields | None, size: int, count: int
) -> tuple[Tensor, Tensor]:
    """The most probable values of a latent, (N, count, D), and their log p, (N, count), nats.

    Raises:
        AlikeError: no code is likelier than another.
        ValueError: the prior lists no codes.
    """
    model = vae.model
    (node,) = [node for node in model.config.nodes("latents") if node["name"] == latent]
    features = model.encoder_features(batch_of(vae, given, slice(0, size)))
    earlier = model.prior_values(features, size, use_mean=True)
    shape, like = torch.Size((1, size)), next(model.parameters())
    prior = model.prior(node, features, earlier, shape, like).expand(shape)
    if not isinstance(prior, CodeDistribution):
        raise ValueError(f"the codes of {latent} cannot be listed under its prior")
    values, log_probs = prior.likeliest(count)
    if log_probs.shape[-1] > 1 and (log_probs[..., 0] - log_probs[..., -1]).max() < SAME:
        raise AlikeError
    return values[0], log_probs[0]
