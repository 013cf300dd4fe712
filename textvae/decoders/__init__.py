"""Decoders, one module per modality."""

from textvae.decoders import bag, skip, text
from textvae.decoders.base import Decoder

__all__ = ["Decoder", "bag", "skip", "text"]
