"""The labelled texts that docs/results/labels.md trains and tests on, from public files.

Run: python benchmarks/labelled_data.py ag FOLDER OUT: FOLDER holds AG News' test.csv.gz and the
development cut of ALPS, alps_dev.tsv.gz. `yelp FOLDER OUT`: FOLDER holds the style-transfer files
sentiment.{dev,test}.{0,1}.gz; their "test" part is the larger one and is trained on. OUT gets
train, valid and test files with columns `text` and `label`.
"""

import argparse
import csv
import gzip
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

AG_CLASSES = ("World", "Sports", "Business", "Sci/Tech")
YELP_CLASSES = ("negative", "positive")
YELP_TRAIN, YELP_VALID, YELP_TEST = 40_000, 2_000, 10_000

Row = tuple[str, str]


def write(path: Path, rows: Iterable[Row], delimiter: str) -> None:
    """A table of texts and labels."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerows([("text", "label"), *rows])


def ag(folder: Path, out: Path) -> None:
    """Descriptions without titles: the development cut to train on, the official test set."""
    with gzip.open(folder / "alps_dev.tsv.gz", "rt", encoding="utf-8") as lines:
        train = [tuple(line.rstrip("\n").rsplit("\t", 1)) for line in lines]
    with gzip.open(folder / "test.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        test = [(text, AG_CLASSES[int(label) - 1]) for label, _, text in csv.reader(lines)]
    write(out / "train.csv", train, ",")  # type: ignore[arg-type]
    write(out / "test.csv", test, ",")


def yelp(folder: Path, out: Path) -> None:
    """Sentences of the part `test` to train on; disjoint halves of `dev` without any of them."""
    parts = {}
    for part in ("test", "dev"):
        rows: list[Row] = []
        for number, label in enumerate(YELP_CLASSES):
            path = folder / f"sentiment.{part}.{number}.gz"
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                rows += [(line.strip(), label) for line in lines if line.strip()]
        parts[part] = rows if part == "test" else list(dict.fromkeys(rows))
        random.Random(0).shuffle(parts[part])
    train, rest = parts["test"][:YELP_TRAIN], parts["dev"]
    seen, half = {text for text, _ in train}, len(rest) // 2

    def unseen(rows: Sequence[Row], count: int) -> list[Row]:
        return [row for row in rows if row[0] not in seen][:count]

    write(out / "train.tsv", train, "\t")
    write(out / "valid.tsv", unseen(rest[:half], YELP_VALID), "\t")
    write(out / "test.tsv", unseen(rest[half:], YELP_TEST), "\t")


def main() -> None:
    """Cut one data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=("ag", "yelp"))
    parser.add_argument("folder", type=Path, help="where the public files lie")
    parser.add_argument("out", type=Path, help="folder to write to")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    {"ag": ag, "yelp": yelp}[given.name](given.folder, given.out)


if __name__ == "__main__":
    main()
