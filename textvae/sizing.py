"""Sizes that follow the corpus, where a recipe leaves them open as `auto`."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from textvae.recipes import Recipe, read_recipe

AUTO = "auto"

PLACEHOLDER = (10_000, 100_000)
"""Texts and words of a corpus, to check a recipe before there is one."""

VOCABULARY = 500, 8000
EPOCHS = 5, 40
SHIPPED_EPOCHS = 5
"""On the shipped corpus: sentences of a grammar need fewer than as many of real text."""
DROPOUT = ((25_000, 0.5), (60_000, 0.4), (220_000, 0.3), (math.inf, 0.1))
"""Numbers of words below which a dropout is used."""
BATCH = ((15_000, 16), (math.inf, 32))
"""Numbers of texts below which a batch of so many texts is used."""


def vocabulary_size(words: int) -> int:
    """Token ids for training texts of so many words: 30 words^0.36, from 500 to 8,000."""
    return min(max(round(3 * words**0.36) * 10, VOCABULARY[0]), VOCABULARY[1])


def epoch_count(texts: int, words: int) -> int:
    """Epochs for so many training texts: 27 (2,000 / texts)^0.4 (10 / length)^0.2, from 5 to 40.

    The length is in words per text: longer texts take longer, and learn more from each epoch.
    """
    length = max(words / texts, 1)
    epochs = 27 * (2000 / texts) ** 0.4 * (10 / length) ** 0.2
    return round(min(max(epochs, EPOCHS[0]), EPOCHS[1]))


def dropout_rate(words: int) -> float:
    """Dropout for training texts of so many words: from .5 for few to .1 for 220,000 or more."""
    return next(rate for limit, rate in DROPOUT if words < limit)


def batch_size(texts: int) -> int:
    """Texts of an optimizer step for so many training texts: 16, and 32 from 15,000 on."""
    return next(size for limit, size in BATCH if texts < limit)


def leaves_open(recipe: Recipe) -> bool:
    """Whether sizes of a recipe depend on the corpus."""
    return bool(open_sizes(recipe)) or recipe.train.steps is not None


def open_sizes(recipe: Recipe) -> list[str]:
    """The keys of a recipe that are `auto`, as `--set` names them."""
    train = {"epochs": recipe.train.epochs, "batch_size": recipe.train.batch_size}
    keys = [f"train.{key}" for key, value in train.items() if value == AUTO]
    if recipe.tokenizer.vocab_size == AUTO:
        keys.append("tokenizer.vocab_size")
    return keys + [
        f"{part}.{node.get('name')}.dropout"
        for part in ("encoders", "decoders")
        for node in recipe.model.get(part) or []
        if node.get("dropout") == AUTO
    ]


def sizes_text(recipe: Recipe, fixed: Recipe) -> str:
    """What a recipe left open, with the numbers that were chosen."""
    document = fixed.document()
    parts = []
    for key in open_sizes(recipe):
        part, *names = key.split(".")
        values = document[part] if len(names) == 1 else node_of(document["model"][part], names[0])
        parts.append(f"{key} {values[names[-1]]}")
    if recipe.train.steps is not None:
        parts.append(f"train.epochs {fixed.train.epochs} for {recipe.train.steps:,} steps")
    return ", ".join(parts)


def node_of(nodes: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The node of a name."""
    return next(node for node in nodes if node.get("name") == name)


def sized(recipe: Recipe, texts: int, words: int) -> Recipe:
    """The recipe with numbers in place of `auto`, and its length in epochs.

    Args:
        recipe: any.
        texts: number of training texts.
        words: that they have.

    Raises:
        SpecError: a value is not allowed.
    """
    if not leaves_open(recipe):
        return recipe
    document = recipe.document()
    train = document["train"]
    if train["epochs"] == AUTO:
        shipped = recipe.data.source is None
        train["epochs"] = SHIPPED_EPOCHS if shipped else epoch_count(texts, words)
    if train["batch_size"] == AUTO:
        train["batch_size"] = batch_size(texts)
    steps = train.pop("steps")
    if steps is not None:
        of_an_epoch = max(1, texts // train["batch_size"])
        train["epochs"] = max(train["epochs"], math.ceil(steps / of_an_epoch))
    if document.get("tokenizer", {}).get("vocab_size") == AUTO:
        document["tokenizer"]["vocab_size"] = vocabulary_size(words)
    document["model"] = {
        part: with_dropout(value, words) if part in ("encoders", "decoders") else value
        for part, value in recipe.model.items()
    }
    return read_recipe(document, recipe.name)


def with_dropout(nodes: Any, words: int) -> Any:
    """Nodes with a number for a dropout that is `auto`."""
    return [
        {**node, "dropout": dropout_rate(words)} if node.get("dropout") == AUTO else node
        for node in nodes or []
    ]


def as_saved(recipe: Recipe, saved: Recipe) -> Recipe:
    """A recipe with the sizes that a run of it was given, where it leaves them open."""
    document, other = recipe.document(), saved.document()
    filled = fill(document, other)
    filled["train"]["steps"] = None
    if recipe.train.steps is not None:
        filled["train"]["epochs"] = other["train"]["epochs"]
    return read_recipe(filled, recipe.name)


def fill(value: Any, saved: Any) -> Any:
    """A document in which what is `auto` is as in another one."""
    if isinstance(value, Mapping) and isinstance(saved, Mapping):
        return {key: fill(each, saved.get(key)) for key, each in value.items()}
    if isinstance(value, list) and isinstance(saved, list) and len(value) == len(saved):
        return [fill(each, other) for each, other in zip(value, saved, strict=True)]
    return saved if value == AUTO and saved is not None else value


def count_words(texts: Iterable[str]) -> int:
    """Words of texts; where blanks are rare, a word for every six characters."""
    words = characters = 0
    for text in texts:
        words += len(text.split())
        characters += len(text)
    return max(words, characters // 6)
