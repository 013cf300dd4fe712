"""Features of the parts of a row -> features of the row, or of the earlier parts."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from textvae.encoders.base import Encoder, Features, pooled_only
from textvae.layers.plate import Plate
from textvae.layers.recurrent import LSTM, drop_features
from textvae.registry import Count, Depth, Rate


class PartsEncoder(Encoder):
    """An encoder of other encoders on a plate."""

    def forward(self, *given: Features) -> Features:
        """The features of the parts of B rows, which the given encoders have read."""
        plate = given[0].plate
        assert plate is not None, "the graph's checks ask for encoders on a plate"
        return self.read(torch.cat([each.pooled for each in given], -1), plate)

    def read(self, parts: Tensor, plate: Plate) -> Features:
        """The features of vectors of parts, (R, H)."""
        raise NotImplementedError


class RecurrentPartsEncoder(PartsEncoder):
    """An LSTM over the parts of each row, in their order.

    Args:
        given_features: sizes of the encoders in `given`.
        hidden: state size.
        layers: number of layers.
        dropout: rate on its inputs and between layers.
    """

    def __init__(
        self,
        given_features: Sequence[int],
        hidden: Count = 256,
        layers: Depth = 1,
        dropout: Rate = 0.0,
    ):
        super().__init__()
        self.features = hidden
        self.dropout = dropout
        self.lstm = LSTM(
            sum(given_features),
            hidden,
            layers,
            batch_first=True,
            dropout=dropout if layers > 1 else 0.0,
        )

    def states(self, parts: Tensor, plate: Plate) -> Tensor:
        """The state after each part, by row, (B, S, F); padding comes behind the parts."""
        read = drop_features(plate.padded(parts), self.dropout, self.training, False)
        return self.lstm(read)[0]


class SequenceEncoder(RecurrentPartsEncoder, kind="sequence"):
    """The state of an LSTM after the last part of each row: one vector a row.

    >>> encoder = SequenceEncoder(given_features=[2], hidden=4)
    >>> encoder.read(torch.zeros(3, 2), Plate.of(torch.tensor([2, 1]))).pooled.shape
    torch.Size([2, 4])
    """

    reduces: ClassVar[bool] = True

    def read(self, parts: Tensor, plate: Plate) -> Features:
        """The features of vectors of parts, (R, H)."""
        states = self.states(parts, plate)
        rows = torch.arange(plate.size, device=states.device)
        return pooled_only(states[rows, plate.counts - 1])


class PastEncoder(RecurrentPartsEncoder, kind="past"):
    """For each part, the state of an LSTM after the earlier parts of its row; zero for the first.

    Part t reads nothing of part t and of later ones, so a decoder that is given it can write the
    parts one after the other.
    """

    reads_earlier: ClassVar[bool] = True

    def read(self, parts: Tensor, plate: Plate) -> Features:
        """The features of vectors of parts, (R, H)."""
        states = self.states(parts, plate)
        before = torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], 1)
        return pooled_only(plate.packed(before))


class SetEncoder(PartsEncoder, kind="set"):
    """The mean of relu(W h + b) over the parts h of each row, whatever their order.

    Args:
        given_features: sizes of the encoders in `given`.
        hidden: width of the layer.
        dropout: rate after the layer.

    Source: Zaheer et al. 2017, theorem 2, arXiv:1703.06114 (there a sum, and a layer after it).
    """

    reduces: ClassVar[bool] = True

    def __init__(self, given_features: Sequence[int], hidden: Count = 256, dropout: Rate = 0.0):
        super().__init__()
        self.features = hidden
        self.layer = nn.Linear(sum(given_features), hidden)
        self.dropout = nn.Dropout(dropout)

    def read(self, parts: Tensor, plate: Plate) -> Features:
        """The features of vectors of parts, (R, H)."""
        total = plate.sum_parts(self.dropout(self.layer(parts).relu()), 0)
        return pooled_only(total / plate.counts[:, None].to(total.dtype))


class JoinedEncoder(Encoder, kind="joined"):
    """The states of all parts of each row one behind the other, for a decoder to attend to.

    The pooled vector is the mean of those of the parts. It has no weights of its own.

    Args:
        given_features: size of the one encoder of token ids on a plate in `given`.

    Raises:
        ValueError: it is given more than one encoder.

    Source: Izacard & Grave 2021, section 3, arXiv:2007.01282 (passages that were found for a
    question are read one by one, and the decoder attends to all of them).
    """

    has_states: ClassVar[bool] = True
    reads_states: ClassVar[bool] = True
    reduces: ClassVar[bool] = True

    def __init__(self, given_features: Sequence[int]):
        super().__init__()
        if len(given_features) != 1:
            raise ValueError(f"joined are the parts of one encoder (got {len(given_features)})")
        (self.features,) = given_features

    def forward(self, given: Features) -> Features:
        """The features of the parts of B rows."""
        plate = given.plate
        assert plate is not None, "the graph's checks ask for an encoder on a plate"
        pooled = plate.sum_parts(given.pooled, 0) / plate.counts[:, None].to(given.pooled.dtype)
        ids = None if given.ids is None else plate.padded(given.ids).flatten(1)
        mask = plate.padded(given.mask).flatten(1)
        return Features(pooled, plate.padded(given.states).flatten(1, 2), mask, ids=ids)
