"""Encoders, one module per modality."""

from textvae.encoders import counts, text
from textvae.encoders.base import Encoder, Features

__all__ = ["Encoder", "Features", "counts", "text"]
