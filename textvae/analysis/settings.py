"""The settings of a run beside those of its recipe."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textvae.config import TrainingConfig
from textvae.recipes import Recipe, first_stage, load_recipe, shipped_recipes
from textvae.sizing import AUTO, count_words, leaves_open, sized
from textvae.training.folders import read_state, saved_recipe
from textvae.training.run_data import run_corpus
from textvae.training.run_images import run_images

ASIDE: Mapping[str, tuple[str, ...]] = {
    "tokenizer": ("run",),
    "data": ("source", "text_column", "image_column"),
    "train": ("seed", "workers", "report_to"),
}
"""Keys of each compared section that change no expectation: places, names, chance, speed."""

STORED_AS = {"tokenizer": "tokenizer", "data": "reading", "train": "train"}
"""The key of each compared section in a stored result, whose `data` is the fingerprint."""


def is_run_of(trained: Recipe, recipe: Recipe) -> bool:
    """Whether a run's recipe has a recipe's model and objectives, in both trainings.

    A first training that was a run of its own is compared where it stands.
    """
    if (trained.model, trained.objective) != (recipe.model, recipe.objective):
        return False
    begun, asked = trained.pretrain, recipe.pretrain
    if begun is None or begun.run is None or asked is None or asked.run is not None:
        return begun == asked
    if (begun.transfer, begun.freeze) != (asked.transfer, asked.freeze):
        return False
    return is_run_of(saved_recipe(Path(begun.run)), first_stage(recipe))


def recipe_for(recipe: Recipe, model: str) -> Recipe:
    """A recipe with the sizes that it gives a run's training data, where it leaves them open.

    Raises:
        DataError: those data are not there.
    """
    if not leaves_open(recipe):
        return recipe
    if not hasattr(recipe.data, "text_column"):
        return sized(recipe, len(run_images(model).train), 0)
    train = run_corpus(model).train
    return sized(recipe, len(train), count_words(train))


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """The settings of a run's recipe as results store them.

    Those of a first training are with them where it was a run of its own.
    """
    document = recipe.document()
    settings: dict[str, Any] = {
        STORED_AS[name]: {
            key: value
            for key, value in document[name].items()
            if name == "train" or key not in aside
        }
        for name, aside in ASIDE.items()
        if name in document
    }
    if recipe.pretrain is not None and recipe.pretrain.run is not None:
        settings["pretrain"] = settings_of(saved_recipe(Path(recipe.pretrain.run)))
    return settings


def graph_of(recipe: Recipe) -> str:
    """The SHA-256 of a recipe's model, objective and first training."""
    pretrain = None if recipe.pretrain is None else recipe.pretrain.model_dump()
    text = json.dumps([recipe.model, recipe.objective, pretrain], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def other_settings(settings: Mapping[str, Any], recipe: Recipe) -> str | None:
    """How the settings of a run differ from its recipe's; None where they do not.

    What is not stored is not compared, nor sizes that the recipe leaves open, see `recipe_for`.

    Args:
        settings: of the run, see `settings_of`; of an older result, some of them.
        recipe: of the run, as it is now.
    """
    lines = differences(settings, recipe)
    if settings.get("graph", graph_of(recipe)) != graph_of(recipe):
        lines.insert(0, "the recipe's model or objective was another")
    return f"other settings: {', '.join(lines)}" if lines else None


def differences(settings: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """Each setting of a run that differs from its recipe's, which stands beside it."""
    document, lines = recipe.document(), []
    sizes = ("epochs", "steps") if recipe.train.steps is not None else ()
    for name, aside in ASIDE.items():
        given, asked = settings.get(STORED_AS[name], {}), document.get(name, {})
        given = TrainingConfig.current_keys(given) if name == "train" else given
        lines += [
            f"{name}.{key} {given[key]} (recipe: {value})"
            for key, value in asked.items()
            if key in given
            and key not in (*aside, *sizes)
            and value != AUTO
            and without_open(value) != without_open(given[key])
        ]
    if "pretrain" in settings and recipe.pretrain is not None:
        run = recipe.pretrain.run
        first = first_stage(recipe) if run is None else recipe_of_run(run)
        lines += [f"pretrain.{line}" for line in differences(settings["pretrain"], first)]
    return lines


def without_open(value: Any) -> Any:
    """A value without the keys of its mappings that are None: those of a later version are."""
    if not isinstance(value, Mapping):
        return value
    return {key: without_open(part) for key, part in value.items() if part is not None}


def recipe_of_run(run: str) -> Recipe:
    """The recipe that a recipe's `pretrain.run` is of.

    A folder that is called like a shipped recipe is one of its runs, also where it is not there.
    """
    name = Path(run).name
    return load_recipe(name) if name in shipped_recipes() else saved_recipe(Path(run))


def trained_on(model: str) -> list[str]:
    """The SHA-256 of the training data of a run, and of the run that it began with, if any."""
    stages, folder = [], model
    while True:
        stages.append(read_state(Path(folder)).get("fingerprint"))
        pretrain = saved_recipe(Path(folder)).pretrain
        if pretrain is None or pretrain.run is None:
            return [] if None in stages else sorted(set(stages))
        folder = pretrain.run
