"""A Gaussian around a multiple of another latent, which is N(0, I) when that one is."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Distribution

from textvae.families import Family
from textvae.families.gaussian import diagonal_normal
from textvae.priors.base import Prior


class CoupledPrior(Prior, kind="coupled"):
    """p(z | u) = N(rho u, (1 - rho^2) I) with u the latent that the prior is given.

    If u is N(0, I) then z is too, and each z_d has the correlation rho with u_d: both come from
    nearly one noise. Nothing is learned; the KL to it draws the posteriors of the two together.

    Args:
        features: size of u, that of the latent.
        family: of the latent; any with a density everywhere in R^D.
        correlation: rho.

    Raises:
        ValueError: the prior is given nothing or something of another size, or latents of the
            family do not lie anywhere in R^D.

    Source: Fu et al. 2019, section 3.1, arXiv:1903.10203 (pairs from one noise, rho = 1 at
    generation); there an L1 distance of the posterior means takes the place of the KL.
    """

    def __init__(
        self,
        features: int,
        family: Family,
        correlation: Annotated[float, Field(gt=-1, lt=1)] = 0.95,
    ):
        super().__init__()
        if not family.fittable:
            raise ValueError(f"the prior of a {family.kind} latent is no Gaussian")
        if features != family.dim:
            raise ValueError(
                f"a coupled prior is given one latent of {family.dim} dimensions (got {features})"
            )
        self.refer(family)
        self.correlation = correlation

    def forward(self, context: Tensor) -> Distribution:
        """The prior for each value of the other latent, (..., D): batch shape (...), event (D,)."""
        mean = self.correlation * context.float()
        scale = (1 - self.correlation**2) ** 0.5
        return diagonal_normal(mean, torch.full_like(mean, scale))
