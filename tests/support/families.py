"""The context size of the families under test, and their default priors."""

import torch

H = 5


def prior_of(family, distribution):
    """The default prior of a family, in the batch shape of a distribution."""
    return family.default_prior(distribution.batch_shape, torch.zeros(()))
