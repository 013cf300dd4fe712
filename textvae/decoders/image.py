"""Context -> distribution over images, or over vectors and arrays of any shape."""

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.decoders.base import Decoder
from textvae.layers.convolution import (
    Activation,
    GridOfPlaces,
    Residual,
    activation_layer,
    doubling,
    halved,
    image_shape,
    perceptron,
)
from textvae.likelihoods import Likelihood
from textvae.registry import Count

Sizes = Annotated[list[Count], Field(min_length=1)]


class ImageDecoder(Decoder):
    """A decoder of images, or of arrays, of one shape; its likelihood interprets its outputs."""

    shape: tuple[int, ...]
    likelihood: Likelihood
    layers: nn.Module

    def prepare(
        self, shape: Sequence[int], features: int, likelihood: Likelihood
    ) -> tuple[int, ...]:
        """Take the shape of the values and the likelihood.

        Raises:
            ValueError: there is no context.
        """
        if not features:
            raise ValueError("a decoder of images must be given something: name a latent in given")
        self.features = features
        self.likelihood = likelihood
        self.shape = tuple(shape)
        return self.shape

    def forward(self, context: Tensor) -> Distribution:
        """p(x | z) for each context, (K, B, H): batch shape (K, B), event S, the field's shape."""
        outputs = self.layers(context.flatten(0, 1))
        heads = self.likelihood.heads
        return self.likelihood(outputs.view(*context.shape[:2], heads, *self.shape))


class MLPDecoder(ImageDecoder, kind="mlp"):
    """Linear layers to all values of an image, a vector or another array.

    Args:
        shape: S of the values: [C, H, W] of images, [D] of vectors.
        features: size H of the context.
        likelihood: of a value.
        hidden: width of each layer, the one next to the context first.
        activation: after each hidden layer; the leaky ReLU's slope is 0.2.

    >>> import torch
    >>> from textvae.likelihoods.pixels import Bernoulli
    >>> decoder = MLPDecoder(shape=(1, 8, 8), features=2, likelihood=Bernoulli(), hidden=[5])
    >>> decoder(torch.zeros(3, 4, 2)).mean.shape
    torch.Size([3, 4, 1, 8, 8])
    """

    def __init__(
        self,
        shape: Sequence[int],
        features: int,
        likelihood: Likelihood,
        hidden: Sizes,
        activation: Activation = "relu",
    ):
        super().__init__()
        size = math.prod(self.prepare(shape, features, likelihood))
        self.layers = nn.Sequential(
            perceptron([features, *hidden], activation),
            nn.Linear(hidden[-1], likelihood.heads * size),
        )


class ConvolutionalDecoder(ImageDecoder, kind="conv"):
    """Two linear layers, then transposed convolutions that double the image.

    With blocks it is a residual network.

    Args:
        shape: C, H, W of the images.
        features: size H of the context.
        likelihood: of a pixel.
        channels: as the encoder's, the one next to the image first.
        blocks: residual blocks before each doubling.
        hidden: width of the first linear layer; None where the context is a grid already, its
            places side by side, as an encoder with `hidden: null` or a shared latent has them.
        activation: after each layer but the last, and in the blocks.

    Raises:
        ValueError: see `prepare`, or the context is no such grid.
    """

    def __init__(
        self,
        shape: Sequence[int],
        features: int,
        likelihood: Likelihood,
        channels: Sizes,
        blocks: Annotated[int, Field(ge=0, le=1_000)] = 0,
        hidden: Count | None = 256,
        activation: Activation = "relu",
    ):
        super().__init__()
        colours, height, width = image_shape(self.prepare(shape, features, likelihood))
        sizes = halved((height, width), len(channels))[::-1]
        depths = [*reversed(channels), likelihood.heads * colours]
        if hidden is None:
            layers = grid_layers(features, sizes[0], depths[0], activation)
        else:
            layers: list[nn.Module] = [
                perceptron([features, hidden, depths[0] * math.prod(sizes[0])], activation),
                nn.Unflatten(1, (depths[0], *sizes[0])),
            ]
        for number in range(len(channels)):
            if number:
                layers.append(activation_layer(activation))
            layers += [Residual(depths[number], activation) for _ in range(blocks)]
            layers.append(
                doubling(depths[number], depths[number + 1], sizes[number], sizes[number + 1])
            )
        self.layers = nn.Sequential(*layers)


def grid_layers(
    features: int, size: tuple[int, int], depth: int, activation: Activation
) -> list[nn.Module]:
    """Layers from the places of a grid side by side to its images, (N, depth, H, W).

    Raises:
        ValueError: the features are not so many places of equal size.
    """
    places = math.prod(size)
    if features % places:
        raise ValueError(
            f"hidden: null needs a context of {size[0]} x {size[1]} = {places} places of equal "
            f"size (got {features} features): give as many codes"
        )
    grid = GridOfPlaces(size)
    return [grid, nn.Conv2d(features // places, depth, 3, padding=1), activation_layer(activation)]
