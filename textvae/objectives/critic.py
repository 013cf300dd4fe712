"""Critics: networks that estimate a divergence, and the objectives that train them."""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from textvae.families.base import in_float32
from textvae.objectives.base import Objective, parts, prior_like, reparameterized, size_of
from textvae.objectives.outputs import Loss, VAEOutput, scalar
from textvae.objectives.schedules import Constant, Schedule
from textvae.registry import Count

ONE = Constant(1.0)
OTHERS = 64
"""The other texts of a batch whose z a text meets, at most."""


class Critic(nn.Module):
    """Codes, (..., H), to one number each, (...), by two hidden layers."""

    def __init__(self, features: int, hidden: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
        )

    def forward(self, codes: Tensor) -> Tensor:
        """The number of each code, float32."""
        return in_float32(self.layers, codes)[..., 0]

    def fixed(self, codes: Tensor) -> Tensor:
        """The same with weights that are constants: gradients reach the codes alone."""
        weights = {name: value.detach() for name, value in self.named_parameters()}
        return functional_call(self, weights, (codes,))


class Adversarial(Objective, nn.Module, kind="adversarial"):
    """-E_q log p(x | z) - weight log D(z), D a discriminator that tells p(z) from q(z).

    In the same step D itself descends -E_p log D(z) - E_q log(1 - D(z)), on samples of q that are
    constants. There is no KL: nothing but D holds q(z), the posterior of all texts together, near
    the prior, which is not learned, and a posterior may shrink to a point.

    Args:
        sizes: of each latent, by name.
        weight: of the adversarial term, as a function of the optimizer step.
        hidden: size of D's two hidden layers.
        latent: name of the latent z.
        samples: samples K of each latent.

    Source: Makhzani et al. 2015, section 2, arXiv:1511.05644, with a Gaussian posterior. They
    take the two steps in turn, with optimizers of their own.
    """

    matches_prior = True

    def __init__(
        self,
        sizes: Mapping[str, int],
        weight: Schedule = ONE,
        hidden: Count = 128,
        latent: str = "z",
        samples: Count = 1,
    ):
        super().__init__()
        self.weight = weight
        self.latent = latent
        self.samples = samples
        self.critic = Critic(size_of(sizes, latent, "latent"), hidden)

    def __call__(self, out: VAEOutput, step: int) -> Loss:
        """The loss of a batch at an optimizer step: the mean over samples and texts."""
        reconstruction_loss, _, terms = parts(out)
        latent = reparameterized(out, self.latent)
        # T before the sigmoid: -log D(z) = softplus(-T(z)), -log(1 - D(z)) = softplus(T(z)).
        deceived = F.softplus(-self.critic.fixed(latent.value)).mean()
        real, drawn = self.critic(prior_like(latent)), self.critic(latent.value.detach())
        told_apart = F.softplus(-real).mean() + F.softplus(drawn).mean()
        own = {"adversarial": deceived.detach(), "discriminator": told_apart.detach()}
        return Loss(reconstruction_loss + self.weight(step) * deceived + told_apart, terms | own)


class MutualInformation(Objective, nn.Module, kind="mutual_information"):
    """-E_q log p(x | z) + w KL - weight I(x; z), with a critic's lower bound in place of I.

    With T(x, z) the critic of an encoder's features of x and of z, the bounds are

        nwj: E_q(x, z) T - E_q(x) q(z) exp(T - 1)
        dv:  E_q(x, z) T - log E_q(x) q(z) exp T

    where samples of q(x) q(z) are a text with the z of each other text of the batch, of at most 64.
    Critic, encoder and decoder climb together; gradients reach the encoder through z and through
    its features.

    Args:
        sizes: of each encoder's features and each latent, by name.
        weight: of the mutual information, as a function of the optimizer step.
        kl_weight: w as a function of the optimizer step.
        bound: `nwj` (Nguyen, Wainwright & Jordan) or `dv` (Donsker & Varadhan), whose gradient
            from a batch is biased.
        hidden: size of the critic's two hidden layers.
        latent: name of the latent z.
        encoder: name of the encoder of x.
        samples: samples K of each latent.

    Source: Qian & Cheung 2019, EMNLP, D19-1416, from its abstract: they alternate steps of critic
    and model. Bounds: Belghazi et al. 2018, eq. 5 to 9, arXiv:1801.04062.
    """

    kl_weight: Schedule

    def __init__(
        self,
        sizes: Mapping[str, int],
        weight: Schedule = ONE,
        kl_weight: Schedule = ONE,
        bound: Literal["nwj", "dv"] = "nwj",
        hidden: Count = 128,
        latent: str = "z",
        encoder: str = "text",
        samples: Count = 1,
    ):
        super().__init__()
        self.weight = weight
        self.kl_weight = kl_weight
        self.bound = bound
        self.latent = latent
        self.encoder = encoder
        self.samples = samples
        features = size_of(sizes, encoder, "encoder") + size_of(sizes, latent, "latent")
        self.critic = Critic(features, hidden)

    def __call__(self, out: VAEOutput, step: int) -> Loss:
        """The loss of a batch at an optimizer step: the mean over samples and texts."""
        reconstruction_loss, kl, terms = parts(out)
        z = reparameterized(out, self.latent).value
        information = self.information(out.features[self.encoder].expand(len(z), -1, -1), z)
        kl_weight = self.kl_weight(step)
        value = reconstruction_loss + kl_weight * kl - self.weight(step) * information
        own = {"mutual_information": information.detach(), "kl_weight": scalar(kl_weight, kl)}
        return Loss(value, terms | own)

    def information(self, x: Tensor, z: Tensor) -> Tensor:
        """The bound of I(x; z), (), nats, of pairs x, (K, B, H), and z, (K, B, D).

        Raises:
            ValueError: a batch of one text holds no other z.
        """
        if z.shape[1] < 2:
            raise ValueError("mutual_information needs at least two texts in a (micro-)batch")
        count = min(z.shape[1] - 1, OTHERS)
        others = torch.stack([z.roll(shift, 1) for shift in range(1, count + 1)])
        joint = self.critic(torch.cat([x, z], -1)).mean()
        product = self.critic(torch.cat([x.expand(count, -1, -1, -1), others], -1))
        if self.bound == "nwj":
            return joint - (product - 1).exp().mean()
        return joint - product.flatten().logsumexp(0) + math.log(product.numel())
