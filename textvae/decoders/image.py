"""Context -> distribution over images."""

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.decoders.base import Decoder
from textvae.layers.convolution import (
    Activation,
    Residual,
    activation_layer,
    doubling,
    halved,
    perceptron,
)
from textvae.likelihoods import PixelLikelihood

Sizes = Annotated[list[PositiveInt], Field(min_length=1)]


class ImageDecoder(Decoder):
    """A decoder of images of one size; its likelihood says what its outputs mean."""

    shape: tuple[int, int, int]
    likelihood: PixelLikelihood
    layers: nn.Module

    def prepare(
        self, shape: Sequence[int], features: int, likelihood: PixelLikelihood
    ) -> tuple[int, int, int]:
        """Take the image's size and the likelihood.

        Raises:
            ValueError: there is no context.
        """
        if not features:
            raise ValueError("a decoder of images must be given something: name a latent in given")
        self.features = features
        self.likelihood = likelihood
        channels, height, width = shape
        self.shape = (channels, height, width)
        return self.shape

    def forward(self, context: Tensor) -> Distribution:
        """p(x | z) for each context, (K, B, H): batch shape (K, B), event (C, H, W)."""
        outputs = self.layers(context.flatten(0, 1))
        heads = self.likelihood.heads
        return self.likelihood(outputs.view(*context.shape[:2], heads, *self.shape))


class MLPDecoder(ImageDecoder, kind="mlp"):
    """Linear layers to all pixels.

    Args:
        shape: C, H, W of the images.
        features: size H of the context.
        likelihood: of a pixel.
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
        likelihood: PixelLikelihood,
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
        hidden: width of the first linear layer.
        activation: after each layer but the last, and in the blocks.
    """

    def __init__(
        self,
        shape: Sequence[int],
        features: int,
        likelihood: PixelLikelihood,
        channels: Sizes,
        blocks: NonNegativeInt = 0,
        hidden: PositiveInt = 256,
        activation: Activation = "relu",
    ):
        super().__init__()
        colours, height, width = self.prepare(shape, features, likelihood)
        sizes = halved((height, width), len(channels))[::-1]
        depths = [*reversed(channels), likelihood.heads * colours]
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
