"""Objectives: what the distributions said of a batch -> a loss."""

from textvae.objectives import elbo
from textvae.objectives.base import Objective

__all__ = ["Objective", "elbo"]
