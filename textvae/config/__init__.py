"""The sections of a recipe on reading the data, on training, and on what it claims."""

from textvae.config.claims import OLD_METRICS, Claim, Fingerprint, read_claims
from textvae.config.data import (
    FORMER_SPLIT,
    RESERVED_FIELDS,
    DataConfig,
    FieldConfig,
    ImageDataConfig,
    Pixels,
    background_colour,
)
from textvae.config.sections import Section, read_section
from textvae.config.training import (
    TRACKERS,
    AveragingConfig,
    LaggingConfig,
    PretrainingConfig,
    TokenizerConfig,
    TrainingConfig,
)

__all__ = [
    "FORMER_SPLIT",
    "OLD_METRICS",
    "RESERVED_FIELDS",
    "TRACKERS",
    "AveragingConfig",
    "Claim",
    "DataConfig",
    "FieldConfig",
    "Fingerprint",
    "ImageDataConfig",
    "LaggingConfig",
    "Pixels",
    "PretrainingConfig",
    "Section",
    "TokenizerConfig",
    "TrainingConfig",
    "background_colour",
    "read_claims",
    "read_section",
]
