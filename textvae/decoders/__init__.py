"""Decoders, one module per modality."""

from textvae.decoders import text
from textvae.decoders.base import Decoder

__all__ = ["Decoder", "text"]
