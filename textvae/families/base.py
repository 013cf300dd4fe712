"""Base class of families of distributions over a latent."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.func import functional_call

from textvae.registry import Component


class Family(Component, nn.Module):
    """A head that turns a context into a distribution over a latent.

    The posterior is a family given the encoders' features; a learned prior is the same family
    given something else.
    """

    dim: int
    """Size D of one sample of the latent."""

    head: nn.Linear
    """Of what the family is given: the variational parameters, before anything is done to them."""

    prior_scale: float = 1.0
    """Standard deviation of a dimension under the default prior: what variances are measured in."""

    spherical: ClassVar[bool] = False
    """Whether latents lie on a sphere: the way between two of them is then an arc."""

    proportions: ClassVar[bool] = False
    """Whether latents are proportions, which add up to 1."""

    deterministic: ClassVar[bool] = False
    """Whether a posterior is a single point, without a density: an autoencoder's code."""

    fittable: ClassVar[bool] = False
    """Whether posteriors are diagonal Gaussians, to which a Gaussian prior can be fitted."""

    prevents_collapse: ClassVar[bool] = False
    """Whether the KL of every posterior to the default prior is above zero by construction."""

    enumerated: ClassVar[bool] = False
    """Whether the loss sums over all values of the latent in place of drawing some."""

    learnable: ClassVar[bool] = True
    """Whether a prior given nothing can be a member of the family that is learned."""

    prior_omits: ClassVar[frozenset[str]] = frozenset()
    """Arguments that a prior of the family does without: they are of what `embed` shows."""

    @property
    def embedding_size(self) -> int:
        """Size E of what `embed` shows other nodes of a latent."""
        return self.dim

    def forward(self, context: Tensor) -> Distribution:
        """The distribution for each context, (..., H): batch shape (...), event (D,)."""
        return self.distribution(self.variational_parameters(context))

    def variational_parameters(self, context: Tensor) -> Tensor:
        """The head's output for each context, (..., H): lambda, (..., P), float32, unconstrained.

        These are the variational parameters that `Refinement` moves.
        """
        raise NotImplementedError

    def distribution(self, variational_parameters: Tensor) -> Distribution:
        """The distribution of variational parameters, (..., P): batch shape (...), event (D,)."""
        raise NotImplementedError

    def default_prior(self, batch_shape: torch.Size, like: Tensor) -> Distribution:
        """The family's parameter-free prior, on the device of `like`."""
        raise NotImplementedError

    def point_estimate(self, posterior: Distribution) -> Tensor:
        """The latent that stands for a posterior, (..., D): its mean, unless that is no latent."""
        return posterior.mean

    def project(self, value: Tensor) -> Tensor:
        """The latent nearest to a point, (..., D): the point, unless latents are not everywhere."""
        return value

    def relative(self, variational_parameters: Tensor, prior: Distribution) -> Tensor:
        """Variational parameters, (K or 1, B, P), of a posterior that is measured from its prior.

        Args:
            variational_parameters: offsets from the prior, (K or 1, B, P).
            prior: of the same family, batch shape (K or 1, B).

        Raises:
            NotImplementedError: the family has no such offsets.
        """
        raise NotImplementedError

    def training_term(self, posterior: Distribution) -> Tensor | None:
        """What the family itself adds to the training loss, (K or 1, B), nats; None for nothing.

        Args:
            posterior: batch shape (K or 1, B).
        """
        return None

    def observed(self, variational_parameters: Tensor, labels: Tensor) -> Tensor:
        """Variational parameters, (B, P), of the given labels, (B,) or (B, C), -1 for missing.

        Raises:
            NotImplementedError: a label is no value of the latent.
        """
        raise NotImplementedError

    def label_log_prob(self, variational_parameters: Tensor, labels: Tensor) -> Tensor:
        """log q(label | x), (B,), nats, of given labels, (B,) or (B, C); 0 for a missing one.

        Args:
            variational_parameters: of the posterior, (B, P).
            labels: as those of `observed`.

        Raises:
            NotImplementedError: a label is no value of the latent.
        """
        raise NotImplementedError

    def enumerate_support(self, samples: int, batch: int, like: Tensor) -> Tensor:
        """All values of an `enumerated` latent in turn, (K, B, D).

        Raises:
            NotImplementedError: there are too many to count.
        """
        raise NotImplementedError

    def embed(self, value: Tensor) -> Tensor:
        """What other nodes see of a latent, (..., E): the latent itself, unless it stands for more.

        Args:
            value: samples or centres, (..., D).
        """
        return value


def in_float32(head: nn.Module, context: Tensor) -> Tensor:
    """The head's output computed in float32, also under bfloat16 autocast or with such weights."""
    device = context.device.type
    in_float = all(each.dtype == torch.float32 for each in (context, *head.parameters()))
    if in_float and not torch.is_autocast_enabled(device):
        return head(context)
    weights = {name: weight.float() for name, weight in head.named_parameters()}
    with torch.autocast(device, enabled=False):
        return functional_call(head, weights, context.float())
