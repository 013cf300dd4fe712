"""Likelihoods: a decoder's outputs -> p(x | z) of pixels or other numbers."""

from textvae.likelihoods.base import Likelihood, PixelDistribution
from textvae.registry import import_modules

import_modules(__name__, __path__)

__all__ = ["Likelihood", "PixelDistribution"]
