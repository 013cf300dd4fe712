"""Layers that encoders and decoders of images share."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

Activation = Literal["relu", "leaky_relu", "tanh", "silu"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU}
SLOPE = 0.2
"""Of the leaky ReLU below zero."""
KERNEL = 4
"""A convolution of this size and stride 2 halves an image, its transpose doubles it."""


def activation_layer(name: Activation) -> nn.Module:
    """The activation of a name; the leaky ReLU has the slope 0.2."""
    return nn.LeakyReLU(SLOPE) if name == "leaky_relu" else ACTIVATIONS[name]()


def perceptron(sizes: Sequence[int], activation: Activation) -> nn.Sequential:
    """Linear layers between the sizes, each followed by the activation."""
    layers: list[nn.Module] = []
    for size, following in pairwise(sizes):
        layers += [nn.Linear(size, following), activation_layer(activation)]
    return nn.Sequential(*layers)


def image_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """C, H, W of a field that convolutions read or write.

    Raises:
        ValueError: it is no field of images.
    """
    if len(shape) != 3:
        raise ValueError(f"convolutions need images of shape [C, H, W] (got {list(shape)})")
    channels, height, width = shape
    return channels, height, width


def halved(size: tuple[int, int], times: int) -> list[tuple[int, int]]:
    """Height and width before and after each of so many halvings.

    Raises:
        ValueError: there is nothing left to halve.
    """
    sizes = [size]
    for _ in range(times):
        height, width = sizes[-1]
        if min(height, width) < 2:
            raise ValueError(
                f"images of {size[0]} x {size[1]} pixels cannot be halved {times} times: "
                "name fewer channels"
            )
        sizes.append((height // 2, width // 2))
    return sizes


def doubling(
    channels: int, following: int, before: tuple[int, int], after: tuple[int, int]
) -> nn.ConvTranspose2d:
    """A transposed convolution from images of one size to about twice that size."""
    height, width = (large - 2 * small for small, large in zip(before, after, strict=True))
    return nn.ConvTranspose2d(
        channels, following, KERNEL, stride=2, padding=1, output_padding=(height, width)
    )


class Residual(nn.Module):
    """x + f(x) with f two 3 x 3 convolutions, each after the activation.

    Source: He et al. 2016 (identity mappings), arXiv:1603.05027, without batch normalisation.
    """

    def __init__(self, channels: int, activation: Activation):
        super().__init__()
        self.layers = nn.Sequential(
            activation_layer(activation),
            nn.Conv2d(channels, channels, 3, padding=1),
            activation_layer(activation),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images, (N, C, H, W)."""
        return x + self.layers(x)


class PlacesOfGrid(nn.Module):
    """The places of a grid side by side, row by row: (N, C, H, W) -> (N, H W C)."""

    def forward(self, grid: Tensor) -> Tensor:
        """Features of grids, (N, C, H, W)."""
        return grid.permute(0, 2, 3, 1).flatten(1)


class GridOfPlaces(nn.Module):
    """The inverse of `PlacesOfGrid`: (N, H W C) -> (N, C, H, W).

    Args:
        size: H and W.
    """

    def __init__(self, size: tuple[int, int]):
        super().__init__()
        self.size = size

    def forward(self, places: Tensor) -> Tensor:
        """Grids of places side by side, (N, H W C)."""
        height, width = self.size
        return places.unflatten(1, (height, width, -1)).permute(0, 3, 1, 2)
