"""Base class of decoders."""

from typing import ClassVar

from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.registry import Component


class Decoder(Component, nn.Module):
    """Context -> distribution over an observed field."""

    def forward(self, context: Tensor) -> Distribution:
        """p(x | z) for each context, (K, B, H); its `log_prob` sums over one text's parts, nats."""
        raise NotImplementedError

    observes: ClassVar[bool] = False
    """Whether `observe` has something to learn: counting reads every training text."""

    def observe(self, counts: Tensor, texts: int) -> None:
        """Take in, before training, how often each token id occurs in the training texts.

        Args:
            counts: of each token id, (V,).
            texts: number of training texts.
        """
