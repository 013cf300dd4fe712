"""Decoders, one module per modality."""

from textvae.decoders import bag, skip, text, topics
from textvae.decoders.base import Decoder

__all__ = ["Decoder", "bag", "skip", "text", "topics"]
