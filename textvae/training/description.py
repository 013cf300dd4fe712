"""The facts of a run before its first step: its data, its size, the end of its schedules."""

from itertools import pairwise
from typing import Any

from textvae.config import DataConfig
from textvae.data.batching import Examples
from textvae.data.fields import Fields, text_columns, texts_of
from textvae.data.packed import Packed
from textvae.data.tokenizers import tokenizer_kind
from textvae.graph.model import VAE
from textvae.recipes import Recipe
from textvae.training.prepared import Prepared
from textvae.training.trainer import VAETrainer
from textvae.vocabulary import UNK

COMPARED = 1_000_000
"""Most texts among which duplicates are counted: a hash of each is in memory."""
TABLE = {"table": True}
"""What a run of rows that are no texts adds."""
ENDLESS = 10**12
"""An optimizer step at which every schedule has come to its end."""


def description(recipe: Recipe, model: VAE, rows: Prepared, trainer: VAETrainer) -> dict[str, Any]:
    """What a run will train on and for how long, for the report's "begin".

    A model that writes no text, and reads a table, adds `table`. Texts add `repeated`, `tokens`,
    `duplicates`, `unknown`, `left_out` and `max_tokens`; `unknown` is None for a tokenizer that
    spells every word.
    """
    steps = trainer.batches.steps * trainer.config.planned_epochs
    return {
        "parameters": sum(
            p.numel() for name, p in model.named_parameters() if not name.startswith("objective.")
        ),
        "vocabulary": rows.vocab_size,
        "train": len(rows.train),
        "valid": len(rows.valid),
        "steps": steps,
        "epochs": trainer.config.planned_epochs,
        "device": str(trainer.args.device),
        "schedules": schedule_ends(model.objective, steps),
        **({} if model.text_decoders or not isinstance(recipe.data, DataConfig) else TABLE),
        **text_facts(recipe, rows),
    }


def text_facts(recipe: Recipe, rows: Prepared) -> dict[str, Any]:
    """The facts about the training texts; none of images."""
    texts = text_columns(rows.train)
    if not texts or not isinstance(recipe.data, DataConfig):
        return {}
    tokens = sum(column.targets for column in texts)
    unknown = None
    if rows.tokenizer is not None and tokenizer_kind(rows.tokenizer) == "word":
        unknown = sum(int(each.counts(rows.vocab_size)[UNK]) for each in texts) / tokens
    return {
        "repeated": rows.repeated,
        "tokens": tokens,
        "duplicates": duplicate_share(rows.train, len(rows.train) - rows.repeated),
        "unknown": unknown,
        "left_out": rows.left_out,
        "max_tokens": recipe.data.max_tokens,
    }


def duplicate_share(rows: Examples, count: int) -> float:
    """The share of the first `count` rows, at most `COMPARED`, whose texts an earlier one has.

    Rows without texts have no duplicates.
    """
    count = min(count, COMPARED)
    columns = rows.columns.values() if isinstance(rows, Fields) else [rows]
    hashes = []
    for column in columns:
        if (texts := texts_of(column)) is None:
            continue
        ends = texts.offsets
        if isinstance(column, Packed):
            ends = ends[column.offsets]
        pairs = pairwise(ends[: count + 1].tolist())
        # A begin and an end stand around each text, so that parts are divided in one way.
        hashes.append([hash(texts.ids[a:b].tobytes()) for a, b in pairs])
    return 1 - len(set(zip(*hashes, strict=True))) / count if hashes else 0.0


def schedule_ends(objective: Any, steps: int) -> list[dict[str, Any]]:
    """The value of each schedule that is no constant: at first, after `steps` steps, in the end."""
    ends = []
    for name, schedule in objective.schedules.items():
        first, last, end = (schedule(step) for step in (0, steps, ENDLESS))
        if not first == last == end:
            ends.append({"name": name, "first": first, "last": last, "end": end})
    return ends
