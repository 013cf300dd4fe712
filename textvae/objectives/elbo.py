"""The evidence lower bound, its KL weight and free bits, and the importance-weighted bound."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from textvae.objectives.base import Objective, enumerated_latent, parts
from textvae.objectives.outputs import Loss, VAEOutput, scalar
from textvae.objectives.schedules import Constant, Schedule
from textvae.registry import Count, suggest

Per = Literal["sentence", "dimension", "batch", "batch_dimension"]


@dataclass(frozen=True)
class ELBO(Objective, kind="elbo"):
    """-E_q log p(x | z) + w(step) KL(q(z | x) || p(z)), with free bits in place of the KL.

    Args:
        kl_weight: w as a function of the optimizer step, or a number.
        free_bits: KL in nats that costs nothing, of what `free_bits_per` names.
        free_bits_per: max(KL, free bits) is taken of each `sentence`'s KL, of each `dimension` of
            each sentence, or of the mean over the batch of the KL, `batch`, or of each dimension's,
            `batch_dimension`. The last two are no sums over sentences, so there a batch in two
            halves is not the same as the whole.
        samples: samples K of each latent.
        latent_weights: what multiplies the KL of a latent, by its name; 1 for those not named.
        usage: weight of the entropy of the batch's mean posterior of a categorical latent, which is
            subtracted, as a function of the optimizer step: at first it brings all classes in use.
        balance: while the KL weight is below 1, the KL of each latent is multiplied by its share of
            the batch's KL, times the number of latents, without a gradient: those that are used
            least cost least.

    Source: Bowman et al. 2016, section 3.1, arXiv:1511.06349 (weight); Kingma et al. 2016,
    appendix C.8, arXiv:1606.04934, and Li et al. 2019, section 3, arXiv:1909.00868 (free bits);
    Vahdat & Kautz 2020, appendix A, arXiv:2007.03898 (balance, there also by the size of a latent).
    """

    penalizes_kl_only = True

    kl_weight: Schedule = Constant(1.0)
    free_bits: NonNegativeFloat = 0.0
    free_bits_per: Per = "sentence"
    samples: Count = 1
    latent_weights: dict[str, NonNegativeFloat] = field(default_factory=dict)
    usage: Schedule = Constant(0.0)
    balance: bool = False

    rewards_usage: ClassVar[bool] = False
    """Whether `usage` has a weight at any step; set when it is made."""

    def __call__(self, out: VAEOutput, step: int) -> Loss:
        """The loss of a batch at an optimizer step: the mean over samples and texts.

        Raises:
            ValueError: `latent_weights` names a latent that is not there, or there is no
                categorical latent whose `usage` has a weight.
        """
        reconstruction_loss, kl, terms = parts(out)
        rate = kl
        weight, weights = self.kl_weight(step), self.latent_weights
        if self.balance:
            weights = balanced_weights(out, weights, scalar(weight, kl))
        if self.free_bits or weights:
            each = weighted_kl(out, weights)
            rate = out.expected(self.beyond_free_bits(out, each, weights)).mean()
        value, terms = (
            reconstruction_loss + weight * rate,
            terms | {"kl_weight": scalar(weight, kl)},
        )
        if self.rewards_usage:
            entropy = usage_entropy(out)
            value, terms = value - self.usage(step) * entropy, terms | {"usage": entropy.detach()}
        return Loss(value, terms)

    def __post_init__(self) -> None:
        """Decide whether there is a bonus: in compiled code schedules are tensors."""
        super().__post_init__()
        object.__setattr__(self, "rewards_usage", self.usage != Constant(0.0))

    def beyond_free_bits(
        self, out: VAEOutput, kl: Tensor, weights: Mapping[str, float | Tensor]
    ) -> Tensor:
        """The KL with what is free replaced by a constant, (K, B), nats."""
        if self.free_bits == 0.0:
            return kl
        if self.free_bits_per == "sentence":
            return kl.clamp(min=self.free_bits)
        if self.free_bits_per == "batch":
            return out.expected(kl).mean().clamp(min=self.free_bits).expand_as(kl)
        total = torch.zeros_like(kl)
        for name, latent in out.latents.items():
            each = latent.kl_per_dimension()
            if self.free_bits_per == "batch_dimension":
                each = each.mean((0, 1), keepdim=True)
            rate = each.clamp(min=self.free_bits).sum(-1)
            total = total + weights.get(name, 1.0) * rate
        return total


@dataclass(frozen=True)
class ImportanceWeighted(Objective, kind="importance_weighted"):
    """-log 1/K sum_k w_k, the importance-weighted bound; the negative ELBO when K is 1.

    Args:
        samples: samples K of each latent.

    Source: Burda et al. 2016, eq. 8, arXiv:1509.00519.
    """

    samples: Count = 5

    def __call__(self, out: VAEOutput, step: int) -> Loss:
        """The loss of a batch: the mean over texts."""
        _, _, terms = parts(out)
        bound = importance_weighted_bound(out.log_weight).mean()
        return Loss(-bound, terms | {"bound": bound.detach()})


def usage_entropy(out: VAEOutput) -> Tensor:
    """Entropy of the batch's mean posterior of the categorical latent, (), nats; ln C at most.

    Raises:
        ValueError: there is no such latent, or it is given another latent.
    """
    _, latent = enumerated_latent(out, "usage")
    mean = latent.posterior.mean[0].mean(0)
    return -torch.xlogy(mean, mean).sum()


def weighted_kl(out: VAEOutput, weights: Mapping[str, float | Tensor]) -> Tensor:
    """The KL of all latents, each times its weight, (K, B), nats.

    Raises:
        ValueError: a weight of a latent that is not there.
    """
    for name in weights:
        if name not in out.latents:
            raise ValueError(
                f"objective.latent_weights: unknown {name!r} {suggest(name, out.latents)}"
            )
    total = torch.zeros_like(out.total_log_likelihood)
    for name, latent in out.latents.items():
        total = total + weights.get(name, 1.0) * latent.kl()
    return total


def balanced_weights(
    out: VAEOutput, weights: Mapping[str, float], kl_weight: Tensor
) -> dict[str, float | Tensor]:
    """Weights of latents, each times its share of the batch's KL and their number, detached.

    Where the KL weight has reached 1 they are as they were.
    """
    kls = {n: out.expected(latent.kl()).mean().abs().detach() for n, latent in out.latents.items()}
    whole = sum(kls.values())
    balanced: dict[str, float | Tensor] = dict(weights)
    for name, kl in kls.items():
        factor = torch.where(kl_weight < 1, len(kls) * kl / (whole + 1e-12), torch.ones_like(kl))
        balanced[name] = weights.get(name, 1.0) * factor
    return balanced


def importance_weighted_bound(log_weight: Tensor) -> Tensor:
    """log 1/K sum_k w_k per text, (B,), nats, of log weights, (K, B)."""
    return torch.logsumexp(log_weight, dim=0) - math.log(len(log_weight))
