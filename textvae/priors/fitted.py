"""A Gaussian that is fitted to the posteriors after training."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal

from textvae.families import Family
from textvae.priors.base import Prior


class FittedPrior(Prior, kind="fitted"):
    """A Gaussian with the mean and covariance of all posteriors taken together, once it is fitted.

        mean = E_x mu(x),  covariance = Cov_x mu(x) + diag E_x sigma(x)^2

    Until then, and so in training, the family's default prior holds.

    Args:
        features: must be 0.
        family: of the latent; its posteriors must be diagonal Gaussians.

    Raises:
        ValueError: the prior is given something, or the family is another.

    Source: Ghosh et al. 2020, section 4, arXiv:1903.12436 (density estimation after training; there
    of an autoencoder's codes).
    """

    fits: ClassVar[bool] = True

    mean: Tensor
    scale_tril: Tensor
    fitted: Tensor

    def __init__(self, features: int, family: Family):
        super().__init__()
        if features:
            raise ValueError("a fitted prior is given nothing")
        if not family.fittable:
            raise ValueError(f"no prior is fitted to {family.kind} latents")
        self.refer(family)
        self.register_buffer("mean", torch.zeros(family.dim))
        self.register_buffer("scale_tril", torch.eye(family.dim))
        self.register_buffer("fitted", torch.tensor(False))

    def fit(self, means: Tensor, scales: Tensor) -> None:
        """Take the moments of posteriors N(means, diag(scales^2)), (N, D) each."""
        covariance = means.double().T.cov(correction=0) + scales.double().square().mean(0).diag()
        self.mean.copy_(means.double().mean(0))
        self.scale_tril.copy_(torch.linalg.cholesky(covariance))
        self.fitted.fill_(True)

    @property
    def ready(self) -> bool:
        """Whether it was fitted."""
        return bool(self.fitted)

    def forward(self, context: Tensor) -> Distribution:
        """The Gaussian for contexts, (..., 0): batch shape (...), event (D,)."""
        shape = context.shape[:-1]
        if not self.ready:
            return self.family.default_prior(shape, context)
        fitted = MultivariateNormal(self.mean, scale_tril=self.scale_tril, validate_args=False)
        return fitted.expand(shape)
