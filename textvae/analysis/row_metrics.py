"""Metrics of rows whose threshold is chosen on the validation rows of a run."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from textvae.api.sentence import SentenceVAE
from textvae.api.table import TableVAE
from textvae.data.fields import Fields
from textvae.data.tables import Columns
from textvae.evaluation.drift import drift_fields, drift_metrics
from textvae.evaluation.label_sets import label_set_evaluation, predicted_set
from textvae.training.folders import saved_recipe
from textvae.training.run_data import validation_columns


def validated_metrics(
    vae: SentenceVAE | TableVAE,
    model: str,
    data: str | None,
    columns: Columns,
    seed: int = 0,
    report: Callable[[Iterable[str]], None] = lambda notes: None,
) -> dict[str, Any]:
    """`label_sets`, see `label_set_evaluation`, and `drift`, see `drift_metrics`, where they apply.

    Args:
        vae: the model.
        model: its run, whose validation rows fix the thresholds.
        data: in place of the run's held-out rows.
        columns: of these, with those that the model does not read.
        seed: of samples.
        report: is called with notes on the validation rows.
    """
    label = next((n for n in label_names(model) if n not in vae.fields and n in columns), None)
    drifts = label is not None and drift_fields(vae.model) is not None
    sets = predicted_set(vae.model) is not None
    if not sets and not drifts:
        return {}
    chosen, notes = validation_columns(model, data)
    report(notes)

    def read(table: Columns) -> Fields:
        return cast(Fields, vae.rows({name: table[name] for name in vae.fields}))

    rows, validation = read(columns), None if chosen is None else read(chosen)
    found = label_set_evaluation(vae.model, rows, validation, seed) if sets else {}
    if drifts and label is not None:
        known = None if chosen is None or validation is None else (validation, chosen[label])
        drift = drift_metrics(vae.model, rows, columns[label], known)
        found |= {} if drift is None else {"drift": asdict(drift)}
    return found


def label_names(model: str) -> list[str]:
    """The fields of whole rows that are labels, of the recipe of a run."""
    fields = getattr(saved_recipe(Path(model)).data, "fields", None) or {}
    return [name for name, each in fields.items() if each.kind == "label" and each.plate is None]
