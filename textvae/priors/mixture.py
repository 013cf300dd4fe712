"""A mixture of Gaussians, given something or nothing."""

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from textvae.families import Family
from textvae.families.base import in_float32
from textvae.families.gaussian import diagonal_normal
from textvae.priors.base import Prior
from textvae.registry import Count


class MixturePrior(Prior, kind="mixture"):
    """p(z) = sum_c pi_c N(z; mu_c, diag(sigma_c^2)), learned; KL to it is log q(z | x) - log p(z).

    Given something, pi, mu and log sigma^2 are linear in the context. Given nothing, they are free
    parameters: equal weights, unit variances, and means drawn from N(0, I) at first.

    Args:
        features: size H of the context; 0 when it is given nothing.
        family: of the latent; any with a density everywhere in R^D.
        components: C.

    Raises:
        ValueError: latents of the family do not lie anywhere in R^D.

    Source: Jiang et al. 2017, eq. 3 to 5, arXiv:1611.05148 (VaDE); Tomczak & Welling 2018,
    section 3, arXiv:1705.07120, where it is the baseline of the VampPrior.
    """

    def __init__(self, features: int, family: Family, components: Count = 10):
        super().__init__()
        if not family.fittable:
            raise ValueError(f"the prior of a {family.kind} latent is no mixture of Gaussians")
        self.refer(family)
        self.components = components
        self.head = nn.Linear(features, components * (2 * family.dim + 1)) if features else None
        if not features:
            self.logits = nn.Parameter(torch.zeros(components))
            self.means = nn.Parameter(torch.randn(components, family.dim))
            self.log_variances = nn.Parameter(torch.zeros(components, family.dim))

    def forward(self, context: Tensor) -> Distribution:
        """The mixture for each context, (..., H): batch shape (...), event (D,)."""
        shape, dim = context.shape[:-1], self.family.dim
        if self.head is None:
            logits = self.logits.expand(*shape, -1)
            means, log_variances = (
                part.expand(*shape, -1, -1) for part in (self.means, self.log_variances)
            )
        else:
            parameters = in_float32(self.head, context).unflatten(-1, (self.components, -1))
            logits, means, log_variances = parameters.split([1, dim, dim], dim=-1)
            logits = logits.squeeze(-1)
        return MixtureSameFamily(
            Categorical(logits=logits, validate_args=False),
            diagonal_normal(means, (log_variances / 2).exp()),  # type: ignore[arg-type]
            validate_args=False,
        )
