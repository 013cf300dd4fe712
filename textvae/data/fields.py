"""Rows of several fields: images, labels and texts side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from textvae.config import Pixels
from textvae.data.batching import Batch, Examples, Sentences, batches_by_length
from textvae.data.texts import DataError

ROW_TOKENS = 8
"""What a row without text counts as in a batch of so many tokens: 512 images in 4,096."""

CHUNK = 4096
"""Images whose bits are drawn at once."""


class Column(Protocol):
    """The values of one field, one for each row."""

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def __getitem__(self, index: int, /) -> Any:
        """The value of one row."""
        ...

    def stack(self, rows: Sequence[Any]) -> Tensor:
        """Values of several rows as one tensor, (B, ...)."""
        ...


@dataclass(frozen=True)
class Labels:
    """One class of each row.

    Args:
        values: (N,), int64; -1 where it is missing.
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

    def stack(self, rows: Sequence[int]) -> Tensor:
        """Labels, (B,), int64."""
        return torch.as_tensor(np.asarray(rows, np.int64))

    @property
    def facts(self) -> dict[str, Any]:
        """What a model must know of the field."""
        named = {"names": list(self.names)} if self.names else {}
        return {"classes": self.classes, **named}


@dataclass(frozen=True)
class Images:
    """Images of one size.

    Args:
        values: (N, C, H, W): uint8 stands for values / 255; float32 as it is.
        pixels: how a model sees them: `grey` as they are; `dequantized` (255 x + u) / 256 with u
            uniform in [0, 1), drawn anew each time; `static` and `dynamic` as bits that are 1 with
            probability x, drawn once (see `binarized`) or anew each time.
    """

    values: np.ndarray
    pixels: Pixels = "grey"

    def __len__(self) -> int:
        """Number of images."""
        return len(self.values)

    def __getitem__(self, index: int) -> np.ndarray:
        """One image, (C, H, W)."""
        return self.values[index]

    def stack(self, rows: Sequence[np.ndarray]) -> Tensor:
        """Images, (B, C, H, W), float32; those of bytes are in [0, 1]."""
        values = torch.from_numpy(np.stack(rows))
        return values.float() / 255 if values.dtype == torch.uint8 else values.float()

    def drawn(self, values: Tensor, generator: torch.Generator | None) -> Tensor:
        """Images, (B, C, H, W), with what is random in them drawn."""
        if self.pixels == "dynamic":
            return torch.bernoulli(values, generator=generator)
        if self.pixels == "dequantized":
            noise = torch.empty_like(values).uniform_(generator=generator)
            return (values * 255 + noise) / 256
        return values

    @property
    def facts(self) -> dict[str, Any]:
        """What a model must know of the field."""
        return {"shape": list(self.values.shape[1:]), "pixels": self.pixels}


def binarized(values: np.ndarray, seed: int) -> np.ndarray:
    """Each pixel of grey images, (N, C, H, W), as 255 with its own probability, else 0; uint8."""
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
            said = ", ".join(f"{size:,} of {name}" for name, size in sizes.items())
            raise DataError(f"every field must have as many rows (got {said or 'no field'})")

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())))

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One row: a value by field name."""
        return {name: column[index] for name, column in self.columns.items()}

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, (N,), int64: those of its texts, or `ROW_TOKENS` without any."""
        texts = [column.lengths for column in self.columns.values() if hasattr(column, "lengths")]  # type: ignore[attr-defined]
        return np.sum(texts, 0) if texts else np.full(len(self), ROW_TOKENS)

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        """What a model must know of each field that is no text."""
        return {
            name: column.facts  # type: ignore[attr-defined]
            for name, column in self.columns.items()
            if hasattr(column, "facts")
        }

    def collate(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """One batch of rows, {field: (B, ...)}."""
        return {
            name: column.stack([row[name] for row in rows]) for name, column in self.columns.items()
        }

    def drawn(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """A batch with what is random in its images drawn, by torch's generator."""
        return {
            name: column.drawn(batch[name], generator) if isinstance(column, Images) else value
            for name, value in batch.items()
            for column in (self.columns[name],)
        }

    def in_length_order(self, max_tokens: int = 4096) -> Iterator[tuple[np.ndarray, Batch]]:
        """Batches for evaluation, drawn the same each time, with the index of each row."""
        generator = torch.Generator().manual_seed(0)
        for chosen in batches_by_length(self.lengths, max_tokens):
            batch = self.collate([self[index] for index in chosen])
            yield chosen, self.drawn(batch, generator)

    def select(self, indices: np.ndarray) -> "Fields":
        """The rows at these indices, of fields that are arrays."""
        chosen = {
            name: replace(column, values=column.values[indices])  # type: ignore[attr-defined,type-var]
            for name, column in self.columns.items()
        }
        return Fields(chosen)


def sentences_of(rows: Examples) -> Sentences | None:
    """The texts among rows, if they have some."""
    found = rows.columns.get("text") if isinstance(rows, Fields) else rows
    return found if isinstance(found, Sentences) else None
