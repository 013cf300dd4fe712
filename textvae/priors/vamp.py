"""The mixture of the posteriors of learned pseudo-inputs."""

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from textvae.families import Family
from textvae.families.base import after_hidden
from textvae.priors.base import Prior
from textvae.registry import Count


class VampPrior(Prior, kind="vamp"):
    """p(z) = 1/C sum_c q(z | u_c): the posterior's own network at C learned pseudo-inputs u_c.

    The u_c are what the latent's head is given, (C, H): features of encoders, so that texts have
    them as well as images. The gradient of p(z) reaches the head too.

    Args:
        features: must be 0.
        family: of the latent, which is the posterior's.
        posterior_features: size H of what the latent is given.
        components: C.
        spread: standard deviation of the pseudo-inputs at first; components that begin at one
            place never part.

    Raises:
        ValueError: the prior is given something, the family's prior is no mixture, or its means
            are batch-normalised.

    Source: Tomczak & Welling 2018, eq. 9, arXiv:1705.07120. There the pseudo-inputs are images,
    which pass the encoder.
    """

    def __init__(
        self,
        features: int,
        family: Family,
        posterior_features: int,
        components: Count = 50,
        spread: float = 1.0,
    ):
        super().__init__()
        if features:
            raise ValueError("a vamp prior is given nothing")
        if not family.fittable:
            raise ValueError(f"the prior of a {family.kind} latent is no mixture of posteriors")
        if getattr(family, "normalizer", None) is not None:
            raise ValueError("pseudo-inputs are no batch: a vamp prior takes no batch_norm")
        self.refer(family)
        self.components = components
        self.inputs = nn.Parameter(spread * torch.randn(components, posterior_features))

    def forward(self, context: Tensor) -> Distribution:
        """The mixture for contexts, (..., 0): batch shape (...), event (D,)."""
        shape = context.shape[:-1]
        parameters = self.family.variational_parameters(after_hidden(self.family, self.inputs))
        parts = self.family.distribution(parameters.expand(*shape, *parameters.shape))
        even = torch.zeros(self.components, device=parameters.device).expand(*shape, -1)
        weights = Categorical(logits=even, validate_args=False)
        return MixtureSameFamily(weights, parts, validate_args=False)
