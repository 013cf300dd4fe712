"""Objectives that set the KL: a target for it, and a lower bound on it."""

import math
from dataclasses import dataclass

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import nn
from torch.nn import functional as F

from textvae.objectives.base import Objective, parts
from textvae.objectives.outputs import Loss, VAEOutput, scalar
from textvae.objectives.schedules import Constant, Schedule
from textvae.registry import Count


@dataclass(frozen=True)
class TargetRate(Objective, kind="target_rate"):
    """-E_q log p(x | z) + weight(step) |KL - C(step)|: the KL follows C from either side.

    The KL is the mean of the batch, as in the code that others published, so a batch in two
    halves is not the same as the whole. It stays at C where the weight is above what one more
    nat of KL saves in reconstruction_loss.

    Args:
        target: C as a function of the optimizer step, nats per text.
        weight: gamma as a function of the optimizer step.
        samples: samples K of each latent.

    Source: Burgess et al. 2018, arXiv:1804.03599; they raise C linearly.
    """

    prevents_collapse = True

    target: Schedule
    weight: Schedule = Constant(1.0)
    samples: Count = 1

    def __call__(self, out: VAEOutput, step: int) -> Loss:
        """The loss of a batch at an optimizer step."""
        reconstruction_loss, kl, terms = parts(out)
        target = self.target(step)
        value = reconstruction_loss + self.weight(step) * (kl - target).abs()
        return Loss(value, terms | {"target": scalar(target, kl)})


class MinimumRate(Objective, nn.Module, kind="minimum_rate"):
    """min over the model, max over u >= 0 of -ELBO + u (R - KL): the ELBO where KL >= R.

    The multiplier u is a parameter of the same optimizer, which climbs where the model descends.
    Of the Lagrangian's last term the loss holds two copies of opposite sign, one with a constant
    u for the model, one with a constant KL for u, so its value is the negative ELBO.

    Args:
        rate: R, nats per text; the constraint is on the mean KL.
        start: u at the first step; at 1 the KL costs nothing.
        samples: samples K of each latent.

    Source: Pelsmaeker & Aziz 2020, arXiv:1904.08194. Their code has |v| for u, from 1.01, and an
    optimizer of its own for it; u = softplus(v) here, which circles less.
    """

    prevents_collapse = True

    def __init__(self, rate: NonNegativeFloat, start: PositiveFloat = 1.0, samples: Count = 1):
        super().__init__()
        self.rate = rate
        self.samples = samples
        self.unbounded = nn.Parameter(torch.tensor(math.log(math.expm1(start))))

    def __call__(self, out: VAEOutput, step: int) -> Loss:
        """The loss of a batch: the mean over texts."""
        reconstruction_loss, kl, terms = parts(out)
        multiplier, lacking = F.softplus(self.unbounded), self.rate - kl
        constraint = multiplier.detach() * lacking - multiplier * lacking.detach()
        value = reconstruction_loss + kl + constraint
        return Loss(value, terms | {"multiplier": multiplier.detach()})
