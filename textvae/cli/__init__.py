"""The command line: every module here that defines commands is found by itself."""

import importlib
import pkgutil

from textvae.cli.app import app
from textvae.cli.failures import main

__all__ = ["app", "main"]

# As `textvae.registry.import_modules`, which would import pydantic.
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
