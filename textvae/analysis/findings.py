"""Codes of a diagnosis and the values that they rest on; `wording` renders them as text."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """The state of a latent."""

    NO_LATENT = "no_latent"
    AUTOENCODER = "autoencoder"
    COLLAPSED = "collapsed"
    IGNORED_BY_DECODER = "ignored_by_decoder"
    WEAK = "weak"
    ACTIVE = "active"

    @property
    def healthy(self) -> bool:
        """Whether no remedy against collapse is needed."""
        return self in (Verdict.NO_LATENT, Verdict.AUTOENCODER, Verdict.ACTIVE)


class FindingCode(StrEnum):
    """An observation on a latent."""

    KL_EXCEEDS_INFORMATION = "kl_exceeds_information"
    PRIOR_MISMATCH = "prior_mismatch"
    TOO_FEW_TEXTS = "too_few_texts"
    ACTIVE_DIMENSIONS = "active_dimensions"
    SHUFFLED_Z_GAP = "shuffled_z_gap"


class CauseCode(StrEnum):
    """A property of a recipe that lets a latent collapse."""

    NO_MINIMUM_KL = "no_minimum_kl"
    PREVIOUS_WORDS = "previous_words"
    FULL_KL_WEIGHT = "full_kl_weight"


class RemedyCode(StrEnum):
    """A measure against a finding."""

    FREE_BITS = "free_bits"
    MINIMUM_KL = "minimum_kl"
    ENCODER_FIRST = "encoder_first"
    WORD_DROPOUT = "word_dropout"
    PRIOR_MATCHING = "prior_matching"
    POOLING = "pooling"
    LOWER_KL_WEIGHT = "lower_kl_weight"
    SLOWER_ANNEALING = "slower_annealing"


@dataclass(frozen=True)
class Finding:
    """An observation on a latent, or a cause of its collapse.

    Args:
        code: of the observation.
        values: numbers that it rests on, by name.
    """

    code: FindingCode | CauseCode
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Remedy:
    """A measure to try: another recipe, or the same with other settings.

    Args:
        reason: code of the measure.
        recipe: name of a shipped recipe that takes it; None to keep the recipe.
        overrides: `key=value` for `--set`.
        data: arguments of `textvae train` that name the data of the run.
    """

    reason: RemedyCode
    recipe: str | None = None
    overrides: tuple[str, ...] = ()
    data: tuple[str, ...] = ()


@dataclass(frozen=True)
class PositionGaps:
    """Reconstruction losses per position under each text's own z and under a shuffled z.

    Args:
        own: loss with the text's own z, nats per token.
        shuffled: loss with the z of another text, nats per token.
        texts: number of texts that reach the position.
        gaps: shuffled-z gap, nats per text: the increase in loss over all texts.
    """

    own: list[float]
    shuffled: list[float]
    texts: list[int]
    gaps: list[float]


@dataclass(frozen=True)
class Diagnosis:
    """The state of a latent, its causes and the remedies to try.

    Args:
        code: the state.
        metrics: the evaluation that it rests on, by name.
        findings: observations on the latent.
        causes: properties of the recipe that let the latent collapse; empty where it did not.
        remedies: measures to try, the nearest first; empty where none is needed.
        collapsed_dimensions: indices of dimensions whose posterior mean does not vary, all latents
            side by side.
        positions: losses per position; None where texts have no order.
    """

    code: Verdict
    metrics: dict[str, Any]
    findings: tuple[Finding, ...] = ()
    causes: tuple[Finding, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    collapsed_dimensions: tuple[int, ...] = ()
    positions: PositionGaps | None = None
