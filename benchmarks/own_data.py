"""The default recipe on corpora that it was not made for: `textvae train --data FILE`, no option.

    python benchmarks/own_data.py DATA OUT --corpora yelp_short ptb --sizes 2000 --seeds 0

DATA holds the corpora in folders as published (yelp_short, ptb, snli, ag_news, movie_reviews,
dailydialog). OUT gets a file for each corpus and size, the runs, and `table.jsonl`, one row for
each run: held-out metrics on 500 test sentences that are the same for every size, those of a
unigram and an interpolated Kneser-Ney 3-gram model of the same tokens, and 200 samples at
temperature 0.7. A row that is there already is not measured again.
"""

import argparse
import csv
import gzip
import json
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from textvae import SentenceVAE
from textvae.data.batching import Sentences
from textvae.evaluation.ngrams import KneserNey, numbered_words, word_sentences
from textvae.evaluation.references import references
from textvae.graph.decoding import Decoding

SIZES = (500, 2_000, 10_000, 40_000)
TABLE = "table.jsonl"
TEST, SAMPLES, TEMPERATURE = 500, 200, 0.7
LETTERS = re.compile(r"[^\W\d_]+")
Parts = tuple[list[str], list[str]]
"""Sentences to train on, in random order, and to test on."""


def lines(path: Path) -> list[str]:
    """The lines of a file, compressed or not, without blank ones."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        return [line.strip() for line in file if line.strip()]


def split(text: str) -> list[str]:
    """The sentences of a text."""
    return [part for part in re.split(r"(?<=[.!?])\s+", text) if part]


def divided(documents: list[list[str]]) -> Parts:
    """Nine tenths of the documents to train on, the rest to test on: none is in both."""
    random.Random(0).shuffle(documents)
    end = 9 * len(documents) // 10
    halves = documents[:end], documents[end:]
    train, test = ([text for document in half for text in document] for half in halves)
    return train, test


def yelp_short(folder: Path) -> Parts:
    """Sentences of the tenth of the corpus with a vocabulary, both labels."""
    train, test = (
        [text for label in (0, 1) for text in lines(folder / f"s10.{part}.{label}.gz")]
        for part in ("train", "test")
    )
    return train, test


def ptb(folder: Path) -> Parts:
    """The published training and test files."""
    return lines(folder / "ptb.train.txt.gz"), lines(folder / "ptb.test.txt")


def snli(folder: Path) -> Parts:
    """Premises and hypotheses, divided by premise."""
    hypotheses: dict[str, dict[str, None]] = {}
    for line in lines(folder / "dev.jsonl.gz"):
        pair = json.loads(line)
        hypotheses.setdefault(pair["premise"], {})[pair["hypothesis"]] = None
    return divided([[premise, *others] for premise, others in hypotheses.items()])


def ag_news(folder: Path) -> Parts:
    """Sentences of descriptions, divided by article."""
    articles = [line.split("\t")[0] for line in lines(folder / "alps_dev.tsv.gz")]
    articles += [row[2] for row in csv.reader(lines(folder / "test.csv.gz"))]
    return divided([split(text) for text in articles])


def movie_reviews(folder: Path) -> Parts:
    """Sentences of 3 to 40 words, divided by review."""
    reviews = [line.split("\t")[2] for line in lines(folder / "reviews.tsv.gz")]
    return divided([[s for s in split(text) if 3 <= len(s.split()) <= 40] for text in reviews])


def dailydialog(folder: Path) -> Parts:
    """Utterances, divided by dialogue."""
    names = ("validation", "test")
    dialogues = [json.loads(row) for name in names for row in lines(folder / f"{name}.jsonl.gz")]
    return divided([[turn["text"].strip() for turn in each["dialogue"]] for each in dialogues])


CORPORA: dict[str, Callable[[Path], Parts]] = {
    each.__name__: each for each in (yelp_short, ptb, snli, ag_news, movie_reviews, dailydialog)
}


def written(data: Path, out: Path, name: str) -> None:
    """Write `SIZE.txt` for each size that a corpus has, and `test.txt`."""
    folder = out / "data" / name
    if (folder / "test.txt").exists():
        return
    train, test = CORPORA[name](data / name)
    order = random.Random(1)
    order.shuffle(train)
    order.shuffle(test)
    folder.mkdir(parents=True)
    for size in SIZES:
        if len(train) >= size:
            write(folder / f"{size}.txt", train[:size])
    write(folder / "test.txt", test[:TEST])


def write(path: Path, texts: Iterable[str]) -> None:
    """Write texts as lines."""
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")


def trained(source: Path, run: Path, seed: int, options: list[str]) -> dict[str, float]:
    """Train by the command line in a process of its own; its seconds on the clock and of CPU."""
    command = [sys.executable, "-m", "textvae", "train", "--data", str(source)]
    command += ["--output", str(run), *options]
    command += [] if seed == 0 else ["--set", f"train.seed={seed}"]
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(run.parent / f"{run.name}.log", "w", encoding="utf-8") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"seconds": time.monotonic() - began, "cpu_seconds": spent}


def measured(run: Path, training: list[str], test: list[str], samples: int) -> dict[str, Any]:
    """Held-out metrics of a run, the references, and metrics of samples."""
    vae = SentenceVAE.from_pretrained(run)
    metrics = asdict(vae.evaluate(test, samples))
    counted, held_out = (Sentences.encoded(vae.tokenizer, texts) for texts in (training, test))
    reference = references(counted, held_out, len(vae.tokenizer) - 2)
    tokens = metrics["tokens"] / len(test)
    drawn = vae.sample(SAMPLES, Decoding(do_sample=True, temperature=TEMPERATURE), seed=0)
    stored = json.loads((run / "results.json").read_text(encoding="utf-8"))
    names = ("nll", "kl", "mutual_information", "active_units", "shuffled_z_gap")
    return {
        **{name: metrics[name] for name in (*names, "first_token_share")},
        "unigram": reference.unigram_nll,
        "trigram": reference.trigram_nll,
        "tokens": tokens,
        "below_unigram": 1 - metrics["nll"] / reference.unigram_nll,
        "above_trigram_per_token": (metrics["nll"] - reference.trigram_nll) / tokens,
        "verdict": stored["verdict"]["code"],
        **sample_metrics(drawn, training, test),
        "examples": drawn[:5],
    }


def sample_metrics(drawn: list[str], training: list[str], test: list[str]) -> dict[str, float]:
    """New words and perplexities of samples and of test sentences.

    New are runs of letters that no training text has. The perplexity is under a 3-gram model of
    the training words between blanks.
    """
    known = {word for text in training for word in LETTERS.findall(text)}
    numbers = numbered_words([*training, *test, *drawn])
    model = KneserNey(word_sentences(training, numbers), len(numbers) + 1)
    result = {}
    for name, texts in (("samples", drawn), ("test", test)):
        words = [word for text in texts for word in LETTERS.findall(text)]
        result[f"{name}_new_words"] = sum(word not in known for word in words) / len(words)
        result[f"{name}_perplexity"] = model.perplexity(word_sentences(texts, numbers))
    return result


def read_table(out: Path) -> list[dict[str, Any]]:
    """The rows that are measured."""
    path = out / TABLE
    return [json.loads(line) for line in lines(path)] if path.exists() else []


def row_text(row: dict[str, Any]) -> str:
    """A row for a terminal."""
    return (
        f"{row['corpus']:13} {row['size']:>6,} seed {row['seed']}  nll {row['nll']:.1f}  "
        f"unigram {row['unigram']:.1f} ({row['below_unigram']:.0%} below)  "
        f"3-gram {row['trigram']:.1f} ({row['above_trigram_per_token']:+.2f} a token)  "
        f"MI {row['mutual_information']:.2f}  active {row['active_units']}  "
        f"gap {row['shuffled_z_gap']:.2f} (first {row['first_token_share']:.2f})  "
        f"perplexity {row['samples_perplexity']:.0f} ({row['test_perplexity']:.0f})  "
        f"new words {row['samples_new_words']:.3f}  {row['verdict']}  "
        f"{row['seconds']:.0f} s, {row['cpu_seconds']:.0f} of CPU"
    )


COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "corpus": lambda row: row["corpus"],
    "texts": lambda row: f"{row['size']:,}",
    "seed": lambda row: str(row["seed"]),
    "nll": lambda row: f"{row['nll']:.1f}",
    "unigram": lambda row: f"{row['unigram']:.1f}",
    "below": lambda row: f"{row['below_unigram']:.0%}",
    "3-gram": lambda row: f"{row['trigram']:.1f}",
    "a token": lambda row: f"{row['above_trigram_per_token']:+.2f}",
    "MI": lambda row: f"{row['mutual_information']:.2f}",
    "active": lambda row: str(row["active_units"]),
    "gap": lambda row: f"{row['shuffled_z_gap']:.2f}",
    "first": lambda row: f"{row['first_token_share']:.2f}",
    "samples": lambda row: f"{row['samples_perplexity']:.0f}",
    "test": lambda row: f"{row['test_perplexity']:.0f}",
    "new words": lambda row: f"{row['samples_new_words']:.1%}",
    "verdict": lambda row: row["verdict"],
    "s": lambda row: f"{row['seconds']:.0f}",
    "CPU s": lambda row: f"{row['cpu_seconds']:.0f}",
}
"""Columns of the table in docs/results/own_data.md."""


def markdown(rows: Iterable[dict[str, Any]]) -> str:
    """The rows as a table in Markdown."""
    head = [list(COLUMNS), ["---"] * len(COLUMNS)]
    cells = [[show(row) for show in COLUMNS.values()] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [*head, *cells])


def main() -> None:
    """Measure what is asked for and not there yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--corpora", nargs="+", choices=sorted(CORPORA), default=list(CORPORA))
    parser.add_argument("--sizes", nargs="+", type=int, choices=SIZES, default=list(SIZES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--samples", type=int, default=50, help="of the importance-weighted bound")
    parser.add_argument("--name", default="default", help="of the runs")
    parser.add_argument("--markdown", action="store_true", help="print the table that is there")
    parser.add_argument("options", nargs="*", help="further options of textvae train, after --")
    chosen = parser.parse_args()
    rows = read_table(chosen.out)
    if chosen.markdown:
        print(markdown(sorted(rows, key=lambda row: (row["size"], row["corpus"], row["seed"]))))
        return
    done = {(row["name"], row["corpus"], row["size"], row["seed"]) for row in rows}
    for size in chosen.sizes:
        for name in chosen.corpora:
            written(chosen.data, chosen.out, name)
            folder = chosen.out / "data" / name
            for seed in chosen.seeds:
                key = {"name": chosen.name, "corpus": name, "size": size, "seed": seed}
                source = folder / f"{size}.txt"
                if tuple(key.values()) in done or not source.exists():
                    continue
                run = chosen.out / "runs" / f"{chosen.name}-{name}-{size}-{seed}"
                run.parent.mkdir(parents=True, exist_ok=True)
                times = trained(source, run, seed, chosen.options)
                parts = lines(source), lines(folder / "test.txt")
                row = key | times | measured(run, *parts, chosen.samples)
                with open(chosen.out / TABLE, "a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(row_text(row), flush=True)


if __name__ == "__main__":
    main()
