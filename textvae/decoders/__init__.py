"""Decoders: a context -> a distribution over an observed field."""

from textvae.decoders.base import Decoder
from textvae.registry import import_modules

import_modules(__name__, __path__)

__all__ = ["Decoder"]
