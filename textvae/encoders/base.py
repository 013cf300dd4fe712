"""What every encoder provides."""

from dataclasses import dataclass

from torch import Tensor, nn

from textvae.registry import Component


@dataclass(frozen=True)
class Features:
    """What an encoder says of a batch.

    Args:
        pooled: one vector per text, (B, H).
        states: one vector per position, (B, L, H).
        mask: True where a position holds a token, (B, L), bool.
    """

    pooled: Tensor
    states: Tensor
    mask: Tensor


def without_positions(pooled: Tensor) -> Features:
    """Features that are one vector per row, (B, H), and nothing else."""
    return Features(pooled, pooled[:, None][:, :0], pooled[:, :0].bool())


class Encoder(Component, nn.Module):
    """Observed field -> features."""

    features: int
    """Size H of the pooled vector."""

    def forward(self, observed: Tensor) -> Features:
        """The features of a batch of one field."""
        raise NotImplementedError
