"""Reconstruction loss at each token position."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from textvae.decoders.text import TokenDistribution
from textvae.model import VAE
from textvae.vocabulary import PAD


@dataclass(frozen=True)
class PositionLosses:
    """Mean reconstruction loss at each position over the texts that reach it.

    Args:
        loss: -E_q log p(x_t | x_<t, z) at target t = 1, 2, ..., (T,), nats per token; the end of
            sentence is the last target of a text.
        count: texts with a target at that position, (T,), int64.
    """

    loss: Tensor
    count: Tensor


@torch.no_grad()
def position_losses(
    model: VAE,
    batches: Iterable[Mapping[str, Tensor]],
    samples: int = 1,
    use_mean: bool = False,
    seed: int = 0,
) -> PositionLosses:
    """Teacher-forced reconstruction loss per position; KL excluded.

    The model is left in evaluation mode; the caller's random state is not touched.

    Args:
        model: with exactly one text decoder.
        batches: fields on any device.
        samples: posterior samples of each text.
        use_mean: the posterior means in place of samples.
        seed: of the samples.

    Raises:
        ValueError: the model has several decoders, or there is no text.

    Source: Bosc & Vincent 2020, section 3, arXiv:2004.07683.
    """
    if len(model.main_decoders) != 1:
        raise ValueError(f"positions need one text decoder (got {len(model.main_decoders)})")
    (name,) = model.main_decoders
    field = model.field_of(name)
    model.eval()
    total, count = torch.zeros(0, dtype=torch.float64), torch.zeros(0, dtype=torch.int64)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for fields in batches:
            on_device = {key: value.to(model.device) for key, value in fields.items()}
            losses = -token_log_probs(model, name, on_device, samples, use_mean)
            present = (on_device[field][:, 1:] != PAD).sum(0).cpu()
            summed = losses.double().mean(0).sum(0).cpu()
            total, count = lengthened(total, len(summed)), lengthened(count, len(summed))
            total[: len(summed)] += summed
            count[: len(present)] += present
    if not len(count):
        raise ValueError("there is no text to evaluate")
    # A batch padded beyond its longest text has positions that no text reaches.
    total, count = total[count > 0], count[count > 0]
    return PositionLosses((total / count).float(), count)


def token_log_probs(
    model: VAE, decoder: str, fields: Mapping[str, Tensor], samples: int, use_mean: bool
) -> Tensor:
    """log p(x_t | x_<t, z) of each target under posterior samples or means, (K, B, T), nats."""
    ids, features = fields[model.field_of(decoder)], model.read(fields)
    latents = model.draw(features, samples, len(ids), use_mean)
    values = {name: latent.value for name, latent in latents.items()}
    likelihood = model.likelihoods(values, features, len(ids))[decoder]
    if not isinstance(likelihood, TokenDistribution):
        raise ValueError(f"positions need a text decoder (got {type(likelihood).__name__})")
    return likelihood.token_log_probs(ids)


def lengthened(values: Tensor, length: int) -> Tensor:
    """The values with zeros appended up to a length."""
    missing = max(0, length - len(values))
    return torch.cat([values, values.new_zeros(missing)])
