"""Which dimensions of z have which factors of the data, of texts and of images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from textvae.api.image import ImageVAE
from textvae.api.sentence import SentenceVAE
from textvae.console import table
from textvae.evaluation.factors import FactorMetrics
from textvae.training.run_images import images_with_factors


def image_factors(vae: ImageVAE, model: str, data: str | None, seed: int = 0) -> FactorMetrics:
    """Metrics over all images of `data` or of a run's own data, with the factors that it has.

    Args:
        vae: the model of the run.
        model: folder of the run.
        data: npz file, for factors; None for the data of the run.
        seed: of the posterior samples.
    """
    images, found = images_with_factors(model, data)
    factors, names = (None, ()) if found is None else found
    return vae.factors_of(vae.rows(images), factors, names, seed=seed)


def text_factors(
    vae: SentenceVAE, texts: Sequence[str], labels: Mapping[str, Sequence[str]], seed: int = 0
) -> FactorMetrics:
    """Metrics over texts; each column of labels is a factor.

    Args:
        vae: model of texts.
        texts: N of them.
        labels: N of them by the name of their column; empty where no factor is known.
        seed: of the posterior samples.
    """
    factors = np.array(list(labels.values())).T if labels else None
    return vae.factors_of(vae.rows(list(texts)), factors, tuple(labels), seed=seed)


def factors_text(metrics: Mapping[str, Any]) -> str:
    """The metrics as tables."""
    note = f"{metrics['rows']:,} rows, {metrics['samples']} sample of each"
    parts = [
        ("mutual information", metrics["mutual_information"], f"nats, I(x; z); {note}"),
        ("total correlation", metrics["total_correlation"], "nats, KL(q(z) || prod_j q(z_j))"),
        ("marginal KL", metrics["marginal_kl"], "nats, sum_j KL(q(z_j) || p(z_j))"),
    ]
    gap = metrics["mutual_information_gap"]
    if gap is None:
        return table(parts)
    parts.append(("mutual information gap", gap, "mean over the factors below, 0 to 1"))
    rows = [
        (each["name"], each["values"], each["dimension"], each["information"], each["gap"])
        for each in metrics["factors"]
    ]
    header = ["factor", "values", "dimension", "share of entropy", "gap to the second"]
    return f"{table(parts)}\n\n{table(rows, header)}"
