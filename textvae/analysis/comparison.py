"""Comparison of runs: a table, and a rate-distortion picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from textvae.analysis.cells import percent
from textvae.analysis.reports import unknown_share
from textvae.console import table
from textvae.plots import plot_rate_distortion

REFERENCES = ("unigram_nll", "trigram_nll")
"""Columns that are shown where all runs are measured on the same texts."""

COLUMNS = {
    "nll": "nll",
    "unigram_nll": "unigram nll",
    "trigram_nll": "3-gram nll",
    "word_perplexity": "word perplexity",
    "character_perplexity": "character perplexity",
    "unknown_tokens": "unknown tokens",
    "elbo": "elbo",
    "reconstruction_loss": "reconstruction loss",
    "kl": "KL",
    "mutual_information": "MI",
    "active_units": "active",
    "code_perplexity": "code perplexity",
    "verdict": "verdict",
    "samples": "samples",
    "sentences": "sentences",
    "images": "images",
}


def comparison_table(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """One row for each run, by name; a metric that was not measured is a dash.

    The nll of a model with codes is the bound of one sample, `<=`.
    """
    rows = []
    left_out = {*REFERENCES} if differing_texts(runs) else set()
    if not any(metrics.get("unknown_tokens") for metrics in runs.values()):
        left_out.add("unknown_tokens")
    measured = {key for m in runs.values() for key, value in m.items() if value is not None}
    kept = [key for key in COLUMNS if key in measured - left_out]
    for name, metrics in runs.items():
        active = f"{metrics['active_units']}/{metrics['dimensions']}"
        shown = {**metrics, "active_units": active if metrics["dimensions"] else "-"}
        if metrics.get("certain"):
            shown["nll"] = f"<= {metrics['nll']:.2f}"
        if "unknown_tokens" in kept and "unknown_tokens" in metrics:
            shown["unknown_tokens"] = percent(unknown_share(metrics))
        cells = [shown.get(key) for key in kept]
        rows.append((name, *("-" if cell is None else cell for cell in cells)))
    return table(rows, ["", *(COLUMNS[key] for key in kept)])


def names_of(runs: Sequence[str]) -> list[str]:
    """The last part of each path, or the paths where two of the parts are equal."""
    short = [Path(run).name for run in runs]
    return short if len(set(short)) == len(short) else list(runs)


def differing_texts(runs: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether metrics are of different texts, images or fields, and so do not compare."""
    kinds = ("sentences", "words", "images", "pixels", "likelihood", "table_rows", "contents")
    of = {
        (*(m.get(kind) for kind in kinds), *sorted(m.get("field_nlls") or ()))
        for m in runs.values()
    }
    return len(of) > 1


def draw_comparison(runs: Mapping[str, Mapping[str, Any]], out: Path) -> None:
    """Write the rate-distortion picture of runs, with the entropy of their data if known."""
    points = [
        (f"{name}, nll {metrics['nll']:.2f}", metrics["kl"], metrics["reconstruction_loss"])
        for name, metrics in runs.items()
    ]
    entropies = {metrics.get("entropy") for metrics in runs.values()}
    entropy = entropies.pop() if len(entropies) == 1 else None
    plot_rate_distortion(points, entropy, out)
