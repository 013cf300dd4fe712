"""Images -> features."""

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from textvae.encoders.base import Encoder, Features, pooled_only
from textvae.layers.convolution import (
    KERNEL,
    Activation,
    Residual,
    activation_layer,
    halved,
    perceptron,
)

Sizes = Annotated[list[PositiveInt], Field(min_length=1)]


class ImageEncoder(Encoder):
    """An encoder of images of one size."""

    shape: tuple[int, int, int]
    layers: nn.Module

    def forward(self, observed: Tensor) -> Features:
        """The features of images, (B, C, H, W).

        Raises:
            ValueError: they are of another size.
        """
        if observed.shape[1:] != self.shape:
            given, wanted = tuple(observed.shape[1:]), tuple(self.shape)
            raise ValueError(f"images must be (N, C, H, W) with C, H, W = {wanted} (got {given})")
        weight = next(self.layers.parameters())
        return pooled_only(self.layers(observed.to(weight.dtype)))


class MLPEncoder(ImageEncoder, kind="mlp"):
    """Linear layers over all pixels.

    Args:
        shape: C, H, W of the images.
        hidden: width of each layer.
        activation: after each layer; the leaky ReLU's slope is 0.2.

    >>> import torch
    >>> MLPEncoder(shape=(1, 8, 8), hidden=[5])(torch.zeros(2, 1, 8, 8)).pooled.shape
    torch.Size([2, 5])
    """

    def __init__(self, shape: Sequence[int], hidden: Sizes, activation: Activation = "relu"):
        super().__init__()
        self.shape = tuple(shape)  # type: ignore[assignment]
        self.features = hidden[-1]
        self.layers = nn.Sequential(
            nn.Flatten(), perceptron([math.prod(shape), *hidden], activation)
        )


class ConvolutionalEncoder(ImageEncoder, kind="conv"):
    """Convolutions that halve the image, then one linear layer; a residual network with blocks.

    Args:
        shape: C, H, W of the images.
        channels: of each halving.
        blocks: residual blocks after each halving.
        hidden: width of the linear layer.
        activation: after each layer, and in the blocks.
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: Sizes,
        blocks: NonNegativeInt = 0,
        hidden: PositiveInt = 256,
        activation: Activation = "relu",
    ):
        super().__init__()
        self.shape = tuple(shape)  # type: ignore[assignment]
        self.features = hidden
        height, width = halved(self.shape[1:], len(channels))[-1]
        layers: list[nn.Module] = []
        for before, after in zip([shape[0], *channels], channels, strict=False):
            layers.append(nn.Conv2d(before, after, KERNEL, stride=2, padding=1))
            layers += [Residual(after, activation) for _ in range(blocks)]
            layers.append(activation_layer(activation))
        layers += [nn.Flatten(), perceptron([channels[-1] * height * width, hidden], activation)]
        self.layers = nn.Sequential(*layers)
