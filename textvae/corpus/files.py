"""The shipped corpus: sentences of the English grammar, their labels, their exact entropy."""

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textvae.checkpoints import write_file
from textvae.corpus.english import english

NAME = "textvae-english"
SIZES = {"train": 20_000, "valid": 1_000, "test": 2_000}  # sentences, drawn in this order
FACTORS = ("topic", "sentiment", "tense", "number", "mood", "length")
MOST_BYTES = 100_000
"""Bytes of a corpus.json, which has 768."""

DESCRIPTION = (
    "English sentences about six topics, sampled from a probabilistic grammar of this project. "
    "Each sentence is labelled with the factors that it was generated from; the entropy of its "
    "distribution is exact."
)


def write_corpus(folder: Path, seed: int = 0) -> None:
    """Write sentences, labels and corpus.json; one seed gives the same bytes everywhere.

    Sentences are independent draws, one per line, words separated by spaces; the labels have one
    row per sentence below a header. Every file is written beside its name and renamed.

    Raises:
        OSError: the folder cannot be created or written.
        ValueError: it has other files with these names.
    """
    names = [f"{split}{ending}" for split in SIZES for ending in (".txt", ".labels.tsv")]
    existing = [name for name in names if (folder / name).exists()]
    if existing and not is_corpus(folder):
        raise ValueError(f"{folder} holds a {existing[0]} of yours; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    rng, surprisals = random.Random(seed), {}
    for split, size in SIZES.items():
        drawn = [english().sample(rng) for _ in range(size)]
        sentences = [sentence for sentence, _ in drawn]
        rows = [FACTORS, *([labels[factor] for factor in FACTORS] for _, labels in drawn)]
        _replace(folder / f"{split}.txt", sentences)
        _replace(folder / f"{split}.labels.tsv", ["\t".join(row) for row in rows])
        surprisals[split] = -math.fsum(map(english().log_prob, sentences)) / size
    facts = json.dumps(_facts(seed, surprisals), indent=2)
    _replace(folder / "corpus.json", [facts])


def is_corpus(folder: Path) -> bool:
    """Whether a folder has this corpus, by its corpus.json."""
    return corpus_facts(folder).get("name") == NAME


def entropy_in(folder: Path) -> float | None:
    """The entropy of the corpus in a folder, nats per sentence; None where it is another's."""
    facts = corpus_facts(folder)
    entropy = facts.get("entropy_nats_per_sentence")
    return float(entropy) if facts.get("name") == NAME and isinstance(entropy, float) else None


def corpus_facts(folder: Path) -> dict[str, Any]:
    """Content of a folder's corpus.json; empty where there is none, or none of this kind."""
    path = folder / "corpus.json"
    try:
        if path.stat().st_size > MOST_BYTES:
            return {}
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _facts(seed: int, surprisals: dict[str, float]) -> dict[str, object]:
    """Content of corpus.json; nats are rounded to be equal on every platform."""
    grammar = english()
    entropies = grammar.factor_entropies()
    return {
        "name": NAME,
        "description": DESCRIPTION,
        "licence": "MIT",
        "seed": seed,
        "sentences": SIZES,
        "entropy_nats_per_sentence": round(grammar.entropy(), 6),
        "mean_words_per_sentence_with_end": round(grammar.mean_words(), 6),
        "factor_entropy_nats": {factor: round(entropies[factor], 6) for factor in FACTORS},
        "vocabulary_size": len(grammar.vocabulary()),
        "mean_negative_log_prob_nats": {k: round(v, 6) for k, v in surprisals.items()},
    }


def _replace(path: Path, lines: Sequence[str]) -> None:
    write_file(path, "".join(f"{line}\n" for line in lines))
