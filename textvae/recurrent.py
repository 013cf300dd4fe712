"""LSTMs under mixed precision and regularised, shared by encoders and decoders."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F


def run_lstm(lstm: nn.Module, inputs: Any, before: tuple[Tensor, Tensor] | None = None) -> Any:
    """The outputs and last state of an LSTM; on a CPU in float32, also under autocast.

    torch 2.13 has no bfloat16 LSTM for CPUs that it can train: it raises, or packs and casts back.

    Args:
        lstm: batch first.
        inputs: (N, T, H) or packed.
        before: state before the first input, two of (layers, N, H).
    """
    device = inputs.data.device.type
    if device != "cpu" or not torch.is_autocast_enabled("cpu"):
        return lstm(inputs, before)
    with torch.autocast("cpu", enabled=False):
        return lstm(inputs, before)


def drop_features(states: Tensor, rate: float, training: bool, locked: bool) -> Tensor:
    """Dropout of states, (N, T, F); when locked, of the same features at every token of a text.

    Source: Gal & Ghahramani 2016, section 4, arXiv:1512.05287 (variational dropout).
    """
    if not (locked and training and rate):
        return F.dropout(states, rate, training)
    kept = torch.empty_like(states[:, :1]).bernoulli_(1 - rate)
    return states * kept / (1 - rate)


def make_lstm(
    inputs: int,
    hidden: int,
    layers: int,
    dropout: float,
    locked: bool,
    layer_norm: bool,
    bidirectional: bool = False,
    weight_dropout: float = 0.0,
) -> "nn.LSTM | LSTMStack":
    """An `nn.LSTM`, or an `LSTMStack` for what it lacks."""
    if layer_norm or weight_dropout or (locked and layers > 1):
        return LSTMStack(inputs, hidden, layers, dropout, locked, layer_norm, weight_dropout)
    return nn.LSTM(
        inputs,
        hidden,
        layers,
        batch_first=True,
        bidirectional=bidirectional,
        dropout=dropout if layers > 1 else 0.0,
    )


class LSTMStack(nn.Module):
    """LSTMs of one layer each, with dropout between them and layer norm of what each says.

    It is called as an `nn.LSTM`, batch first. Layer norm is of the output states alone, so that
    each layer runs in one fused kernel.

    Args:
        inputs: size of an input.
        hidden: state size.
        layers: number of layers.
        dropout: rate between layers.
        locked: whether the same features are dropped at every token of a text.
        layer_norm: whether output states are normalised.
        weight_dropout: share of the weights between states that are zero for a training batch, at
            all of its tokens.

    Source: Ba et al. 2016, arXiv:1607.06450 (layer norm; there inside the cell); Merity et al.
    2018, section 2, arXiv:1708.02182 (dropped weights).
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        layers: int,
        dropout: float,
        locked: bool,
        layer_norm: bool,
        weight_dropout: float,
    ):
        super().__init__()
        self.weight_dropout = weight_dropout
        self.num_layers, self.hidden_size, self.bidirectional = layers, hidden, False
        self.dropout = dropout
        self.locked = locked
        self.layers = nn.ModuleList(
            nn.LSTM(hidden if number else inputs, hidden, batch_first=True)
            for number in range(layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers * layer_norm))

    def forward(
        self, x: Tensor, before: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Output states, (N, T, F), and the last state, two of (layers, N, F)."""
        last = []
        for number, lstm in enumerate(self.layers):
            if number:
                x = drop_features(x, self.dropout, self.training, self.locked)
            state = None if before is None else tuple(m[number : number + 1] for m in before)
            weights = {}
            if self.training and self.weight_dropout:
                weights["weight_hh_l0"] = F.dropout(
                    lstm.get_parameter("weight_hh_l0"), self.weight_dropout
                )
            x, after = functional_call(lstm, weights, (x, state))
            last.append(after)
            if self.norms:
                x = self.norms[number](x)
        h, c = (torch.cat(parts) for parts in zip(*last, strict=True))
        return x, (h, c)
