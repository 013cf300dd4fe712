"""A tiny model of dialogues with latents of the whole and of each turn, and tables of dialogues."""

import json
import random
from pathlib import Path

import torch
from conftest import ids, vae

from textvae.api.sentence import SentenceVAE
from textvae.data.tokenizers import train_tokenizer
from textvae.graph.model import VAE

OBSERVED = {
    "mood": {"classes": 2, "names": ["calm", "glad"]},
    "text": {"plate": "turn"},
    "speaker": {"classes": 2, "names": ["driver", "guide"], "plate": "turn"},
    "turn": {"counts": {"1": 1, "2": 2, "4": 1}},
}
ENCODERS = [
    {"name": "mood", "kind": "label"},
    {"name": "text", "kind": "lstm", "hidden": 6},
    {"name": "speaker", "kind": "label"},
    {"name": "whole", "kind": "sequence", "hidden": 6, "given": ["text"]},
    {"name": "bag", "kind": "set", "hidden": 5, "given": ["text", "speaker"]},
    {"name": "past", "kind": "past", "hidden": 6, "given": ["text", "mood"]},
]
LATENTS = [
    {"name": "z", "kind": "gaussian", "dim": 3, "given": ["whole", "bag"]},
    {"name": "who", "kind": "gumbel", "size": 4, "given": ["z", "past", "speaker"]}
    | {"prior": {"given": ["z", "past"]}},
    {"name": "words", "kind": "gaussian", "dim": 2, "given": ["z", "past", "who", "text"]}
    | {"prior": {"given": ["z", "past", "who"], "hidden": [5]}},
]
DECODERS = [
    {"name": "mood", "kind": "label", "given": ["z"]},
    {"name": "speaker", "kind": "label", "given": ["who", "past"]},
    {"name": "text", "kind": "lstm", "hidden": 6, "given": ["z", "who", "words", "past"]},
]


def dialogue_vae(
    encoders: list = ENCODERS, latents: list = LATENTS, decoders: list = DECODERS
) -> VAE:
    return vae(encoders, latents, decoders, observed=OBSERVED)


def batch(*counts: int) -> dict[str, torch.Tensor]:
    """Dialogues of so many turns, of random words."""
    lengths = [random.Random(n).randint(1, 5) for n in range(sum(counts))]
    return {
        "mood": torch.arange(len(counts)) % 2,
        "text": ids(*lengths),
        "speaker": torch.arange(sum(counts)) % 2,
        "turn": torch.tensor(counts),
    }


def dialogue(fields: dict[str, torch.Tensor], number: int) -> dict[str, torch.Tensor]:
    """One dialogue of a batch."""
    counts = fields["turn"].tolist()
    turns = slice(sum(counts[:number]), sum(counts[: number + 1]))
    row = slice(number, number + 1)
    return {
        name: value[row] if name in ("mood", "turn") else value[turns]
        for name, value in fields.items()
    }


LINES = {
    "driver": ["where is the bank", "is it far", "thanks", "play a song", "what is the time"],
    "guide": ["on the left", "two miles", "you are welcome", "here it is", "it is noon"],
}


def dialogues(count: int = 60, seed: int = 0) -> list[dict]:
    """Rows of a table: a mood, and turns of a driver and a guide."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        turns = []
        for number in range(draw.randint(1, 4)):
            speaker = ("driver", "guide")[number % 2]
            turns.append({"speaker": speaker, "text": draw.choice(LINES[speaker])})
        rows.append({"mood": draw.choice(["calm", "glad"]), "turns": turns})
    return rows


def columns(rows: list[dict]) -> dict[str, list]:
    """Rows of a table by field."""
    return {
        "mood": [row["mood"] for row in rows],
        "text": [[turn["text"] for turn in row["turns"]] for row in rows],
        "speaker": [[turn["speaker"] for turn in row["turns"]] for row in rows],
    }


def interface(
    encoders=ENCODERS, latents=LATENTS, decoders=DECODERS, observed=OBSERVED
) -> SentenceVAE:
    """An untrained model of dialogues with a tokenizer, the same every time."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer("word", [line for each in LINES.values() for line in each], 60)
    model = vae(encoders, latents, decoders, observed=observed, vocab_size=len(tokenizer))
    return SentenceVAE(model, tokenizer)


def write_dialogues(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


FIELDS = {
    "mood": {"kind": "label"},
    "text": {"column": "turns.text", "plate": "turn"},
    "speaker": {"column": "turns.speaker", "kind": "label", "plate": "turn"},
}

RECIPE = {
    "model": {"encoders": ENCODERS, "latents": LATENTS, "decoders": DECODERS},
    "objective": {"kind": "elbo"},
    "tokenizer": {"kind": "word", "vocab_size": 60},
    "data": {"fields": FIELDS},
    "train": {"epochs": 2, "batch_size": 16, "learning_rate": 0.01},
}
