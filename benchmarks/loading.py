"""Seconds and peak memory of reading, tokenising and encoding many sentences, then of the cache.

Run: python benchmarks/loading.py. Each start is a process of its own; the texts are random words
whose frequencies follow Zipf's law. The second start reads the texts to check that they are the
same, and the rest from the cache.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

WORDS, VOCAB_SIZE, MAX_TOKENS = 50_000, 8000, 256


def write_sentences(path: Path, count: int, seed: int = 0) -> None:
    """Write sentences of 4 to 20 words."""
    random = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(random.choice(letters, n)) for n in random.integers(2, 10, WORDS)]
    with path.open("w", encoding="utf-8") as file:
        for length in random.integers(4, 21, count):
            ranks = (WORDS ** random.random(length)).astype(int) - 1
            file.write(" ".join([words[rank] for rank in ranks]) + "\n")


def start(path: str, kind: str) -> dict[str, float]:
    """What happens before training: seconds of each part and of all CPUs, peak memory in MiB."""
    from textvae.data.cache import encoded_sentences, trained_tokenizer
    from textvae.data.readers import read_corpus

    clock = [time.perf_counter()]
    corpus = read_corpus(path)
    clock.append(time.perf_counter())
    tokenizer = trained_tokenizer(kind, corpus.train, VOCAB_SIZE, print)  # type: ignore[arg-type]
    clock.append(time.perf_counter())
    encoded_sentences(tokenizer, corpus.train, print, MAX_TOKENS)
    encoded_sentences(tokenizer, corpus.valid, print)
    clock.append(time.perf_counter())
    parts = dict(zip(("read", "tokenizer", "encode"), np.diff(clock).tolist(), strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return parts | {"total": clock[-1] - clock[0], "cpu": time.process_time(), "MiB": peak}


def measured(path: Path, kind: str) -> dict[str, float]:
    """`start` in a fresh process."""
    command = [sys.executable, __file__, "--start", str(path), "--kind", kind]
    environment = os.environ | {"TEXTVAE_CACHE": str(path.parent / "cache")}
    answer = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(answer.stdout)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", default="unigram", choices=["unigram", "bpe", "word"])
    parser.add_argument("--sentences", type=int, nargs="+", default=[250_000, 1_000_000])
    parser.add_argument("--start", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.start:
        print(json.dumps(start(arguments.start, arguments.kind)))
        return
    print(f"{'sentences':>9}  start       read  tokenizer  encode   total s     CPU s  peak MiB")
    for count in arguments.sentences:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "texts.txt"
            write_sentences(path, count)
            for name in ("first", "second"):
                f = measured(path, arguments.kind)
                print(
                    f"{count:9,}  {name:6} {f['read']:9.1f} {f['tokenizer']:10.1f} "
                    f"{f['encode']:7.1f} {f['total']:9.1f} {f['cpu']:9.1f} {f['MiB']:9.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
