"""Latent features as a scikit-learn transformer."""

from textvae.api.sklearn import LatentFeatures

__all__ = ["LatentFeatures"]
