"""Rows mixed with their nearest neighbour, whose posteriors must be mixed likewise."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor
from torch.distributions import Beta, Independent, Normal, kl_divergence

from textvae.objectives.base import Fields, Objective, enumerated_latent, parts
from textvae.objectives.elbo import weighted_kl
from textvae.objectives.outputs import Latent, Loss, VAEOutput, scalar
from textvae.objectives.schedules import Constant, Schedule
from textvae.vocabulary import MISSING

MIXED, SHARE, PARTNER = "mixed", "share", "partner"
"""Name of the altered batch, and of what it holds beside the fields of the model."""


@dataclass(frozen=True)
class Interpolated(Objective, kind="interpolated"):
    """The negative ELBO, and KLs from the mixed posteriors to those of the mixed rows.

    Each row x is mixed with its neighbour x' in the batch, whose z is nearest in the mean:
    x~ = l x + (1 - l) x' with l ~ Beta(a, a) of its own. Added are, times the weight,

        KL(l q(y | x) + (1 - l) q(y | x') || q(y | x~)) + KL(N(m~, s~^2) || q(z | x~))

    with m~ and s~ the means and scales of q(z | x) and q(z | x') mixed likewise. The mixed
    posteriors are constants; where a label is known, q(y | x) is certain.

    Args:
        weight: of the two KLs, as a function of the optimizer step, or a number; it should rise.
        latent: name of the Gaussian latent z.
        concentration: a.
        kl_weight: w as a function of the optimizer step.
        latent_weights: what multiplies the KL of a latent, by its name; 1 for those not named.

    Source: Feng et al. 2021, section 4 (optimal interpolation), arXiv:2011.10684. There z does not
    depend on y; here moments of z are means over q(y | x). Labels are smoothed in the graph, by
    `label_smoothing`.
    """

    weight: Schedule = Constant(1.0)
    latent: str = "z"
    concentration: PositiveFloat = 2.0
    kl_weight: Schedule = Constant(1.0)
    latent_weights: dict[str, NonNegativeFloat] = field(default_factory=dict)

    def altered(
        self, out: VAEOutput, sample_means: Callable[[int], Fields], step: int
    ) -> dict[str, Fields]:
        """The rows mixed with their neighbours, with each share l and the neighbour's number.

        Raises:
            ValueError: rows that cannot be mixed, a batch of one row, or see `moments`.
        """
        mean = moments(out, self.latent)[0].detach()
        if len(mean) < 2:
            raise ValueError("interpolated needs at least two rows in a (micro-)batch")
        distances = torch.cdist(mean, mean).fill_diagonal_(torch.inf)
        partner = distances.argmin(-1)
        share = Beta(self.concentration, self.concentration).sample(mean.shape[:1]).to(mean)
        return {MIXED: mixed_rows(out.fields, share, partner) | {SHARE: share, PARTNER: partner}}

    def __call__(self, out: VAEOutput, step: int) -> Loss:
        """The loss of a batch: the mean over rows.

        Raises:
            ValueError: the model has no categorical latent, or see `altered`.
        """
        reconstruction_loss, _, terms = parts(out)
        rate = out.expected(weighted_kl(out, self.latent_weights)).mean()
        mixed = out.others[MIXED]
        share, partner = mixed.fields[SHARE], mixed.fields[PARTNER]
        label = enumerated_latent(out, self.kind)[0]
        wanted = mix(class_probabilities(out.latents[label]), share, partner).detach()
        log_given = mixed.latents[label].posterior.logits[0]  # type: ignore[attr-defined]
        # No quotient: its gradient is not a number where what is wanted is 0.
        label_kl = (torch.xlogy(wanted, wanted) - wanted * log_given).sum(-1).mean()
        targets = [mix(each, share, partner).detach() for each in moments(out, self.latent)]
        latent_kl = kl_divergence(gaussian(*targets), gaussian(*moments(mixed, self.latent))).mean()
        weight, kl_weight = self.weight(step), self.kl_weight(step)
        value = reconstruction_loss + kl_weight * rate + weight * (label_kl + latent_kl)
        own = {
            "kl_weight": scalar(kl_weight, value),
            "label_interpolation": label_kl,
            "latent_interpolation": latent_kl,
        }
        return Loss(value, terms | {name: each.detach() for name, each in own.items()})


def gaussian(mean: Tensor, scale: Tensor) -> Independent:
    """N(mean, scale^2), (B, D), unchecked."""
    return Independent(Normal(mean, scale, validate_args=False), 1, validate_args=False)


def moments(out: VAEOutput, name: str) -> tuple[Tensor, Tensor]:
    """Mean and scale of a Gaussian latent's posterior, (B, D), means over the other latents.

    Raises:
        ValueError: there is no such latent, or it is of another family.
    """
    latent = out.latents.get(name)
    if latent is None or not isinstance(latent.posterior, Independent):
        known = ", ".join(out.latents) or "none"
        raise ValueError(f"objective.latent: must be a Gaussian latent (got {name!r}; of: {known})")
    shape = latent.value.shape
    mean, scale = (
        torch.stack([out.expected(each) for each in value.expand(shape).unbind(-1)], -1)
        for value in (latent.posterior.mean, latent.posterior.stddev)
    )
    return mean, scale


def class_probabilities(latent: Latent) -> Tensor:
    """q(y | x), (B, C), of a latent given encoders."""
    return latent.posterior.mean[0]


def mix(values: Tensor, share: Tensor, partner: Tensor) -> Tensor:
    """l v_i + (1 - l) v_j of values, (B, ...), with shares l, (B,), and partners j, (B,)."""
    share = share.view(-1, *[1] * (values.dim() - 1))
    return share * values + (1 - share) * values[partner]


def mixed_rows(fields: Fields, share: Tensor, partner: Tensor) -> Fields:
    """Fields of numbers mixed, labels missing.

    Raises:
        ValueError: a field of token ids.
    """
    mixed = {}
    for name, values in fields.items():
        if values.is_floating_point():
            mixed[name] = mix(values, share, partner)
        elif values.dim() == 1:
            mixed[name] = torch.full_like(values, MISSING)
        else:
            raise ValueError(f"objective: rows of {name!r} are no numbers, and cannot be mixed")
    return mixed
