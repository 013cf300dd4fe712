"""Texts that are read anew in every pass, so that memory does not grow with their number."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from textvae.data.errors import DataError

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


def checked(source: str, read: Reader, notes: list[str]) -> Texts:
    """The texts of a split, read once to check and count them.

    Args:
        source: their file, folder or hub name.
        read: reads them.
        notes: those of the first pass are added to it.
    """
    sha, count = hashlib.sha256(), 0
    for text in read(notes):
        add_text(sha, text)
        count += 1
    return Texts(source, lambda: read([]), count, sha)


def hold_out(texts: Texts, fraction: float, seed: int) -> tuple[Texts, list[str]]:
    """The texts without a random share, and that share, both in their order; at least two texts."""
    in_rest = bytearray(b"\1") * len(texts)
    for index in held_out_places(len(texts), fraction, seed):
        in_rest[index] = 0
    sha, held_out = hashlib.sha256(), []
    # A file that has grown gives more texts than were counted; `Texts` raises at its end.
    for text, keep in zip(texts, itertools.chain(in_rest, itertools.repeat(1)), strict=False):
        if keep:
            add_text(sha, text)
        else:
            held_out.append(text)
    rest = Texts(texts.source, lambda: itertools.compress(texts.read(), in_rest), sum(in_rest), sha)
    return rest, held_out


def held_out_places(count: int, fraction: float, seed: int) -> list[int]:
    """Indices of a random share of `count` texts, ascending, at least one and not all."""
    size = min(max(1, round(fraction * count)), count - 1)
    return sorted(random.Random(seed).sample(range(count), size))


def add_text(sha: hashlib._Hash, text: str) -> None:
    """Update the SHA-256 of texts with one more and a line end.

    A line end inside the text becomes a byte that is not in UTF-8, so that only equal texts have
    equal sums.
    """
    sha.update(text.encode("utf-8", "surrogatepass").replace(b"\n", b"\xff") + b"\n")


def sha_of(texts: Iterable[str]) -> hashlib._Hash:
    """The SHA-256 of texts, which the caller may update; `Texts` have stored theirs."""
    if isinstance(texts, Texts):
        return texts.sha.copy()
    sha = hashlib.sha256()
    for text in texts:
        add_text(sha, text)
    return sha
