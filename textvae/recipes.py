"""Recipes: YAML -> model, objective, data and training, checked as a whole."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from textvae.config import (
    Claim,
    DataConfig,
    FieldConfig,
    ImageDataConfig,
    PretrainingConfig,
    Section,
    TokenizerConfig,
    TrainingConfig,
    read_claims,
    read_section,
)
from textvae.console import quoted
from textvae.documents import parse_yaml
from textvae.recipe_index import PURPOSES, shipped_recipes
from textvae.recipe_index import shipped as shipped
from textvae.registry import SpecError, suggest

if TYPE_CHECKING:
    from textvae.graph.model import VAEConfig

MODEL_KEYS = ("encoders", "latents", "decoders", "init_range", "refinement")
SECTIONS: dict[str, type[Section]] = {
    "tokenizer": TokenizerConfig,
    "data": DataConfig,
    "train": TrainingConfig,
}
IMAGE_SECTIONS: dict[str, type[Section]] = {"data": ImageDataConfig, "train": TrainingConfig}
"""The sections of a recipe whose data section has `modality: image`."""
HEAD = ("paper", "summary", "purpose", "baseline")
KEYS = (*HEAD, "model", "pretrain", "objective", *SECTIONS, "claim")


@dataclass(frozen=True)
class Recipe:
    """A published system as data.

    Args:
        name: the file's name without its ending.
        paper: author, year, title and arXiv id.
        summary: one line: what it is.
        model: arguments of a `VAEConfig`: encoders, latents, decoders, init_range, refinement.
        objective: specification of an objective.
        tokenizer: which tokenizer to train; not for images.
        data: where the texts or images come from.
        train: how to train.
        claim: what was published, as comparisons.
        pretrain: a first training that this one begins with; None for none.
        stated_purpose: one of `PURPOSES`; None to derive it, see `purpose`.
        baseline: whether other recipes are compared with it; then it may be without a claim.
    """

    name: str
    paper: str
    summary: str
    model: dict[str, Any]
    objective: dict[str, Any]
    tokenizer: TokenizerConfig
    data: DataConfig | ImageDataConfig
    train: TrainingConfig
    claim: tuple[Claim, ...] = ()
    pretrain: PretrainingConfig | None = None
    stated_purpose: str | None = None
    baseline: bool = False

    @property
    def purpose(self) -> str | None:
        """The group that it is listed in: stated, or of images, labels, or without a latent."""
        if self.stated_purpose is not None:
            return self.stated_purpose
        if isinstance(self.data, ImageDataConfig):
            return "images"
        if self.uses_labels:
            return "labels"
        return None if self.model.get("latents") else "language"

    @property
    def sections(self) -> Mapping[str, type[Section]]:
        """The sections that it has, by name."""
        return IMAGE_SECTIONS if isinstance(self.data, ImageDataConfig) else SECTIONS

    @property
    def uses_labels(self) -> bool:
        """Whether a node of the model reads, predicts or is fixed by a label."""
        labels = ["label"]
        if isinstance(self.data, DataConfig) and self.data.fields is not None:
            labels = [name for name, each in self.data.fields.items() if each.kind == "label"]
        return not self.fields.isdisjoint(labels)

    @property
    def fields(self) -> set[str]:
        """Names of the fields that nodes of the model read, write or are fixed by."""
        nodes = {part: self.model.get(part) or [] for part in MODEL_KEYS[:3]}
        named = [node.get("field") for node in nodes.pop("latents")]
        for part, each in nodes.items():
            # An encoder that is given others reads a field only where it names one.
            others = part == "encoders"
            named += [
                node.get("field", None if others and node.get("given") else node.get("name"))
                for node in each
            ]
        return {name for name in named if isinstance(name, str)}

    def document(self) -> dict[str, Any]:
        """The recipe as it would stand in a file, every default filled in."""
        return {
            "paper": self.paper,
            "summary": self.summary,
            **({"purpose": self.stated_purpose} if self.stated_purpose else {}),
            **({"baseline": True} if self.baseline else {}),
            "model": self.model,
            **({"pretrain": self.pretrain.model_dump()} if self.pretrain else {}),
            "objective": self.objective,
            **{name: getattr(self, name).model_dump() for name in self.sections},
            "claim": [claim.model_dump() for claim in self.claim],
        }

    def trains_as(self, other: "Recipe") -> bool:
        """Whether two recipes are the same but for data's place, logs, listing and claim."""
        data = self.data.model_copy(update={"source": other.data.source})
        train = self.train.model_copy(update={"report_to": other.train.report_to})
        listed = {key: getattr(other, key) for key in ("stated_purpose", "claim", "baseline")}
        return replace(self, data=data, train=train, **listed).document() == other.document()

    def yaml(self) -> str:
        """The recipe as a YAML file that `load_recipe` reads back to an equal one."""
        return yaml.safe_dump(self.document(), sort_keys=False, allow_unicode=True, width=100)


def find_recipe(name: str) -> Path:
    """The file of a shipped recipe or the path itself.

    Raises:
        SpecError: neither is there; the message has the nearest known name.
    """
    known = shipped_recipes()
    if name in known:
        return known[name]
    path = Path(name)
    if path.is_file():
        return path
    if path.suffix in (".yaml", ".yml") or path.exists():
        raise SpecError([f"recipe file {name!r} is not there or is no file"])
    raise SpecError([f"unknown recipe {name!r} {suggest(name, known)}"])


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by name or path, with `key.key=value` overrides.

    Raises:
        SpecError: every mistake in it, one line each.
    """
    path = find_recipe(name)
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError:
        raise SpecError([f"{path}: is not a UTF-8 text file"]) from None
    if not isinstance(document, dict):
        raise SpecError([f"{path}: must be a mapping with {', '.join(KEYS)}"])
    return changed(document, path.stem, overrides)


def with_changes(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """A recipe with `key.key=value` overrides.

    Raises:
        SpecError: every mistake in them, one line each.
    """
    return changed(recipe.document(), recipe.name, overrides)


def changed(document: dict[str, Any], name: str, overrides: Sequence[str]) -> Recipe:
    """The recipe of a document, which the overrides change in place."""
    problems = []
    for override in overrides:
        try:
            apply_override(document, override)
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)
    return read_recipe(document, name)


def read_recipe(document: Mapping[str, Any], name: str) -> Recipe:
    """A recipe from its document; `check_model` looks into its graph and objective.

    Raises:
        SpecError: every mistake in it, one line each.
    """
    problems = [
        f"{key}: unknown key {suggest(str(key), KEYS)}" for key in document if key not in KEYS
    ]
    problems += [f"{key}: missing" for key in ("model", "objective") if key not in document]
    model = document.get("model", {})
    if not isinstance(model, Mapping):
        problems.append(f"model: must be a mapping (got {quoted(model)})")
        model = {}
    problems += model_problems(model)
    given = document.get("data", {})
    for_images = isinstance(given, Mapping) and given.get("modality") == "image"
    sections: dict[str, Any] = {"tokenizer": TokenizerConfig()}
    if for_images and "tokenizer" in document:
        problems.append("tokenizer: images have none")
    for key, section in (IMAGE_SECTIONS if for_images else SECTIONS).items():
        sections[key], mistakes = read_section(section, document.get(key, {}), key)
        problems += mistakes
    pretrain = document.get("pretrain")
    if pretrain is not None:
        pretrain, mistakes = read_section(PretrainingConfig, pretrain, "pretrain")
        problems += mistakes
    claims, mistakes = read_claims(document.get("claim") or [])
    problems += mistakes
    kinds = {"paper": (str, "text"), "summary": (str, "text"), "baseline": (bool, "true or false")}
    problems += [
        f"{key}: must be {name} (got {quoted(document[key])})"
        for key, (kind, name) in kinds.items()
        if not isinstance(document.get(key, kind()), kind)
    ]
    purpose = document.get("purpose")
    if purpose is not None and not (isinstance(purpose, str) and purpose in PURPOSES):
        problems.append(f"purpose: unknown {quoted(purpose)} {suggest(quoted(purpose), PURPOSES)}")
    if problems:
        raise SpecError(problems)
    return Recipe(
        name,
        document.get("paper", ""),
        document.get("summary", ""),
        dict(model),
        document["objective"],
        claim=claims,
        pretrain=pretrain,
        stated_purpose=purpose,
        baseline=document.get("baseline", False),
        **sections,
    )


def first_stage(recipe: Recipe) -> Recipe:
    """The recipe of the training that a recipe begins with.

    Raises:
        SpecError: every mistake in it, one line each, or there is no such training.
    """
    plan = recipe.pretrain
    if plan is None:
        raise SpecError(["pretrain: missing"])
    document = recipe.document()
    del document["pretrain"], document["claim"]
    changes: dict[str, Any] = {
        "model": recipe.model | plan.model,
        "objective": plan.objective,
        "train": recipe.train.model_dump() | plan.train,
    }
    try:
        return read_recipe(document | changes, f"{recipe.name}, pretraining")
    except SpecError as error:
        raise SpecError([f"pretrain.{problem}" for problem in error.problems]) from None


def model_problems(model: Mapping[str, Any]) -> list[str]:
    """The mistakes in the shape of a recipe's model, one line each."""
    problems = []
    for key, value in model.items():
        if key not in MODEL_KEYS:
            problems.append(f"model.{key}: unknown key {suggest(str(key), MODEL_KEYS)}")
        elif key == "init_range":
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and 0 < value < math.inf):
                problems.append(f"model.{key}: must be a number above 0 (got {quoted(value)})")
        elif key == "refinement":
            if value is not None and not isinstance(value, Mapping):
                problems.append(f"model.{key}: must be a mapping (got {quoted(value)})")
        elif value is not None and not (
            isinstance(value, list) and all(isinstance(node, Mapping) for node in value)
        ):
            problems.append(f"model.{key}: must be a list of nodes (got {quoted(value)})")
    return problems


def check_model(recipe: Recipe) -> None:
    """Refuse a recipe whose model or objective cannot be built.

    Raises:
        SpecError: every mistake in its graph and its objective, one line each.
    """
    # Imported here: listing recipes need not wait for torch.
    from textvae.graph.checks import check_graph
    from textvae.graph.config import VAEConfig
    from textvae.graph.plates import plate_problems
    from textvae.objectives import Objective
    from textvae.sizing import PLACEHOLDER, sized

    recipe = sized(recipe, *PLACEHOLDER)
    problems = check_graph(VAEConfig(**recipe.model))
    problems += Objective.check(recipe.objective, Objective.CONTEXT, "objective")
    if isinstance(recipe.data, ImageDataConfig):
        problems += pixel_problems(recipe.model, recipe.data.pixels)
        problems += open_set_problems(recipe)
    elif not problems and recipe.data.fields is not None:
        fields = recipe.data.fields
        plates = {name: {"plate": each.plate} for name, each in fields.items() if each.plate}
        config = VAEConfig(**recipe.model, observed=plates)
        problems += field_problems(config, fields) or plate_problems(config)
        problems += value_problems(config, fields)
        if plates and recipe.train.compile != "none":
            problems.append("train.compile: not with plates: their batches have no fixed shape")
    elif not problems:
        problems += reading_problems(VAEConfig(**recipe.model))
    if recipe.pretrain is not None and recipe.pretrain.run is None:
        stage = first_stage(recipe)
        try:
            check_model(stage)
        except SpecError as error:
            problems += [f"pretrain.{problem}" for problem in error.problems]
    if problems:
        raise SpecError(problems)


def reading_problems(config: "VAEConfig") -> list[str]:
    """What of a graph needs more than a text to be used on texts, one line each."""
    encoders = [node["name"] for node in config.nodes("encoders")]
    problems = [
        f"encoders.{node['name']}.field: texts have no field but 'text' "
        f"(got {quoted(node['field'])})"
        for node in config.nodes("encoders")
        if node["field"] not in ("text", None)
    ]
    readers = {f"decoders.{node['name']}": node for node in config.nodes("decoders")}
    for node in config.nodes("latents"):
        readers[f"latents.{node['name']}.prior"] = node.get("prior") or {}
    return problems + [
        f"{path}.given: {name!r} is an encoder, and nothing is there to read when texts are sampled"
        for path, node in readers.items()
        for name in node.get("given") or []
        if name in encoders
    ]


def field_problems(config: "VAEConfig", fields: Mapping[str, FieldConfig]) -> list[str]:
    """What of a graph does not fit rows of several fields, one line each."""
    decoded = {
        node["field"]: node["name"]
        for node in config.nodes("decoders")
        if node.get("auxiliary") is None
    }
    problems = [
        f"{group}.{node['name']}.field: unknown {quoted(node['field'])} "
        f"{suggest(str(node['field']), fields)}"
        for group in ("encoders", "decoders", "latents")
        for node in config.nodes(group)
        if node.get("field") is not None and node["field"] not in fields
    ]
    return problems + [
        f"decoders.{decoded[field]}: writes the field {field!r}, which must be given to sample it"
        for field in config.conditions()
        if field in decoded
    ]


def value_problems(config: "VAEConfig", fields: Mapping[str, FieldConfig]) -> list[str]:
    """The likelihoods of vectors that have no density for their values, one line each."""
    from textvae.likelihoods import Likelihood

    problems = []
    for node in config.nodes("decoders"):
        field, spec = fields.get(node["field"]), node.get("likelihood")
        kind = Likelihood.named(spec.get("kind")) if isinstance(spec, dict) else None
        if field is None or kind is None or spec is None:
            continue
        if field.kind == "image":
            key = f"data.fields.{node['field']}.pixels"
            problems += pixel_problems({"decoders": [node]}, field.pixels or "grey", key)
        if field.kind != "vector":
            continue
        values = field.values or "real"
        if values not in kind.values:  # type: ignore[attr-defined]
            able = [name for name, each in Likelihood.kinds.items() if values in each.values]  # type: ignore[attr-defined]
            problems.append(
                f"decoders.{node['name']}.likelihood: {spec['kind']} is no density of {values} "
                f"values (allowed: {', '.join(sorted(able))}; data.fields.{node['field']}.values "
                "says what they are)"
            )
    return problems


def open_set_problems(recipe: Recipe) -> list[str]:
    """What of an open set of classes a model cannot read or tell apart, one line each."""
    if not getattr(recipe.data, "open_set", False):
        return []
    latents = [node.get("field") for node in recipe.model.get("latents") or []]
    problems = [] if "label" in latents else ["data.open_set: no latent has the field 'label'"]
    return problems + [
        f"{group}.{node.get('name')}: held-out labels may be unknown (data.open_set): none is read "
        "or written"
        for group in ("encoders", "decoders")
        for node in recipe.model.get(group) or []
        if node.get("field", node.get("name")) == "label"
    ]


def pixel_problems(model: Mapping[str, Any], pixels: str, key: str = "data.pixels") -> list[str]:
    """The likelihoods of a model that have no density for such pixels, one line each."""
    from textvae.likelihoods import Likelihood

    problems = []
    for node in model.get("decoders") or []:
        spec = node.get("likelihood")
        kind = Likelihood.named(spec.get("kind")) if isinstance(spec, dict) else None
        allowed = getattr(kind, "pixels", (pixels,))
        if pixels not in allowed:
            needs = f"needs {key}: {' or '.join(allowed)} (got {pixels})"
            problems.append(
                f"decoders.{node.get('name')}.likelihood: {spec['kind']} "
                f"{needs if allowed else 'is no density of pixels'}"
            )
    return problems


def apply_override(document: dict[str, Any], override: str) -> None:
    """Set one value of a recipe's document: `train.epochs=3`, `latents.z.dim=64`.

    Nodes are addressed by name; `model.` may be left out.

    Raises:
        SpecError: it is not of the form key=value, or names what is not there.
    """
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise SpecError(
            [f"--set {quoted(override)}: must be key=value, as in --set latents.z.dim=64"]
        )
    if keys[0] in MODEL_KEYS:
        keys = ["model", *keys]
    value = parse_yaml(text, f"--set {path}")
    values: Any = document
    for depth, key in enumerate(keys[:-1]):
        values = enter(values, key, ".".join(keys[: depth + 1]))
    if not isinstance(values, dict):
        raise SpecError([f"--set {path}: {'.'.join(keys[:-1])} is a value, not a section"])
    old_keys = old_keys_of(keys[:-1])
    name = old_keys.get(keys[-1], keys[-1])
    for old, new in old_keys.items():
        if new == name:
            values.pop(old, None)
    values[name] = value


def old_keys_of(path: Sequence[str]) -> Mapping[str, str]:
    """The renamed keys of the section at a path, such as `train` or `pretrain.train`."""
    names = path[1:] if path[:1] == ["pretrain"] else path
    section = SECTIONS.get(names[0]) if len(names) == 1 else None
    return {} if section is None else section.OLD_KEYS


def enter(values: Any, key: str, path: str) -> Any:
    """The part of a document under a key or, in a list of nodes, under a node's name."""
    if isinstance(values, list):
        named = {node.get("name"): node for node in values if isinstance(node, dict)}
        if key not in named:
            raise SpecError([f"--set {path}: unknown {key!r} {suggest(key, map(str, named))}"])
        return named[key]
    if not isinstance(values, dict):
        raise SpecError([f"--set {path}: {path.rpartition('.')[0]} is a value, not a section"])
    if values.get(key) is None:
        values[key] = {}
    elif not isinstance(values[key], dict | list):
        # A number stands for a schedule; `kl_weight.kind=linear` replaces it by a section.
        values[key] = {}
    return values[key]
