"""Claims: run, compare with the published number, report."""

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from textvae.analysis.cards import data_name
from textvae.analysis.exports import write_json
from textvae.analysis.summary import summarize_run
from textvae.api.image import ImageEvaluation, ImageVAE, open_model
from textvae.api.sentence import Evaluation
from textvae.config import Claim, DataConfig
from textvae.console import table
from textvae.recipes import Recipe, first_stage, load_recipe
from textvae.registry import SpecError, suggest
from textvae.training import workflow as training
from textvae.training.callbacks import Report
from textvae.training.folders import RunError, saved_recipe
from textvae.training.run_data import (
    entropy_of,
    held_out_images,
    held_out_labels,
    held_out_texts,
    metrics_of,
    training_texts,
)

STORED = Path("docs/results.json")


@dataclass(frozen=True)
class Checked:
    """One comparison of a claim.

    Args:
        claim: what was promised.
        ours: our figure.
        bound: what ours is compared with.
        holds: whether it stands.
    """

    claim: Claim
    ours: float
    bound: float
    holds: bool


@dataclass(frozen=True)
class Verdict:
    """A recipe's claim, rerun.

    Args:
        recipe: its name.
        metrics: that were measured.
        checks: one for each comparison.
    """

    recipe: str
    metrics: dict[str, Any]
    checks: list[Checked]

    @property
    def holds(self) -> bool:
        """Whether every comparison stands."""
        return all(check.holds for check in self.checks)

    def result(self) -> dict[str, Any]:
        """All of it as JSON."""
        checks = [
            {**c.claim.model_dump(), "ours": c.ours, "bound": c.bound, "holds": c.holds}
            for c in self.checks
        ]
        return {
            "recipe": self.recipe,
            "holds": self.holds,
            "checks": checks,
            "metrics": self.metrics,
        }

    def text(self) -> str:
        """The checks as a table."""
        header = ["metric", "ours", "must be", "published", "holds"]
        if not self.checks:
            return f"{self.recipe}: no claim; the metrics are recorded"
        rows = [
            (
                check.claim.metric,
                check.ours,
                f"{check.claim.test} {check.bound:g}"
                + (f" ({limit_of(check.claim)})" if check.claim.over else ""),
                "-" if check.claim.published is None else f"{check.claim.published:g}",
                check.holds,
            )
            for check in self.checks
        ]
        return table(rows, header)


def limit_of(claim: Claim) -> str:
    """The bound of a claim as text."""
    if claim.over is None:
        return f"{claim.value:g}"
    times = "" if claim.factor == 1 else f"{claim.factor:g} x "
    return f"{times}{claim.over}" + (f" {claim.value:+g}" if claim.value else "")


def check_claims(
    claims: Sequence[Claim], metrics: Mapping[str, Any], stored: Mapping[str, Any]
) -> list[Checked]:
    """Each comparison of a claim with our metrics.

    Args:
        claims: of a recipe.
        metrics: ours.
        stored: metrics of other recipes by name, for claims `over` one of them.

    Raises:
        SpecError: as `check_measurable`.
    """
    check_measurable(claims, stored)
    checks = []
    for claim in claims:
        bound = claim.value
        if claim.over is not None:
            baseline = metric_of(stored[claim.over]["metrics"], claim.metric)
            assert baseline is not None, "checked above"
            bound += claim.factor * baseline
        ours = metric_of(metrics, claim.metric)
        if ours is None:
            raise SpecError([f"claim: {claim.metric} was not measured for this model"])
        checks.append(
            Checked(claim, ours, bound, ours <= bound if claim.test == "<=" else ours >= bound)
        )
    return checks


def check_measurable(claims: Sequence[Claim], stored: Mapping[str, Any]) -> None:
    """Refuse a claim that no training can decide.

    Raises:
        SpecError: a metric that is not measured, or the other recipe has no stored metrics.
    """
    known = [*metric_names(Evaluation), *metric_names(ImageEvaluation)]
    problems = []
    for number, claim in enumerate(claims):
        if claim.metric not in known:
            problems.append(
                f"claim.{number}.metric: unknown {claim.metric!r} {suggest(claim.metric, known)}"
            )
        if claim.over is not None and not (
            claim.over in stored
            and metric_of(stored[claim.over]["metrics"], claim.metric) is not None
        ):
            problems.append(
                f"claim.{number}.over: {claim.over!r} has no stored result; first: textvae verify "
                f"{claim.over} --record FILE, and the same FILE here"
            )
    if problems:
        raise SpecError(problems)


def metric_names(kind: type, prefix: str = "") -> Iterator[str]:
    """The metrics of a dataclass that a claim may be about; those of its parts with dots."""
    for field in fields(kind):
        union = isinstance(field.type, UnionType)
        for part in get_args(field.type) if union else (field.type,):
            if is_dataclass(part):
                yield from metric_names(part, f"{prefix}{field.name}.")  # type: ignore[arg-type]
            elif part in (int, float, bool):
                yield prefix + field.name


def metric_of(metrics: Mapping[str, Any], metric: str) -> float | None:
    """A metric by its dotted name; None where it was not measured."""
    value: Any = metrics
    for name in metric.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return None if value is None else float(value)


def verify_recipe(
    name: str,
    data: str | None,
    model: str | None,
    samples: int,
    record: Path | None,
    text_column: str | None,
    report: Report,
    device: str | None = None,
) -> Verdict:
    """Train what is missing, measure on the test texts, compare with the claim.

    Args:
        name: of the recipe, or its path.
        data: of the claim; None for what the recipe names.
        model: a finished run of the recipe; None to train one in runs/.
        samples: K of the importance-weighted bound.
        record: JSON file that holds results by recipe; ours is added to it.
        text_column: column of a table that holds the texts; None for the recipe's.
        report: called with each event of a training.
        device: "cpu" to stay off a GPU that is there.

    Raises:
        ValueError: the recipe has no claim and nothing is recorded, the model is of another
            recipe, or see `train`.
    """
    recipe = load_recipe(name)
    if not recipe.claim and record is None:
        raise ValueError(
            f"the recipe {recipe.name!r} carries no claim; --record stores its metrics anyhow"
        )
    stored = read_results(record or STORED)
    check_measurable(recipe.claim, stored)
    if model is None:
        finished = training.train(name, [], data, text_column, None, report, summarize_run, device)
        assert finished is not None, "one process trains here"
        model = str(finished.folder)
    trained = saved_recipe(Path(model))
    if not is_run_of(trained, recipe):
        raise RunError(f"{model} is a run of another model or objective than {recipe.name!r}")
    metrics = measured(model, recipe, data, samples, text_column, device)
    verdict = Verdict(recipe.name, metrics, check_claims(recipe.claim, metrics, stored))
    if record is not None:
        entry = {
            "metrics": metrics,
            "holds": verdict.holds,
            "data": data_name(trained) if data is None else Path(data).name,
            "train": trained.train.model_dump(),
            "machine": machine(device),
        }
        add_result(record, recipe.name, entry)
    return verdict


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


def measured(
    model: str,
    recipe: Recipe,
    data: str | None,
    samples: int,
    text_column: str | None,
    device: str | None,
) -> dict[str, Any]:
    """The metrics of a run on held-out texts or images."""
    vae = open_model(model, device or "cpu")
    if isinstance(vae, ImageVAE):
        rows, _ = held_out_images(model, data)
        return asdict(vae.evaluate(rows, samples, 0))
    config = saved_recipe(Path(model)).data
    assert isinstance(config, DataConfig), "the model is one of texts"
    text_column, column = text_column or config.text_column, config.label_column
    if column is None:
        texts, labels = held_out_texts(model, data, text_column).texts, None
    else:
        texts, labels = held_out_labels(model, data, text_column, column)
    generation = any(claim.metric.startswith("generation.") for claim in recipe.claim)
    seen = training_texts(model)[0] if generation else None
    metrics = asdict(vae.evaluate(texts, samples, 0, generation, seen, labels))
    return metrics | entropy_of(model, data)


def machine(device: str | None) -> str:
    """The kind of machine that computes on a device, without its name."""
    import torch

    on_cpu = device == "cpu" or not torch.cuda.is_available()
    name = "CPU" if on_cpu else torch.cuda.get_device_name()
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, " + (
        f"{platform.system()} {platform.machine()}"
    )


def read_results(path: Path) -> dict[str, Any]:
    """Stored results by recipe; empty when the file is not there.

    Raises:
        ValueError: it is no file of results.
    """
    if not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: is no file of results ({error})") from None
    if not isinstance(stored, dict):
        raise ValueError(f"{path}: is no file of results (it must hold an object)")
    return {name: with_current_names(entry) for name, entry in stored.items()}


def with_current_names(entry: Any) -> Any:
    """A stored result whose metrics have their current names."""
    if not isinstance(entry, dict) or not entry.keys() & {"metrics", "figures"}:
        return entry
    others = {name: value for name, value in entry.items() if name not in ("metrics", "figures")}
    return {**others, "metrics": metrics_of(entry)}


def add_result(path: Path, name: str, entry: dict[str, Any]) -> None:
    """Write one recipe's result into the file of results, the others kept."""
    stored = read_results(path) | {name: entry}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, dict(sorted(stored.items())))
