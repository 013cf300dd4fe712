"""The sections of a recipe on data: texts, fields of a table, images."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PositiveInt, field_validator, model_validator

from textvae.config.sections import Section
from textvae.console import quoted
from textvae.registry import suggest

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
