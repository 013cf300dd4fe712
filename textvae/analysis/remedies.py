"""Causes of posterior collapse in a recipe, and shipped recipes that avoid them."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from textvae.analysis.findings import CauseCode, Finding, Remedy, RemedyCode
from textvae.config import DataConfig, ImageDataConfig
from textvae.decoders import Decoder
from textvae.decoders.text import TokenDecoder
from textvae.encoders import Encoder
from textvae.families import Family
from textvae.objectives import Objective
from textvae.recipes import Recipe, load_recipe, shipped_recipes
from textvae.registry import arguments

MOST_REMEDIES = 3
"""Remedies that a diagnosis names at most."""

LEAST_WORD_DROPOUT = 0.3
"""Word dropout below which the decoder can predict most words without z."""

SETTINGS = (
    Remedy(RemedyCode.FREE_BITS, overrides=("objective.free_bits=4",)),
    Remedy(RemedyCode.LOWER_KL_WEIGHT, overrides=("objective.kl_weight=0.3",)),
)
"""Settings of any recipe that counter collapse."""

TEXT_SETTINGS = (
    *SETTINGS,
    Remedy(RemedyCode.SLOWER_ANNEALING),
    Remedy(RemedyCode.WORD_DROPOUT, overrides=("decoders.text.word_dropout=0.6",)),
)
"""The same for recipes of texts."""


def objective_class(recipe: Recipe) -> type[Objective]:
    """The class of a recipe's objective."""
    return Objective.kinds[recipe.objective["kind"]]


def main_decoders(recipe: Recipe) -> list[dict[str, Any]]:
    """The decoders that are not auxiliary."""
    return [node for node in recipe.model["decoders"] if node.get("auxiliary") is None]


def word_dropout(recipe: Recipe) -> float:
    """Share of the previous words that are hidden from the text decoder in training."""
    return main_decoders(recipe)[0].get("word_dropout", 0.0)


def reads_previous_words(recipe: Recipe) -> bool:
    """Whether the text decoder is autoregressive."""
    classes = [Decoder.kinds[node["kind"]] for node in main_decoders(recipe)]
    return any(issubclass(each, TokenDecoder) and each.ordered for each in classes)


def has_free_bits(recipe: Recipe) -> bool:
    """Whether part of the KL is free."""
    return bool(recipe.objective.get("free_bits"))


def has_minimum_kl(recipe: Recipe) -> bool:
    """Whether the family or the objective keeps the KL above zero."""
    return objective_class(recipe).prevents_collapse or any(
        Family.kinds[node["kind"]].prevents_collapse or node.get("batch_norm")
        for node in recipe.model["latents"]
    )


def trains_encoder_first(recipe: Recipe) -> bool:
    """Whether the encoder is trained ahead of the decoder."""
    return recipe.train.lagging is not None or recipe.pretrain is not None


def drops_words(recipe: Recipe) -> bool:
    """Whether the decoder misses enough previous words to need z, but not all of them."""
    return LEAST_WORD_DROPOUT <= word_dropout(recipe) < 1


def matches_prior(recipe: Recipe) -> bool:
    """Whether the objective draws the aggregate posterior to the prior."""
    return objective_class(recipe).matches_prior


def pools(recipe: Recipe) -> bool:
    """Whether an encoder weights all words equally."""
    return any(pooling_of(node) in ("mean", "max") for node in recipe.model["encoders"])


def pooling_of(node: dict[str, Any]) -> str | None:
    """The pooling of an encoder; None for one without."""
    parameters, _ = arguments(Encoder.kinds[node["kind"]])
    if "pooling" not in parameters:
        return None
    return node.get("pooling", parameters["pooling"].default)


USES: dict[RemedyCode, Callable[[Recipe], bool]] = {
    RemedyCode.FREE_BITS: has_free_bits,
    RemedyCode.MINIMUM_KL: has_minimum_kl,
    RemedyCode.ENCODER_FIRST: trains_encoder_first,
    RemedyCode.WORD_DROPOUT: drops_words,
    RemedyCode.PRIOR_MATCHING: matches_prior,
    RemedyCode.POOLING: pools,
}
"""Whether a recipe takes a measure."""


@cache
def recipes_with_latents() -> list[Recipe]:
    """The shipped recipes of texts without labels that are not language models."""
    loaded = [load_recipe(name) for name in shipped_recipes()]
    return [
        recipe
        for recipe in loaded
        if isinstance(recipe.data, DataConfig)
        and recipe.data.label_column is None
        and recipe.model.get("latents")
    ]


def causes_of(recipe: Recipe) -> list[Finding]:
    """Properties of a recipe that let the latent collapse."""
    causes = []
    if not (has_free_bits(recipe) or has_minimum_kl(recipe) or matches_prior(recipe)):
        causes.append(Finding(CauseCode.NO_MINIMUM_KL))
    dropout = word_dropout(recipe)
    if reads_previous_words(recipe) and dropout < LEAST_WORD_DROPOUT:
        causes.append(Finding(CauseCode.PREVIOUS_WORDS, {"word_dropout": dropout}))
    full_weight = recipe.objective.get("kl_weight", 1) == 1
    if objective_class(recipe).penalizes_kl_only and full_weight and not has_free_bits(recipe):
        causes.append(Finding(CauseCode.FULL_KL_WEIGHT))
    return causes


def data_arguments(data: DataConfig | ImageDataConfig) -> tuple[str, ...]:
    """The arguments of `textvae train` that name a run's texts."""
    source = () if data.source is None else ("--data", data.source)
    if isinstance(data, DataConfig) and data.text_column != DataConfig().text_column:
        return (*source, "--text-column", data.text_column)
    return source


def recommended(
    codes: Sequence[RemedyCode], recipe: Recipe | None, tokenizer: str | None
) -> list[Remedy]:
    """Shipped recipes that take measures which the trained one does not, the nearest of each.

    Args:
        codes: measures, the most useful first.
        recipe: the one that was trained, if it is known.
        tokenizer: its kind; a recipe of the same kind is meant for the same data.
    """
    data = () if recipe is None else data_arguments(recipe.data)
    remedies: list[Remedy] = []
    for code in codes:
        named = {remedy.recipe for remedy in remedies}
        candidates = [r for r in recipes_with_latents() if USES[code](r) and r.name not in named]
        if not candidates or (recipe is not None and USES[code](recipe)):
            continue
        # For the same kind of data, and with as few other measures as possible.
        nearest = min(
            candidates,
            key=lambda other: (
                other.tokenizer.kind != tokenizer,
                sum(uses(other) for uses in USES.values()),
            ),
        )
        remedies.append(Remedy(code, nearest.name, data=data))
    return remedies[:MOST_REMEDIES]
