"""Encoders: an observed field -> features, one file for each modality."""

from textvae.encoders.base import Encoder, Features, pooled_only
from textvae.registry import import_modules

import_modules(__name__, __path__)

__all__ = ["Encoder", "Features", "pooled_only"]
