"""The sections of a recipe on reading the data and on training."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    WithJsonSchema,
    WrapValidator,
    field_validator,
    model_validator,
)

from textvae.console import quoted
from textvae.registry import Count, suggest


class Section(BaseModel):
    """A part of a recipe: unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    OLD_KEYS: ClassVar[dict[str, str]] = {}
    """Current names of keys that were renamed in version 0.2, by their old name."""

    @model_validator(mode="before")
    @classmethod
    def _keys_have_their_current_name(cls, values: Any) -> Any:
        return cls.current_keys(values) if isinstance(values, Mapping) else values

    @classmethod
    def current_keys(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a section under their current keys.

        Raises:
            ValueError: a value is given under its old and its current key.
        """
        for old, new in cls.OLD_KEYS.items():
            if old in values and new in values:
                raise ValueError(f"{old} is the old name of {new}: only one of them can be given")
        return {cls.OLD_KEYS.get(key, key): value for key, value in values.items()}


S = TypeVar("S", bound=Section)


def number(value: int | Literal["auto"], key: str) -> int:
    """A size that is not left open.

    Raises:
        ValueError: it is "auto", and no corpus has been read yet.
    """
    if value == "auto":
        raise ValueError(f"{key} is 'auto': it follows from the training texts")
    return value


def least_or_auto(least: int) -> WrapValidator:
    """A whole number of at least `least`, or "auto", with one message for both."""

    def validated(value: Any, validate: Callable[[Any], Any]) -> Any:
        try:
            return validate(value)
        except ValidationError:
            raise ValueError(
                f"must be a whole number from {least} to 1,000,000, or 'auto'"
            ) from None

    return WrapValidator(validated)


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


RESERVED_FIELDS = ("step", "samples", "count", "known")
"""Names that are arguments of a model beside its fields."""


ValidFraction = Annotated[float, Field(gt=0, lt=1)] | None
TestFraction = Annotated[float, Field(ge=0, lt=1)] | None
FORMER_SPLIT: dict[str, Any] = {"test_fraction": 0.0, "split_by": "row"}
"""The data section of a run of version 0.1, which has neither key, under today's keys."""


Pixels = Literal["grey", "dequantized", "static", "dynamic"]
"""How a model sees images: as they are, with uniform noise, as bits drawn once or each time."""


MAX_SIDE = 4096
"""Pixels on a side of an image of a model."""


def is_size(sides: Any) -> bool:
    """Whether a value is a list of a height and a width."""
    return (
        isinstance(sides, list | tuple)
        and len(sides) == 2
        and all(type(side) is int and 1 <= side <= MAX_SIDE for side in sides)
    )


def height_and_width(size: Any) -> list[int] | None:
    """The sides of images, of one number for both or of two.

    Raises:
        ValueError: it is neither.
    """
    sides = [size, size] if isinstance(size, int) else size
    if sides is not None and not is_size(sides):
        raise ValueError(f"must be a number of pixels from 1 to {MAX_SIDE:,}, or [height, width]")
    return sides if sides is None else list(sides)


ImageSize = Annotated[list[int] | None, BeforeValidator(height_and_width)]
"""Height and width that images are scaled to; None leaves them as they are."""


class FieldConfig(Section):
    """One field of the rows of a table, which encoders and decoders name.

    Args:
        column: of the table; None for the name of the field.
        kind: "text", "label": a class, "labels": a set of labels, "vector": numbers, or "image":
            an array of an npz file, or a column of picture files, by their path from the table. A
            label or a set is missing where the cell is blank; a row without one of its numbers, or
            without an image, is skipped.
        otherwise: column that is read where the cell of a text is blank.
        within: field of a text that this one is a part of, such as an answer's paragraph: its
            tokens are then those that it has there. A cell may be [start, end) in its characters.
        plate: name of the parts that a row has of this field, such as turn: a cell is then a list.
            Fields of one plate have as many parts in a row. The column `turns.text` is the key
            `text` of each part of the list `turns`.
        separator: between the parts of a cell that is a text, and no list; of "labels", between the
            labels of a set in a text. A set may also be a list, where `[]` is a set without labels.
        join: what stands between the parts of a list that is read as one text.
        ends: the class of a label that marks the last part of a row: what is sampled ends there.
            Without one, its number of parts is drawn from those of the training rows.
        values: of a vector: "bits", "counts", or "real" numbers (the default), of which the mean of
            each is subtracted, and which are divided by their standard deviation in training rows.
        columns: of a vector; None for a column of that name, whose cells may be lists, else for
            all columns of numbers that no other field reads. With a plate, each part is a list.
        pixels: of an image, as those of `ImageDataConfig`; "grey" by default.
        size: of an image, likewise.
    """

    column: str | None = None
    kind: Literal["text", "label", "labels", "vector", "image"] = "text"
    otherwise: str | None = None
    within: str | None = None
    plate: str | None = None
    separator: Annotated[str, Field(min_length=1)] | None = None
    join: str | None = None
    ends: str | None = None
    values: Literal["bits", "counts", "real"] | None = None
    columns: Annotated[list[str], Field(min_length=1)] | None = None
    pixels: Pixels | None = None
    size: ImageSize = None

    @model_validator(mode="after")
    def _labels_may_be_missing(self) -> Self:
        for key in ("otherwise", "within"):
            if getattr(self, key) is not None and self.kind != "text":
                raise ValueError(f"{key} is for kind 'text'")
        for key in ("values", "columns"):
            if getattr(self, key) is not None and self.kind != "vector":
                raise ValueError(f"{key} is for kind 'vector'")
        for key in ("pixels", "size"):
            if getattr(self, key) is not None and self.kind != "image":
                raise ValueError(f"{key} is for kind 'image'")
        if self.columns is not None and self.column is not None:
            raise ValueError("column and columns: give one of them")
        return self

    @model_validator(mode="after")
    def _parts_are_of_a_plate(self) -> Self:
        if self.plate is None:
            if self.separator is not None and self.kind != "labels":
                raise ValueError("separator is for kind 'labels' and for a field with a plate")
            if self.ends is not None:
                raise ValueError("ends is for a field with a plate")
        else:
            for key in ("otherwise", "within", "join", "columns"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key} is for a field without a plate")
            if self.kind == "image":
                raise ValueError("plate is for texts, labels, sets of labels and vectors")
        if self.join is not None and self.kind != "text":
            raise ValueError("join is for kind 'text'")
        if self.ends is not None and self.kind != "label":
            raise ValueError("ends is for kind 'label'")
        return self

    def source_column(self, name: str) -> tuple[str, str | None]:
        """The column of the table that has a field of this name, and the key of its parts."""
        column, point, key = (self.column or name).partition(".")
        if self.plate is None or not point:
            return self.column or name, None
        return column, key

    def columns_read(self, name: str) -> list[str]:
        """The columns of the field of a name, that of `otherwise` too."""
        others = [] if self.otherwise is None else [self.otherwise]
        return [*(self.columns or [self.source_column(name)[0]]), *others]


class DataConfig(Section):
    """Where the texts come from.

    Args:
        source: folder, file or `datasets` name; None for the shipped corpus.
        text_column: column of a table that holds the texts.
        label_column: column of a table that holds their labels, the field `label` of a model;
            where it is blank, a text has none. Without it there are no labels.
        labelled: training texts whose label is kept, as many of each class as there can be, drawn
            with `train.seed`; None for all. Of fields, it is of the label or the set of labels that
            fixes a latent.
        repeat_labelled: times that a training text with a label is read in an epoch: where few
            have one, batches without any would say nothing of labels.
        valid_fraction: share of the training texts held out where there is no validation file;
            None for 5 %, or 100 texts where that is at most 10 %, and 2,000 at most.
        test_fraction: the same where there is no test file; 0 for no test texts.
        split_by: "content": equal texts go to one split, and keep to it in a file that has grown;
            "row": each is drawn on its own, as in version 0.1.
        max_tokens: longer texts are left out of training; a note has their number.
        fields: fields by name, in place of `text_column` and `label_column`, where rows have
            several; None for one text, the field `text`, with or without a label. Rows whose
            first field is equal go to one split; where there are plates, whose first text is.
    """

    source: str | None = None
    text_column: str = "text"
    label_column: str | None = None
    labelled: PositiveInt | None = None
    repeat_labelled: PositiveInt = 1
    valid_fraction: ValidFraction = None
    test_fraction: TestFraction = None
    split_by: Literal["content", "row"] = "content"
    max_tokens: Annotated[int, Field(ge=3)] = 256
    fields: dict[str, FieldConfig] | None = None

    @model_validator(mode="after")
    def _fields_take_the_place_of_columns(self) -> Self:
        if self.fields is None:
            return self
        if self.label_column is not None or self.text_column != "text":
            raise ValueError("text_column and label_column: not with fields, which name columns")
        return self

    @field_validator("fields")
    @classmethod
    def _fields_have_names(cls, fields: Any) -> Any:
        if fields is None:
            return None
        for name in fields:
            if not name.isidentifier() or name in RESERVED_FIELDS:
                allowed = f"a word, not {' or '.join(RESERVED_FIELDS)}"
                raise ValueError(f"the name of a field must be {allowed} (got {quoted(name)})")
        if not fields:
            raise ValueError("at least one field is needed")
        open_vectors = [
            n for n, f in fields.items() if f.kind == "vector" and not f.columns and not f.plate
        ]
        if len(open_vectors) > 1 and all(not fields[name].column for name in open_vectors):
            raise ValueError(f"name the columns of all but one of {', '.join(open_vectors)}")
        for name, field in fields.items():
            plate = field.plate
            if plate is not None and (
                not plate.isidentifier() or plate in RESERVED_FIELDS or plate in fields
            ):
                raise ValueError(
                    f"{name}.plate: must be a word that is no field and not "
                    f"{' or '.join(RESERVED_FIELDS)} (got {quoted(plate)})"
                )
            wholes = [
                n
                for n, other in fields.items()
                if other.kind == "text" and n != name and other.plate is None
            ]
            if field.within is not None and field.within not in wholes:
                raise ValueError(
                    f"{name}.within: unknown {quoted(field.within)} {suggest(field.within, wholes)}"
                )
        return fields

    @property
    def columns(self) -> dict[str, str]:
        """The column of each field, by its name; of a recipe without fields, those of its text."""
        if self.fields is None:
            return {"text": self.text_column}
        return {name: field.source_column(name)[0] for name, field in self.fields.items()}

    @model_validator(mode="after")
    def _labels_stand_in_a_column(self) -> Self:
        kinds = {field.kind for field in (self.fields or {}).values()}
        if self.label_column is None and kinds.isdisjoint(("label", "labels")):
            if self.labelled is not None:
                raise ValueError("labelled needs label_column, or a field of labels")
            if self.repeat_labelled > 1:
                raise ValueError("repeat_labelled needs label_column, or a field of labels")
        return self


def background_colour(name: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of a colour as CSS names it: white, #8080ff.

    Raises:
        ValueError: there is no such colour.
    """
    from PIL import ImageColor  # here, because recipes of texts need none

    red, green, blue = ImageColor.getrgb(name)[:3]
    return red, green, blue


class ImageDataConfig(Section):
    """Where the images come from, in place of texts.

    Args:
        modality: "image".
        source: folder, file or `datasets` name; None for scikit-learn's 8 x 8 digits.
        image_column: column of a hub data set that holds the images.
        label_column: column that holds their labels; without it there are none.
        labelled: training images whose label is kept, as many of each class as there can be, drawn
            with `train.seed`; None for all.
        repeat_labelled: times that a training image with a label is read in an epoch, as for texts.
        valid_fraction: share of the training images held out where there are no others; None as
            for texts.
        test_fraction: the same, to test on; 0 for no test images.
        split_by: "content" or "row", as for texts.
        background: colour that is put behind transparent parts of a picture.
        size: height and width in pixels that images are scaled to, or one number for both; None
            for images that are of one size.
        invert: whether black and white change places, as for ink on paper.
        pixels: "grey" as they are, "dequantized", or binarised: "static" once, "dynamic" anew
            each time.
        open_set: whether held-out images may be of classes that no training image has: these are
            then no classes of the model, and evaluation measures how well it tells such images
            apart. Else they are classes without training images.
    """

    modality: Literal["image"]
    source: str | None = None
    image_column: str = "image"
    label_column: str = "label"
    labelled: PositiveInt | None = None
    repeat_labelled: PositiveInt = 1
    valid_fraction: ValidFraction = None
    test_fraction: TestFraction = None
    split_by: Literal["content", "row"] = "content"
    background: str = "white"
    size: ImageSize = None
    invert: bool = False
    pixels: Pixels = "grey"
    open_set: bool = False

    @field_validator("background", mode="before")
    @classmethod
    def _background_is_a_colour(cls, name: Any) -> Any:
        try:
            if name != "white":
                background_colour(name)
        except (ValueError, AttributeError, TypeError):
            raise ValueError("must be a colour, as white, black or '#8080ff'") from None
        return name


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


def section_problems(error: ValidationError, path: str, fields: Iterable[str]) -> list[str]:
    """The mistakes that pydantic found in a section, one line each, beginning with `path`."""
    lines = []
    for mistake in error.errors():
        where = ".".join([path, *map(str, mistake["loc"])]).strip(".")
        if mistake["type"] == "extra_forbidden":
            lines.append(f"{where}: unknown key {suggest(str(mistake['loc'][-1]), fields)}")
        elif mistake["type"] == "missing":
            lines.append(f"{where}: missing")
        else:
            message = mistake["msg"].removeprefix("Value error, ")
            lines.append(f"{where}: {message} (got {quoted(mistake['input'])})")
    return lines


def read_section(section: type[S], values: Any, path: str) -> tuple[S | None, list[str]]:
    """A section from its values, or the mistakes in them, one line each."""
    if not isinstance(values, Mapping):
        return None, [f"{path}: must be a mapping (got {quoted(values)})"]
    try:
        return section.model_validate(dict(values)), []
    except ValidationError as error:
        return None, section_problems(error, path, section.model_fields)


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
