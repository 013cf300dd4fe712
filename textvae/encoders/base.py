"""Base class of encoders, and the features that they return."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor, nn

from textvae.layers.plate import Plate
from textvae.registry import Component


@dataclass(frozen=True)
class Features:
    """The output of an encoder for a batch.

    Args:
        pooled: one vector per text, (B, H).
        states: one vector per position, (B, L, H).
        mask: True where a position holds a token, (B, L), bool.
        layers: what stands below the pooled vector, lowest first, (B, H) each; the pooled vector
            is the last. Empty where an encoder has no such layers.
        ids: token ids of the positions, (B, L), int64; None where the field is no text.
        plate: to which rows the B vectors belong where they are of parts; None where they are of
            rows.
    """

    pooled: Tensor
    states: Tensor
    mask: Tensor
    layers: tuple[Tensor, ...] = ()
    ids: Tensor | None = None
    plate: Plate | None = None

    def select(self, rows: Tensor, plate: Plate | None = None) -> "Features":
        """The features of some of the texts, in that order.

        Args:
            rows: their indices, (M,), int64.
            plate: that they are then on.
        """
        return replace(
            self,
            pooled=self.pooled[rows],
            states=self.states[rows],
            mask=self.mask[rows],
            layers=tuple(layer[rows] for layer in self.layers),
            ids=None if self.ids is None else self.ids[rows],
            plate=plate,
        )


def pooled_only(pooled: Tensor) -> Features:
    """Features of which only one vector per text, (B, H), is left: they have no position."""
    return Features(pooled, pooled[:, None][:, :0], pooled[:, :0].bool())


class Encoder(Component, nn.Module):
    """Observed field -> features.

    An encoder that reads earlier encoders has an argument `given_features` in its constructor, the
    sizes of their pooled vectors, and takes their features after the field, or in its place.
    """

    features: int
    """Size H of the pooled vector, and of the states where there are some."""
    places: int = 1
    """Places of equal size that stand side by side in the pooled vector, as those of a grid."""
    has_states: ClassVar[bool] = False
    """Whether the features have a state for each position, which a decoder can attend to."""
    reads_states: ClassVar[bool] = False
    """Whether it reads the states of the encoders that it is given, and not their pooled vector."""
    reduces: ClassVar[bool] = False
    """Whether it makes one vector for each row of what it reads of the row's parts (a plate)."""
    reads_earlier: ClassVar[bool] = False
    """Whether what it gives for a part depends on earlier parts of the row alone."""

    weighs_words: ClassVar[bool] = False
    """Whether its features are weighted sums over words, with a method `weights` of token ids."""

    def forward(self, *read: Any) -> Features:
        """The features of a batch of one field, then the features of the encoders it is given."""
        raise NotImplementedError
