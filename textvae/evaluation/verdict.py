"""The verdict on a latent, decided here alone: from metrics and the record of a training."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean
from typing import Any, Self

from textvae.evaluation.positions import WORTHLESS

NEAR_PRIOR, FAR_FROM_PRIOR = 0.1, 0.5
"""KL, nats, below which a posterior is the prior, and from which it is another distribution."""

COLLAPSED_BELOW, WEAK_BELOW = 0.1, 1.0
"""Mutual information, nats, below which a latent is collapsed, or weak."""

CODES_IN_USE = 0.1
"""Share of a codebook below which it is collapsed: (perplexity - 1) / (K - 1)."""

FEWEST_ROWS = 4
"""Different rows from which on ln N, the bound of the information, is clearly above a weak one."""

REACHED = 0.9
"""Share of the planned KL weight from which on annealing counts as finished."""

LATE = 0.75
"""Share of the steps after which the fall of the validation nll is measured."""

FEW_STEPS, FALLING, FALLING_EARLY = 1000, 0.06, 0.02
"""Optimizer steps that are few, and the fall of the nll that is steep: after many steps and few."""

STILL = 0.005
"""The fall of the nll below which training stood still."""

FORESEEABLE = 10**9
"""An optimizer step at which every schedule has ended."""


class Verdict(StrEnum):
    """The state of a latent."""

    NO_LATENT = "no_latent"
    AUTOENCODER = "autoencoder"
    TOO_FEW_TEXTS = "too_few_texts"
    ANNEALING_NOT_FINISHED = "annealing_not_finished"
    UNDERTRAINED = "undertrained"
    COLLAPSED = "collapsed"
    PAID_BUT_UNUSED = "paid_but_unused"
    WEAK = "weak"
    ACTIVE = "active"

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong, as far as it can be told."""
        healthy = (Verdict.NO_LATENT, Verdict.AUTOENCODER, Verdict.TOO_FEW_TEXTS, Verdict.ACTIVE)
        return self in healthy


@dataclass(frozen=True)
class TrainingRecord:
    """A finished training in a few numbers, as results.json stores it.

    Args:
        steps: optimizer steps.
        epochs: passes over the training rows.
        kl_weight: of the objective at the last step; None for an objective without.
        kl_weight_end: that its schedule ends with.
        validation: `epoch`, `step`, `nll`, `kl` and other metrics of each validation, in order.
    """

    steps: int
    epochs: int
    kl_weight: float | None = None
    kl_weight_end: float | None = None
    validation: tuple[Mapping[str, float], ...] = ()

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """The record in a stored result.

        Raises:
            KeyError, TypeError, ValueError: it holds something else.
        """
        return cls(
            int(stored["steps"]),
            int(stored["epochs"]),
            number_or_none(stored.get("kl_weight")),
            number_or_none(stored.get("kl_weight_end")),
            tuple(dict(row) for row in stored.get("validation", ())),
        )

    @property
    def unfinished(self) -> bool:
        """Whether training ended before the KL weight was near its planned value."""
        if self.kl_weight is None or self.kl_weight_end is None:
            return False
        return self.kl_weight < REACHED * self.kl_weight_end

    @property
    def fall(self) -> float | None:
        """The fall of the validation nll over the last quarter of the steps, as a share of it.

        Of many validations, each is the mean of itself and those before it, an eighth of all. None
        with fewer than two.
        """
        rows = [(row["step"], row["nll"]) for row in self.validation if row.get("nll") is not None]
        window = max(1, len(rows) // 8)
        means = [
            fmean(nll for _, nll in rows[max(0, n - window) : n]) for n in range(1, len(rows) + 1)
        ]
        points = [(step, mean) for (step, _), mean in zip(rows, means, strict=True)]
        if len(points) < 2 or points[-1][1] <= 0:
            return None
        last, end = points[-1]
        late = LATE * last
        before = max((p for p in points[:-1] if p[0] <= late), default=points[0])
        after = next(p for p in points if p[0] > before[0])
        way = min(max((late - before[0]) / (after[0] - before[0]), 0.0), 1.0)
        return (before[1] + way * (after[1] - before[1]) - end) / end

    @property
    def falling(self) -> bool | None:
        """Whether the validation nll still fell steeply at the end; None where that is unknown."""
        if self.fall is None:
            return None
        return self.fall > (FALLING_EARLY if self.steps < FEW_STEPS else FALLING)


def number_or_none(value: Any) -> float | None:
    """A stored number; None where it is missing.

    Raises:
        TypeError, ValueError: it is something else.
    """
    return None if value is None else float(value)


def verdict_of(metrics: Mapping[str, Any], training: TrainingRecord | None = None) -> Verdict:
    """The state of a latent.

    Args:
        metrics: of held-out rows, by name; those that an older version did not measure may lack.
        training: the record of the training; None where it is not known.
    """
    if not metrics["dimensions"]:
        return Verdict.NO_LATENT
    if metrics.get("deterministic"):
        return Verdict.AUTOENCODER
    if has_too_few_rows(metrics):
        return Verdict.TOO_FEW_TEXTS
    state = latent_state(metrics)
    if training is not None and training.unfinished and not collapsed_early(state, training):
        return Verdict.ANNEALING_NOT_FINISHED
    if training is not None and is_undertrained(metrics, training):
        return Verdict.UNDERTRAINED
    return state


def latent_state(metrics: Mapping[str, Any]) -> Verdict:
    """The state of a latent from its metrics alone, however it was trained."""
    if has_collapsed_codebook(metrics):
        return Verdict.COLLAPSED
    known = information_of(metrics)
    if known < COLLAPSED_BELOW or kl_of(metrics) < NEAR_PRIOR:
        far = kl_of(metrics) >= FAR_FROM_PRIOR
        return Verdict.PAID_BUT_UNUSED if far else Verdict.COLLAPSED
    gap = metrics.get("shuffled_z_gap")
    if gap is not None and gap < WORTHLESS:
        return Verdict.PAID_BUT_UNUSED
    return Verdict.WEAK if known < WEAK_BELOW else Verdict.ACTIVE


def has_collapsed_codebook(metrics: Mapping[str, Any]) -> bool:
    """Whether few codes of a codebook are used, however large the information of many places.

    Under a uniform prior the KL is that of all codes, used or not.
    """
    perplexity, size = metrics.get("code_perplexity"), metrics.get("codebook_size")
    if perplexity is None or size is None:
        return False
    return perplexity - 1 < CODES_IN_USE * (size - 1)


def collapse_of(metrics: Mapping[str, Any]) -> Verdict | None:
    """The verdict on posteriors that are the same for every row, whatever the decoder does.

    `COLLAPSED` near the prior or with few codes in use, `PAID_BUT_UNUSED` far from the prior; None
    where they differ, and where there is no verdict.
    """
    state = verdict_of({**metrics, "shuffled_z_gap": None})
    return state if state in (Verdict.COLLAPSED, Verdict.PAID_BUT_UNUSED) else None


def information_of(metrics: Mapping[str, Any]) -> float:
    """The mutual information, nats; where it was not measured its bound, the KL.

    Without an active unit nothing is taken to be known.
    """
    measured = metrics.get("mutual_information")
    if measured is not None:
        return measured
    return metrics["kl"] if metrics.get("active_units") else 0.0


def kl_of(metrics: Mapping[str, Any]) -> float:
    """The KL of the latents whose mutual information is known, nats per row.

    Of rows with parts, those of whole rows; where there are none, all.
    """
    whole = metrics.get("whole_kl")
    return metrics["kl"] if whole is None else whole


def has_too_few_rows(metrics: Mapping[str, Any]) -> bool:
    """Whether so few rows differ that no verdict holds.

    A posterior that is the prior for each of two or three rows is collapsed all the same.
    """
    count = different_rows(metrics)
    return count < 2 or (count < FEWEST_ROWS and metrics["kl"] >= NEAR_PRIOR)


def different_rows(metrics: Mapping[str, Any]) -> int:
    """The number of different held-out rows; of all where that was not counted."""
    counts = (metrics.get(name) for name in ("distinct", "sentences", "images"))
    return next((count for count in counts if count is not None), FEWEST_ROWS)


def collapsed_early(state: Verdict, training: TrainingRecord) -> bool:
    """Whether a latent is collapsed under half of the planned KL weight already.

    Then the rest of the schedule cannot bring it back.
    """
    assert training.kl_weight is not None and training.kl_weight_end is not None, "unfinished"
    return state is Verdict.COLLAPSED and training.kl_weight >= 0.5 * training.kl_weight_end


def is_undertrained(metrics: Mapping[str, Any], training: TrainingRecord) -> bool:
    """Whether training stopped while the model was still learning.

    The validation nll fell steeply; or the model is worse than word frequencies, or after few steps
    than a 3-gram model, and did not stand still; or it had a fraction of `FEW_STEPS` and one
    validation.
    """
    if training.falling:
        return True
    few = training.steps < FEW_STEPS
    if is_worse_than(metrics, "unigram_nll") or (few and is_worse_than(metrics, "trigram_nll")):
        return training.fall is None or training.fall > STILL
    return training.fall is None and training.steps < FEW_STEPS / 5


def is_worse_than(metrics: Mapping[str, Any], reference: str) -> bool:
    """Whether the nll is above that of a reference model, where it was measured."""
    nll = metrics.get(reference)
    return nll is not None and metrics["nll"] > nll


def is_collapsed_so_far(values: Mapping[str, Any]) -> bool:
    """Whether a validation during training shows a collapse that is no longer a stage.

    That is in the second half of training, with the KL weight at its end and enough rows.

    Args:
        values: of the event of a validation.
    """
    if "active_units" not in values or values["step"] < 0.5 * values["steps"]:
        return False
    weight, end = (values.get(name) for name in ("kl_weight", "kl_weight_end"))
    if weight is not None and end is not None and weight < REACHED * end:
        return False
    if values["distinct"] < FEWEST_ROWS:
        return False
    known = math.inf if values.get("deterministic") else values["kl"]
    return values["active_units"] == 0 or known < NEAR_PRIOR
