"""Fingerprints of data: those that claims name, and those of a measurement."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from textvae.config import Claim, FieldConfig, Fingerprint, read_section
from textvae.data.fields import Fields
from textvae.data.images import sha_of_images
from textvae.data.tables import Table, sha_of_tables
from textvae.data.texts import sha_of
from textvae.recipes import parse_yaml, shipped
from textvae.registry import SpecError, suggest

TABLE = "data/fingerprints.yaml"
"""Data sets that claims name, in configs/; `benchmarks/fingerprints.py` writes it."""


@cache
def known_data() -> Mapping[str, Fingerprint]:
    """The data sets that claims name.

    Raises:
        SpecError: every mistake in the table, one line each.
    """
    path = shipped("configs") / TABLE
    known, problems = {}, []
    for name, values in parse_yaml(path.read_text(encoding="utf-8"), str(path)).items():
        known[name], mistakes = read_section(Fingerprint, {"name": name, **values}, name)
        problems += mistakes
    if problems:
        raise SpecError(problems)
    return known


def claimed_data(claim: Claim) -> Fingerprint | None:
    """The data of a claim; None where it has an unknown name."""
    return claim.data if isinstance(claim.data, Fingerprint) else known_data().get(claim.data)


def data_problems(claims: Sequence[Claim]) -> list[str]:
    """The claims whose data nothing could be compared with, one line each."""
    return [
        f"claim.{number}.data: unknown {claim.data!r} {suggest(str(claim.data), known_data())}; "
        "of other data, give the fingerprint that `textvae verify --record FILE` stores"
        for number, claim in enumerate(claims)
        if claimed_data(claim) is None
    ]


def text_fingerprint(
    texts: Sequence[str], labels: Sequence[str] | None, source: str, training: Sequence[str] = ()
) -> Fingerprint:
    """The fingerprint of texts.

    Args:
        texts: in their order.
        labels: of the texts, if any were read.
        source: what the data are called where they are none that a claim names.
        training: the SHA-256 in run.json of each training.
    """
    values = {
        "sentences": len(texts),
        "words": len(texts) + sum(len(text.split()) for text in texts),
        "sha256": sha_of(texts).hexdigest(),
        "labels": None if labels is None else sha_of(labels).hexdigest(),
        "training": list(training),
    }
    return named(Fingerprint(name=source, **values))


def label_fields(fields: Mapping[str, FieldConfig]) -> list[str]:
    """The names of the fields that are labels or sets of them."""
    return [name for name, field in fields.items() if field.kind in ("label", "labels")]


def table_fingerprint(
    table: Table, labels: Sequence[str], source: str, training: Sequence[str] = ()
) -> Fingerprint:
    """The fingerprint of rows of several fields; `labels` names those of them that are labels."""
    columns = dict(sorted(table.columns.items()))
    texts = Table({name: cells for name, cells in columns.items() if name not in labels})
    others = Table({name: cells for name, cells in columns.items() if name in labels})
    values = {
        "sentences": len(table),
        "words": sum(
            1 + (len(part.split()) if isinstance(part, str) else 0)
            for cells in texts.columns.values()
            for cell in cells
            for part in (cell if isinstance(cell, tuple) else (cell,))
        ),
        "sha256": sha_of_tables([texts]),
        "labels": sha_of_tables([others]) if others.columns else None,
        "training": list(training),
    }
    return named(Fingerprint(name=source, **values))


def image_fingerprint(rows: Fields, source: str, training: Sequence[str] = ()) -> Fingerprint:
    """The fingerprint of images as a model reads them; arguments as of texts."""
    sums = {
        name: sha_of_images([Fields({name: column})])
        for name, column in rows.columns.items()
        if name in ("image", "label")
    }
    return named(
        Fingerprint(
            name=source,
            sentences=len(rows),
            sha256=sums["image"],
            labels=sums.get("label"),
            training=list(training),
        )
    )


def named(measured: Fingerprint) -> Fingerprint:
    """A fingerprint under the name of the known data of the same rows, never of others'."""
    for known in known_data().values():
        if same_rows(known, measured):
            return measured.model_copy(update={"name": known.name, "split": known.split})
    if measured.name in known_data():
        return measured.model_copy(update={"name": f"other {measured.name}"})
    return measured


def same_rows(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether two fingerprints are of the same held-out rows, and labels where both have them."""
    labels = one.labels, other.labels
    return one.sha256 == other.sha256 and (None in labels or labels[0] == labels[1])


def other_data(asked: Fingerprint, measured: Fingerprint, training: bool = True) -> str | None:
    """How measured data differ from those asked for; None where they do not.

    Args:
        asked: of the claim.
        measured: of the measurement.
        training: whether the rows that the model was trained on are compared too.
    """
    name = asked.name if asked.split is None else f"{asked.name}, {asked.split}"
    if not same_rows(asked, measured):
        if size_text(asked) == size_text(measured):
            return f"other data: as many as {name} has ({size_text(asked)}), but others"
        return f"other data: {size_text(measured)}, where {name} has {size_text(asked)}"
    if not training or not asked.training:
        return None
    if not measured.training:
        return f"other data: which rows the model was trained on is not known ({name})"
    if not {*measured.training} <= {*asked.training}:
        return f"other data: the model was trained on other rows than those of {asked.name}"
    return None


def size_text(data: Fingerprint) -> str:
    """The number of rows and words."""
    if data.words is None:
        return f"{data.sentences:,} images"
    return f"{data.sentences:,} sentences of {data.words:,} words"


def source_name(source: str | None, of_images: bool) -> str:
    """What data are called by the place where they lie."""
    if source:
        return Path(source).name
    return "8 x 8 digits" if of_images else "shipped corpus"
