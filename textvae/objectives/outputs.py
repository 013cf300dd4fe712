"""The contract between a model and an objective: the distributions of a batch."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence

from textvae.layers.plate import Plate


@dataclass(frozen=True)
class Latent:
    """One latent variable of a batch: its sample, its posterior and its prior.

    Args:
        value: sample of the posterior, (K, B, D).
        posterior: q(z | x), batch shape (K or 1, B), event (D,).
        prior: p(z), batch shape as the posterior's.
        enumerated: the samples are all D values of the latent in turn, each as often, and not
            drawn; the posterior's weight of each is `weights`.
        plate: where there is one for each of the R parts of the texts, to which text each belongs:
            B is then R in all of the above, and what the methods return are sums over the parts.
    """

    value: Tensor
    posterior: Distribution
    prior: Distribution
    enumerated: bool = False
    plate: Plate | None = None

    def of_texts(self, values: Tensor) -> Tensor:
        """Values of each sample, (K, B, ...), or the sums over the parts of values, (K, R, ...)."""
        return values if self.plate is None else self.plate.sum_parts(values)

    def kl(self) -> Tensor:
        """KL(q || p) per text, (K, B), nats: exact where registered, else the log ratio.

        Source: Kingma & Welling 2014, eq. 3 and 7, arXiv:1312.6114.
        """
        try:
            exact = kl_divergence(self.posterior, self.prior)
        except NotImplementedError:
            return self.log_ratio()
        return self.of_texts(exact.expand(self.value.shape[:2]))

    def log_ratio(self) -> Tensor:
        """log q(z | x) - log p(z) at the sample, (K, B), nats.

        Values that were enumerated come from a uniform q: each as often, what is impossible never.
        """
        log_prior = self.prior.log_prob(self.value)
        if not self.enumerated:
            return self.of_texts(self.posterior.log_prob(self.value) - log_prior)
        log_uniform = -math.log(self.value.shape[-1])
        return (log_uniform - log_prior).masked_fill(self.weights() == 0, torch.inf)

    def weights(self) -> Tensor:
        """q(z | x) of enumerated values, (K, B).

        They add up to one over K, but where the posterior is given a latent that was drawn: then on
        average.
        """
        each = self.posterior.mean * self.value
        return each.sum(-1) * self.value.shape[-1] / len(self.value)

    def kl_per_dimension(self) -> Tensor:
        """KL of each dimension, (K, B, D), nats.

        Raises:
            ValueError: the posterior does not factorise over its dimensions.
        """
        q, p = self.posterior, self.prior
        if not (isinstance(q, Independent) and isinstance(p, Independent)):
            raise ValueError(
                f"a KL per dimension needs a posterior and a prior that factorise over their "
                f"dimensions (got {type(q).__name__} and {type(p).__name__})"
            )
        exact = kl_divergence(q.base_dist, p.base_dist)
        return self.of_texts(exact.expand(self.value.shape))


@dataclass(frozen=True)
class VAEOutput:
    """The output of a model for a batch under K samples of its latents.

    Args:
        latents: by name.
        log_likelihood: log p(x | z) of each decoder's field, by decoder name, (K, B), nats.
        fields: the observed batch, as it was given.
        auxiliary: as `log_likelihood`, of the decoders that only training reads.
        features: of each encoder, pooled, by its name, (B, H).
        likelihoods: p(x | z) of each decoder's field, by decoder name, batch shape (K, B).
        others: outputs of the altered batches that an objective asked for, by its names for them.
    """

    latents: dict[str, Latent]
    log_likelihood: dict[str, Tensor]
    fields: dict[str, Any] = field(default_factory=dict)
    auxiliary: dict[str, Tensor] = field(default_factory=dict)
    features: dict[str, Tensor] = field(default_factory=dict)
    likelihoods: dict[str, Distribution] = field(default_factory=dict)
    others: dict[str, "VAEOutput"] = field(default_factory=dict)

    def expected(self, values: Tensor) -> Tensor:
        """E_q of what there is of each sample, (K, B): (B,)."""
        for latent in self.latents.values():
            if latent.enumerated:
                return (latent.weights() * values).sum(0)
        return values.mean(0)

    @property
    def total_log_likelihood(self) -> Tensor:
        """log p(x | z) of all fields, (K, B), nats."""
        first, *others = self.log_likelihood.values()
        return torch.stack([first, *others]).sum(0) if others else first

    @property
    def kl(self) -> Tensor:
        """KL of all latents, (K, B), nats; zero for a model without latents."""
        total = torch.zeros_like(self.total_log_likelihood)
        for latent in self.latents.values():
            total = total + latent.kl()
        return total

    @property
    def log_weight(self) -> Tensor:
        """log p(x, z) - log q(z | x), (K, B), nats: the importance weight of each sample."""
        total = self.total_log_likelihood
        for latent in self.latents.values():
            total = total - latent.log_ratio()
        return total


@dataclass(frozen=True)
class Loss:
    """A value to minimise, nats per text, (), and the named parts to log, detached, ()."""

    value: Tensor
    terms: dict[str, Tensor]


def scalar(value: float | Tensor, like: Tensor) -> Tensor:
    """A number as a tensor, (), of the type and on the device of another; a tensor as it is.

    A number that is copied to a GPU, as `new_tensor` does, waits for all that the GPU has to do.
    """
    return value if isinstance(value, Tensor) else like.new_full((), value)
