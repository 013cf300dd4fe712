"""One module per family of posteriors and priors; every module here is found by itself."""

import importlib
import pkgutil

from textvae.families.base import Family

for module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{module.name}")

__all__ = ["Family"]
