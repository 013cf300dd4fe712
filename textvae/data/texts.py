"""Texts that are read anew in every pass, so that memory does not grow with their number."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textvae.data.errors import DataError

if TYPE_CHECKING:
    from textvae.data.held_out import Division

Reader = Callable[[list[str]], Iterator[str]]
"""Reads and checks the texts of a split, and adds notes for the user to the list."""


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts that are read anew in every pass; only their number and SHA-256 stay in memory.

    Args:
        source: their file, folder or hub name.
        read: one pass over them.
        count: number of texts.
        sha: SHA-256 of all of them, see `add_text`.
    """

    source: str
    read: Callable[[], Iterator[str]]
    count: int
    sha: hashlib._Hash

    def __len__(self) -> int:
        """Number of texts."""
        return self.count

    def __iter__(self) -> Iterator[str]:
        """The texts.

        Raises:
            DataError: at the end, if their SHA-256 is not that of the first pass.
        """
        sha = hashlib.sha256()
        for text in self.read():
            add_text(sha, text)
            yield text
        if sha.digest() != self.sha.digest():
            raise DataError(f"{self.source}: changed while it was read")


def checked(
    source: str, read: Reader, notes: list[str], observe: Callable[[bytes], None] | None = None
) -> Texts:
    """The texts of a split, read once to check and count them.

    Args:
        source: their file, folder or hub name.
        read: reads them.
        notes: those of the first pass are added to it.
        observe: called with the bytes of each text.
    """
    sha, count = hashlib.sha256(), 0
    for text in read(notes):
        add_text(sha, text)
        count += 1
        if observe is not None:
            observe(content_of(text))
    return Texts(source, lambda: read([]), count, sha)


def hold_out(texts: Texts, division: Division) -> tuple[Texts, dict[str, list[str]]]:
    """The texts that stay in train, and those of each split that is held out, in their order."""
    in_train = bytearray()
    sha, held_out = hashlib.sha256(), dict[str, list[str]]()
    # A file that has grown gives more texts than were counted; `Texts` raises at its end.
    for place, text in enumerate(texts):
        split = division.split_of(place, content_of(text))
        in_train.append(split == "train")
        if split == "train":
            add_text(sha, text)
        else:
            held_out.setdefault(split, []).append(text)
    rest = Texts(
        texts.source, lambda: itertools.compress(texts.read(), in_train), sum(in_train), sha
    )
    return rest, held_out


def sampled_rows(count: int, sizes: Mapping[str, int], seed: int) -> dict[int, str]:
    """The split of each row that is drawn from `count`: as many as each split is to have."""
    draw, splits = random.Random(seed), dict[int, str]()
    for split, size in sizes.items():
        left = [row for row in range(count) if row not in splits] if splits else range(count)
        splits |= dict.fromkeys(draw.sample(left, size), split)
    return splits


def content_of(text: str) -> bytes:
    """A text as bytes, also half of a surrogate pair."""
    return text.encode("utf-8", "surrogatepass")


def add_text(sha: hashlib._Hash, text: str) -> None:
    """Update the SHA-256 of texts with one more and a line end.

    A line end inside the text becomes a byte that is not in UTF-8, so that only equal texts have
    equal sums.
    """
    sha.update(content_of(text).replace(b"\n", b"\xff") + b"\n")


def sha_of(texts: Iterable[str]) -> hashlib._Hash:
    """The SHA-256 of texts, which the caller may update; `Texts` have stored theirs."""
    if isinstance(texts, Texts):
        return texts.sha.copy()
    sha = hashlib.sha256()
    for text in texts:
        add_text(sha, text)
    return sha
