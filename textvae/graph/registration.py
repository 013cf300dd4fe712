"""Our model type in AutoConfig and AutoModel, without importing transformers.

If transformers is there, the type is registered at once; else when its table of types is imported.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODEL_TYPE = "textvae"
"""What `model_type` in config.json is for a model of this package."""

TABLE = "transformers.models.auto.configuration_auto"
"""The module of transformers that has the table of model types."""


class DeferredConfig:
    """Stands for our config in the table until a config of ours is made or read.

    `textvae.graph.hub` then takes its place. Importing AutoModel alone does not need it.
    """

    model_type = MODEL_TYPE

    def __new__(cls, **values: Any) -> Any:
        """A config of transformers with these values."""
        from textvae.graph.hub import VAEConfig

        return VAEConfig(**values)

    @classmethod
    def from_dict(cls, document: dict[str, Any], **options: Any) -> Any:
        """The config of transformers for a config.json."""
        from textvae.graph.hub import VAEConfig

        return VAEConfig.from_dict(document, **options)


class TableFinder(MetaPathFinder):
    """Registers our type as soon as the table of types is imported; then leaves `sys.meta_path`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The table's own specification, which also registers; None for every other module."""
        if fullname != TABLE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            add_type(module)

        loader.exec_module = exec_module
        return spec


def add_type(table: ModuleType) -> None:
    """Register our model type in the table."""
    table.AutoConfig.register(MODEL_TYPE, DeferredConfig, exist_ok=True)


def register() -> None:
    """Make AutoConfig and AutoModel load our models, now or when transformers is imported."""
    table = sys.modules.get(TABLE)
    if table is not None:
        add_type(table)
    elif not any(isinstance(finder, TableFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, TableFinder())
