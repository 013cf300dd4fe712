"""What is said of a model: which texts are held out for it, its figures in words."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from textvae.console import table
from textvae.data.readers import Corpus, Rows, read_corpus, read_split
from textvae.plan import DataPlan
from textvae.recipes import shipped
from textvae.runs import RESULTS, saved_recipe


def read_data(plan: DataPlan) -> Corpus:
    """The texts that a recipe's data section names; the shipped corpus when it names none."""
    return read_corpus(
        plan.source or str(shipped("data")),
        text_column=plan.text_column,
        valid_fraction=plan.valid_fraction,
    )


def held_out_texts(model: str, data: str | None, text_column: str = "text") -> Rows:
    """Texts of `data`, or the test (else validation) texts of what the model was trained on.

    The first note says which they are.

    Raises:
        DataError: the texts cannot be read.
        RunError: no data is named and the model's folder does not say what it was trained on.
    """
    if data is not None:
        return read_split(data, text_column=text_column)
    corpus = read_data(saved_recipe(Path(model)).data)
    split = "test" if corpus.test else "validation"
    return Rows(corpus.test or corpus.valid, [f"{corpus.source}: the {split} texts"])


def subset(texts: list[str], limit: int | None, seed: int = 0) -> list[str]:
    """At most `limit` of the texts, drawn with a seed, in their order."""
    if limit is None or limit >= len(texts):
        return texts
    chosen = np.random.default_rng(seed).choice(len(texts), limit, replace=False)
    return [texts[index] for index in sorted(chosen)]


def entropy_of(model: str, data: str | None) -> dict[str, float]:
    """The exact entropy of the data's source, nats per text, where it is known; else nothing."""
    folder = data
    if folder is None:
        try:
            folder = saved_recipe(Path(model)).data.source or str(shipped("data"))
        except ValueError:
            return {}
    path = Path(folder) / "corpus.json"
    if not path.is_file():
        return {}
    stored = json.loads(path.read_text(encoding="utf-8"))
    return {"entropy": float(stored["entropy_nats_per_sentence"])}


def stored_figures(model: str) -> dict[str, Any]:
    """The held-out figures that a run's training ended with; empty when there are none."""
    try:
        return dict(json.loads((Path(model) / RESULTS).read_text(encoding="utf-8"))["figures"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def evaluation_text(figures: Mapping[str, Any]) -> str:
    """An evaluation as a table: each figure with its unit, estimator and denominator."""
    f = figures
    many = f"{f['sentences']:,} sentences"
    exact = not f["dimensions"]
    bound = "exact: no latent" if exact else f"importance-weighted, {f['samples']} samples"
    rows = [("nll", f["nll"], f"nats per sentence, {bound}, {many}")]
    if "entropy" in f:
        rows.append(("entropy", f["entropy"], "nats per sentence, exact, of the corpus's source"))
        rows.append(("nll - entropy", f["nll"] - f["entropy"], "nats above the limit"))
    rows += [
        ("word perplexity", f["word_perplexity"], f"exp(nll / word), {f['words']:,} words"),
        ("token perplexity", f["token_perplexity"], f"exp(nll / token), {f['tokens']:,} tokens"),
    ]
    if not exact:
        rows += [
            ("elbo", f["elbo"], "nats per sentence"),
            ("reconstruction", f["reconstruction"], "nats per sentence, -E_q log p(x | z)"),
            ("KL", f["kl"], "nats per sentence"),
            ("active units", f["active_units"], f"of {f['dimensions']}, variance of mean > 0.01"),
        ]
    return table(rows)
