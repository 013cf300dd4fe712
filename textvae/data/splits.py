"""The files of each split of a folder, shards included."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from textvae.data.errors import DataError, listed, note_once
from textvae.data.formats import format_of
from textvae.data.formats.base import allowed_suffixes, known_format, other_recipes

SPLITS = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test",),
}
"""The splits and the names that files and hub data sets give them."""

SHARD = re.compile(r"-(\d+)(?=-of-(\d+)\.)", re.IGNORECASE)

ABOUT = re.compile(r"(readme|licen[cs]e|copying|notice|citation)\b.*|.*\.md", re.IGNORECASE)
"""Names of files about the data, which a note on unused files leaves out."""


def split_files(folder: Path, notes: list[str], labels: bool = False) -> dict[str, list[Path]]:
    """The files of each split in a folder; companions such as `train.labels.tsv` are left out.

    The last word of the name is the split: `train.txt`, `ptb.train.txt.gz`, `news-train.csv`.

    Args:
        folder: of the files.
        notes: sentences for the user: which files and folders are not used.
        labels: whether the labels in companions are read too.

    Raises:
        DataError: no file is named by a split, or the files of one split are no set of shards.
    """
    entries = sorted(entry for entry in folder.iterdir() if entry.name[0] != ".")
    names = [entry.name for entry in entries if entry.is_file()]
    folders = [entry.name for entry in entries if entry.is_dir()]
    readable = [name for name in names if format_of(name)]
    files: dict[str, list[Path]] = {}
    for split, words in SPLITS.items():
        candidates = [name for name in readable if last_word(name) in words]
        if candidates:
            files[split] = shards(folder, split, candidates)
    if not files:
        listing = ", ".join(readable[:8]) + (", ..." if len(readable) > 8 else "")
        beside = f"; folders, which are not read: {listed(folders)}" if folders else ""
        raise DataError(
            f"{folder}: no file is named by its split, as train.txt, valid.txt, test.txt "
            f"(found: {listing or 'no text file'}{beside}; allowed: {allowed_suffixes()}); "
            f"or give one file{other_recipes(names)}"
        )
    used = [path for paths in files.values() for path in paths]
    known = {path.name for path in used} | companions(folder, used, labels)
    left_out = [name for name in names if name not in known and not ABOUT.fullmatch(name)]
    for unit, unused in (("file", left_out), ("folder", folders)):
        if unused:
            s = "s" if len(unused) > 1 else ""
            note_once(notes, f"{folder}: {len(unused):,} {unit}{s} not used: {listed(unused)}")
    return files


def companions(folder: Path, used: Iterable[Path], labels: bool) -> set[str]:
    """The names of the files that are read with those of the splits, or describe them."""
    names: set[str] = set()
    for path in used:
        format = known_format(path)
        names |= {beside.name for beside in format.beside(path)}
        if labels and not format.labelled:
            tables = [name for name in label_tables(path) if path.with_name(name).is_file()]
            names |= set(tables[:1])
    if (folder / "corpus.json").is_file():
        from textvae.corpus.files import is_corpus  # here: few folders have one

        if is_corpus(folder):
            names |= {"corpus.json", *(path.name for path in folder.glob("*.labels.tsv"))}
    return names


def label_tables(path: Path) -> list[str]:
    """Names for the table with the labels of a file without columns: `train.labels.tsv`, or .gz."""
    stem = Path(path.name.removesuffix(".gz")).stem
    return [f"{stem}.labels.tsv", f"{stem}.labels.tsv.gz"]


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
