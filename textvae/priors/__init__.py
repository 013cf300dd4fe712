"""Priors of latents beside the families' own, one file for each kind."""

from textvae.priors.base import Prior
from textvae.registry import import_modules

import_modules(__name__, __path__)

__all__ = ["Prior"]
