"""Causes of posterior collapse in a recipe, and settings and recipes that avoid them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from textvae.analysis.findings import CauseCode, Finding, Remedy, RemedyCode
from textvae.config import DataConfig, ImageDataConfig
from textvae.decoders import Decoder
from textvae.decoders.text import TokenDecoder
from textvae.encoders import Encoder
from textvae.evaluation.verdict import FEW_STEPS, FORESEEABLE, TrainingRecord
from textvae.families import Family
from textvae.objectives import Objective
from textvae.objectives.schedules import Schedule
from textvae.recipes import Recipe, load_recipe, shipped_recipes
from textvae.registry import arguments
from textvae.training.folders import RECIPE
from textvae.training.history import kl_schedule, schedule_of

MOST_REMEDIES, MOST_RECIPES = 4, 2
"""Remedies that a diagnosis names at most, and how many of them are other recipes."""

LEAST_WORD_DROPOUT = 0.3
"""Word dropout below which the decoder can predict most words without z."""

FINISHED = 0.95
"""Share of the planned KL weight that advice on a schedule reaches."""

RISING = 0.8
"""Share of the steps in which the KL weight rises, as advised; the rest train under its end."""

STEP_KEYS = {
    "midpoint_steps": 1,
    "steps": 1,
    "delay_steps": 1,
    "period_steps": 1,
    "steepness_per_step": -1,
}
"""Arguments of schedules that are steps, or per step: the power of a factor of time."""

ENOUGH_STEPS, LONGER = FEW_STEPS, 3
"""Steps that advice on a short training gives at least, and by what it multiplies the epochs."""

MOST_EPOCHS = 10_000
"""Epochs beyond which a schedule is not followed."""


@dataclass(frozen=True)
class Trained:
    """What was trained, as far as it is known.

    Args:
        recipe: of the run; None where the folder has none.
        training: the record of the run; None where it has none.
        folder: of the run, as the user names it.
    """

    recipe: Recipe | None = None
    training: TrainingRecord | None = None
    folder: str = ""


# Properties of a recipe.


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
    """Whether the family, the objective or frozen posteriors keep the KL above zero."""
    frozen = [] if recipe.pretrain is None else recipe.pretrain.freeze
    return (
        objective_class(recipe).prevents_collapse
        or any(name.partition(".")[0] == "latents" for name in frozen)
        or any(
            Family.kinds[node["kind"]].prevents_collapse or node.get("batch_norm")
            for node in recipe.model.get("latents") or []
        )
    )


def trains_encoder_first(recipe: Recipe) -> bool:
    """Whether the encoder is trained ahead of the decoder."""
    return recipe.train.lagging is not None or recipe.pretrain is not None


def drops_words(recipe: Recipe) -> bool:
    """Whether the decoder misses enough previous words to need z, but not all of them."""
    return LEAST_WORD_DROPOUT <= word_dropout(recipe) < 1


def has_auxiliary_loss(recipe: Recipe) -> bool:
    """Whether a further decoder, which sees z alone, adds to the loss."""
    return len(main_decoders(recipe)) < len(recipe.model["decoders"])


def anneals(recipe: Recipe) -> bool:
    """Whether the KL weight rises."""
    schedule = kl_schedule(recipe)
    return schedule is not None and schedule(0) < schedule(FORESEEABLE)


def lowers_kl_weight(recipe: Recipe) -> bool:
    """Whether the KL weight ends below 1."""
    schedule = kl_schedule(recipe)
    return schedule is not None and schedule(FORESEEABLE) < 1


def matches_prior(recipe: Recipe) -> bool:
    """Whether the objective draws the aggregate posterior to the prior."""
    return objective_class(recipe).matches_prior


def pools(recipe: Recipe) -> bool:
    """Whether an encoder weights all words equally."""
    return any(pooling_of(node) in ("mean", "max") for node in recipe.model.get("encoders") or [])


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
    RemedyCode.AUXILIARY_LOSS: has_auxiliary_loss,
    RemedyCode.ANNEALING: anneals,
    RemedyCode.LOWER_KL_WEIGHT: lowers_kl_weight,
    RemedyCode.PRIOR_MATCHING: matches_prior,
    RemedyCode.POOLING: pools,
}
"""Whether a recipe takes a measure."""

AGAINST_COLLAPSE = tuple(code for code in USES if code is not RemedyCode.POOLING)
"""Measures that keep z informative."""


def measures_of(recipe: Recipe) -> list[RemedyCode]:
    """The measures against collapse that a recipe takes."""
    return [code for code in AGAINST_COLLAPSE if USES[code](recipe)]


def codebook_settings(recipe: Recipe) -> list[str]:
    """Settings that a recipe's codebooks lack: a start from data, normalised inputs, new places."""
    wanted = {"start": "data", "batch_norm": True, "replace_after": 50}
    changes = []
    for node in recipe.model.get("latents") or []:
        known, _ = arguments(Family.kinds[node["kind"]])
        for name, value in wanted.items():
            if name in known and name in node and node[name] in ("random", False, 0):
                changes.append(f"latents.{node['name']}.{name}={str(value).lower()}")
    return changes


def causes_of(recipe: Recipe, metrics: Mapping[str, Any] | None = None) -> list[Finding]:
    """Properties of a recipe that let the latent collapse, and what it does against that.

    Args:
        recipe: of the run.
        metrics: of the run; with a codebook, the causes are those of its start.
    """
    if metrics is not None and metrics.get("code_perplexity") is not None:
        lacking = codebook_settings(recipe)
        return [Finding(CauseCode.CODEBOOK_START, {"settings": lacking})] if lacking else []
    causes, measures = [], measures_of(recipe)
    holds = {RemedyCode.FREE_BITS, RemedyCode.MINIMUM_KL, RemedyCode.PRIOR_MATCHING}
    if not holds & set(measures) and len(measures) < 2:
        causes.append(Finding(CauseCode.NO_MINIMUM_KL))
    dropout = word_dropout(recipe)
    if reads_previous_words(recipe) and dropout < LEAST_WORD_DROPOUT:
        causes.append(Finding(CauseCode.PREVIOUS_WORDS, {"word_dropout": dropout}))
    if has_full_kl_weight(recipe):
        causes.append(Finding(CauseCode.FULL_KL_WEIGHT))
    if measures:
        causes.append(Finding(CauseCode.IN_USE, {"measures": measures}))
    return causes


def has_full_kl_weight(recipe: Recipe) -> bool:
    """Whether a KL that can vanish has its full weight from the first step, none of it free."""
    only = objective_class(recipe).penalizes_kl_only
    eased = (has_free_bits, has_minimum_kl, anneals, lowers_kl_weight)
    return only and not any(eases(recipe) for eases in eased)


# Settings of the trained recipe.


def base_of(trained: Trained) -> tuple[str, tuple[str, ...]]:
    """The recipe that was trained, by name or file, and the arguments that name its data."""
    recipe = trained.recipe
    assert recipe is not None, "settings are of a known recipe"
    file = Path(trained.folder) / RECIPE
    if recipe.name in shipped_recipes() and load_recipe(recipe.name).trains_as(recipe):
        return recipe.name, data_arguments(recipe.data)
    return (str(file), ()) if file.is_file() else (recipe.name, data_arguments(recipe.data))


def data_arguments(data: DataConfig | ImageDataConfig) -> tuple[str, ...]:
    """The arguments of `textvae train` that name a run's data."""
    source = () if data.source is None else ("--data", data.source)
    if isinstance(data, DataConfig) and data.text_column != DataConfig().text_column:
        return (*source, "--text-column", data.text_column)
    return source


def setting_for(code: RemedyCode, trained: Trained) -> Remedy | None:
    """A measure as settings of the trained recipe; None where they do not exist or are in use."""
    recipe = trained.recipe
    if recipe is None or (code in USES and USES[code](recipe)):
        return None
    if (overrides := SETTINGS[code](recipe, trained.training)) is None:
        return None
    name, data = base_of(trained)
    return Remedy(code, name, tuple(overrides), data)


Overrides = list[str] | None
"""Settings for `--set`; None where there are none."""


def more_epochs(recipe: Recipe, training: TrainingRecord | None) -> Overrides:
    """Epochs that finish the schedule of the KL weight, or that are several times as many.

    None where early stopping ended the training: it would again.
    """
    planned = recipe.train.epochs
    if training is None or (planned != "auto" and training.epochs < planned):
        return None
    if training.unfinished:
        epochs = epochs_to_finish(kl_schedule(recipe), training.steps, training.epochs)
        return None if epochs is None else [f"train.epochs={epochs}"]
    enough = -(-ENOUGH_STEPS * training.epochs // training.steps)
    return [f"train.epochs={max(LONGER * training.epochs, enough)}"]


def epochs_to_finish(schedule: Schedule | None, steps: int, epochs: int) -> int | None:
    """The epochs of which a schedule takes `RISING`; None where there are too many.

    Args:
        schedule: of the KL weight.
        steps: optimizer steps of a training.
        epochs: of the same training.
    """
    if schedule is None or schedule.is_relative:
        return None
    enough = FINISHED * schedule(FORESEEABLE)
    numbers = range(epochs + 1, MOST_EPOCHS + 1)
    last = (n for n in numbers if schedule(int(RISING * n * steps / epochs)) >= enough)
    return next((n for n in last if schedule(n * steps // epochs) >= enough), None)


def earlier_schedule(recipe: Recipe, training: TrainingRecord | None) -> Overrides:
    """The schedule of the KL weight in another unit of time: it ends within the steps of the run.

    None where it ends in time, or is not given in steps.
    """
    schedule = kl_schedule(recipe)
    if schedule is None or schedule.is_relative or training is None or not training.unfinished:
        return None
    factor = RISING * training.steps / steps_to_finish(schedule)
    values = {f.name: getattr(schedule, f.name) for f in fields(schedule)}  # type: ignore[arg-type]
    scaled = {
        name: scaled_by(factor ** STEP_KEYS[name], value)
        for name, value in values.items()
        if name in STEP_KEYS and value
    }
    return [f"objective.kl_weight.{name}={value}" for name, value in scaled.items()] or None


def scaled_by(factor: float, value: float) -> str:
    """A number times a factor, as text: a whole one of at least 1 where it was whole."""
    if isinstance(value, int):
        return str(max(1, round(factor * value)))
    return f"{factor * value:.3g}"


def steps_to_finish(schedule: Schedule) -> int:
    """The step from which on a schedule stays near its end, to a hundredth."""
    enough, step, after = FINISHED * schedule(FORESEEABLE), 1, 1
    while step < FORESEEABLE:
        if schedule(step) < enough:
            after = step + 1
        step += max(1, step // 100)
    return after


def free_bits(recipe: Recipe, training: TrainingRecord | None) -> Overrides:
    """Four free nats, for objectives that have free bits and a KL that can vanish."""
    parameters, _ = arguments(objective_class(recipe))
    fit = "free_bits" in parameters and not has_minimum_kl(recipe)
    return ["objective.free_bits=4"] if fit else None


def more_word_dropout(recipe: Recipe, training: TrainingRecord | None) -> Overrides:
    """More of the previous words hidden, for decoders that read them."""
    nodes = main_decoders(recipe)
    if not reads_previous_words(recipe) or len(nodes) > 1 or word_dropout(recipe) >= 1:
        return None
    parameters, _ = arguments(Decoder.kinds[nodes[0]["kind"]])
    return (
        [f"decoders.{nodes[0]['name']}.word_dropout=0.6"] if "word_dropout" in parameters else None
    )


def annealing(recipe: Recipe, training: TrainingRecord | None) -> Overrides:
    """A KL weight that rises from 0 over the first half of the steps."""
    if training is None or not has_full_kl_weight(recipe):
        return None
    return ["objective.kl_weight={kind: linear, length: 0.5}"]


def lower_kl_weight(recipe: Recipe, training: TrainingRecord | None) -> Overrides:
    """A KL weight below 1 throughout, in place of 1 throughout."""
    return ["objective.kl_weight=0.3"] if has_full_kl_weight(recipe) else None


def lower_rate_weight(recipe: Recipe, training: TrainingRecord | None) -> Overrides:
    """A lower weight of the distance to a target of the KL.

    A high one reaches the target the shortest way: the same shift of every posterior.
    """
    schedule = schedule_of(recipe, "weight")
    if schedule is None or not objective_class(recipe).prevents_collapse:
        return None
    return ["objective.weight=2"] if schedule(FORESEEABLE) > 2 else None


def fitted_prior(recipe: Recipe, training: TrainingRecord | None) -> Overrides:
    """A prior that is fitted after training, for each latent that has its family's own."""
    nodes = recipe.model.get("latents") or []
    fit = all(Family.kinds[n["kind"]].fittable and not n.get("prior") for n in nodes)
    return [f"latents.{n['name']}.prior={{fitted: true}}" for n in nodes] if fit and nodes else None


def codebook_from_data(recipe: Recipe, training: TrainingRecord | None) -> Overrides:
    """A codebook that begins with inputs, which are normalised, and whose codes are placed anew."""
    return codebook_settings(recipe) or None


SETTINGS: dict[RemedyCode, Callable[[Recipe, TrainingRecord | None], Overrides]] = {
    RemedyCode.MORE_EPOCHS: more_epochs,
    RemedyCode.EARLIER_SCHEDULE: earlier_schedule,
    RemedyCode.FREE_BITS: free_bits,
    RemedyCode.WORD_DROPOUT: more_word_dropout,
    RemedyCode.ANNEALING: annealing,
    RemedyCode.LOWER_KL_WEIGHT: lower_kl_weight,
    RemedyCode.LOWER_RATE_WEIGHT: lower_rate_weight,
    RemedyCode.FITTED_PRIOR: fitted_prior,
    RemedyCode.CODEBOOK_FROM_DATA: codebook_from_data,
}
"""Measures that are settings of any recipe."""


# Other recipes, and commands.


@cache
def recipes_with_latents(images: bool = False) -> list[Recipe]:
    """The shipped recipes without labels, of texts or of images, that have a latent."""
    loaded = [load_recipe(name) for name in shipped_recipes()]
    return [
        recipe
        for recipe in loaded
        if isinstance(recipe.data, ImageDataConfig) == images
        and (images or (recipe.data.label_column is None and not reads_fields(recipe)))
        and recipe.model.get("latents")
    ]


def reads_fields(recipe: Recipe) -> bool:
    """Whether a recipe reads rows of several fields, or of numbers."""
    return bool(getattr(recipe.data, "fields", None))


def recipe_for(
    code: RemedyCode, trained: Trained, tokenizer: str | None, named: Sequence[str | None]
) -> Remedy | None:
    """The nearest shipped recipe that takes a measure; None where the trained one does.

    None also for a measure that is a setting of the trained one, or has no place in it.

    Args:
        code: the measure.
        trained: what was trained.
        tokenizer: its kind; a recipe of the same kind is meant for the same data.
        named: recipes that are advised already.
    """
    recipe = trained.recipe
    if code not in USES or (recipe is not None and (code in SETTINGS or USES[code](recipe))):
        return None
    if recipe is not None and reads_fields(recipe):
        return None  # recipes of texts do not read them, and others read other fields
    images = recipe is not None and isinstance(recipe.data, ImageDataConfig)
    candidates = [r for r in recipes_with_latents(images) if USES[code](r) and r.name not in named]
    if not candidates:
        return None
    # For the same kind of data, and with as few other measures as possible.
    nearest = min(
        candidates,
        key=lambda other: (
            other.tokenizer.kind != tokenizer,
            sum(uses(other) for uses in USES.values()),
        ),
    )
    return Remedy(code, nearest.name, data=() if recipe is None else data_arguments(recipe.data))


def recommended(
    codes: Sequence[RemedyCode], trained: Trained, tokenizer: str | None = None
) -> list[Remedy]:
    """Measures that the trained recipe does not take: first settings of it, then other recipes.

    Args:
        codes: measures, the most useful first.
        trained: what was trained.
        tokenizer: its kind.
    """
    settings = [setting_for(code, trained) for code in codes if code in SETTINGS]
    remedies = [remedy for remedy in settings if remedy is not None]
    if RemedyCode.LOWER_TEMPERATURE in codes and trained.folder:
        command = ("sample", trained.folder, "--temperature", "0.7")
        remedies.append(Remedy(RemedyCode.LOWER_TEMPERATURE, command=command))
    covered = {remedy.reason for remedy in remedies}
    others: list[Remedy] = []
    for code in codes:
        named = [remedy.recipe for remedy in others]
        other = None if code in covered else recipe_for(code, trained, tokenizer, named)
        others += [] if other is None else [other]
    others = others[:MOST_RECIPES] if remedies else others[: MOST_REMEDIES - 1]
    return [*remedies[: MOST_REMEDIES - min(len(others), MOST_RECIPES)], *others]
