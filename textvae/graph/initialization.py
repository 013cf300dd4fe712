"""Initial weights of each kind of layer."""

import math

from torch import nn


def initialize(module: nn.Module, init_range: float | None) -> None:
    """Draw the initial weights of a module's own parameters.

    Args:
        module: a layer; of another module, the bias is set to zero.
        init_range: every weight is uniform in [-init_range, init_range]; when None, each kind of
            layer has its usual range.
    """
    # Only functions of `nn.init`: in transformers' from_pretrained they skip what it has loaded.
    if isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        limit = 0.1 if init_range is None else init_range
        nn.init.uniform_(module.weight, -limit, limit)
    elif isinstance(module, nn.Linear | nn.RNNBase | nn.Conv2d | nn.ConvTranspose2d):
        limit = 1 / math.sqrt(max(inputs_of(module), 1)) if init_range is None else init_range
        for parameter in module.parameters(recurse=False):
            nn.init.uniform_(parameter, -limit, limit)
    else:
        for name, parameter in module.named_parameters(recurse=False):
            if name == "bias":
                nn.init.zeros_(parameter)


def inputs_of(layer: nn.Linear | nn.RNNBase | nn.Conv2d | nn.ConvTranspose2d) -> float:
    """Number of inputs that one output of a layer sums; of a recurrent layer, its state's size."""
    if isinstance(layer, nn.RNNBase):
        return layer.hidden_size
    if isinstance(layer, nn.Linear):
        return layer.in_features
    inputs = layer.in_channels * math.prod(layer.kernel_size)
    # Each output of a transposed convolution sees one in `stride` of the kernel's places.
    return inputs / math.prod(layer.stride) if isinstance(layer, nn.ConvTranspose2d) else inputs
