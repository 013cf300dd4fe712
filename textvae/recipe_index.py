"""The list of shipped recipes: their headers from one file, without reading each recipe."""

import json
import re
import zlib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

INDEX = "index.json"
"""File of the headers in `configs`, which `python benchmarks/pages.py` writes."""

PURPOSES = {
    "start": "start here",
    "collapse": "against posterior collapse",
    "latent": "what the latent encodes",
    "labels": "few labels",
    "topics": "topic models",
    "conditional": "texts given other texts, pairs, rows of several fields",
    "ptb": "sentence VAEs on the Penn Treebank",
    "language": "language models, the baselines",
    "images": "images",
    "tables": "tables of numbers, sets of labels",
}
"""The groups of `textvae recipes` and their titles, by the values of a recipe's `purpose`."""


class Header(NamedTuple):
    """What a list of recipes contains of one."""

    name: str
    paper: str
    summary: str
    purpose: str | None

    @property
    def short_paper(self) -> str:
        """Author and year of the paper, the first of several.

        >>> Header("x", "Bowman et al. 2016, Generating Sentences", "", None).short_paper
        'Bowman et al. 2016'
        """
        year = re.search(r"\b(19|20)\d\d\b", self.paper)
        return self.paper[: year.end()] if year else self.paper

    def matches(self, words: str) -> bool:
        """Whether its name, summary, paper or group contains the words, in any case."""
        group = (self.purpose or "", PURPOSES.get(self.purpose or "", ""))
        texts = (self.name, self.paper, self.summary, *group)
        return any(words.casefold() in text.casefold() for text in texts)


def shipped(folder: str) -> Path:
    """A folder that comes with the package: `configs` or `data`, in a checkout or a wheel."""
    installed = Path(str(resources.files("textvae"))) / "shipped" / folder
    return installed if installed.is_dir() else Path(__file__).resolve().parent.parent / folder


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    return {path.stem: path for path in sorted(shipped("configs").glob("*.yaml"))}


def recipe_headers() -> Iterator[Header]:
    """The header of each shipped recipe: of the index, or of a file that differs from it."""
    file = shipped("configs") / INDEX
    index = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for name, path in shipped_recipes().items():
        entry = index.get(name)
        if entry is None or entry.pop("crc32") != checksum(path):
            entry = header_entry(name)
        yield Header(name, **entry)


def header_entry(name: str) -> dict[str, Any]:
    """The header of a shipped recipe but for its name, from its file."""
    # Imported here: reading a recipe takes several times as long as listing all of them.
    from textvae.recipes import load_recipe

    recipe = load_recipe(name)
    return {"paper": recipe.paper, "summary": recipe.summary, "purpose": recipe.purpose}


def checksum(path: Path) -> int:
    """A file's CRC-32: whether it is the one that the index was made of."""
    return zlib.crc32(path.read_bytes())


def recipe_index() -> dict[str, dict[str, Any]]:
    """The headers of all shipped recipes by name, with the checksums of their files."""
    return {
        name: {"crc32": checksum(path), **header_entry(name)}
        for name, path in shipped_recipes().items()
    }
