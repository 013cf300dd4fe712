"""Families of distributions over a latent, one file for each kind."""

from textvae.families.base import Family
from textvae.registry import import_modules

import_modules(__name__, __path__)

__all__ = ["Family"]
