"""A tiny conditional model, and tables of rows of several fields."""

import csv
import random
from pathlib import Path

import torch
from conftest import vae

from textvae.api.sentence import SentenceVAE
from textvae.data.tokenizers import train_tokenizer

EVENTS = ["the dog sleeps", "a cat eats the fish", "rain falls", "my uncle sings a song"]
REPLIES = ["it is tired", "it was hungry", "it feels good", "he is happy", "the day ends"]
MOODS = ["calm", "glad"]

OBSERVED = {"event": {}, "reply": {}, "mood": {"classes": 2, "names": MOODS}}


def table(count: int = 60) -> dict[str, list[str]]:
    draw = random.Random(0)
    return {
        "event": [draw.choice(EVENTS) for _ in range(count)],
        "reply": [draw.choice(REPLIES) for _ in range(count)],
        "mood": [draw.choice([*MOODS, ""]) for _ in range(count)],
    }


def write_table(path: Path, columns: dict[str, list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def conditional_vae(kind: str = "lstm", latent: bool = True, mood: bool = False) -> SentenceVAE:
    """p(reply | event, z), with attention to the event and a learned prior."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer("word", EVENTS + REPLIES, 60)
    given = ["z", "event"] if latent else ["event"]
    given += ["mood"] if mood else []
    encoders = [
        {"name": "event", "kind": "lstm", "hidden": 6, "bidirectional": True},
        {"name": "reply", "kind": "lstm", "hidden": 6},
        {"name": "mood", "kind": "label"},
    ]
    latents = [
        {"name": "z", "kind": "gaussian", "dim": 3, "given": ["event", "reply"]}
        | {"prior": {"given": ["event"]}}
    ]
    decoder = {"name": "reply", "kind": kind, "hidden": 8, "given": given, "attend": "event"}
    model = vae(
        [
            each
            for each in encoders
            if (each["name"] != "mood" or mood) and (latent or each["name"] != "reply")
        ],
        latents if latent else None,
        [decoder],
        vocab_size=len(tokenizer),
        observed={name: facts for name, facts in OBSERVED.items() if name != "mood" or mood},
    )
    return SentenceVAE(model.eval(), tokenizer)


RECIPE = """
model:
  encoders:
    - {name: event, kind: lstm, hidden: 6, bidirectional: true}
    - {name: reply, kind: lstm, hidden: 6}
  latents: [{name: z, kind: gaussian, dim: 3, given: [event, reply], prior: {given: [event]}}]
  decoders:
    - {name: reply, kind: lstm, hidden: 8, given: [z, event], attend: event}
    - {name: bag, kind: bag, field: reply, hidden: 8, given: [z, event], auxiliary: 1.0}
objective: {kind: elbo}
tokenizer: {kind: word, vocab_size: 60}
data: {fields: {event: {column: source}, reply: {}}}
train: {epochs: 2, batch_size: 16, learning_rate: 0.01}
"""
