"""Encoded sentences and the order in which they are read."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from textvae.checkpoints import atomic_file, write_file
from textvae.data.texts import DataError
from textvae.data.tokenizers import TextTokenizer, count_words, encode_texts, tokenizer_kind
from textvae.vocabulary import PAD

Batch = dict[str, Tensor]
CHUNK = 1000
"""Texts encoded at once: enough for the threads of the tokenizer, small in memory."""
POOL = 50
"""Batches sorted by length at once: more means less padding, fewer a more random order."""


MAPPED = 2**26
"""Bytes of a file of token ids from which it is mapped; a smaller one is copied into memory."""


class CutShortError(DataError):
    """A file of the cache that is not as long as its header says."""


class Examples(Protocol):
    """Rows of training and evaluation, from which batches are made."""

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def __getitem__(self, index: int, /) -> Any:
        """One row."""
        ...

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, (N,), int64; rows of similar length share a batch."""
        ...

    def collate(self, rows: Sequence[Any]) -> Batch:
        """One batch of rows."""
        ...

    def batch(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """`collate` of the rows at these indices."""
        ...

    def drawn(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """A batch with the random part of its data drawn, such as binarised pixels."""
        ...

    def in_length_order(self, max_tokens: int = 4096) -> Iterator[tuple[np.ndarray, Batch]]:
        """Batches for evaluation with equal draws each time, and the indices of their rows."""
        ...


@dataclass(frozen=True)
class Sentences:
    """Token ids of many texts in one flat array; behaves as a sequence of int64 arrays.

    Large arrays may be memory-mapped files, of which only the accessed texts are read.

    Args:
        ids: all token ids, begin and end of sentence included, int32 or uint16.
        offsets: index of the first token of each text, and the end of the last, (S + 1,), int64.
        words: words of all texts, each with one end of sentence: the denominator of word
            perplexity, the same for every tokenizer but `bag`, which counts the words it keeps.
        field: name of the field in a batch.
    """

    ids: np.ndarray
    offsets: np.ndarray
    words: int
    field: str = "text"

    @classmethod
    def encoded(cls, tokenizer: TextTokenizer, texts: Iterable[str]) -> "Sentences":
        """The sentences of texts under a tokenizer."""
        parts = list(encoded_parts(tokenizer, texts))
        ids = np.concatenate([np.zeros(0, np.int32), *(part for part, _, _ in parts)])
        offsets = np.cumsum([0, *chain.from_iterable(lengths for _, lengths, _ in parts)])
        return cls(ids, offsets, sum(words for _, _, words in parts))

    @classmethod
    def mapped(cls, folder: Path, least: int = MAPPED) -> "Sentences":
        """The sentences in a folder of `write_sentences`; large files are memory-mapped.

        Args:
            folder: that was written.
            least: bytes of a file that is mapped; see `stored_array`.

        Raises:
            CutShortError: a file is shorter or longer than its header says.
        """
        header = json.loads((folder / "sentences.json").read_text(encoding="utf-8"))
        ids = stored_array(folder / "ids.bin", np.dtype(header["dtype"]), header["tokens"], least)
        offsets = stored_array(
            folder / "offsets.bin", np.dtype(np.int64), header["texts"] + 1, least
        )
        return cls(ids, offsets, header["words"])

    def __len__(self) -> int:
        """Number of texts S."""
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        """Token ids of one text, (T,), int64."""
        return self.ids[self.offsets[index] : self.offsets[index + 1]].astype(np.int64)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, begin and end of sentence included, (S,), int64."""
        return np.diff(self.offsets)

    @property
    def targets(self) -> int:
        """Number of predicted tokens: all but the first of each text."""
        return len(self.ids) - len(self)

    def counts(self, vocab_size: int) -> np.ndarray:
        """Number of occurrences of each token id in all texts, (V,), int64."""
        total = np.zeros(vocab_size, np.int64)
        for start in range(0, len(self.ids), 2**20):
            total += np.bincount(self.ids[start : start + 2**20], minlength=vocab_size)
        return total

    def select(self, indices: Sequence[int] | np.ndarray) -> "Sentences":
        """The texts at these indices; their words are not counted."""
        parts = [self.ids[self.offsets[i] : self.offsets[i + 1]] for i in indices]
        ids = np.concatenate([self.ids[:0], *parts])
        return Sentences(ids, np.cumsum([0, *map(len, parts)]), 0, self.field)

    def collate(self, rows: Sequence[np.ndarray]) -> Batch:
        """One padded batch, {field: (B, T)}, int64."""
        return {self.field: self.stack(rows)}

    def stack(self, rows: Sequence[np.ndarray]) -> Tensor:
        """Texts padded to the longest, (B, T), int64."""
        padded = np.full((len(rows), max(map(len, rows))), PAD, dtype=np.int64)
        for number, row in enumerate(rows):
            padded[number, : len(row)] = row
        return torch.from_numpy(padded)

    def batch(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """The padded batch of the texts at these indices, {field: (B, T)}, int64."""
        return self.collate([self[index] for index in indices])

    def drawn(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """The same batch: no part of it is random."""
        return batch

    def in_length_order(self, max_tokens: int = 4096) -> Iterator[tuple[np.ndarray, Batch]]:
        """Batches of similar length for evaluation, with the index of each of their texts.

        Args:
            max_tokens: most tokens of a batch, padding included; a longer text is alone.
        """
        for chosen in batches_by_length(self.lengths, max_tokens):
            yield chosen, self.batch(chosen)


def joined(parts: Sequence[Sentences]) -> Sentences:
    """The sentences of several, those of the first one first; of one, itself."""
    if len(parts) == 1:
        return parts[0]
    ids = np.concatenate([part.ids for part in parts])
    offsets = np.cumsum(np.concatenate([[0], *(part.lengths for part in parts)]))
    return Sentences(ids, offsets, sum(part.words for part in parts), parts[0].field)


def batches_by_length(lengths: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Indices of rows of similar length, at most `most` tokens with padding, or one row."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * lengths[order[stop]] <= most:
            stop += 1
        yield order[start:stop]
        start = stop


def encoded_parts(
    tokenizer: TextTokenizer, texts: Iterable[str], max_tokens: float = math.inf
) -> Iterator[tuple[np.ndarray, list[int], int]]:
    """Ids, int32, lengths and number of words of texts in chunks; longer ones are left out."""
    remaining = iter(texts)
    while chunk := list(islice(remaining, CHUNK)):
        rows = zip(chunk, encode_texts(tokenizer, chunk), strict=True)
        short = [(text, row) for text, row in rows if len(row) <= max_tokens]
        lengths = [len(row) for _, row in short]
        ids = chain.from_iterable(row for _, row in short)
        words = sum(lengths) - len(short)
        if tokenizer_kind(tokenizer) != "bag":
            words = sum(count_words(text) for text, _ in short)
        yield np.fromiter(ids, np.int32, sum(lengths)), lengths, words


def stored_array(path: Path, dtype: np.dtype, count: int, least: int) -> np.ndarray:
    """An array in a file, (count,): a copy in memory, or mapped from `least` bytes on.

    What is copied does not depend on the file any more. A mapped file must stay as long as it is:
    a process that reads beyond its end gets SIGBUS. Nothing here shortens a file: it is written
    under another name and renamed, and a file that is deleted or replaced stays readable.

    Raises:
        CutShortError: the file is shorter or longer.
    """
    size = path.stat().st_size
    if size == count * dtype.itemsize:
        if size < least:
            array = np.fromfile(path, dtype)
        else:
            # A plain array: rows of a memmap are memmaps too, which take five times as long.
            array = np.asarray(np.memmap(path, dtype, "r", shape=(count,)))
        if len(array) == count:
            return array
    raise CutShortError(f"{path} is damaged: it must have {count * dtype.itemsize:,} bytes")


def none_is_short(most: float, shortest: int) -> DataError:
    """The error where every training text has more than `most` tokens."""
    return DataError(
        f"every training text has more than data.max_tokens = {most} tokens (the shortest: "
        f"{shortest})"
    )


def write_sentences(
    folder: Path, tokenizer: TextTokenizer, texts: Iterable[str], max_tokens: float
) -> None:
    """Encode texts of at most `max_tokens` tokens into files for `Sentences.mapped`.

    Raises:
        DataError: every text is longer.
    """
    dtype = np.dtype(np.uint16 if len(tokenizer) <= 2**16 else np.int32)
    tokens = texts_kept = total = 0
    with (
        atomic_file(folder / "ids.bin") as ids_path,
        atomic_file(folder / "offsets.bin") as offsets_path,
        ids_path.open("wb") as ids,
        offsets_path.open("wb") as offsets,
    ):
        offsets.write(np.int64(0).tobytes())
        for part, lengths, words in encoded_parts(tokenizer, texts, max_tokens):
            ids.write(part.astype(dtype).tobytes())
            offsets.write((tokens + np.cumsum(lengths, dtype=np.int64)).tobytes())
            tokens += len(part)
            texts_kept += len(lengths)
            total += words
    if not tokens:
        parts = encoded_parts(tokenizer, texts)
        shortest = min((min(lengths) for _, lengths, _ in parts), default=0)
        raise none_is_short(max_tokens, shortest)
    header = {"dtype": dtype.name, "tokens": tokens, "texts": texts_kept, "words": total}
    write_file(folder / "sentences.json", json.dumps(header))


class ShuffledBatches:
    """Micro-batches of similar length in an order that depends on seed and epoch alone.

    Each epoch shuffles the texts, leaves out the few that do not fill a batch, sorts pools of
    batches by length and shuffles the batches. Other texts are left out in each epoch, so no
    length is favoured. Processes and accumulated micro-batches share a global batch evenly.

    Args:
        lengths: tokens of each text, (S,).
        batch_size: texts of a global batch, over all processes and accumulated micro-batches.
        seed: of the order.
        accumulation: micro-batches of one optimizer step.
        rank: number of this process.
        world: number of processes.

    Raises:
        ValueError: the batch cannot be divided evenly, or there are too few texts.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        batch_size: int,
        seed: int,
        accumulation: int = 1,
        rank: int = 0,
        world: int = 1,
    ):
        self.shares = accumulation * world
        if batch_size % self.shares:
            raise ValueError(
                f"batch_size must be a multiple of accumulation * processes = {self.shares} "
                f"(got {batch_size})"
            )
        self.lengths = lengths
        self.batch_size = min(batch_size, len(lengths) // self.shares * self.shares)
        if self.batch_size == 0:
            raise ValueError(f"at least {self.shares} texts are needed (got {len(lengths)})")
        self.seed = seed
        self.accumulation = accumulation
        self.rank = rank
        self.world = world
        self.epoch = 0

    @property
    def steps(self) -> int:
        """Optimizer steps of an epoch."""
        return len(self.lengths) // self.batch_size

    def __len__(self) -> int:
        """Micro-batches of an epoch for this process."""
        return self.steps * self.accumulation

    def __iter__(self) -> Iterator[list[int]]:
        """Indices of the texts of each micro-batch."""
        for batch in self.global_batches(self.epoch):
            for micro in range(self.accumulation):
                yield batch[micro * self.world + self.rank :: self.shares].tolist()

    def global_batches(self, epoch: int) -> np.ndarray:
        """Indices of the texts of each global batch of an epoch, (steps, B)."""
        random = np.random.default_rng([self.seed, epoch])
        order = random.permutation(len(self.lengths))[: self.steps * self.batch_size]
        size = POOL * self.batch_size
        pools = [order[start : start + size] for start in range(0, len(order), size)]
        pools = [pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools]
        batches = np.concatenate(pools).reshape(self.steps, self.batch_size)
        return batches[random.permutation(self.steps)]
