"""Reconstruction loss at each token position."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor

from textvae.decoders.text import TokenDistribution
from textvae.evaluation.likelihood import standard_error
from textvae.graph.model import VAE
from textvae.graph.plates import batch_size
from textvae.randomness import seeded
from textvae.vocabulary import PAD

WORTHLESS = 0.1
"""Shuffled-z gap in nats per text below which its share at a position is undefined."""


@dataclass(frozen=True)
class PositionLosses:
    """Mean reconstruction loss at each position over the texts that reach it.

    Args:
        loss: -E_q log p(x_t | x_<t, z) at target t = 1, 2, ..., (T,), nats per token; the end of
            sentence is the last target of a text.
        count: texts with a target at that position, (T,), int64.
        from_end: the same counted from the end: first the end of sentence, then the last word.
        texts: the loss of each text, or of each part of a field that has some, at its first target
            and at all of them, (N, 2), nats, in the order of the batches.
    """

    loss: Tensor
    count: Tensor
    from_end: Tensor
    texts: Tensor


@dataclass(frozen=True)
class Recovery:
    """How much of each text is reconstructed from its posterior mean.

    Args:
        rate: share of texts that have the same token at target t = 1, 2, ..., (T,).
        count: texts with a target at that position, (T,), int64.
        first_word: share of texts whose first target is reconstructed; `rate` at 1.
        length: share of texts whose reconstruction has as many tokens.
        exact: share of texts that are reconstructed without an error.
    """

    rate: Tensor
    count: Tensor
    first_word: float
    length: float
    exact: float


@torch.no_grad()
def position_losses(
    model: VAE,
    batches: Iterable[Mapping[str, Tensor]],
    samples: int = 1,
    use_mean: bool = False,
    seed: int = 0,
    shift: int = 0,
) -> PositionLosses:
    """Teacher-forced reconstruction loss per position; KL excluded.

    The model is left in evaluation mode; the caller's random state does not change.

    Args:
        model: with exactly one text decoder that counts.
        batches: fields on any device.
        samples: posterior samples of each text.
        use_mean: the posterior means in place of samples.
        seed: of the samples.
        shift: gives row n the latents of row n - shift of its batch, cyclically; the increase in
            loss is the shuffled-z gap. Not where latents have parts.

    Raises:
        ValueError: the model has no text decoder or several, or there is no text.

    Source: Bosc & Vincent 2020, section 3, arXiv:2004.07683.
    """
    decoders = model.text_decoders
    if len(decoders) != 1:
        raise ValueError(f"positions need one text decoder (got {len(decoders)})")
    (name,) = decoders
    field = model.field_of(name)
    model.eval()
    forward, backward, texts = Totals(), Totals(), list[Tensor]()
    with seeded(seed):
        for fields in batches:
            on_device = {key: value.to(model.device) for key, value in fields.items()}
            log_probs = token_log_probs(model, name, on_device, samples, use_mean, shift)
            losses = -log_probs.double().mean(0)
            present = on_device[field][:, 1:] != PAD
            forward.add(losses, present)
            losses = losses * present
            texts.append(torch.stack([losses[:, 0], losses.sum(1)], 1).cpu())
            backward.add(*aligned_right(losses, present))
    if not len(forward.count):
        raise ValueError("there is no text to evaluate")
    return PositionLosses(forward.mean, forward.count, backward.mean, torch.cat(texts))


def recovery(texts: Sequence[Sequence[int]], decoded: Sequence[Sequence[int]]) -> Recovery:
    """How much of each text is reconstructed, position by position.

    Args:
        texts: targets of each text, its end of sentence included.
        decoded: the reconstruction of each, likewise; without an end where none was generated.

    Source: Bosc & Vincent 2020, section 4, arXiv:2004.07683.

    Raises:
        ValueError: there is no text.
    """
    if not texts:
        raise ValueError("there is no text to evaluate")
    totals = Totals()
    for text, output in zip(texts, decoded, strict=True):
        same = [a == b for a, b in zip_longest(text, output[: len(text)])]
        totals.add(torch.tensor([same]).double(), torch.ones(1, len(text), dtype=torch.bool))
    pairs = list(zip(texts, decoded, strict=True))
    return Recovery(
        rate=totals.mean,
        count=totals.count,
        first_word=totals.mean[0].item(),
        length=sum(len(text) == len(output) for text, output in pairs) / len(pairs),
        exact=sum(list(text) == list(output) for text, output in pairs) / len(pairs),
    )


class Totals:
    """Sums and numbers of values at each position."""

    def __init__(self) -> None:
        self.total = torch.zeros(0, dtype=torch.float64)
        self.count = torch.zeros(0, dtype=torch.int64)

    def add(self, values: Tensor, present: Tensor) -> None:
        """Add values, (B, T), where they are present, (B, T), bool."""
        # A batch may be padded beyond its longest text; those positions are left out.
        length = int(present.sum(1).max())
        self.total, self.count = lengthened(self.total, length), lengthened(self.count, length)
        self.total[:length] += (values * present).sum(0).cpu()[:length]
        self.count[:length] += present.sum(0).cpu()[:length]

    @property
    def mean(self) -> Tensor:
        """The mean at each position, (T,)."""
        return (self.total / self.count).float()


def aligned_right(values: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Values and presence, (B, T) each, counted from each row's last present position."""
    last = present.sum(1, keepdim=True) - 1
    position = last - torch.arange(values.shape[1], device=values.device)
    return values.gather(1, position.clamp(min=0)), position >= 0


def improvement(baseline: Tensor, loss: Tensor) -> Tensor:
    """Share of a language model's loss that z saves at each position, (T,); may be negative.

    (baseline - loss) / baseline over the positions that both have.

    Source: Bosc & Vincent 2020, figure 2, arXiv:2004.07683, there in absolute value.
    """
    length = min(len(baseline), len(loss))
    return (baseline[:length] - loss[:length]) / baseline[:length]


def shuffled_z_gap(own: PositionLosses, another: PositionLosses) -> Tensor:
    """Increase in loss at each position, (T,), nats per text, when z comes from another text."""
    return (another.loss - own.loss) * own.count / own.count[0]


def first_token_share(own: PositionLosses, another: PositionLosses) -> tuple[float, float | None]:
    """The share of the shuffled-z gap at the first token, and its standard error.

    The error is that of a ratio of two means over the texts: the deviation of
    (first - share x gap), by the mean gap and the root of N; None for one text. Undefined where the
    gap is below `WORTHLESS`.
    """
    gains = shuffled_z_gap(own, another)
    total = gains.sum().item()
    share = gains[0].item() / total
    first, gap = (another.texts - own.texts).unbind(1)
    error = standard_error(first - share * gap)
    return share, None if error is None else error / total


worth = shuffled_z_gap  # the former name, for the modules of `analysis` that still import it


def token_log_probs(
    model: VAE,
    decoder: str,
    fields: Mapping[str, Tensor],
    samples: int,
    use_mean: bool,
    shift: int = 0,
) -> Tensor:
    """log p(x_t | x_<t, z) of each target under posterior samples or means, (K, B, T), nats.

    Of a field with parts, B is the number of parts.
    """
    ids, features = fields[model.field_of(decoder)], model.read(fields)
    count = batch_size(model.config, fields)
    latents = model.draw(features, samples, count, use_mean)
    values = {name: latent.value.roll(shift, 1) for name, latent in latents.items()}
    likelihood = model.likelihoods(values, features, count, [decoder])[decoder]
    if not isinstance(likelihood, TokenDistribution):
        raise ValueError(f"positions need a text decoder (got {type(likelihood).__name__})")
    return likelihood.token_log_probs(ids)


def lengthened(values: Tensor, length: int) -> Tensor:
    """The values with zeros appended up to a length."""
    missing = max(0, length - len(values))
    return torch.cat([values, values.new_zeros(missing)])
