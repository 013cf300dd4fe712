"""The sections of a recipe on its tokenizer and on training."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from textvae.config.sections import Section, least_or_auto, number
from textvae.console import quoted
from textvae.registry import Count, suggest

MAX_SEED = 2**32 - 1
"""The largest seed that numpy takes."""


VocabSize = Annotated[int, Field(ge=5, le=1_000_000)]


class TokenizerConfig(Section):
    """Which tokenizer to train on the training texts.

    Args:
        kind: SentencePiece "unigram" or "bpe" for any text; "word" for text already tokenized;
            "bag" for topic models: content words only.
        vocab_size: number of token ids, special tokens included; fewer on a small corpus. "auto"
            follows the number of words of the training texts.
        stop_words: words that a bag leaves out, "english" or None.
        run: folder of a run whose tokenizer, of the same kind, is taken in place of training one,
            so that ids stand for the same tokens as there.
    """

    kind: Literal["unigram", "bpe", "word", "bag"] = "unigram"
    vocab_size: Annotated[VocabSize | Literal["auto"], least_or_auto(5)] = 8000
    stop_words: Literal["english"] | None = None
    run: str | None = None

    @model_validator(mode="after")
    def _only_bags_leave_words_out(self) -> Self:
        if self.stop_words is not None and self.kind != "bag":
            raise ValueError(f"stop_words are for kind 'bag', not {self.kind!r}")
        return self

    @property
    def planned_size(self) -> int:
        """The number of token ids; see `number`."""
        return number(self.vocab_size, "tokenizer.vocab_size")


class LaggingConfig(Section):
    """Aggressive encoder updates: many of the encoders before each one of the decoders.

    They last from the start until mutual information on the validation texts stops rising.

    Args:
        epochs: largest number of epochs with them, each as long as dozens of others; None for any.
        steps: largest number of encoder updates before one of the decoders.
        window: number of updates in a mean loss; the updates stop when this mean rises.

    Source: He et al. 2019, algorithm 1, arXiv:1901.05534.
    """

    epochs: PositiveInt | None = None
    steps: PositiveInt = 100
    window: PositiveInt = 15


class AveragingConfig(Section):
    """A mean of the weights after each step, which is validated and kept in place of the last ones.

    Training itself goes on with the weights as they are.

    Args:
        kind: "exponential", a weight of 1 - decay for the newest, or "uniform", the same for all.
        decay: of "exponential".
        epochs: last epochs of the plan whose weights count; None for all. Until then, and where
            training stops before, there is no mean.

    Source: Polyak & Juditsky 1992 (uniform; over the last epochs as Izmailov et al. 2018,
    arXiv:1803.05407, and Merity et al. 2018, arXiv:1708.02182, there from a step that validation
    triggers).
    """

    kind: Literal["exponential", "uniform"] = "exponential"
    decay: Annotated[float, Field(gt=0, lt=1)] = 0.999
    epochs: PositiveInt | None = None


TRACKERS = {
    "azure_ml": "azureml-sdk",
    "clearml": "clearml",
    "codecarbon": "codecarbon",
    "comet_ml": "comet-ml",
    "dagshub": "dagshub",
    "dvclive": "dvclive",
    "flyte": "flytekit",
    "mlflow": "mlflow",
    "neptune": "neptune",
    "swanlab": "swanlab",
    "tensorboard": "tensorboard",
    "trackio": "trackio",
    "wandb": "wandb",
}
"""The package of each tracker that transformers has a callback for, by its name there."""
TRACKER_NAMES: dict[str, Any] = {"enum": [*TRACKERS, "none"]}
ReportTo = Annotated[
    list[str],
    WithJsonSchema({"anyOf": [TRACKER_NAMES, {"type": "array", "items": TRACKER_NAMES}]}),
]


class TrainingConfig(Section):
    """How to train.

    Args:
        epochs: passes over the training texts; "auto" follows their number.
        steps: optimizer steps, rounded up to whole epochs, and at least `epochs`; None for as many
            as the epochs have.
        batch_size: texts of one optimizer step, over all processes and micro-batches; "auto"
            follows the number of texts.
        gradient_accumulation_steps: number of micro-batches of an optimizer step.
        optimizer: "adamw" or "sgd".
        learning_rate: at its highest.
        schedule: "constant", "linear", "cosine", or "plateau": halved when validation stalls.
        warmup_steps: optimizer steps of rising learning rate; not with "plateau".
        warmup_ratio: the same as a share of training.
        weight_decay: of AdamW; under SGD an L2 penalty.
        spectral_penalty: factor of the sum of the weights' spectral norms, added to the loss; see
            `layers.spectral`.
        max_grad_norm: largest gradient norm; 0 for none.
        precision: "float32", or "bfloat16" on a GPU or a CPU with instructions for it.
        compile: "cudagraphs", which repeats the kernels of a step without their process, or a mode
            of torch.compile, "default" or "reduce-overhead", not for LSTMs: each on one GPU, for
            steps that take longer than their arithmetic; or "none".
        pad_to_multiple_of: texts of a batch are padded to a multiple of this number of tokens: a
            CUDA graph holds one length. It changes the loss by rounding alone, and the noise; None
            for 8 with `compile`, else 1.
        patience: epochs without a better validation bound before training stops; None for never.
        validation_samples: posterior samples of each validation text.
        workers: processes that put batches together; 0 for none. Changes no result.
        keep: the "best" model by validation, or the "last": where the loss is another.
        select: what validation calls best: the "bound", the "coherence" of topics, the "accuracy"
            of labels, the "micro_f1" of sets of them, or the "matching" of two latents.
        lagging: aggressive encoder updates before each step, not with several micro-batches; None
            for one update of all weights.
        averaging: a mean of the weights that is validated and kept; None for the weights alone.
        report_to: where losses and metrics are logged, names of `TRACKERS`; "none" or an empty
            list for nowhere. Changes no result.
        seed: of initial weights, order and noise.
    """

    OLD_KEYS: ClassVar[dict[str, str]] = {
        "clip": "max_grad_norm",
        "accumulation": "gradient_accumulation_steps",
    }

    epochs: Annotated[Count | Literal["auto"], least_or_auto(1)] = 10
    steps: PositiveInt | None = None
    batch_size: Annotated[Count | Literal["auto"], least_or_auto(1)] = 32
    gradient_accumulation_steps: Count = 1
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 1e-3
    schedule: Literal["constant", "linear", "cosine", "plateau"] = "constant"
    warmup_steps: NonNegativeInt = 0
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: NonNegativeFloat = 0.0
    spectral_penalty: NonNegativeFloat = 0.0
    max_grad_norm: NonNegativeFloat = 5.0
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: Literal["none", "default", "reduce-overhead", "cudagraphs"] = "none"
    pad_to_multiple_of: Count | None = None
    patience: PositiveInt | None = None
    validation_samples: Count = 5
    workers: Annotated[int, Field(ge=0, le=1_000)] = 0
    keep: Literal["best", "last"] = "best"
    select: Literal["bound", "coherence", "accuracy", "micro_f1", "matching"] = "bound"
    lagging: LaggingConfig | None = None
    averaging: AveragingConfig | None = None
    report_to: ReportTo = Field(default_factory=lambda: ["tensorboard"])
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0

    @field_validator("report_to", mode="before")
    @classmethod
    def _one_tracker_is_a_list(cls, names: Any) -> Any:
        return [] if names in ("none", ["none"]) else [names] if isinstance(names, str) else names

    @field_validator("report_to")
    @classmethod
    def _trackers_are_known(cls, names: list[str]) -> list[str]:
        unknown = next((name for name in names if name not in TRACKERS), None)
        if unknown is not None:
            raise ValueError(
                f"unknown tracker {quoted(unknown)} {suggest(unknown, [*TRACKERS, 'none'])}"
            )
        return list(dict.fromkeys(names))

    @model_validator(mode="after")
    def _encoder_updates_need_one_micro_batch(self) -> Self:
        steps = self.gradient_accumulation_steps
        if self.lagging is not None and steps > 1:
            raise ValueError(f"lagging needs gradient_accumulation_steps 1 (got {steps})")
        return self

    @model_validator(mode="after")
    def _graphs_need_one_micro_batch(self) -> Self:
        steps = self.gradient_accumulation_steps
        if self.compile in ("reduce-overhead", "cudagraphs") and steps > 1:
            raise ValueError(
                f"compile: {self.compile} needs gradient_accumulation_steps 1 (got {steps})"
            )
        return self

    @model_validator(mode="after")
    def _plateaus_have_no_warm_up(self) -> Self:
        if (self.warmup_steps or self.warmup_ratio) and self.schedule == "plateau":
            raise ValueError("warmup_steps: not with the schedule 'plateau'")
        if self.warmup_steps and self.warmup_ratio:
            raise ValueError("warmup_steps and warmup_ratio: give one of them")
        return self

    @property
    def planned_epochs(self) -> int:
        """The number of epochs; see `number`."""
        return number(self.epochs, "train.epochs")

    @property
    def planned_batch_size(self) -> int:
        """The texts of an optimizer step; see `number`."""
        return number(self.batch_size, "train.batch_size")

    @property
    def planned_multiple(self) -> int:
        """The number of tokens whose multiples batches are padded to."""
        return self.pad_to_multiple_of or (1 if self.compile == "none" else 8)


class PretrainingConfig(Section):
    """A first training whose weights the recipe's own training begins with.

    Args:
        run: folder of a finished run to take the weights from, in place of a first training.
        model: parts of the model that differ there: encoders, latents, decoders, init_range,
            refinement.
        objective: of the first training; needed without a `run`.
        train: values of the section `train` that differ there.
        transfer: names of parts, `encoders.text`, whose weights go over, or a mapping from such a
            name to the part they come from, {encoders.text: decoders.text}. A part of the model may
            be finer than a node, `latents.z.head`, or coarser, `encoders`.
        freeze: names of parts that the recipe's own training leaves as they are: their weights get
            no gradient, and their dropout, noise and batch normalisation are as in evaluation.
    """

    run: str | None = None
    model: dict[str, Any] = Field(default_factory=dict)
    objective: dict[str, Any] | None = None
    train: dict[str, Any] = Field(default_factory=dict)
    transfer: list[str] | dict[str, str]
    freeze: list[str] = Field(default_factory=list)

    @field_validator("train")
    @classmethod
    def _train_has_current_keys(cls, values: dict[str, Any]) -> dict[str, Any]:
        return TrainingConfig.current_keys(values)

    @model_validator(mode="after")
    def _something_is_trained(self) -> Self:
        if self.run is None and self.objective is None:
            raise ValueError("needs an objective to train with, or a run that is finished")
        return self

    @property
    def sources(self) -> dict[str, str]:
        """The part that each part of the model takes its weights from."""
        given = self.transfer
        return given if isinstance(given, dict) else {name: name for name in given}
