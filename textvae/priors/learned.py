"""One distribution of the latent's family, whose parameters are learned."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.families import Family
from textvae.priors.base import Prior


class LearnedPrior(Prior, kind="learned"):
    """p(z) = f(b): the latent's family with free variational parameters b, (P,), zeros at first.

    Args:
        features: must be 0; given something, a prior is the family's own network of it.
        family: of the latent.

    Raises:
        ValueError: the prior is given something, or the family's prior cannot be learned.
    """

    def __init__(self, features: int, family: Family):
        super().__init__()
        if features:
            raise ValueError("a learned prior is given nothing; without kind it is a network")
        if not family.learnable:
            raise ValueError(f"the prior of a {family.kind} latent cannot be learned")
        self.refer(family)
        self.bias = nn.Parameter(torch.zeros(family.head.out_features))

    def forward(self, context: Tensor) -> Distribution:
        """The distribution for contexts, (..., 0): batch shape (...), event (D,)."""
        return self.family.distribution(self.bias.expand(*context.shape[:-1], -1))
