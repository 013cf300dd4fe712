"""Evaluations of latents in a known state."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from textvae.api.sentence import Evaluation
from textvae.evaluation.verdict import TrainingRecord

ACTIVE = Evaluation(
    nll=28.0,
    elbo=-29.5,
    reconstruction_loss=24.0,
    kl=5.5,
    word_perplexity=8.0,
    token_perplexity=7.0,
    mutual_information=4.5,
    mutual_information_ceiling=6.2,
    marginal_kl=0.9,
    latent_samples=10,
    active_units=3,
    dimensions=4,
    variances=(0.8, 0.0, 0.3, 0.2),
    kls=(3.0, 0.0, 1.5, 1.0),
    collapsed=False,
    distinct=490,
    sentences=500,
    words=6500,
    tokens=7000,
    samples=50,
)

COLLAPSED = replace(
    ACTIVE,
    kl=0.02,
    mutual_information=0.01,
    marginal_kl=0.0,
    variances=(0.0, 0.0, 0.0, 0.0),
    collapsed=True,
)


def evaluation(
    state: Literal["active", "collapsed", "weak", "unused"] = "active",
) -> Evaluation:
    """An evaluation of four dimensions; `unused` has a KL without mutual information."""
    return {
        "active": ACTIVE,
        "collapsed": COLLAPSED,
        "weak": replace(ACTIVE, kl=0.3, mutual_information=0.25, marginal_kl=0.05),
        "unused": replace(ACTIVE, kl=7.2, mutual_information=0.02, marginal_kl=7.2),
    }[state]


def record(
    nlls: Sequence[float] = (60.0, 30.0, 30.0, 30.0, 30.0),
    steps: int = 5000,
    weight: float = 1.0,
    end: float = 1.0,
) -> TrainingRecord:
    """A training with a validation after each epoch, which ends at a KL weight."""
    epochs = max(1, len(nlls))
    rows = tuple(
        {"epoch": n + 1, "step": (n + 1) * steps // epochs, "nll": nll}
        for n, nll in enumerate(nlls)
    )
    return TrainingRecord(steps, epochs, weight, end, rows)
