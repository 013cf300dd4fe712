"""Objectives: what the distributions said of a batch -> a loss."""

from textvae.objectives import critic, elbo, mmd, rate
from textvae.objectives.base import Objective

__all__ = ["Objective", "critic", "elbo", "mmd", "rate"]
