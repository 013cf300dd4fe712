"""What every family of distributions over a latent provides."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.registry import Component


class Family(Component, nn.Module):
    """A head that turns a context into a distribution over a latent.

    The posterior is a family given the encoders' features; a learned prior is the same family
    given something else.
    """

    dim: int
    """Size D of one sample of the latent."""

    def forward(self, context: Tensor) -> Distribution:
        """The distribution for each context, (..., H): batch shape (...), event (D,)."""
        raise NotImplementedError

    def default_prior(self, batch_shape: torch.Size, like: Tensor) -> Distribution:
        """The family's parameter-free prior, on the device of `like`."""
        raise NotImplementedError


def in_float32(head: nn.Module, context: Tensor) -> Tensor:
    """The head's output computed in float32, also under bfloat16 autocast."""
    with torch.autocast(context.device.type, enabled=False):
        return head(context.float())
