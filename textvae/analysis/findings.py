"""Codes of a diagnosis and the values that they rest on; `wording` renders them as text."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from textvae.evaluation.verdict import Verdict

__all__ = ["Verdict"]


class FindingCode(StrEnum):
    """An observation on a latent or on its training."""

    ANNEALING_NOT_FINISHED = "annealing_not_finished"
    STILL_FALLING = "still_falling"
    FEW_STEPS = "few_steps"
    WORSE_THAN_UNIGRAM = "worse_than_unigram"
    WORSE_THAN_TRIGRAM = "worse_than_trigram"
    KL_EXCEEDS_INFORMATION = "kl_exceeds_information"
    PRIOR_MISMATCH = "prior_mismatch"
    TOO_FEW_TEXTS = "too_few_texts"
    ACTIVE_DIMENSIONS = "active_dimensions"
    SHUFFLED_Z_GAP = "shuffled_z_gap"
    CODE_USAGE = "code_usage"


class CauseCode(StrEnum):
    """A property of a recipe that lets a latent collapse, or what it does against that."""

    NO_MINIMUM_KL = "no_minimum_kl"
    PREVIOUS_WORDS = "previous_words"
    FULL_KL_WEIGHT = "full_kl_weight"
    CODEBOOK_START = "codebook_start"
    IN_USE = "in_use"


class RemedyCode(StrEnum):
    """A measure against a finding."""

    MORE_EPOCHS = "more_epochs"
    EARLIER_SCHEDULE = "earlier_schedule"
    FREE_BITS = "free_bits"
    MINIMUM_KL = "minimum_kl"
    ENCODER_FIRST = "encoder_first"
    WORD_DROPOUT = "word_dropout"
    AUXILIARY_LOSS = "auxiliary_loss"
    ANNEALING = "annealing"
    LOWER_KL_WEIGHT = "lower_kl_weight"
    LOWER_RATE_WEIGHT = "lower_rate_weight"
    FITTED_PRIOR = "fitted_prior"
    LOWER_TEMPERATURE = "lower_temperature"
    PRIOR_MATCHING = "prior_matching"
    POOLING = "pooling"
    CODEBOOK_FROM_DATA = "codebook_from_data"


class Unchecked(StrEnum):
    """What a diagnosis did not look at."""

    RECIPE = "recipe"
    TRAINING = "training"
    KL_SCHEDULE = "kl_schedule"
    PROGRESS = "progress"
    SHUFFLED_Z_GAP = "shuffled_z_gap"
    REFERENCES = "references"
    GENERATION = "generation"
    SEEDS = "seeds"


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
    """A measure to try: a recipe, often the trained one, with other settings; or a command.

    Args:
        reason: code of the measure.
        recipe: name or file of the recipe to train; None for a command.
        overrides: `key=value` for `--set`.
        data: arguments of `textvae train` that name the data of the run.
        command: of the finished model, without `textvae`; empty for a recipe.
    """

    reason: RemedyCode
    recipe: str | None = None
    overrides: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


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
        findings: observations on the latent and its training.
        causes: properties of the recipe that let the latent collapse; empty where it did not.
        remedies: measures to try, the cheapest first; empty where none is needed.
        collapsed_dimensions: indices of dimensions whose posterior mean does not vary, all latents
            side by side.
        positions: losses per position; None where they were not measured.
        unchecked: what the diagnosis did not look at.
    """

    code: Verdict
    metrics: dict[str, Any]
    findings: tuple[Finding, ...] = ()
    causes: tuple[Finding, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    collapsed_dimensions: tuple[int, ...] = ()
    positions: PositionGaps | None = None
    unchecked: tuple[Unchecked, ...] = ()
