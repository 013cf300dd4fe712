"""Write the generated parts of docs/ from configs/, docs/results.json and the modules.

Run: python benchmarks/pages.py. Writes docs/systems.md, and the parts between
`<!-- generated: NAME -->` and `<!-- end -->` in docs/results.md, docs/results/ and
docs/architecture.md; and in configs/ recipe.schema.json, the schema of recipes, and index.json, the
list of them.
"""

import ast
from pathlib import Path

from textvae.analysis.pages import fill_blocks, generated_pages
from textvae.console import json_text
from textvae.recipe_index import INDEX, recipe_index
from textvae.schema import FILE, recipe_schema

ROOT = Path(__file__).resolve().parent.parent


def architecture_page(root: Path = ROOT) -> tuple[Path, str]:
    """docs/architecture.md and its current text: each module by layer, with its first line."""
    (layers,) = (
        ast.literal_eval(node.value)
        for node in ast.parse((root / "tests/test_layers.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "LAYERS"
    )
    lines = []
    for number, units in enumerate(layers, start=1):
        lines += ["", f"### Layer {number}", ""]
        modules = sorted(units, key=lambda unit: ((root / "textvae" / unit).is_dir(), unit))
        for unit in modules:
            package = root / "textvae" / unit
            if not package.is_dir():
                lines.append(f"- `{unit}.py`: {first_line(package.with_suffix('.py'))}")
                continue
            lines.append(f"- `{unit}/`: {first_line(package / '__init__.py')}")
            for path in sorted(package.rglob("*.py")):
                name = path.relative_to(package).as_posix()
                if name != "__init__.py":
                    lines.append(f"  - `{name}`: {first_line(path)}")
    page = root / "docs/architecture.md"
    listed = "\n".join([*lines, ""])
    return page, fill_blocks(page.read_text(encoding="utf-8"), {"modules": listed})


def first_line(path: Path) -> str:
    """The first line of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return (docstring or "").split("\n")[0]


if __name__ == "__main__":
    schema = ROOT / "configs" / FILE, json_text(recipe_schema()) + "\n"
    index = ROOT / "configs" / INDEX, json_text(recipe_index()) + "\n"
    for page, text in [*generated_pages(ROOT / "docs"), architecture_page(), schema, index]:
        page.write_text(text, encoding="utf-8")
