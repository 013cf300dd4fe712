"""Objectives: what a model returns -> a loss; schedules of their weights."""

from textvae.objectives.base import Objective
from textvae.registry import import_modules

import_modules(__name__, __path__)

__all__ = ["Objective"]
