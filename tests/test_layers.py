"""Imports point down, and importing changes nothing."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "textvae"

# A unit may import what stands above it or beside it; a unit is a package or a top-level module.
LAYERS = [
    {
        "version",
        "vocabulary",
        "registry",
        "randomness",
        "console",
        "checkpoints",
        "plots",
        "corpus",
    },
    {"config", "documents", "layers", "families", "likelihoods"},
    {"priors", "encoders", "decoders", "objectives", "data"},
    {"graph"},
    {"evaluation", "recipes", "recipe_index", "sizing", "schema"},
    {"control"},
    {"api"},
    {"training"},
    {"analysis"},
    {"explore"},
    {"cli"},
    # The names of the package are imported when they are first used.
    {"__init__", "__main__", "sklearn"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
STRANGERS = {frozenset(pair) for pair in [("encoders", "decoders"), ("data", "objectives")]}


def module_of(path: Path) -> str:
    """The dotted name of a file of the package, such as `textvae.data.batching`."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts if parts[-1] != "__init__" or len(parts) == 2 else parts[:-1])


def part_of(module: str) -> str:
    """The layer's name for a dotted name: its second part."""
    return [*module.split("."), "__init__"][1]


def imports_of(source: str, module: str, package: bool = False) -> set[str]:
    """The parts of textvae that a module's source imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[: len(module.split(".")) - node.level + package]
                base = ".".join([*above, base]).strip(".")
            found |= {f"{base}.{alias.name}" if base == "textvae" else base for alias in node.names}
    return {part_of(name) for name in found if name.split(".")[0] == "textvae"}


def violations(module: str, imported: set[str]) -> list[str]:
    """What a module imports and should not, one line each."""
    part = part_of(module)
    lines = []
    for other in sorted(imported - {part}):
        if other not in LEVEL:
            lines.append(f"{module} imports {other}, which has no layer in test_layers.py")
        elif LEVEL[other] > LEVEL[part]:
            lines.append(f"{module} imports {other}, which stands above it")
        elif {part, other} in STRANGERS:
            lines.append(f"{module} and {other} must not know each other")
    return lines


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_module_has_a_layer():
    parts = {part_of(module_of(path)) for path in FILES}
    assert parts <= LEVEL.keys(), f"no layer: {parts - LEVEL.keys()}"
    assert len(LEVEL) == sum(map(len, LAYERS))


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_point_down(path):
    module, package = module_of(path), path.name == "__init__.py"
    if module == "textvae.__init__":
        return
    imported = imports_of(path.read_text(encoding="utf-8"), module, package)
    assert violations(module, imported) == []


@pytest.mark.parametrize(
    ("module", "source", "line"),
    [
        ("textvae.objectives.elbo", "import textvae.graph.model", "stands above it"),
        ("textvae.families.base", "def f():\n    from textvae import graph", "stands above it"),
        ("textvae.families.base", "from ..graph.generation import Decoding", "stands above it"),
        ("textvae.decoders.text", "from textvae.encoders.text import pool", "must not know"),
        ("textvae.recipes", "from textvae.training.runs import RunError", "stands above it"),
        ("textvae.graph.model", "from textvae import VAE", "has no layer"),
        ("textvae.registry", "from . import cli", "stands above it"),
    ],
)
def test_an_import_that_points_up_is_found(module, source, line):
    (problem,) = violations(module, imports_of(source, module))
    assert line in problem


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("textvae.graph.model", "from textvae.families import Family\nimport torch"),
        ("textvae.data.batching", "from textvae.data.tokenizers import encode_texts"),
        ("textvae.data.batching", "from .tokenizers import encode_texts"),
        ("textvae.analysis.reports", "from textvae import plots\nimport textvae.training.runs"),
    ],
)
def test_an_import_that_points_down_is_fine(module, source):
    assert violations(module, imports_of(source, module)) == []


def in_a_fresh_process(script: str):
    """What a script prints as JSON, run where nothing of ours is imported."""
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


HEAVY = {"torch", "transformers", "datasets", "matplotlib", "numpy", "sklearn"}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("textvae", HEAVY | {"pydantic"}),
        ("textvae.cli", HEAVY | {"pydantic"}),
        ("textvae.recipes", HEAVY),
        ("textvae.graph.folders", HEAVY | {"huggingface_hub"}),
        ("textvae.training.workflow", HEAVY),
    ],
)
def test_importing_imports_nothing_heavy(module, heavy):
    script = f"import json, sys, {module}; dir({module}); print(json.dumps(list(sys.modules)))"
    modules = set(in_a_fresh_process(script))
    assert module in modules
    assert not modules & heavy


# Before, the libraries alone: what they change is not ours.
STATE = """
import importlib, json, os, pkgutil, random, sys
import numpy, sentence_transformers, torch, transformers
from torch.distributions import Distribution

def state():
    return {
        "default dtype": str(torch.get_default_dtype()),
        "default device": str(torch.get_default_device()),
        "validation": Distribution._validate_args,
        "gradients": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "threads": torch.get_num_threads(),
        "matmul": torch.get_float32_matmul_precision(),
        "torch state": torch.get_rng_state().tolist(),
        "numpy state": [repr(part) for part in numpy.random.get_state()],
        "python state": repr(random.getstate()),
        "verbosity": transformers.logging.get_verbosity(),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
    }

torch.manual_seed(0), numpy.random.seed(0), random.seed(0)
before = state()
import textvae
for module in pkgutil.walk_packages(textvae.__path__, "textvae."):
    if module.name != "textvae.__main__":
        importlib.import_module(module.name)
after = state()
changed = {name: [before[name], after[name]] for name in before if before[name] != after[name]}
print(json.dumps({"changed": changed, "modules": [m for m in sys.modules if "textvae" in m]}))
"""


def test_importing_every_module_changes_nothing_global():
    found = in_a_fresh_process(STATE)
    assert found["changed"] == {}
    assert {"textvae.graph.model", "textvae.training.trainer"} <= set(found["modules"])
