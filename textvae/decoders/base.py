"""What every decoder provides."""

from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.registry import Component


class Decoder(Component, nn.Module):
    """Context -> distribution over an observed field."""

    def forward(self, context: Tensor) -> Distribution:
        """p(x | z) for each context, (K, B, H); its `log_prob` sums over one text's parts, nats."""
        raise NotImplementedError
