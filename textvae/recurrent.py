"""LSTMs under mixed precision, shared by encoders and decoders."""

from typing import Any

import torch
from torch import Tensor, nn


def run_lstm(lstm: nn.LSTM, inputs: Any, before: tuple[Tensor, Tensor] | None = None) -> Any:
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
