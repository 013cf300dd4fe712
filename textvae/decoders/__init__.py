"""Decoders, one module per modality."""

from textvae.decoders import bag, image, skip, text, topics
from textvae.decoders.base import Decoder

__all__ = ["Decoder", "bag", "image", "skip", "text", "topics"]
