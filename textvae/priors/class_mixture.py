"""A mixture of Gaussians around means that belong to the classes of a label."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from textvae.families import Family
from textvae.families.categorical import class_log_prob, with_known_class
from textvae.families.gaussian import diagonal_normal
from textvae.priors.base import Prior
from textvae.registry import Count


class ClassMixturePrior(Prior, kind="class_mixture"):
    """p(z, y) = 1/C 1/V sum_v N(z; mu_yv, I); p(z) sums over the classes y, p(z | y) takes one.

    The classes are those of the latent's `field`. A label that is known in training chooses its
    components; where it is missing, and in evaluation, p(z) is the mixture of all. The latent is
    also a classifier, p(y | z), which its `label_weight` trains. The means are drawn from N(0, I)
    at first.

    Args:
        features: must be 0.
        family: of the latent; any with a density everywhere in R^D.
        classes: C of the label; None where the latent has no `field`.
        components: V, of each class.

    Raises:
        ValueError: the prior is given something, the latent has no label, or latents of the family
            do not lie anywhere in R^D.

    Source: Cao et al. 2021, Open-set recognition with Gaussian mixture variational autoencoders,
    AAAI. No code was published: unit variances and equal weights are ours.
    """

    takes_label: ClassVar[bool] = True

    def __init__(
        self,
        features: int,
        family: Family,
        classes: int | None = None,
        components: Count = 3,
    ):
        super().__init__()
        if features:
            raise ValueError("a class_mixture prior is given nothing but a label")
        if not family.fittable:
            raise ValueError(f"the prior of a {family.kind} latent is no mixture of Gaussians")
        if classes is None:
            raise ValueError("a class_mixture prior needs a latent with the field of a label")
        self.refer(family)
        self.means = nn.Parameter(torch.randn(classes, components, family.dim))

    def forward(self, context: Tensor) -> Distribution:
        """p(z) for contexts, (..., 0): batch shape (...), event (D,)."""
        return self.mixture(self.means.new_zeros(len(self.means)).expand(*context.shape[:-1], -1))

    def of_classes(self, labels: Tensor) -> Distribution:
        """p(z | y) of labels, (B,), int64, batch shape (B,); p(z) where one is missing (-1)."""
        return self.mixture(with_known_class(self.means.new_zeros(1, len(self.means)), labels))

    def mixture(self, class_logits: Tensor) -> Distribution:
        """The mixture with the probabilities of classes of logits, (..., C): batch shape (...)."""
        components = self.means.shape[1]
        means = self.means.flatten(0, 1).expand(*class_logits.shape[:-1], -1, -1)
        return MixtureSameFamily(
            Categorical(logits=class_logits.repeat_interleave(components, -1), validate_args=False),
            diagonal_normal(means, torch.ones_like(means)),  # type: ignore[arg-type]
            validate_args=False,
        )

    def distances(self, value: Tensor) -> Tensor:
        """Distance of each latent, (..., D), to the nearest mean of each class: (..., C)."""
        return (value[..., None, None, :] - self.means).norm(dim=-1).amin(-1)

    def class_logits(self, value: Tensor) -> Tensor:
        """log p(y | z) of latents, (..., D), up to a constant: (..., C)."""
        squares = (value[..., None, None, :] - self.means).square().sum(-1)
        return (-0.5 * squares).logsumexp(-1)

    def label_log_prob(self, value: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """log p(y | z), (K, B), nats, of labels, (B,), at samples, (K, B, D); 0 for a missing one.

        Args:
            value: samples of the posterior.
            labels: int64; -1 for missing.
            smoothing: as that of `Family.label_log_prob`.
        """
        logits = self.class_logits(value)
        log_probs = class_log_prob(logits.flatten(0, 1), labels.repeat(len(value)), smoothing)
        return log_probs.unflatten(0, logits.shape[:2])
