"""Texts from files, folders and the data set hub; every call reads anew, nothing is cached."""

from __future__ import annotations

import csv
import difflib
import gzip
import itertools
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from textvae.data.texts import DataError, Reader, Texts, checked, held_out_places, hold_out

MAX_CHARS = 100_000
FORMATS = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".feat", ".parquet")
ALLOWED = ".txt, .csv, .tsv, .json, .jsonl, .feat (each also .gz) or .parquet"
SPLITS = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test",),
}
"""The splits and the names that files and hub data sets give them."""

SURROGATE = re.compile("[\ud800-\udfff]")
HUB_NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?(:[\w.-]+)?")
SHARD = re.compile(r"-(\d+)(?=-of-(\d+)\.)", re.IGNORECASE)


@dataclass(frozen=True)
class Corpus:
    """The texts of each split, stripped and never empty; `valid` and `test` may have none.

    `notes` are sentences for the user: what was skipped, what was split off. `labels` are those of
    the texts of each split, blank where there is none; None where no column of them was named.
    """

    train: Texts | list[str]
    valid: list[str]
    test: list[str]
    source: str
    notes: list[str]
    labels: dict[str, list[str]] | None = None


class Rows(NamedTuple):
    """Texts and the notes on reading them."""

    texts: list[str]
    notes: list[str]


class Labelled(NamedTuple):
    """Texts with the label of each, (N,) both."""

    texts: list[str]
    labels: list[str]


def read_corpus(
    source: str,
    *,
    text_column: str = "text",
    label_column: str | None = None,
    valid_fraction: float = 0.05,
    seed: int = 0,
    max_chars: int = MAX_CHARS,
) -> Corpus:
    """The corpus at a folder, a file or a hub name; without validation data, part of train is it.

    All texts are read and checked; those of train are not kept.

    Args:
        source: a folder of files named by split (`train.txt`, `ptb.valid.txt.gz`, `dev.csv`, or
            shards as `train-00000-of-00008.jsonl`), one file (all of it is train), or the name of
            a hub data set, `name` or `name:config`.
        text_column: where the text is in csv, tsv, json, parquet and hub data. Such a text keeps
            the line ends inside it.
        label_column: where labels are; then all texts are kept in memory.
        valid_fraction: the share of train that is held out where there is no validation data.
        seed: chooses the texts held out.
        max_chars: a longer text is an error.

    Raises:
        DataError: anything that cannot be read as asked; names the file and the line.
    """
    if not 0 <= valid_fraction < 1:
        raise DataError(f"valid_fraction: must be in [0, 1) (got {valid_fraction})")
    if label_column is not None:
        return labelled_corpus(source, text_column, label_column, valid_fraction, seed)
    readers = split_readers(source, text_column, max_chars)
    if "train" not in readers:
        raise DataError(f"{source}: has no train split (found: {', '.join(readers)})")
    notes: list[str] = []
    train = checked(str(source), readers["train"], notes)
    valid, test = (list(readers[s](notes)) if s in readers else [] for s in ("valid", "test"))
    if "valid" not in readers and valid_fraction:
        if len(train) < 2:
            raise DataError(
                f"{source}: one sentence cannot be split into train and valid; give at least 2, "
                "or a validation file"
            )
        train, valid = hold_out(train, valid_fraction, seed)
        notes.append(split_off(valid_fraction, len(valid), seed))
    return Corpus(train, valid, test, str(source), notes)


def split_off(fraction: float, count: int, seed: int) -> str:
    """What is said where there is no validation file."""
    return (
        f"no validation file: split off {100 * fraction:g} % ({count} sentences) "
        f"of train with seed {seed}"
    )


def labelled_corpus(
    source: str, text_column: str, label_column: str, valid_fraction: float, seed: int
) -> Corpus:
    """`read_corpus` with the label of each text, blank where there is none.

    Raises:
        DataError: as `read_corpus`, and `read_labelled`.
    """
    found = read_labelled(source, text_column=text_column, label_column=label_column, partly=True)
    if "train" not in found:
        raise DataError(f"{source}: has no train split (found: {', '.join(found)})")
    notes = []
    if "valid" not in found:
        train = found["train"]
        count = len(train.texts)
        if count < 2:
            raise DataError(f"{source}: one sentence cannot be split into train and valid")
        held = held_out_places(count, valid_fraction, seed)
        places = {"valid": held, "train": sorted(set(range(count)) - set(held))}
        for split, chosen in places.items():
            found[split] = Labelled(*([part[i] for i in chosen] for part in train))
        notes.append(split_off(valid_fraction, len(held), seed))
    texts = {split: found[split].texts if split in found else [] for split in SPLITS}
    labels = {split: rows.labels for split, rows in found.items()}
    return Corpus(**texts, source=str(source), notes=notes, labels=labels)


def read_texts(path: str, *, text_column: str = "text", split: str | None = None) -> list[str]:
    """The texts of one file, or of one split of a folder or hub data set.

    Args:
        path: as the `source` of `read_corpus`.
        text_column: where the text is.
        split: `train`, `valid` or `test`; None is the first there is of test, valid, train.

    Raises:
        DataError: as `read_corpus`, or a split that does not exist.
    """
    return read_split(path, text_column=text_column, split=split).texts


def read_split(path: str, *, text_column: str = "text", split: str | None = None) -> Rows:
    """`read_texts` with notes; where there are splits the first note says which was read."""
    if split is not None and split not in SPLITS:
        raise DataError(f"split: unknown {split!r} (known: {', '.join(SPLITS)})")
    readers = split_readers(path, text_column, MAX_CHARS)
    if Path(path).expanduser().is_file():
        if split is not None:
            raise DataError(f"{path}: one file has no splits (split {split!r} was asked for)")
        notes: list[str] = []
        return Rows(list(readers["train"](notes)), notes)
    chosen = split or next(name for name in ("test", "valid", "train") if name in readers)
    if chosen not in readers:
        raise DataError(f"{path}: has no {chosen} split (found: {', '.join(readers)})")
    notes = [f"{path}: read the {chosen} split"]
    return Rows(list(readers[chosen](notes)), notes)


def read_labelled(
    source: str, *, text_column: str = "text", label_column: str = "label", partly: bool = False
) -> dict[str, Labelled]:
    """The labelled texts of each split of a folder; one file is `train`.

    Args:
        source: as that of `read_corpus`, but no hub name; the labels of `train.txt` are in
            `train.labels.tsv` beside it.
        text_column: where the text is.
        label_column: where its label is: text, a whole number or a truth value.
        partly: whether a text may be without a label, which is then blank.

    Raises:
        DataError: it cannot be read, a text is empty, or a label is missing; names the line.
    """
    path = Path(source).expanduser()
    if not path.exists():
        raise DataError(f"{source}: no such file or folder{nearest_name(path)}")
    files = split_files(path) if path.is_dir() else {"train": [path]}
    found = {}
    for split, paths in files.items():
        rows = list(labelled_rows(paths, text_column, label_column, partly))
        found[split] = Labelled([text for text, _ in rows], [label for _, label in rows])
    return found


def labelled_rows(
    paths: Iterable[Path], text_column: str, label_column: str, partly: bool
) -> Iterator[tuple[str, str]]:
    """The texts and labels of files; a row without either is a blank line."""
    found = False
    for path in paths:
        beside = labels_beside(path)
        texts = ((n, t.strip("\r\n")) for n, t in iter_lines(path)) if beside else None
        cells = itertools.zip_longest(
            texts or iter_cells(path, text_column), iter_cells(beside or path, label_column)
        )
        for text_cell, label_cell in cells:
            if text_cell is None or label_cell is None:
                raise DataError(f"{beside}: must have a label for each text of {path.name}")
            (number, text), (_, label) = text_cell, label_cell
            where = f"{path}: {unit_of(path)} {number}"
            if text == "" and label == "":
                continue
            if not isinstance(text, str) or not text.strip():
                raise DataError(f"{where}: the text is empty")
            label = "" if is_missing(label) and partly else label
            if isinstance(label, float) and label.is_integer():
                label = int(label)  # a column of whole numbers with blanks, as pandas writes it
            if is_missing(label) or not (str(label).strip() or partly):
                raise DataError(f"{where}: the label is missing (got {label!r})")
            if not isinstance(label, str | int):
                raise DataError(f"{where}: a label is text or a whole number (got {label!r})")
            found = True
            yield text.strip(), str(label).strip()
    if not found:
        raise DataError(f"{', '.join(map(str, paths))}: holds no labelled text")


def is_missing(cell: Any) -> bool:
    """Whether a table has nothing in a cell."""
    return cell is None or cell != cell  # NaN equals nothing


def labels_beside(path: Path) -> Path | None:
    """The table beside a .txt file that holds the labels of its lines; None for a table.

    Raises:
        DataError: a .txt file without one.
    """
    if file_format(path.name) != ".txt":
        return None
    stem = Path(path.name.removesuffix(".gz")).stem
    names = [f"{stem}.labels.tsv", f"{stem}.labels.tsv.gz"]
    found = next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)
    if found is None:
        raise DataError(f"{path}: a .txt file holds no labels (allowed: a table, or {names[0]})")
    return found


def split_readers(source: str, text_column: str, max_chars: int) -> dict[str, Reader]:
    """For each split that the source has, what reads it; one file is `train`."""
    if not str(source).strip():
        raise DataError("no data given: a folder, a file or the name of a hub data set")
    path = Path(source).expanduser()
    try:
        if path.is_file():
            files = {"train": [path]}
        elif path.is_dir():
            files = split_files(path)
        elif path.exists():
            raise DataError(f"{source}: is no regular file and no folder")
        else:
            return hub_readers(str(source), text_column, max_chars)
    except OSError as error:
        raise DataError(f"{source}: {error.strerror or error}") from error

    def read(paths: list[Path], notes: list[str]) -> Iterator[str]:
        for path in paths:
            yield from read_file(path, text_column, max_chars, notes)

    return {split: partial(read, paths) for split, paths in files.items()}


def split_files(folder: Path) -> dict[str, list[Path]]:
    """The files of each split in a folder, by name; companions as `train.labels.tsv` are not.

    The split is the last word of the name: `train.txt`, `ptb.train.txt.gz`, `news-train.csv`.
    """
    names = sorted(p.name for p in folder.iterdir() if p.is_file() and p.name[0] != ".")
    known = [name for name in names if file_format(name) in FORMATS]
    found: dict[str, list[Path]] = {}
    for split, words in SPLITS.items():
        candidates = [name for name in known if last_word(name) in words]
        if candidates:
            found[split] = shards(folder, split, candidates)
    if not found:
        held = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
        raise DataError(
            f"{folder}: no file is named by its split, as train.txt, valid.txt, test.txt "
            f"(found: {held or 'no text file'}; allowed: {ALLOWED}); or give one file"
        )
    return found


def file_format(name: str) -> str:
    """The extension that tells the format, lower-case, without `.gz`."""
    return Path(name.lower().removesuffix(".gz")).suffix


def last_word(name: str) -> str:
    """The last word of a file name before its extension; the shard `-00000-of-00008` is none."""
    stem = Path(name.lower().removesuffix(".gz")).stem
    return re.split(r"[._-]", re.sub(r"-\d+-of-\d+$", "", stem))[-1]


def shards(folder: Path, split: str, names: list[str]) -> list[Path]:
    """The one file of a split, or all shards of one set, `-00000-of-00008` first.

    Raises:
        DataError: several files that are no set, or a shard is missing.
    """
    wanted = names
    if shard := SHARD.search(names[0]):
        digits, total = len(shard[1]), int(shard[2])
        numbers = range(min(total, len(names) + 1))
        wanted = [SHARD.sub(f"-{number:0{digits}}", names[0]) for number in numbers]
    if len(wanted) < len(names) or len({SHARD.sub("", name) for name in names}) > 1:
        found = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise DataError(
            f"{folder}: several files for {split}: {found}; keep one, or the shards of one, or "
            "give one file"
        )
    if missing := [name for name in wanted if name not in names]:
        raise DataError(f"{folder}: the shard {missing[0]} is missing")
    return [folder / name for name in wanted]


def read_file(path: Path, text_column: str, max_chars: int, notes: list[str]) -> Iterator[str]:
    """The texts of one file in any of the formats.

    Raises:
        DataError: it cannot be read, or holds something that is no text.
    """
    yield from stripped(str(path), iter_cells(path, text_column), max_chars, unit_of(path), notes)


def unit_of(path: Path) -> str:
    """What the numbers of a file's cells count."""
    return {".json": "entry", ".parquet": "row"}.get(file_format(path.name), "line")


def iter_cells(path: Path, column: str) -> Iterator[tuple[int, Any]]:
    """The numbered cells of one column of a file in any of the formats; .txt has only one.

    Raises:
        DataError: it cannot be read.
    """
    kind = file_format(path.name)
    if kind not in FORMATS:
        raise DataError(f"{path}: unknown file type {kind!r} (allowed: {ALLOWED})")
    try:
        if kind == ".txt":
            yield from iter_lines(path)
        elif kind in (".csv", ".tsv"):
            yield from iter_csv(path, column, "," if kind == ".csv" else "\t")
        elif kind == ".parquet":
            yield from iter_parquet(path, column)
        elif kind == ".feat":
            yield from iter_counts(path, column)
        else:
            yield from iter_json(path, column, unit_of(path))
    except gzip.BadGzipFile as error:
        raise DataError(f"{path}: is not a gzip file, though its name ends in .gz") from error
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: the gzip file is damaged or cut short ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error


def stripped(
    name: str, cells: Iterable[tuple[int, Any]], max_chars: int, unit: str, notes: list[str]
) -> Iterator[str]:
    """The stripped texts of numbered cells; blank ones are counted, all else is an error."""
    found, blank = False, 0
    for number, cell in cells:
        if not isinstance(cell, str):
            given = "null" if cell is None else f"{type(cell).__name__} {str(cell)[:40]!r}"
            raise DataError(f"{name}: {unit} {number}: the text must be a string (got {given})")
        text = cell.strip()
        if len(text) > max_chars:
            raise DataError(
                f"{name}: {unit} {number}: {len(text)} characters, at most {max_chars} are allowed"
            )
        if text:
            found = True
            yield text
        else:
            blank += 1
    if not found:
        held = f"{blank} blank {unit}s" if blank else "empty"
        raise DataError(f"{name}: holds no text ({held})")
    if blank:
        notes.append(f"{name}: skipped {blank} blank {unit}{'s' if blank > 1 else ''}")


def iter_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""The numbered lines of a UTF-8 file, split at \n only, each with its end."""
    zipped = path.name.lower().endswith(".gz")
    with gzip.open(path, "rb") if zipped else path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if b"\0" in raw:
                raise DataError(
                    f"{path}: line {number}: NUL byte; a binary or UTF-16 file? UTF-8 is allowed"
                )
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                byte = f"byte 0x{error.object[error.start]:02x} at position {error.start}"
                raise DataError(f"{path}: line {number}: invalid UTF-8, {byte}") from error


def iter_csv(path: Path, text_column: str, delimiter: str) -> Iterator[tuple[int, str | None]]:
    """The text cells of a csv file with a header, each with the line on which its row ends.

    The csv module keeps `NA`, `null` and the empty string as they are.
    """
    rows = csv.reader((line for _, line in iter_lines(path)), delimiter=delimiter, strict=True)
    try:
        header = next(filter(None, rows), None)
        if header is None:
            return
        index = header.index(column_name(str(path), header, text_column))
        for row in rows:
            if not row:  # a blank line
                yield rows.line_num, ""
            elif len(row) != len(header):
                cells = f"{len(row)} cells where the header has {len(header)}"
                raise DataError(f"{path}: line {rows.line_num}: {cells}")
            else:
                yield rows.line_num, row[index]
    except csv.Error as error:
        raise DataError(f"{path}: line {rows.line_num}: malformed csv ({error})") from error


def iter_counts(path: Path, column: str) -> Iterator[tuple[int, str]]:
    """The texts or labels of bags of words, `label id:count id:count ...` on each line.

    A text is each of its words as often as it is counted, in the order of the line. The words
    stand in `vocab.new` or `vocab.txt` in the same folder, one on each line, the first with id 1;
    what follows a word on its line is ignored.
    """
    column_name(str(path), ("text", "label"), column)
    names = ("vocab.new", "vocab.txt")
    place = next((path.with_name(n) for n in names if path.with_name(n).is_file()), None)
    if place is None:
        raise DataError(f"{path}: its words must stand beside it in {' or '.join(names)}")
    words = [line.split()[0] if line.strip() else "" for _, line in iter_lines(place)]
    for number, line in iter_lines(path):
        label, *pairs = line.split() or [""]
        if column == "label":
            yield number, label
            continue
        bag: list[str] = []
        for pair in pairs:
            index, _, count = pair.partition(":")
            if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= len(words)):
                raise DataError(
                    f"{path}: line {number}: must be id:count with ids from 1 to {len(words)} "
                    f"(got {pair[:40]!r})"
                )
            bag += [words[int(index) - 1]] * int(count)
        yield number, " ".join(bag)


def iter_json(path: Path, text_column: str, unit: str) -> Iterator[tuple[int, Any]]:
    """The numbered texts of JSON objects, one per line or all in one list."""
    lines = iter_lines(path)
    first = next(lines, None)
    if first is None:
        return
    numbered = itertools.chain([first], lines)
    if first[1].lstrip().startswith("["):
        whole = "".join(line for _, line in numbered)
        entries: Iterable[tuple[int, Any]] = enumerate(parse_json(path, 1, whole), start=1)
    else:
        entries = (
            (number, parse_json(path, number, line) if line.strip() else {text_column: ""})
            for number, line in numbered
        )
    for number, entry in entries:
        if not isinstance(entry, dict):
            raise DataError(
                f"{path}: {unit} {number}: must be an object with the key {text_column!r} "
                f"(got {json.dumps(entry)[:40]})"
            )
        cell = entry[column_name(f"{path}: {unit} {number}", entry, text_column)]
        if isinstance(cell, str) and SURROGATE.search(cell):
            raise DataError(f"{path}: {unit} {number}: half of a surrogate pair is no character")
        yield number, cell


def parse_json(path: Path, number: int, text: str) -> Any:
    """The JSON value that begins on a line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = number + error.lineno - 1
        problem = f"malformed JSON ({error.msg}); allowed: an object per line, or a list of them"
        raise DataError(f"{path}: line {line}: {problem}") from error
    except (ValueError, RecursionError):
        problem = "JSON nested too deeply, or a number of too many digits"
        raise DataError(f"{path}: line {number}: {problem}") from None


def iter_parquet(path: Path, text_column: str) -> Iterator[tuple[int, Any]]:
    """The numbered texts of a parquet file."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(f"{path}: reading parquet needs pyarrow (pip install pyarrow)") from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            column_name(str(path), file.schema_arrow.names, text_column)
            batches = file.iter_batches(columns=[text_column])
            yield from enumerate((x for b in batches for x in b.column(0).to_pylist()), start=1)
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: is no readable parquet file ({first_line(error)})") from error


def load_hub(source: str, missing: str) -> Any:
    """The splits of a hub data set, given as `name` or `name:config`.

    Args:
        source: its name.
        missing: that there is no such file either, for the message.

    Raises:
        DataError: the hub does not give it, or `datasets` is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise DataError(f"{missing}; hub data needs datasets (pip install datasets)") from error
    name, _, config = source.partition(":")
    try:
        loaded = datasets.load_dataset(name, config or None)
    except Exception as error:  # whatever datasets, the hub client or the network raises
        raise DataError(
            f"{missing}, and no data set that the hub gives now "
            f"({type(error).__name__}: {first_line(error)})"
        ) from error
    return loaded


def hub_readers(source: str, text_column: str, max_chars: int) -> dict[str, Reader]:
    """What reads each split of a hub data set, given as `name` or `name:config`."""
    path = Path(source).expanduser()
    missing = f"{source}: no such file or folder{nearest_name(path)}"
    in_a_folder = "/" in source and path.parent.is_dir()
    if in_a_folder or not HUB_NAME.fullmatch(source) or file_format(source) in FORMATS:
        raise DataError(missing)
    loaded = load_hub(source, missing)
    found = {
        split: next(word for word in words if word in loaded)
        for split, words in SPLITS.items()
        if not loaded.keys().isdisjoint(words)
    }
    if not found:
        names = ", ".join(map(str, loaded))
        raise DataError(f"{source}: no split named train, validation or test (found: {names})")

    def read(key: str, notes: list[str]) -> Iterator[str]:
        data, name = loaded[key], f"{source}: {key}"
        cells = enumerate(data[column_name(name, data.column_names, text_column)], start=1)
        return stripped(name, cells, max_chars, "row", notes)

    return {split: partial(read, key) for split, key in found.items()}


def nearest_name(path: Path) -> str:
    """A hint at the most similar name beside a missing path, if there is one."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=1)
    return f" (did you mean {str(path.parent / near[0])!r}?)" if near else ""


def column_name(where: str, columns: Iterable[str], wanted: str) -> str:
    """The wanted column, which must be among those there are."""
    names = list(columns)
    if wanted not in names:
        known = ", ".join(name[:30] for name in names[:20]) + (", ..." if len(names) > 20 else "")
        raise DataError(f"{where}: no column {wanted!r} (known: {known or 'none'})")
    return wanted


def first_line(error: Exception) -> str:
    """The message of an error as one line of at most 200 characters."""
    return " ".join(str(error).split())[:200]
