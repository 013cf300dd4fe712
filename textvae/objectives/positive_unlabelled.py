"""A classifier of positives from positives and rows without a label, beside an ELBO."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from pydantic import NonNegativeInt, PositiveFloat
from torch import Tensor
from torch.distributions import Beta

from textvae.objectives.base import Fields, Objective, enumerated_latent, parts
from textvae.objectives.interpolated import mixed_rows
from textvae.objectives.outputs import Loss, VAEOutput, scalar
from textvae.objectives.schedules import Constant, Schedule

MIXED, TARGET = "mixed", "log_target"
"""Name of the altered batch, and of what it holds beside the fields of the model."""

RULED_OUT = -1e3
"""Log-probability below which a class was ruled out by a label."""


@dataclass(frozen=True)
class PositiveUnlabelled(Objective, kind="positive_unlabelled"):
    """log E_U Phi(x) - E_P log Phi(x) + mixup E (log target - log Phi(x~))^2, and w times -ELBO.

    Phi(x) = q(y = positive | x); P are the rows of a batch with the positive label, U all others.
    One g ~ Beta(a, a) a batch mixes each row u of U with a random one of P:

        x~ = g u + (1 - g) p,    target = g Phi(u) + (1 - g), a constant

    The first two terms fall as Phi approaches p(positive | x) up to a factor: no share of positives
    is needed. Without the third, a network learns the few positives by heart. The latent is named
    by the label's `field` with `fixed: false`: a latent that the label fixes learns nothing.

    Args:
        mixup: weight of the third term; 0 for none.
        elbo_weight: w as a function of the optimizer step, or a number.
        field: of the label.
        positive: class that is known for some rows.
        concentration: a.

    Source: Chen et al. 2020, section 3, arXiv:1906.00642; there without an ELBO.
    """

    mixup: Schedule = Constant(1.0)
    elbo_weight: Schedule = Constant(0.001)
    field: str = "label"
    positive: NonNegativeInt = 1
    concentration: PositiveFloat = 0.3

    def altered(
        self, out: VAEOutput, sample_means: Callable[[int], Fields], step: int
    ) -> dict[str, Fields]:
        """Each row without a label mixed with a positive one, and the logarithm of its target.

        There are none where a batch lacks one of the two, or the weight is 0.
        """
        log_phi, known = self.log_phi(out)
        positives, others = known.nonzero()[:, 0], (~known).nonzero()[:, 0]
        if not (len(positives) and len(others) and self.mixup(step)):
            return {}
        share = Beta(self.concentration, self.concentration).sample().to(log_phi)
        partner = positives[torch.randint(len(positives), others.shape, device=others.device)]
        rows = {name: torch.cat([v[others], v[partner]]) for name, v in out.fields.items()}
        count = len(others)
        second = torch.arange(count, device=others.device) + count
        mixed = mixed_rows(rows, share.expand(2 * count), torch.cat([second, second]))
        batch = {name: values[:count] for name, values in mixed.items()}
        target = share * log_phi[others].detach().exp() + (1 - share)
        return {MIXED: batch | {TARGET: target.clamp(min=1e-12).log()}}

    def __call__(self, out: VAEOutput, step: int) -> Loss:
        """The loss of a batch.

        Raises:
            ValueError: see `log_phi`.
        """
        _, _, terms = parts(out)
        log_phi, known = self.log_phi(out)
        contrast = variational_loss(log_phi, known)
        mixed = out.others.get(MIXED)
        penalty = torch.zeros_like(contrast)
        if mixed is not None:
            given = self.log_phi(mixed)[0]
            penalty = (mixed.fields[TARGET] - given).square().mean()
        mixup, weight = self.mixup(step), self.elbo_weight(step)
        elbo = out.expected(out.total_log_likelihood - out.kl).mean()
        value = contrast + mixup * penalty - weight * elbo
        own = {"contrast": contrast, "mixup": penalty, "mixup_weight": scalar(mixup, value)}
        return Loss(value, terms | {name: each.detach() for name, each in own.items()})

    def log_phi(self, out: VAEOutput) -> tuple[Tensor, Tensor]:
        """log q(y = positive | x), (B,), and which rows are labelled positive, (B,).

        Raises:
            ValueError: the batch has no such field, the latent too few classes, or a label fixes
                the latent.
        """
        name, latent = enumerated_latent(out, self.kind)
        if self.field not in out.fields:
            known = ", ".join(out.fields)
            raise ValueError(f"objective.field: no field {self.field!r} (known: {known})")
        logits = latent.posterior.logits[0]  # type: ignore[attr-defined]
        if self.positive >= logits.shape[-1]:
            raise ValueError(
                f"objective.positive: {name!r} has {logits.shape[-1]} classes (got {self.positive})"
            )
        log_phi = logits[:, self.positive]
        known = out.fields[self.field] == self.positive
        # The logits of what a label rules out are far from those of any network.
        if known.any() and logits[known].detach().amin() < RULED_OUT:
            raise ValueError(f"latents.{name}: needs fixed: false under positive_unlabelled")
        return log_phi, known


def variational_loss(log_phi: Tensor, known: Tensor) -> Tensor:
    """log E_U Phi - E_P log Phi, (), of log Phi, (B,), and which rows are positive, (B,).

    A part without rows is 0.

    Source: Chen et al. 2020, section 3, arXiv:1906.00642.
    """
    positives, others = log_phi[known], log_phi[~known]
    value = log_phi.new_zeros(())
    if len(others):
        value = value + others.logsumexp(0) - math.log(len(others))
    return value - positives.mean() if len(positives) else value
