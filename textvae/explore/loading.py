"""An `Explorer` of a run, with what its folder states about it."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textvae.analysis.wording import verdict_text
from textvae.api.image import ImageVAE
from textvae.api.sentence import SentenceVAE
from textvae.evaluation.latent import ACTIVE
from textvae.evaluation.verdict import Verdict, collapse_of
from textvae.explore.answers import Explorer
from textvae.explore.held_out import (
    read_held_out_images,
    read_held_out_rows,
    read_held_out_texts,
)
from textvae.explore.models import ExploredImages, ExploredModel, ExploredTexts
from textvae.explore.part_rows import ExploredParts
from textvae.training.run_data import stored_metrics

FIGURES = {
    "nll": "nll",
    "kl": "KL",
    "mutual_information": "mutual information",
    "active_units": "active units",
}
"""Metrics of a run that the page shows, with their names."""


def explorer_of_texts(
    vae: SentenceVAE,
    folder: str,
    data: str | None,
    text_column: str,
    label_columns: Sequence[str],
    limit: int,
    seed: int,
) -> Explorer:
    """The explorer of a text model; see `read_held_out_texts` and `read_held_out_rows`.

    Raises:
        ValueError: no latent, no texts, or a column of texts is named for a model of several
            fields.
    """
    vae.require_latent()
    if vae.reads_rows:
        if text_column != "text":
            raise ValueError("the model reads several fields: their columns are those of the run")
        rows = read_held_out_rows(vae, folder, data, label_columns, limit, seed)
    else:
        rows = read_held_out_texts(folder, data, text_column, label_columns, limit, seed)
    kind = ExploredParts if vae.has_parts else ExploredTexts
    return make_explorer(kind(vae, rows), folder)


def explorer_of_images(
    vae: ImageVAE, folder: str, data: str | None, limit: int, seed: int
) -> Explorer:
    """The explorer of an image model; see `read_held_out_images`.

    Raises:
        ValueError: no latent, or no images.
    """
    vae.require_latent()
    rows = read_held_out_images(folder, data, limit, seed)
    return make_explorer(ExploredImages(vae, rows), folder)


def make_explorer(explored: ExploredModel, folder: str) -> Explorer:
    """The explorer of a model with the facts in its run's folder."""
    metrics = explored.metrics_of_z(stored_metrics(folder))
    facts = {
        "name": Path(folder).name or folder,
        "figures": figures(metrics, explored),
        "alarm": alarm(metrics, explored, folder),
        "notes": explored.rows.notes,
    }
    return Explorer(explored, facts, explored.kls(metrics))


def figures(metrics: dict[str, Any], explored: ExploredModel) -> list[dict[str, Any]]:
    """The metrics that the page shows, those that were measured."""
    shown = []
    for key, name in FIGURES.items():
        value = metrics.get(key)
        if value is None or (metrics.get("deterministic") and key != "nll"):
            continue
        if explored.dim < explored.vae.dim and key in ("kl", "active_units"):
            name += " of whole rows"
        most = {"active_units": "dimensions", "mutual_information": "mutual_information_ceiling"}
        shown.append({"name": name, "value": value, "of": metrics.get(most.get(key, ""))})
    return shown


def alarm(metrics: dict[str, Any], explored: ExploredModel, folder: str) -> dict[str, str] | None:
    """What a reader must know before looking: a collapsed latent, or none that is random."""
    if explored.deterministic:
        text = (
            "An autoencoder: each posterior is a point and there is no prior. Draws come from a "
            "Gaussian fitted to the codes."
        )
        return {"text": text, "command": ""}
    verdict = collapse_of(metrics) if metrics else None
    if verdict is not None:
        text = verdict_text(verdict, metrics)
    else:
        scales = np.maximum(explored.prior_moments()[1], 1e-6)
        still = bool((explored.means.var(0) / scales**2 <= ACTIVE).all())
        if not still or len(explored.means) < 2:
            return None
        verdict = Verdict.COLLAPSED
        text = f"The posterior mean hardly differs between these {explored.modality}s."
    name = verdict.value.replace("_", " ")
    command = f"textvae doctor {shlex.quote(folder)}"
    return {"text": f"{name.capitalize()}. {text}", "command": command}
