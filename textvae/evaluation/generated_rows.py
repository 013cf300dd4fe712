"""Metrics of rows of several fields that were sampled from the prior."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean

import torch

from textvae.evaluation.likelihood import standard_error

Row = tuple[str, ...]
"""A value of each field, with one blank between words."""


@dataclass(frozen=True)
class GeneratedRows:
    """Rows that a model has written, or the means of several draws of as many rows.

    Args:
        valid: share of them in which each two neighbouring fields, in the order of the fields, have
            the values that they have in some known row: of a triple, the subject has been seen with
            the relation, and the relation with the object.
        unique: different rows / rows.
        novel: share of them that are no training row; None where those are not known.
        recall: share of the different held-out rows that are among them.
        rows: number of rows written, of each draw.
        held_out: number of different held-out rows.
        known: number of different rows that `valid` refers to: those of the training, or the
            held-out ones where those are not known.
        draws: number of draws.
        valid_standard_error: over the draws, s / sqrt(draws); None for a single one.
        recall_standard_error: likewise.
    """

    valid: float
    unique: float
    novel: float | None
    recall: float
    rows: int
    held_out: int
    known: int
    draws: int = 1
    valid_standard_error: float | None = None
    recall_standard_error: float | None = None


def generated_rows(
    written: Sequence[Row], held_out: Sequence[Row], training: Sequence[Row] | None = None
) -> GeneratedRows:
    """The metrics of written rows.

    Args:
        written: by the model.
        held_out: rows that it was not trained on.
        training: rows that it was trained on; None where they are not known.

    Raises:
        ValueError: there is no written or no held-out row.

    >>> known = [("home", "type", "house"), ("work", "type", "office")]
    >>> generated_rows([("home", "type", "office")] * 2, [("gym", "type", "club")], known)
    GeneratedRows(valid=1.0, unique=0.5, novel=1.0, recall=0.0, rows=2, held_out=1, known=2, ...)
    """
    if not written or not held_out:
        raise ValueError("rows are compared with held-out ones: at least one of each is needed")
    known = set(held_out if training is None else training)
    pairs = {pair for row in known for pair in neighbours(row)}
    different, wanted = set(written), set(held_out)
    count = len(written)
    return GeneratedRows(
        valid=sum(all(pair in pairs for pair in neighbours(row)) for row in written) / count,
        unique=len(different) / count,
        novel=None if training is None else sum(row not in known for row in written) / count,
        recall=len(different & wanted) / len(wanted),
        rows=count,
        held_out=len(wanted),
        known=len(known),
    )


def mean_of_draws(draws: Sequence[GeneratedRows]) -> GeneratedRows:
    """The mean metrics of several draws of equal size, with standard errors."""
    valid, recall = [each.valid for each in draws], [each.recall for each in draws]
    novel = [each.novel for each in draws if each.novel is not None]
    return replace(
        draws[0],
        valid=fmean(valid),
        unique=fmean(each.unique for each in draws),
        novel=fmean(novel) if novel else None,
        recall=fmean(recall),
        draws=len(draws),
        valid_standard_error=standard_error(torch.tensor(valid, dtype=torch.float64)),
        recall_standard_error=standard_error(torch.tensor(recall, dtype=torch.float64)),
    )


def neighbours(row: Row) -> Iterator[tuple[int, str, str]]:
    """Each two neighbouring values of a row, with the number of the first."""
    return ((number, first, second) for number, (first, second) in enumerate(pairwise(row)))


def rows_of(columns: Mapping[str, Sequence[str]], fields: Sequence[str]) -> list[Row]:
    """The rows of some of the fields."""
    cells = ([" ".join(text.split()) for text in columns[field]] for field in fields)
    return list(zip(*cells, strict=True))
