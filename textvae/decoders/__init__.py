"""Decoders, one module per modality."""

from textvae.decoders import bag, image, skip, text
from textvae.decoders.base import Decoder

__all__ = ["Decoder", "bag", "image", "skip", "text"]
