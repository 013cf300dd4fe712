"""Decoders, one module per modality."""

from textvae.decoders import bag, text
from textvae.decoders.base import Decoder

__all__ = ["Decoder", "bag", "text"]
