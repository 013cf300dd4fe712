"""Texts that are read anew in every pass, so that memory does not grow with their number."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from textvae.data.errors import DataError

Reader = Callable[[list[str]], Iterator[str]]
"""Reads the texts of a split, checks them, and adds to the list a note on what it skipped."""


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts that are read anew in every pass: what stays in memory is their number and SHA-256.

    Args:
        source: where they come from.
        read: reads them.
        count: number of texts.
        sha: of all of them, see `add_text`.
    """

    source: str
    read: Callable[[], Iterator[str]]
    count: int
    sha: hashlib._Hash

    def __len__(self) -> int:
        """Number of texts."""
        return self.count

    def __iter__(self) -> Iterator[str]:
        """The texts; an error at the end if they are not those that were counted."""
        sha = hashlib.sha256()
        for text in self.read():
            add_text(sha, text)
            yield text
        if sha.digest() != self.sha.digest():
            raise DataError(f"{self.source}: changed while it was read")


def checked(source: str, read: Reader, notes: list[str]) -> Texts:
    """The texts of a split, read once to check and count them."""
    sha, count = hashlib.sha256(), 0
    for text in read(notes):
        add_text(sha, text)
        count += 1
    return Texts(source, lambda: read([]), count, sha)


def hold_out(texts: Texts, fraction: float, seed: int) -> tuple[Texts, list[str]]:
    """At least two texts without a random share, and that share, both in their order."""
    kept = bytearray(b"\1") * len(texts)
    for index in held_out_places(len(texts), fraction, seed):
        kept[index] = 0
    sha, held = hashlib.sha256(), []
    for text, keep in zip(texts, itertools.chain(kept, itertools.repeat(1)), strict=False):
        if keep:
            add_text(sha, text)
        else:
            held.append(text)
    rest = Texts(texts.source, lambda: itertools.compress(texts.read(), kept), sum(kept), sha)
    return rest, held


def held_out_places(count: int, fraction: float, seed: int) -> list[int]:
    """The places of a random share of `count` texts, at least one and not all, in order."""
    size = min(max(1, round(fraction * count)), count - 1)
    return sorted(random.Random(seed).sample(range(count), size))


def add_text(sha: hashlib._Hash, text: str) -> None:
    """Go on with the SHA-256 of texts by one more and a line end.

    A line end inside the text becomes a byte that UTF-8 does not know, so that only equal texts
    have equal sums.
    """
    sha.update(text.encode("utf-8", "surrogatepass").replace(b"\n", b"\xff") + b"\n")


def sha_of(texts: Iterable[str]) -> hashlib._Hash:
    """The SHA-256 of texts, to look at or to go on with; `Texts` know theirs."""
    if isinstance(texts, Texts):
        return texts.sha.copy()
    sha = hashlib.sha256()
    for text in texts:
        add_text(sha, text)
    return sha
