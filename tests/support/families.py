"""Sizes of the families under test and their default priors."""

import torch

H = 5


def sizes_of(kind):
    """The arguments that give a latent of any family about four values."""
    return {"codes": 2, "size": 2} if kind == "gumbel" else {"dim": 4}


def prior_of(family, distribution):
    """The default prior of a family, in the batch shape of a distribution."""
    return family.default_prior(distribution.batch_shape, torch.zeros(()))
