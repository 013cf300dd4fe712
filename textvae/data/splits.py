"""The files of each split of a folder, shards included."""

from __future__ import annotations

import re
from pathlib import Path

from textvae.data.errors import DataError
from textvae.data.formats import format_of
from textvae.data.formats.base import allowed_suffixes

SPLITS = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test",),
}
"""The splits and the names that files and hub data sets give them."""

SHARD = re.compile(r"-(\d+)(?=-of-(\d+)\.)", re.IGNORECASE)


def split_files(folder: Path) -> dict[str, list[Path]]:
    """The files of each split in a folder; companions such as `train.labels.tsv` are left out.

    The last word of the name is the split: `train.txt`, `ptb.train.txt.gz`, `news-train.csv`.

    Raises:
        DataError: no file is named by a split, or the files of one split are no set of shards.
    """
    names = sorted(p.name for p in folder.iterdir() if p.is_file() and p.name[0] != ".")
    readable = [name for name in names if format_of(name)]
    files: dict[str, list[Path]] = {}
    for split, words in SPLITS.items():
        candidates = [name for name in readable if last_word(name) in words]
        if candidates:
            files[split] = shards(folder, split, candidates)
    if not files:
        listing = ", ".join(readable[:8]) + (", ..." if len(readable) > 8 else "")
        raise DataError(
            f"{folder}: no file is named by its split, as train.txt, valid.txt, test.txt "
            f"(found: {listing or 'no text file'}; allowed: {allowed_suffixes()}); "
            "or give one file"
        )
    return files


def last_word(name: str) -> str:
    """The last word of a file name before its suffix and the shard, such as `-00000-of-00008`."""
    stem = Path(name.lower().removesuffix(".gz")).stem
    return re.split(r"[._-]", re.sub(r"-\d+-of-\d+$", "", stem))[-1]


def shards(folder: Path, split: str, names: list[str]) -> list[Path]:
    """The one file of a split, or all shards of one set, `-00000-of-00008` first.

    Raises:
        DataError: several files that are no set, or a shard is missing.
    """
    expected = names
    if shard := SHARD.search(names[0]):
        digits, total = len(shard[1]), int(shard[2])
        numbers = range(min(total, len(names) + 1))
        expected = [SHARD.sub(f"-{number:0{digits}}", names[0]) for number in numbers]
    if len(expected) < len(names) or len({SHARD.sub("", name) for name in names}) > 1:
        listing = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise DataError(
            f"{folder}: several files for {split}: {listing}; keep one, or the shards of one, or "
            "give one file"
        )
    if missing := [name for name in expected if name not in names]:
        raise DataError(f"{folder}: the shard {missing[0]} is missing")
    return [folder / name for name in expected]
