"""Images, vectors, arrays, and the features of other encoders -> features."""

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from textvae.encoders.base import Encoder, Features, pooled_only
from textvae.layers.convolution import (
    KERNEL,
    Activation,
    PlacesOfGrid,
    Residual,
    activation_layer,
    halved,
    image_shape,
    perceptron,
)
from textvae.registry import Count

Sizes = Annotated[list[Count], Field(min_length=1)]


class ImageEncoder(Encoder):
    """An encoder of images, or of arrays, of one shape."""

    shape: tuple[int, ...]
    layers: nn.Module

    def forward(self, observed: Tensor) -> Features:
        """The features of values, (B, *S).

        Raises:
            ValueError: they are of another shape.
        """
        return pooled_only(self.layers(self.checked(observed)))

    def checked(self, observed: Tensor) -> Tensor:
        """Values in the precision of the weights.

        Raises:
            ValueError: they are of another shape.
        """
        if observed.shape[1:] != self.shape:
            given, wanted = tuple(observed.shape[1:]), tuple(self.shape)
            name, axes = ("images", "C, H, W") if len(wanted) == 3 else ("values", "S")
            raise ValueError(f"{name} must be (N, {axes}) with {axes} = {wanted} (got {given})")
        return observed.to(next(self.layers.parameters()).dtype)


class MLPEncoder(ImageEncoder, kind="mlp"):
    """Linear layers over all values of a field and the pooled features of given encoders.

    Args:
        hidden: width of each layer.
        shape: S of the field: [C, H, W] of images, [D] of vectors; None when it reads none.
        activation: after each layer; the leaky ReLU's slope is 0.2.
        given_features: sizes of the pooled features of the encoders that it is given.

    Raises:
        ValueError: there is nothing to read.

    >>> import torch
    >>> MLPEncoder(shape=(1, 8, 8), hidden=[5])(torch.zeros(2, 1, 8, 8)).pooled.shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        hidden: Sizes,
        shape: Sequence[int] | None = None,
        activation: Activation = "relu",
        given_features: Sequence[int] = (),
    ):
        super().__init__()
        if shape is None and not given_features:
            raise ValueError("an mlp encoder reads a field, or encoders in given")
        self.shape = tuple(shape or ())
        self.reads_field = shape is not None
        self.features = hidden[-1]
        size = sum(given_features) + (math.prod(self.shape) if self.reads_field else 0)
        self.layers = nn.Sequential(nn.Flatten(), perceptron([size, *hidden], activation))

    def forward(self, *read: Tensor | Features) -> Features:
        """The features of values, (B, *S), and of the features of given encoders, side by side.

        Raises:
            ValueError: the values are of another shape.
        """
        parts = [
            each.pooled if isinstance(each, Features) else self.checked(each).flatten(1)
            for each in read
        ]
        return pooled_only(self.layers(torch.cat(parts, -1) if len(parts) > 1 else parts[0]))


class ConvolutionalEncoder(ImageEncoder, kind="conv"):
    """Convolutions that halve the image, then one linear layer; a residual network with blocks.

    Args:
        shape: C, H, W of the images.
        channels: of each halving.
        blocks: residual blocks after each halving.
        hidden: width of the linear layer; None to keep the grid, whose places then stand side by
            side in the features, row by row, each with the channels of the last halving.
        activation: after each layer, and in the blocks.
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: Sizes,
        blocks: Annotated[int, Field(ge=0, le=1_000)] = 0,
        hidden: Count | None = 256,
        activation: Activation = "relu",
    ):
        super().__init__()
        self.shape = image_shape(shape)
        height, width = halved(self.shape[1:], len(channels))[-1]
        layers: list[nn.Module] = []
        for before, after in zip([shape[0], *channels], channels, strict=False):
            layers.append(nn.Conv2d(before, after, KERNEL, stride=2, padding=1))
            layers += [Residual(after, activation) for _ in range(blocks)]
            layers.append(activation_layer(activation))
        self.features = hidden or channels[-1] * height * width
        if hidden is None:
            self.places = height * width
            layers.append(PlacesOfGrid())
        else:
            layers += [
                nn.Flatten(),
                perceptron([channels[-1] * height * width, hidden], activation),
            ]
        self.layers = nn.Sequential(*layers)
