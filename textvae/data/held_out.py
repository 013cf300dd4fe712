"""Rows held out from the training rows: how many, and which, by a hash of their content."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any, Literal, Self

from textvae.data.errors import DataError

SplitBy = Literal["content", "row"]
"""Whether equal rows go to one split, or each row is drawn on its own."""

SHARE, SMALL_SHARE, ENOUGH, MOST = 0.05, 0.1, 100, 2000
"""Of `default_size`."""

BITS = 48
"""Of a hash: two different texts of a million share theirs with a probability of 0.2 %."""

ROOM = 4096
"""Number of lowest hashes that a `Sketch` holds at least."""

PURPOSE = {"valid": "validation", "test": "test"}
"""Of each split that can be held out."""

Fractions = Mapping[str, float | None]
"""The share of each split to hold out, `valid` first; None for the default size."""

Drawn = Callable[[int, Mapping[str, int], int], dict[int, str]]
"""Draws rows of a number of them, of these sizes, with a seed: the split of each row drawn."""


def default_size(count: int) -> int:
    """Rows of a held-out split: 5 %, or 100 where that is at most 10 %; never over 2,000.

    The standard error of a mean over n texts falls with the root of n. It is a tenth of the
    deviation of one text at 100, and 2 % of it at 2,000.

    >>> [default_size(count) for count in (10, 500, 1_000, 5_000, 1_000_000)]
    [1, 50, 100, 250, 2000]
    """
    least = min(ENOUGH, round(SMALL_SHARE * count))
    return min(max(round(SHARE * count), least), MOST)


def held_out_sizes(count: int, fractions: Fractions) -> dict[str, int]:
    """Rows of each split to hold out of `count`, at least one; one row is left for training."""
    wanted = {
        split: max(1, default_size(count) if share is None else round(share * count))
        for split, share in fractions.items()
    }
    left, sizes = count - 1, {}
    for split, size in wanted.items():
        others = sum(wanted[other] for other in wanted if other not in sizes and other != split)
        sizes[split] = min(size, left, max(1, left - others))
        left -= sizes[split]
    return sizes


def content_hash(content: bytes, seed: int) -> int:
    """A number below 2^48 that depends on the content and the seed alone."""
    digest = blake2b(content, digest_size=BITS // 8, salt=seed.to_bytes(8, "little"))
    return int.from_bytes(digest.digest(), "little")


@dataclass(frozen=True)
class ByRow:
    """Rows that are held out wherever their content recurs; they hold for these rows alone.

    Args:
        places: the split of each row that is held out.
    """

    places: Mapping[int, str]

    @property
    def facts(self) -> dict[str, Any]:
        """That the choice is by row, for `run.json`."""
        return {"split_by": "row"}

    def split_of(self, row: int, content: bytes) -> str:
        """The split of a row."""
        return self.places.get(row, "train")


@dataclass(frozen=True)
class ByContent:
    """Contents that are held out, wherever they stand: also in a file that has grown since.

    Args:
        seed: of the hash.
        ends: by split, the hash below which a content belongs to it or to an earlier split.
        in_train: hashes below these ends that stay in train.
    """

    seed: int
    ends: Mapping[str, int]
    in_train: frozenset[int] = frozenset()

    def split_of(self, row: int, content: bytes) -> str:
        """The split of a content."""
        number = content_hash(content, self.seed)
        if number >= self.highest or number in self.in_train:
            return "train"
        return next(split for split, end in self.ends.items() if number < end)

    @cached_property
    def highest(self) -> int:
        """The hash below which contents are held out."""
        return max(self.ends.values(), default=0)

    @property
    def facts(self) -> dict[str, Any]:
        """The same as JSON, for `run.json`."""
        ends, stay = dict(self.ends), sorted(self.in_train)
        return {"seed": self.seed, "hashes_below": ends, "in_train": stay}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        """The inverse of `facts`.

        Raises:
            ValueError: they are no such facts.
        """
        try:
            ends = {str(split): int(end) for split, end in facts["hashes_below"].items()}
            return cls(int(facts["seed"]), ends, frozenset(map(int, facts["in_train"])))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ValueError(f"no facts of held-out rows (got {facts!r})") from None


Division = ByRow | ByContent


@dataclass
class Sketch:
    """The lowest hashes of a stream of contents, with their counts: as many as are held out.

    Its size depends on the number of rows to hold out, not on that of all rows.

    Args:
        fractions: of the splits to hold out.
        seed: of the hash.
    """

    fractions: Fractions
    seed: int
    rows: int = 0
    counts: dict[int, int] = field(default_factory=dict)
    limit: int = 1 << BITS
    room: int = 0

    def add(self, content: bytes) -> None:
        """Count one row."""
        self.rows += 1
        number = content_hash(content, self.seed)
        if number >= self.limit:
            return
        self.counts[number] = self.counts.get(number, 0) + 1
        if len(self.counts) > self.room:
            wanted = sum(held_out_sizes(self.rows, self.fractions).values())
            self.room = max(ROOM, 4 * wanted)
            if len(self.counts) > self.room:
                lowest = sorted(self.counts)
                self.limit = lowest[len(lowest) // 2]
                self.counts = {n: c for n, c in self.counts.items() if n < self.limit}

    def choose(self, avoid: Collection[int] = ()) -> ByContent:
        """The lowest hashes, as many rows as each split is to have; fewer where all are equal.

        A content stays in train if its copies alone are over 5 % of a split, as long as other
        contents have twice the rows that are needed; if they are more than the largest split, which
        then gets fewer rows; and if it is one of those to avoid.

        Args:
            avoid: hashes of contents of splits that have a file.
        """
        import numpy as np  # here, because commands that read no data import this module

        sizes = held_out_sizes(self.rows, self.fractions)
        numbers = np.array(sorted(self.counts), np.int64)
        counts = np.array([self.counts[number] for number in numbers.tolist()])
        ascending = np.sort(counts)
        needed = np.searchsorted(ascending.cumsum(), 2 * sum(sizes.values()))
        most = max(ascending[min(needed, len(counts) - 1)], min(sizes.values()) // 20)
        largest = max(sizes.values())
        if most > largest and ascending[0] <= largest:
            # Half of what the other contents have, and no more.
            most, others = largest, int(counts[counts <= largest].sum())
            total = 2 * sum(sizes.values())
            sizes = {name: min(size, size * others // total) for name, size in sizes.items()}
        eligible = (counts <= most) & ~np.isin(numbers, np.array(sorted(avoid), np.int64))
        if self.limit == 1 << BITS and eligible.all():
            eligible[-1] = False  # one content is left for training
        reached = np.where(eligible, counts, 0).cumsum()
        ends: dict[str, int] = {}
        rows, end = 0, 0
        for split, size in sizes.items():
            last = int(np.searchsorted(reached, min(rows + size, reached[-1])))
            if reached[last] > rows and size:
                rows, end = reached[last], int(numbers[last]) + 1
                ends[split] = end
        stay = numbers[~eligible & (numbers < end)]
        return ByContent(self.seed, ends, frozenset(stay.tolist()))


@dataclass(frozen=True)
class HoldOut:
    """How rows are held out for the splits that have no file.

    Args:
        valid_fraction: share of the training rows for validation; None for `default_size`, 0 for
            none.
        test_fraction: the same, for testing.
        by: whether equal rows go to one split, or each row is drawn on its own.
        seed: of the choice.
        chosen: the rows of a run that has begun, in place of all of these.

    Raises:
        DataError: a share is not in [0, 1).
    """

    valid_fraction: float | None = None
    test_fraction: float | None = None
    by: SplitBy = "content"
    seed: int = 0
    chosen: ByContent | None = None

    def __post_init__(self) -> None:
        """Check the shares."""
        for name in ("valid_fraction", "test_fraction"):
            share = getattr(self, name)
            if share is not None and not 0 <= share < 1:
                raise DataError(f"{name}: must be in [0, 1) (got {share})")

    def fractions(self, given: Collection[str]) -> dict[str, float | None]:
        """The share of each split that is to be held out, where these splits have a file."""
        shares = {"valid": self.valid_fraction, "test": self.test_fraction}
        if self.chosen is not None:
            return {split: shares[split] for split in shares if split in self.chosen.ends}
        return {
            split: share for split, share in shares.items() if split not in given and share != 0
        }

    def note(self, counts: Mapping[str, int], rows: int, unit: str) -> str:
        """A sentence on the rows that are held out.

        Args:
            counts: rows of each split that is held out.
            rows: of all splits and of train.
            unit: of a row, in the plural.
        """
        parts = [f"{counts[split]:,} for {PURPOSE[split]}" for split in counts]
        if self.chosen is not None:
            return f"held out when the run began: {' and '.join(parts)}"
        how = {"content": "by content", "row": "by row"}[self.by]
        text = (
            f"no {' or '.join(PURPOSE[split] for split in counts)} data: held out of {rows:,} "
            f"{unit}: {' and '.join(parts)} ({how}, seed {self.seed}; "
            f"{', '.join(f'data.{split}_fraction' for split in counts)})"
        )
        few = f"; metrics on fewer than {ENOUGH} {unit} are rough"
        return text + (few if min(counts.values()) < ENOUGH else "")

    @property
    def needs_sketch(self) -> bool:
        """Whether the choice depends on the contents of all rows."""
        return self.chosen is None and self.by == "content"

    def divide(self, sketch: Sketch, rows: int, avoid: Iterable[bytes], drawn: Drawn) -> Division:
        """The rows to hold out.

        Args:
            sketch: of the training rows, where it is needed.
            rows: number of training rows.
            avoid: contents of splits that have a file.
            drawn: chooses rows where they are drawn on their own.
        """
        if self.chosen is not None:
            return self.chosen
        if self.by == "row":
            return ByRow(drawn(rows, held_out_sizes(rows, sketch.fractions), self.seed))
        return sketch.choose({content_hash(content, self.seed) for content in avoid})
