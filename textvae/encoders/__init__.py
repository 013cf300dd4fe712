"""Encoders, one module per modality."""

from textvae.encoders import text
from textvae.encoders.base import Encoder, Features, pooled_only

__all__ = ["Encoder", "Features", "pooled_only", "text"]
