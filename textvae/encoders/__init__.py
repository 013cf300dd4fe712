"""Encoders, one module per modality."""

from textvae.encoders import counts, image, label, text
from textvae.encoders.base import Encoder, Features, pooled_only

__all__ = ["Encoder", "Features", "counts", "image", "label", "pooled_only", "text"]
