"""Rows of several fields: images, labels, sets of labels and texts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from textvae.config import Pixels
from textvae.data.batching import Batch, Examples, Sentences, batches_by_length
from textvae.data.packed import Packed
from textvae.data.texts import DataError
from textvae.vocabulary import PAD

ROW_TOKENS = 8
"""Tokens that a row without text counts as: 512 images in a batch of 4,096 tokens."""

CHUNK = 4096
"""Number of images whose bits are drawn at once."""


class Column(Protocol):
    """The values of one field, one for each row."""

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def __getitem__(self, index: int, /) -> Any:
        """The value of one row."""
        ...

    def select(self, indices: np.ndarray, /) -> "Column":
        """The values of the rows at these indices."""
        ...

    def stack(self, rows: Sequence[Any]) -> Tensor:
        """Values of several rows as one tensor, (B, ...)."""
        ...


@dataclass(frozen=True)
class Labels:
    """One class of each row.

    Args:
        values: (N,), int64; -1 where it is missing, -2 (`STRANGE`) for a class that is none of
            those that training rows have, where the set of classes is open.
        classes: number of classes.
        names: of the classes, if they have some.
    """

    values: np.ndarray
    classes: int
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.values)

    def __getitem__(self, index: int) -> int:
        """The label of one row."""
        return int(self.values[index])

    def select(self, indices: np.ndarray) -> "Labels":
        """The labels at these indices."""
        return replace(self, values=self.values[indices])

    def stack(self, rows: Sequence[int]) -> Tensor:
        """Labels, (B,), int64."""
        return torch.as_tensor(np.asarray(rows, np.int64))

    def take(self, indices: Sequence[int] | np.ndarray) -> Tensor:
        """The labels of the rows at these indices, (B,), int64."""
        return torch.from_numpy(self.values[indices])

    @property
    def class_names(self) -> list[str]:
        """Names of the classes; their numbers where they have none."""
        return list(self.names) or [str(number) for number in range(self.classes)]

    @property
    def facts(self) -> dict[str, Any]:
        """Sizes and names of the field, from which a model is built."""
        named = {"names": list(self.names)} if self.names else {}
        return {"classes": self.classes, **named}


@dataclass(frozen=True)
class LabelSets:
    """A set of labels of each row.

    Args:
        values: (N, C), int8: 1 for a label that the row has, 0 for one that it does not; -1 in a
            row whose set is missing.
        names: of the labels, C.
    """

    values: np.ndarray
    names: tuple[str, ...]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.values)

    def __getitem__(self, index: int) -> np.ndarray:
        """The labels of one row, (C,)."""
        return self.values[index]

    def select(self, indices: np.ndarray) -> "LabelSets":
        """The sets at these indices."""
        return replace(self, values=self.values[indices])

    def stack(self, rows: Sequence[np.ndarray]) -> Tensor:
        """Sets, (B, C), float32."""
        return torch.from_numpy(np.stack(rows)).float()

    def take(self, indices: Sequence[int] | np.ndarray) -> Tensor:
        """The sets of the rows at these indices, (B, C), float32."""
        return torch.from_numpy(self.values[indices]).float()

    @property
    def facts(self) -> dict[str, Any]:
        """Size and names of the field, from which a model is built."""
        return {"label_set": len(self.names), "names": list(self.names)}


@dataclass(frozen=True)
class Vectors:
    """Numbers of each row.

    Args:
        values: (N, D), float32, as a model reads them: real numbers less their mean, over their
            standard deviation in the training rows.
        facts: `shape` [D] and `values`; `columns`, the name of each number; of real numbers
            `centre` and `scale`.
    """

    values: np.ndarray
    facts: Mapping[str, Any]

    @classmethod
    def standardised(cls, values: np.ndarray, facts: Mapping[str, Any]) -> "Vectors":
        """Numbers, (N, D), as they stand in a table, under the facts of the training rows."""
        if "centre" in facts:
            values = (values - np.asarray(facts["centre"])) / np.asarray(facts["scale"])
        return cls(values.astype(np.float32), facts)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.values)

    def __getitem__(self, index: int) -> np.ndarray:
        """The numbers of one row, (D,)."""
        return self.values[index]

    def select(self, indices: np.ndarray) -> "Vectors":
        """The vectors at these indices."""
        return replace(self, values=self.values[indices])

    def stack(self, rows: Sequence[np.ndarray]) -> Tensor:
        """Vectors, (B, D), float32."""
        return torch.from_numpy(np.stack(rows))

    def take(self, indices: Sequence[int] | np.ndarray) -> Tensor:
        """The vectors of the rows at these indices, (B, D), float32."""
        return torch.from_numpy(self.values[indices])


def as_in_table(values: np.ndarray, facts: Mapping[str, Any]) -> np.ndarray:
    """Vectors as a model has them, (N, D), as they stand in a table; the inverse of standardising.

    Args:
        values: (N, D).
        facts: of the field.
    """
    if "centre" in facts:
        return values * np.asarray(facts["scale"]) + np.asarray(facts["centre"])
    return values if facts["values"] == "real" else values.round().astype(np.int64)


@dataclass(frozen=True)
class Images:
    """Images of one size.

    Args:
        values: (N, C, H, W): uint8 v is the pixel v / 255; float32 is the pixel itself.
        pixels: of a batch: `grey` x itself; `dequantized` (255 x + u) / 256, u ~ U[0, 1) drawn
            for each batch; `static` and `dynamic` bits b ~ Bernoulli(x), drawn once (see
            `binarized`) or for each batch.
        read_as: how they were read, the facts of a `View`.
    """

    values: np.ndarray
    pixels: Pixels = "grey"
    read_as: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.values)

    def __getitem__(self, index: int) -> np.ndarray:
        """One image, (C, H, W)."""
        return self.values[index]

    def select(self, indices: np.ndarray) -> "Images":
        """The images at these indices."""
        return replace(self, values=self.values[indices])

    def stack(self, rows: Sequence[np.ndarray]) -> Tensor:
        """Images, (B, C, H, W), float32; bytes become values in [0, 1]."""
        return as_pixels(np.stack(rows))

    def take(self, indices: Sequence[int] | np.ndarray) -> Tensor:
        """`stack` of the images at these indices, without an array for each."""
        return as_pixels(self.values[indices])

    def drawn(self, values: Tensor, generator: torch.Generator | None) -> Tensor:
        """Images, (B, C, H, W), with bits or noise drawn where `pixels` has them."""
        if self.pixels == "dynamic":
            return torch.bernoulli(values, generator=generator)
        if self.pixels == "dequantized":
            noise = torch.empty_like(values).uniform_(generator=generator)
            return (values * 255 + noise) / 256
        return values

    @property
    def facts(self) -> dict[str, Any]:
        """Sizes and names of the field, from which a model is built."""
        return {"shape": list(self.values.shape[1:]), "pixels": self.pixels, **self.read_as}


def as_pixels(values: np.ndarray) -> Tensor:
    """Images as float32, of the same shape; bytes become values in [0, 1]."""
    pixels = torch.from_numpy(values)
    return pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels.float()


def binarized(values: np.ndarray, seed: int) -> np.ndarray:
    """255 b with b ~ Bernoulli(x) for each pixel x of images, (N, C, H, W); uint8."""
    bits = np.empty(values.shape, np.uint8)
    draw = np.random.default_rng(seed)
    for start in range(0, len(values), CHUNK):
        part = values[start : start + CHUNK]
        grey = part / np.float32(255) if part.dtype == np.uint8 else part
        bits[start : start + CHUNK] = 255 * (draw.random(part.shape, np.float32) < grey)
    return bits


@dataclass(frozen=True)
class Fields:
    """Rows of several fields; a batch is a dict of tensors by field name.

    Args:
        columns: by field name, all of one length.

    >>> rows = Fields({"label": Labels(np.array([1, 0]), classes=2)})
    >>> rows.collate([rows[0], rows[1]])
    {'label': tensor([1, 0])}

    Raises:
        DataError: columns of different lengths, or none.
    """

    columns: Mapping[str, Column]

    def __post_init__(self) -> None:
        """Check that there is one value of each field for each row."""
        sizes = {name: len(column) for name, column in self.columns.items()}
        if len(set(sizes.values())) != 1:
            counts = ", ".join(f"{size:,} of {name}" for name, size in sizes.items())
            raise DataError(f"every field must have as many rows (got {counts or 'no field'})")

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())))

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One row: a value by field name."""
        return {name: column[index] for name, column in self.columns.items()}

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, (N,), int64: those of its texts, or `ROW_TOKENS` without any."""
        texts = self.row_lengths(np.add)
        return np.sum(texts, 0) if texts else np.full(len(self), ROW_TOKENS)

    @property
    def longest(self) -> np.ndarray:
        """Tokens of the longest text of each row, (N,), int64."""
        texts = self.row_lengths(np.maximum)
        return np.max(texts, 0) if texts else np.zeros(len(self), np.int64)

    def row_lengths(self, how: np.ufunc) -> list[np.ndarray]:
        """Tokens of each row in each field of texts, (N,); of parts, `how` of theirs."""
        found = []
        for column in self.columns.values():
            if (texts := texts_of(column)) is not None:
                packed = isinstance(column, Packed)
                found.append(column.of_rows(texts.lengths, how) if packed else texts.lengths)
        return found

    @property
    def plates(self) -> dict[str, Packed]:
        """A column of each plate, by its name: all of one plate have as many parts."""
        packed = (column for column in self.columns.values() if isinstance(column, Packed))
        return {column.plate: column for column in packed}

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        """Sizes and names by field, from which a model is built.

        A single text has none; of several fields, texts have an empty mapping. Under the name of a
        plate: how many rows have so many parts, its `counts`.
        """
        facts = {name: getattr(column, "facts", {}) for name, column in self.columns.items()}
        alone = "text" in facts and not self.plates and len(text_columns(self)) == 1
        counts = {
            plate: {"counts": dict(zip(*counted(column.counts), strict=True))}
            for plate, column in self.plates.items()
        }
        return {name: each for name, each in facts.items() if each or not alone} | counts

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """One batch of rows, {field: (B, ...)}, and the number of parts, {plate: (B,)}."""
        batch = {
            name: column.stack([row[name] for row in rows]) for name, column in self.columns.items()
        }
        for name, column in self.columns.items():
            if isinstance(column, Packed):
                batch[column.plate] = torch.tensor([len(row[name]) for row in rows])
        return batch

    def batch(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """`collate` of the rows at these indices; images and labels are indexed all at once."""
        batch = {
            name: column.take(indices)  # type: ignore[attr-defined]
            if hasattr(column, "take")
            else column.stack([column[index] for index in indices])
            for name, column in self.columns.items()
        }
        counts = {plate: column.counts[indices] for plate, column in self.plates.items()}
        return batch | {plate: torch.from_numpy(each) for plate, each in counts.items()}

    def drawn(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """A batch with the bits or the noise of its images drawn."""
        return {
            name: column.drawn(batch[name], generator) if isinstance(column, Images) else value
            for name, value in batch.items()
            for column in (self.columns.get(name),)
        }

    def in_length_order(self, max_tokens: int = 4096) -> Iterator[tuple[np.ndarray, Batch]]:
        """Batches for evaluation with equal draws each time, and the indices of their rows."""
        generator = torch.Generator().manual_seed(0)
        for chosen in batches_by_length(self.lengths, max_tokens):
            yield chosen, self.drawn(self.batch(chosen), generator)

    def select(self, indices: np.ndarray) -> "Fields":
        """The rows at these indices."""
        return Fields({name: column.select(indices) for name, column in self.columns.items()})


def padded_batch(rows: Examples, multiple: int, indices: Sequence[int]) -> Batch:
    """The batch of the rows at these indices, texts padded to a multiple of a number of tokens."""
    batch = rows.batch(indices)
    if multiple == 1:
        return batch
    columns = rows.columns if isinstance(rows, Fields) else dict.fromkeys(batch, rows)
    for name, column in columns.items():
        if texts_of(column) is not None:
            extra = -batch[name].shape[1] % multiple
            batch[name] = functional.pad(batch[name], (0, extra), value=PAD)
    return batch


def sentences_of(rows: Examples, field: str = "text") -> Sentences | None:
    """The texts of a field of rows; None where they have no such field of texts."""
    if not isinstance(rows, Fields):
        return rows if isinstance(rows, Sentences) and rows.field == field else None
    return texts_of(rows.columns.get(field))


def text_columns(rows: Examples) -> list[Sentences]:
    """The fields of texts that rows have; of a field with parts, those of all rows."""
    columns = rows.columns.values() if isinstance(rows, Fields) else [rows]
    return [texts for column in columns if (texts := texts_of(column)) is not None]


def texts_of(column: object) -> Sentences | None:
    """The texts of a column, or of its parts; None where it has none."""
    inner = column.column if isinstance(column, Packed) else column
    return inner if isinstance(inner, Sentences) else None


def counted(counts: np.ndarray) -> tuple[list[str], list[int]]:
    """The different numbers of parts, as JSON has keys, and how many rows have each."""
    values, rows = np.unique(counts, return_counts=True)
    return [str(value) for value in values], rows.tolist()
