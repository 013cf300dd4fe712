"""Encoders, one module per modality."""

from textvae.encoders import image, label, text
from textvae.encoders.base import Encoder, Features, without_positions

__all__ = ["Encoder", "Features", "image", "label", "text", "without_positions"]
