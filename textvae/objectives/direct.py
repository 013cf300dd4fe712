"""Direct optimisation of an enumerated latent through arg max."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.distributions import OneHotCategorical

from textvae.objectives.base import Objective, enumerated_latent, parts
from textvae.objectives.outputs import Latent, Loss, VAEOutput, scalar
from textvae.objectives.schedules import Constant, Schedule
from textvae.registry import Count


@dataclass(frozen=True)
class Direct(Objective, kind="direct"):
    """-log p(x | k) + w KL with k an arg max, and a finite difference for its gradient.

    With phi the logits of q(k | x), gamma standard Gumbel noise and f_k = -log p(x | k), plus the
    KL of latents that are given k,

        k = argmax phi + gamma
        d/dphi E f = E [onehot(k) - onehot(argmax phi + gamma - eps f)] / eps  as eps -> 0

    The decoder learns from the drawn k alone. A large eps is a biased gradient, a small one a
    noisy one.

    Args:
        epsilon: eps as a function of the optimizer step, or a number; it should fall.
        kl_weight: w as a function of the optimizer step.
        samples: noise gamma is drawn so often.

    Source: Lorberbom et al. 2019, section 3, arXiv:1806.02867. Every f_k is computed, as there for
    one variable.
    """

    penalizes_kl_only = True

    epsilon: Schedule = Constant(0.1)
    kl_weight: Schedule = Constant(1.0)
    samples: Count = 1

    def __call__(self, out: VAEOutput, step: int) -> Loss:
        """The loss of a batch: the mean over noise and texts.

        Raises:
            ValueError: the model has no enumerated latent, it is given another latent, or epsilon
                is not above 0.
        """
        _, _, terms = parts(out)
        name, latent = enumerated_latent(out, "direct")
        weight, epsilon = self.kl_weight(step), self.epsilon(step)
        if epsilon <= 0:
            raise ValueError(f"objective.epsilon: must be above 0 (got {epsilon:g})")
        others = torch.zeros_like(out.total_log_likelihood)
        for other, each in out.latents.items():
            others = others if other == name else others + each.kl()
        costs = by_value(weight * others - out.total_log_likelihood, latent)
        logits = cast(OneHotCategorical, latent.posterior).logits[0]
        noise = gumbel(costs)
        chosen, change = perturbed_choice(logits, noise, costs.detach(), epsilon)
        surrogate = (change * logits).sum(-1)
        drawn = (chosen * costs).sum(-1) + surrogate - surrogate.detach()
        value = drawn.mean() + weight * latent.kl().mean()
        own = {"kl_weight": scalar(weight, value), "epsilon": scalar(epsilon, value)}
        return Loss(value, terms | {key: each.detach() for key, each in own.items()})


def by_value(values: Tensor, latent: Latent) -> Tensor:
    """What there is of each sample, (S C, B), as (S, B, C): the C values of the latent last."""
    return values.unflatten(0, (-1, latent.value.shape[-1])).transpose(1, 2)


def gumbel(like: Tensor) -> Tensor:
    """Standard Gumbel noise of the shape of a tensor."""
    return -torch.empty_like(like).exponential_().log()


def perturbed_choice(
    logits: Tensor, noise: Tensor, costs: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """The arg max as one-hot vectors, (S, B, C), and the estimate of d E f / d phi, (S, B, C).

    Args:
        logits: phi, (B, C).
        noise: gamma, (S, B, C).
        costs: f, (S, B, C), nats.
        epsilon: eps.
    """
    perturbed = logits.detach() + noise
    chosen, better = (
        torch.nn.functional.one_hot(each.argmax(-1), logits.shape[-1]).to(logits.dtype)
        for each in (perturbed, perturbed - epsilon * costs)
    )
    return chosen, (chosen - better) / epsilon
