"""Claims: run, compare with the published number, report."""

import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from textvae.analysis.cells import percent
from textvae.analysis.claimed_metrics import (
    check_measurable,
    is_exact,
    metric_of,
    standard_error_of,
)
from textvae.analysis.factors import image_factors
from textvae.analysis.fingerprints import (
    claimed_data,
    image_fingerprint,
    label_fields,
    other_data,
    same_rows,
    source_name,
    table_fingerprint,
    text_fingerprint,
)
from textvae.analysis.image_samples import sampled_images
from textvae.analysis.reports import unknown_share
from textvae.analysis.row_metrics import validated_metrics
from textvae.analysis.seeds import averaged, by_seed, error_over_seeds
from textvae.analysis.settings import (
    graph_of,
    is_run_of,
    other_settings,
    recipe_for,
    settings_of,
    trained_on,
)
from textvae.analysis.stored_results import STORED, add_result, read_results
from textvae.analysis.summary import summarize_run
from textvae.api.image import ImageVAE, open_model
from textvae.api.sentence import SentenceVAE
from textvae.api.table import TableVAE
from textvae.config import Claim, DataConfig, Fingerprint
from textvae.console import shown, table
from textvae.data.tables import Table
from textvae.recipes import Recipe, load_recipe, shipped_recipes
from textvae.sizing import leaves_open
from textvae.training import workflow as training
from textvae.training.callbacks import Report
from textvae.training.folders import RunError, saved_recipe
from textvae.training.run_data import (
    entropy_of,
    held_out_labels,
    held_out_rows,
    held_out_texts,
    training_columns,
    training_texts,
)
from textvae.training.run_images import held_out_images, validation_images

SAMPLES = 500
"""K of the importance-weighted bound of a recipe without a claim and without claims over it."""


@dataclass(frozen=True)
class Checked:
    """One comparison of a claim.

    Args:
        claim: what was promised.
        ours: our figure; None where it was not measured.
        bound: what ours is compared with; None where the other recipe has no such figure.
        holds: whether it stands; None where that cannot be decided.
        error: the standard error of ours, of several trainings that of their mean; None where it
            is not known.
    """

    claim: Claim
    ours: float | None
    bound: float | None
    holds: bool | None
    error: float | None = None

    @property
    def close(self) -> bool:
        """Whether the figure is within its standard error of the bound."""
        if self.ours is None or self.bound is None or self.error is None:
            return False
        return abs(self.ours - self.bound) <= self.error

    def result(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            **self.claim.model_dump(),
            "ours": self.ours,
            "standard_error": self.error,
            "bound": self.bound,
            "holds": self.holds,
            "within_standard_error": self.close,
        }

    def row(self) -> tuple[str, str, str, str, str]:
        """Its cells in a table."""
        claim = self.claim
        ours = "-" if self.ours is None else shown(float(self.ours))
        bound = "-" if self.bound is None else f"{claim.test} {self.bound:g}"
        return (
            claim.metric,
            ours if self.error is None else f"{ours} +- {shown(float(self.error))}",
            bound + (f" ({limit_of(claim)})" if claim.over else ""),
            "-" if claim.published is None else f"{claim.published:g}",
            decision(self.holds),
        )


def decision(holds: bool | None) -> str:
    """Whether a claim holds, in a word."""
    return "undecided" if holds is None else shown(holds)


@dataclass(frozen=True)
class Verdict:
    """A recipe's claim, beside what was measured.

    Args:
        recipe: its name.
        metrics: that were measured.
        checks: one for each comparison.
        reasons: why something cannot be decided.
    """

    recipe: str
    metrics: Mapping[str, Any]
    checks: list[Checked]
    reasons: list[str]

    @property
    def holds(self) -> bool | None:
        """Whether every comparison stands; None where that is not decided or there is none."""
        each = [check.holds for check in self.checks]
        if False in each:
            return False
        return None if None in each or not each else True

    def result(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "recipe": self.recipe,
            "holds": self.holds,
            "reasons": self.reasons,
            "checks": [check.result() for check in self.checks],
            "metrics": self.metrics,
        }

    def text(self) -> str:
        """The checks as a table, and what is to be known of them."""
        if not self.checks:
            return "\n".join([f"{self.recipe}: no claim; the metrics are recorded", *self.reasons])
        header = ["metric", "ours", "must be", "published", "holds"]
        lines = [table([check.row() for check in self.checks], header), *self.reasons]
        lines += [
            f"{check.claim.metric}: within its standard error of the bound"
            for check in self.checks
            if check.close
        ]
        perplexity = any(check.claim.metric == "word_perplexity" for check in self.checks)
        if perplexity and self.metrics.get("unknown_tokens"):
            share = percent(unknown_share(self.metrics))
            lines.append(f"word_perplexity: {share} of the words are <unk>, which counts as known")
        return "\n".join([*lines, f"the claim holds: {decision(self.holds)}"])


def limit_of(claim: Claim) -> str:
    """The bound of a claim as text."""
    if claim.over is None:
        return f"{claim.value:g}"
    times = "" if claim.factor == 1 else f"{claim.factor:g} x "
    return f"{times}{claim.over}" + (f" {claim.value:+g}" if claim.value else "")


def decide(recipe: Recipe, entry: Mapping[str, Any], stored: Mapping[str, Any]) -> Verdict:
    """Whether a measurement fulfils the claim of a recipe.

    Args:
        recipe: as it is now.
        entry: the measurement, see `entry_of`.
        stored: results of other recipes by name, for claims `over` one of them.
    """
    own = [*entry.get("reasons", ())] if leaves_open(recipe) else obstacles(recipe, entry)
    reasons, checks = [*own], []
    for claim in recipe.claim:
        bound: float | None = claim.value
        undecided = [*own]
        if claim.over is not None:
            undecided += yardstick_problems(claim.over, entry, stored)
            baseline = metric_of(stored.get(claim.over, {}).get("metrics", {}), claim.metric)
            bound = None if baseline is None else claim.value + claim.factor * baseline
        ours = metric_of(entry["metrics"], claim.metric)
        if ours is None or bound is None:
            whose = recipe.name if ours is None else claim.over
            undecided.append(f"{claim.metric} of {whose} was not measured")
        seeds = entry.get("seeds", {}).get(claim.metric)
        error = (
            standard_error_of(entry["metrics"], claim.metric)
            if seeds is None
            else error_over_seeds(seeds)
        )
        holds = None
        if not undecided:
            assert ours is not None and bound is not None, "measured"
            holds = ours <= bound if claim.test == "<=" else ours >= bound
        checks.append(Checked(claim, ours, bound, holds, error))
        reasons += [reason for reason in undecided if reason not in reasons]
    return Verdict(recipe.name, entry["metrics"], checks, reasons)


def obstacles(recipe: Recipe, entry: Mapping[str, Any]) -> list[str]:
    """Why a measurement is none of what a recipe's claim is about, one line each."""
    lines = [other_settings(entry, recipe)]
    for claim in recipe.claim:
        asked, measured = claimed_data(claim), fingerprint_of(entry)
        if asked is None or measured is None:
            lines.append(f"other data: {claim.data!r} has no fingerprint to compare with")
        else:
            later = "data" in entry.get("added_later", ())
            lines.append(other_data(asked, measured, training=not later))
        used = entry["metrics"].get("samples")
        if not is_exact(entry["metrics"]) and used != claim.samples:
            lines.append(f"other samples: {used} of each row (the claim: {claim.samples})")
    return [*dict.fromkeys(line for line in lines if line)]


def yardstick_problems(
    over: str, entry: Mapping[str, Any], stored: Mapping[str, Any]
) -> Iterator[str]:
    """Why the stored result of another recipe cannot be compared with, one line each."""
    if over not in stored:
        yield f"{over} has no stored result"
        return
    other = stored[over]
    data = fingerprint_of(entry), fingerprint_of(other)
    if data[0] is None or data[1] is None or not same_rows(data[0], data[1]):
        yield f"{over} was measured on other data"
    if not is_exact(other["metrics"]) and not entry["metrics"].get("certain"):
        counts = entry["metrics"].get("samples"), other["metrics"].get("samples")
        if counts[0] != counts[1]:
            yield f"{over} was measured with {counts[1]} samples of each row, not {counts[0]}"
    if over in shipped_recipes() and (reason := other_settings(other, load_recipe(over))):
        yield f"{over} has {reason}"


def fingerprint_of(entry: Mapping[str, Any]) -> Fingerprint | None:
    """The data of a stored result; None where it has but a name."""
    data = entry.get("data")
    return Fingerprint.model_validate(data) if isinstance(data, Mapping) else None


def verify_recipe(
    name: str,
    data: str | None,
    model: str | None,
    samples: int | None,
    record: Path | None,
    text_column: str | None,
    report: Report,
    device: str | None = None,
    seeds: int = 1,
) -> Verdict:
    """Train what is missing, measure on the test texts, compare with the claim.

    Of several trainings, the means of their metrics are compared.

    Args:
        name: of the recipe, or its path.
        data: of the claim; None for what the recipe names.
        model: a finished run of the recipe; None to train one in runs/.
        samples: K of the importance-weighted bound; None for the claim's, see `samples_asked`.
        record: JSON file that holds results by recipe; ours is added to it.
        text_column: column of a table that holds the texts; None for the recipe's.
        report: called with each event of a training.
        device: "cpu" to stay off a GPU that is there.
        seeds: number of trainings, with `train.seed` 0, 1 and so on.

    Raises:
        ValueError: several seeds for a finished run, the recipe has no claim and nothing is
            recorded, the model is of another recipe, a stored result that decides was changed, or
            see `train`.
    """
    recipe = load_recipe(name)
    if model is not None and seeds > 1:
        raise ValueError(f"--model names a run of one seed (got --seeds {seeds})")
    if not recipe.claim and record is None:
        why = "is a baseline without a claim" if recipe.baseline else "carries no claim"
        raise ValueError(f"the recipe {recipe.name!r} {why}; --record stores its metrics anyhow")
    yardsticks = {claim.over for claim in recipe.claim if claim.over is not None}
    stored = read_results(record or STORED, yardsticks)
    check_measurable(recipe.claim, stored)
    if samples is None:
        samples = samples_asked(recipe)
    folders = (
        [model]
        if model is not None
        else [
            trained(name, changes, data, text_column, report, device)
            for changes in (
                [[f"train.seed={seed}"] for seed in range(seeds)] if seeds > 1 else [[]]
            )
        ]
    )
    runs = []
    for folder in folders:
        if not is_run_of(saved_recipe(Path(folder)), recipe_for(recipe, folder)):
            raise RunError(f"{folder} is a run of another model or objective than {recipe.name!r}")
        runs.append(measured(folder, recipe, data, samples, text_column, device))
    measurements, fingerprint = [metrics for metrics, _ in runs], runs[0][1]
    asked = recipe_for(recipe, folders[0])
    settings = settings_of(saved_recipe(Path(folders[0]))) | {"graph": graph_of(asked)}
    entry = {"metrics": averaged(measurements), "data": fingerprint.model_dump(), **settings}
    if len(runs) > 1:
        entry["seeds"] = by_seed(measurements)
    verdict = decide(asked, entry, stored)
    if record is not None:
        decided = {"holds": verdict.holds, "reasons": verdict.reasons, "samples": samples}
        graph = {"graph": graph_of(recipe)}
        add_result(record, recipe.name, entry | decided | graph | {"machine": machine(device)})
    return verdict


def samples_asked(recipe: Recipe) -> int:
    """K of a recipe's claim; of a baseline without one, of the first shipped claim over it."""
    for name in [None, *(shipped_recipes() if recipe.baseline else ())]:
        claims = recipe.claim if name is None else load_recipe(name).claim
        for claim in claims:
            if name is None or claim.over == recipe.name:
                return claim.samples
    return SAMPLES


def trained(
    name: str,
    changes: list[str],
    data: str | None,
    text_column: str | None,
    report: Report,
    device: str | None,
) -> str:
    """The folder of a training of a recipe."""
    arguments = (name, changes, data, text_column, None, report, summarize_run, device)
    finished = training.train(*arguments)
    assert finished is not None, "one process trains here"
    return str(finished.folder)


def measured(
    model: str,
    recipe: Recipe,
    data: str | None,
    samples: int,
    text_column: str | None,
    device: str | None,
) -> tuple[dict[str, Any], Fingerprint]:
    """The metrics of a run on held-out texts or images, and the fingerprint of these."""
    vae = open_model(model, device or "cpu")
    config, training_sums = saved_recipe(Path(model)).data, trained_on(model)
    source = source_name(data or config.source, isinstance(vae, ImageVAE))
    if data is not None and is_source(data, config.source):
        # Of a file without splits, the rows that the run has held out.
        data = None
    if isinstance(vae, ImageVAE):
        rows, _ = held_out_images(model, data)
        validation, _ = validation_images(model)
        metrics = asdict(vae.evaluate(rows, samples, 0, validation=validation))
        if claims_about(recipe, "factors."):
            metrics["factors"] = asdict(image_factors(vae, model, data))
        if claims_about(recipe, "image_samples."):
            metrics["image_samples"] = asdict(sampled_images(vae, model, data))
        return metrics, image_fingerprint(rows, source, training_sums)
    assert isinstance(config, DataConfig), "the model is one of texts"
    if config.fields is not None:
        columns, _ = held_out_rows(model, data)
        every, columns = columns, {name: columns[name] for name in vae.fields}
        sets = validated_metrics(vae, model, data, every)
        nested = ("answers.", "rows.", "trees.", "written.", "pairs.")
        asked = recipe.baseline or claims_about(recipe, *nested)
        seen = training_columns(model)[0] if asked and not vae.conditions else None
        if isinstance(vae, TableVAE):
            train = None if seen is None else {name: seen[name] for name in vae.fields}
            metrics = asdict(vae.evaluate(columns, samples, 0, train)) | sets
        else:
            metrics = asdict(vae.evaluate(columns, samples, 0, asked, seen)) | sets
        labels = label_fields({name: config.fields[name] for name in every})
        return metrics, table_fingerprint(Table(every), labels, source, training_sums)
    assert isinstance(vae, SentenceVAE), "models of tables read fields"
    text_column, column = text_column or config.text_column, config.label_column
    if column is None:
        texts, labels = held_out_texts(model, data, text_column).texts, None
    else:
        texts, labels = held_out_labels(model, data, text_column, column)
    generation = claims_about(recipe, "generation.")
    seen = training_texts(model)[0] if generation else None
    metrics = asdict(vae.evaluate(texts, samples, 0, generation, seen, labels))
    fingerprint = text_fingerprint(texts, labels, source, training_sums)
    return metrics | entropy_of(model, data), fingerprint


def claims_about(recipe: Recipe, *groups: str) -> bool:
    """Whether a claim of a recipe is about a metric of some groups, such as `answers.`."""
    return any(claim.metric.startswith(groups) for claim in recipe.claim)


def is_source(data: str, source: str | None) -> bool:
    """Whether data are those that a run was trained on, by their place or hub name."""
    if source is None:
        return False
    return (
        data == source or Path(data).expanduser().resolve() == Path(source).expanduser().resolve()
    )


def machine(device: str | None) -> str:
    """The kind of machine that computes on a device, without its name."""
    import torch

    on_cpu = device == "cpu" or not torch.cuda.is_available()
    name = "CPU" if on_cpu else torch.cuda.get_device_name()
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, " + (
        f"{platform.system()} {platform.machine()}"
    )
