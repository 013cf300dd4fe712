"""What every likelihood provides."""

from typing import ClassVar

from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.registry import Component


class PixelLikelihood(Component, nn.Module):
    """A decoder's outputs, `heads` numbers for each pixel and channel -> p(x | z) of images."""

    heads: int = 1
    """Outputs of the decoder for each pixel and channel."""

    bounded: ClassVar[bool] = True
    """Whether it is a density of pixels in [0, 1] only."""

    pixels: ClassVar[tuple[str, ...]] = ("grey", "dequantized", "static", "dynamic")
    """The pixels that it has a density for, see `ImageDataConfig`."""

    def __init__(self) -> None:
        """Without arguments of its own: torch's constructor takes any."""
        super().__init__()

    def forward(self, outputs: Tensor) -> Distribution:
        """p(x | z), batch shape (K, B), event (C, H, W), of outputs, (K, B, heads, C, H, W)."""
        raise NotImplementedError


class PixelDistribution(Distribution):
    """A density of images whose pixels are independent; batch shape (K, B), event (C, H, W).

    Subclasses say the log-density of each pixel.
    """

    arg_constraints: ClassVar[dict] = {}

    def __init__(self, like: Tensor):
        super().__init__(like.shape[:-3], like.shape[-3:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x | z), (K, B), nats, of images, (B, C, H, W): the sum over pixels."""
        return self.pixel_log_prob(value).sum((-3, -2, -1))

    def pixel_log_prob(self, value: Tensor) -> Tensor:
        """The log-density of each pixel, (K, B, C, H, W), nats."""
        raise NotImplementedError
