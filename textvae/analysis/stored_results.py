"""The file of results by recipe: read, added to, and refused where it was edited."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from textvae.analysis.exports import write_json
from textvae.console import json_text
from textvae.training.run_data import metrics_of

STORED = Path("docs/results.json")


def digest_of(entry: Mapping[str, Any]) -> str:
    """The SHA-256 of an entry, its own digest left out."""
    values = {key: value for key, value in entry.items() if key != "digest"}
    # As JSON reads it back: tuples are lists, and no number is infinite.
    values = json.loads(json_text(values))
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_results(path: Path, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Stored results by recipe; empty when the file is not there.

    Args:
        path: of the file.
        names: recipes whose results will decide something; None for all of them.

    Raises:
        ValueError: it is no file of results, or one of those results is not as it was recorded.
    """
    stored = read_entries(path)
    for name in stored if names is None else names:
        if name in stored and stored[name].get("digest") != digest_of(stored[name]):
            raise ValueError(
                f"{path}: the entry of {name!r} was changed by hand; verify it again: "
                f"textvae verify {name} --record {path}"
            )
    return {name: with_current_names(entry) for name, entry in stored.items()}


def read_entries(path: Path) -> dict[str, Any]:
    """The entries of a file of results as they stand there.

    Raises:
        ValueError: it is no file of results.
    """
    if not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: is no file of results ({error})") from None
    if not isinstance(stored, dict) or not all(isinstance(e, dict) for e in stored.values()):
        raise ValueError(f"{path}: is no file of results (it must hold an object of objects)")
    return stored


def with_current_names(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A stored result whose metrics have their current names."""
    others = {name: value for name, value in entry.items() if name not in ("metrics", "figures")}
    if len(others) == len(entry):
        return others
    return {**others, "metrics": metrics_of(entry)}


def add_result(path: Path, name: str, entry: Mapping[str, Any]) -> None:
    """Write one recipe's result with its digest into the file of results, the others kept."""
    sealed = {**entry, "digest": digest_of(entry)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, dict(sorted((read_entries(path) | {name: sealed}).items())))
