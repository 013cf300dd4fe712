"""Runs side by side: one table, and where each stands between rate and distortion."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from textvae.analysis.exports import written_beside
from textvae.console import table
from textvae.plots import plot_rate_distortion

COLUMNS = {
    "nll": "nll",
    "word_perplexity": "word perplexity",
    "elbo": "elbo",
    "reconstruction_loss": "reconstruction loss",
    "kl": "KL",
    "mutual_information": "MI",
    "active_units": "active",
    "samples": "samples",
    "sentences": "sentences",
    "images": "images",
}


def comparison_table(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """One row for each run, by name; a figure that was not measured is a dash."""
    rows = []
    kept = [key for key in COLUMNS if any(key in metrics for metrics in runs.values())]
    for name, metrics in runs.items():
        active = f"{metrics['active_units']}/{metrics['dimensions']}"
        shown = {**metrics, "active_units": active if metrics["dimensions"] else "-"}
        rows.append((name, *(shown.get(key, "-") for key in kept)))
    return table(rows, ["", *(COLUMNS[key] for key in kept)])


def names_of(runs: Sequence[str]) -> list[str]:
    """The last part of each path, or all of it where two would be called the same."""
    short = [Path(run).name for run in runs]
    return short if len(set(short)) == len(short) else list(runs)


def differing_texts(runs: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether metrics are of different texts or images, so that they do not compare."""
    kinds = ("sentences", "words", "images", "pixels", "likelihood")
    return len({tuple(metrics.get(kind) for kind in kinds) for metrics in runs.values()}) > 1


def draw_comparison(runs: Mapping[str, Mapping[str, Any]], out: Path) -> None:
    """The rate-distortion picture of runs, with the entropy of their data if it is known."""
    points = [
        (f"{name}, nll {f['nll']:.2f}", f["kl"], f["reconstruction_loss"])
        for name, f in runs.items()
    ]
    entropies = {metrics.get("entropy") for metrics in runs.values()}
    entropy = entropies.pop() if len(entropies) == 1 else None
    with written_beside(out) as beside:
        plot_rate_distortion(points, entropy, beside)
