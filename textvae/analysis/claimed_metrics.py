"""The metrics that a claim may name, found in an evaluation's result."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, get_args

from textvae.analysis.fingerprints import (
    data_problems,
)
from textvae.api.image import ImageEvaluation
from textvae.api.sentence import Evaluation
from textvae.api.table import TableEvaluation
from textvae.config import Claim
from textvae.evaluation.drift import Drift
from textvae.evaluation.label_sets import LabelSetMetrics
from textvae.registry import SpecError, suggest


def is_exact(metrics: Mapping[str, Any]) -> bool:
    """Whether the nll needs no samples: without a latent, with a point for one, or with codes."""
    known = bool(metrics.get("deterministic")) or bool(metrics.get("certain"))
    return known or metrics.get("dimensions") == 0


def standard_error_of(metrics: Mapping[str, Any], metric: str) -> float | None:
    """The standard error of a metric; None where it is not known.

    That of a word perplexity follows from the nll, of an accuracy from the number of labels.
    """
    value = metric_of(metrics, metric)
    nll, texts = (metrics.get(name) for name in ("nll_standard_error", "sentences"))
    if metric == "word_perplexity" and None not in (value, nll, texts):
        return value * nll * texts / metrics["words"]  # type: ignore[operator]
    if metric == "accuracy" and value is not None and metrics.get("labelled"):
        return (value * (1 - value) / metrics["labelled"]) ** 0.5
    return metric_of(metrics, f"{metric}_standard_error")


def check_measurable(claims: Sequence[Claim], stored: Mapping[str, Any]) -> None:
    """Refuse a claim that no training can decide.

    Raises:
        SpecError: a metric that is not measured, data without a fingerprint, or the other recipe
            has no stored metrics.
    """
    known = [*metric_names(Evaluation), *metric_names(ImageEvaluation)]
    known += [*metric_names(LabelSetMetrics, "label_sets."), *metric_names(TableEvaluation)]
    known += metric_names(Drift, "drift.")
    problems, missing = data_problems(claims), set[str]()
    for number, claim in enumerate(claims):
        if claim.metric not in known and not claim.metric.startswith(OF_NAMES):
            problems.append(
                f"claim.{number}.metric: unknown {claim.metric!r} {suggest(claim.metric, known)}"
            )
        if claim.over is None or claim.over in missing:
            continue
        if metric_of(stored.get(claim.over, {}).get("metrics", {}), claim.metric) is None:
            missing.add(claim.over)
            what = claim.metric if claim.over in stored else "result"
            problems.append(
                f"claim.{number}.over: {claim.over!r} has no stored {what}; first: textvae "
                f"verify {claim.over} --record FILE, and the same FILE here"
            )
    if problems:
        raise SpecError(problems)


DRIFTS = ("drift.auc.", "drift.raw_auc.", "drift.gain.", "drift.alarms.")


OF_NAMES = ("latent_kls.", "parts.", "written.relative.", "field_nlls.", "trees.", *DRIFTS)
"""Metrics with a value for each latent, plate, field or class, by its name."""


def metric_names(kind: type, prefix: str = "") -> Iterator[str]:
    """The metrics of a dataclass that a claim may be about; those of its parts with dots."""
    for field in fields(kind):
        union = isinstance(field.type, UnionType)
        for part in get_args(field.type) if union else (field.type,):
            if is_dataclass(part):
                yield from metric_names(part, f"{prefix}{field.name}.")  # type: ignore[arg-type]
            elif part in (int, float, bool):
                yield prefix + field.name


def metric_of(metrics: Mapping[str, Any], metric: str) -> float | None:
    """A metric by its dotted name; None where it was not measured."""
    value: Any = metrics
    for name in metric.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return None if value is None else float(value)
