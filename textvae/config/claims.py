"""The claims of a recipe, and the fingerprint of the data that they are about."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, WrapValidator, field_validator

from textvae.config.sections import Section, read_section

OLD_METRICS = {"reconstruction": "reconstruction_loss", "latent_worth": "shuffled_z_gap"}
"""Metrics that were called otherwise before version 0.2, by their old name."""


class Fingerprint(Section):
    """Which held-out rows figures are of, and which rows the model was trained on.

    Args:
        name: of the data set.
        split: of the data set that the rows are; None where it is not known.
        sentences: number of texts, or of images.
        words: of the texts, between blanks, with one end for each text; None for images.
        sha256: of the texts in their order, or of the pixels as the model reads them.
        labels: SHA-256 of the labels; None where none were read.
        training: SHA-256 of the training and validation rows as run.json has it, each that is
            right: with labels and without; of a measurement, one of each training.
    """

    name: str
    split: str | None = None
    sentences: PositiveInt
    words: PositiveInt | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    labels: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    training: list[str] = Field(default_factory=list)


def name_or_fingerprint(value: Any, _: Callable[[Any], Any]) -> str | Fingerprint:
    """The data of a claim, with one message for a name and a fingerprint."""
    if isinstance(value, str | Fingerprint):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("must be the name of a data set, or its fingerprint")
    fingerprint, problems = read_section(Fingerprint, value, "")
    if fingerprint is None:
        raise ValueError("; ".join(problems))
    return fingerprint


class Claim(Section):
    """What a published system promises, as a comparison that can be rerun.

    Args:
        metric: name of a figure that `textvae evaluate` prints.
        test: how ours must stand to `value`.
        value: in the metric's unit; with `over`, added to the other recipe's figure.
        over: recipe whose figure on the same data is the yardstick; None for `value` alone.
        factor: with `over`, what multiplies the other recipe's figure.
        published: the published figure, where there is one.
        source: where it was published, and whether we could check it.
        data: the data set that the claim is about, by its name in configs/data/fingerprints.yaml
            or as a fingerprint.
        samples: K of the importance-weighted bound; an exact figure needs none.
    """

    metric: str
    test: Literal["<=", ">="]
    value: float
    over: str | None = None
    factor: PositiveFloat = 1.0
    published: float | None = None
    source: str
    data: Annotated[str | Fingerprint, WrapValidator(name_or_fingerprint)]
    samples: PositiveInt = 500

    @field_validator("metric")
    @classmethod
    def _metrics_have_their_current_name(cls, metric: str) -> str:
        return OLD_METRICS.get(metric, metric)


def read_claims(values: Any) -> tuple[tuple[Claim, ...], list[str]]:
    """The comparisons of a claim, or the mistakes in them, one line each."""
    if not isinstance(values, list):
        return (), [f"claim: must be a list of comparisons (got {values!r})"]
    claims, problems = [], []
    for number, each in enumerate(values):
        claim, mistakes = read_section(Claim, each, f"claim.{number}")
        problems += mistakes
        if claim is not None:
            claims.append(claim)
    if len(counts := sorted({claim.samples for claim in claims})) > 1:
        listed = " and ".join(map(str, counts))
        problems.append(f"claim: all comparisons are of one number of samples (got {listed})")
    return tuple(claims), problems
