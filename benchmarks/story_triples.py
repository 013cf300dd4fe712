"""Triples of a story for the pretraining of CWVAE: three sentences, the next one, the one after.

    python benchmarks/story_triples.py ../shared/data/movie_reviews/reviews.tsv.gz data/stories

All windows of five sentences of each document, written as train.csv and valid.csv with the columns
context (sentences 1 to 3), event (4) and target (5). Every twentieth document is one of valid.
Windows with a sentence of fewer than 3 or more than 30 words are left out.

Source: Du et al. 2019, EMNLP, section 4 (there of ROCStories and others; here of reviews).
"""

import argparse
import csv
import gzip
import re
from collections.abc import Iterator
from pathlib import Path

SENTENCE = re.compile(r".*?[.!?](?:\s+[.!?])*(?=\s|$)")
"""A sentence of tokenised text: up to its last point, exclamation or question mark."""
LEAST, MOST = 3, 30
"""Words of a sentence."""
WINDOW = 5
HELD_OUT = 20
"""One document of so many is held out."""


def sentences(text: str) -> list[str]:
    """The sentences of a document; what follows the last mark is none."""
    return [found.strip() for found in SENTENCE.findall(text)]


def windows(text: str) -> Iterator[tuple[str, str, str]]:
    """Context, event and target of each window of a document."""
    every = sentences(text)
    for start in range(0, len(every) - WINDOW + 1):
        window = every[start : start + WINDOW]
        if all(LEAST <= len(sentence.split()) <= MOST for sentence in window):
            yield " ".join(window[:3]), window[3], window[4]


def documents(path: Path) -> Iterator[str]:
    """The last column of each line of a table with tabs, gzipped or not."""
    reading = gzip.open if path.suffix == ".gz" else open
    with reading(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield line.rstrip("\n").rpartition("\t")[2]


def main() -> None:
    """Write the triples of the documents that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("documents", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    rows: dict[str, list[tuple[str, str, str]]] = {"train": [], "valid": []}
    for number, text in enumerate(documents(given.documents)):
        rows["valid" if number % HELD_OUT == 0 else "train"] += windows(text)
    given.folder.mkdir(parents=True, exist_ok=True)
    for split, triples in rows.items():
        with (given.folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["context", "event", "target"])
            writer.writerows(triples)
        print(f"{split}: {len(triples):,} triples")


if __name__ == "__main__":
    main()
