"""Sentences of stories as evidence for events, and what they are worth to a model that reads them.

    python benchmarks/evidence.py find ../shared/data/event2mind/intent data/evidence STORIES ...
    python benchmarks/evidence.py worth RUN data/evidence

`find` writes the rows with a column `evidence`: the event itself and the sentences
of the stories nearest to it by TF-IDF, as a JSON list. STORIES are tables with tabs, whose last
column is a text, such as ../shared/data/movie_reviews/reviews.tsv.gz, or gzipped JSON lines with a
`dialogue`. `worth` prints the mean nll of held-out inferences with their own evidence and with that
of another event, and the share of rows that are likelier with their own.

Source: Guo et al. 2020, section 3, ACL (evidence by search); sentences and search are ours.
"""

import argparse
import csv
import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from story_triples import documents, sentences

from textvae.api.sentence import SentenceVAE
from textvae.evaluation.likelihood import likelihood

SPLITS = ("train", "valid", "test")
EACH = 4
"""Sentences for an event, beside the event itself."""
LEAST, MOST = 4, 20
"""Words of a sentence."""
CHUNK = 500
"""Events that are compared with all sentences at once."""
SEED = 0


def story_sentences(paths: Sequence[Path]) -> list[str]:
    """The different sentences of stories and dialogues, of a usual length."""
    found: dict[str, None] = {}
    for path in paths:
        for text in utterances(path) if ".jsonl" in path.name else documents(path):
            for sentence in sentences(text):
                if LEAST <= len(sentence.split()) <= MOST:
                    found[sentence] = None
    return list(found)


def utterances(path: Path) -> Iterator[str]:
    """The turns of gzipped JSON lines with a `dialogue`."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            for turn in json.loads(line)["dialogue"]:
                yield turn["text"]


def nearest(events: Sequence[str], pool: Sequence[str]) -> dict[str, list[str]]:
    """The sentences nearest to each event, the nearest first."""
    index = TfidfVectorizer(stop_words=["personx", "persony", "the", "a", "to"], sublinear_tf=True)
    sentences_by_word = index.fit_transform(pool).T.tocsc()
    queries = index.transform(events)
    found = {}
    for start in range(0, len(events), CHUNK):
        scores = (queries[start : start + CHUNK] @ sentences_by_word).toarray()
        best = np.argsort(-scores, axis=1, kind="stable")[:, :EACH]
        for event, numbers in zip(events[start : start + CHUNK], best, strict=True):
            found[event] = [pool[number] for number in numbers]
    return found


def find(source: Path, folder: Path, stories: Sequence[Path]) -> None:
    """Write the rows of every split with their evidence."""
    rows = {}
    for split in SPLITS:
        with gzip.open(source / f"{split}.csv.gz", "rt", encoding="utf-8", newline="") as file:
            rows[split] = list(csv.DictReader(file))
    events = list(dict.fromkeys(row["event"] for each in rows.values() for row in each))
    pool = story_sentences(stories)
    print(f"{len(events):,} events, {len(pool):,} sentences")
    evidence = nearest(events, pool)
    folder.mkdir(parents=True, exist_ok=True)
    for split, each in rows.items():
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [*each[0], "evidence"])
            writer.writeheader()
            for row in each:
                listed = json.dumps([row["event"], *evidence[row["event"]]])
                writer.writerow(row | {"evidence": listed})
    event = events[0]
    print(event, *evidence[event], sep="\n  ")


def worth(run: Path, folder: Path, most: int) -> None:
    """Print what the evidence of held-out rows is worth, and of how many of them."""
    with (folder / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:most]
    vae = SentenceVAE.from_pretrained(run)
    lists = [json.loads(row["evidence"]) for row in rows]
    draw = np.random.default_rng(SEED)
    others = [lists[number] for number in draw.permutation(len(rows))]
    # The event stays: it stands first.
    swapped = [[own[0], *other[1:]] for own, other in zip(lists, others, strict=True)]
    nll = {}
    for name, evidence in {"own": lists, "another's": swapped}.items():
        columns = {key: [row[key] for row in rows] for key in ("event", "inference")}
        read = vae.rows(columns | {"evidence": evidence})
        order = list(read.in_length_order())
        each = likelihood(vae.model, (batch for _, batch in order), samples=1, seed=SEED).nll
        places = np.concatenate([numbers for numbers, _ in order])
        nll[name] = np.empty(len(rows))
        nll[name][places] = each.numpy()
        print(f"{name} evidence: nll {nll[name].mean():.3f} nats per inference")
    gain = nll["another's"] - nll["own"]
    changed = np.array([own != other for own, other in zip(lists, swapped, strict=True)])
    gain = gain[changed]
    error = gain.std() / len(gain) ** 0.5
    print(
        f"gain {gain.mean():.3f} +- {error:.3f} nats; {(gain > 0).mean():.1%} of {len(gain):,} rows"
    )


def main() -> None:
    """Find evidence, or measure what it is worth."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    finding = commands.add_parser("find")
    finding.add_argument("source", type=Path)
    finding.add_argument("folder", type=Path)
    finding.add_argument("stories", type=Path, nargs="+")
    measuring = commands.add_parser("worth")
    measuring.add_argument("run", type=Path)
    measuring.add_argument("folder", type=Path)
    measuring.add_argument("--limit", type=int, default=2000, help="held-out rows")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.command == "find":
        find(given.source, given.folder, given.stories)
    else:
        worth(given.run, given.folder, given.limit)


if __name__ == "__main__":
    main()
