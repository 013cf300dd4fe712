"""Evaluation: metrics on held-out data, by position, of several runs, and what is wrong."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.cli.app import command
from textvae.cli.models import by_modality, load, located, warn_of_metrics
from textvae.cli.options import (
    MOST_SAMPLES,
    Data,
    Device,
    EvaluatedLabelColumn,
    Json,
    JsonFile,
    Limit,
    Model,
    ModelArgument,
    ModelArguments,
    Samples,
    Seed,
    TextColumn,
)
from textvae.cli.sources import (
    check_own_columns,
    column_of_texts,
    held_out,
    held_out_rows_of,
    held_out_with_labels,
    print_notes,
    recipe_columns,
)
from textvae.console import emit, say, say_note

if TYPE_CHECKING:
    from textvae.api.image import ImageVAE
    from textvae.api.sentence import SentenceVAE
    from textvae.api.table import TableVAE


@command(
    "Evaluate",
    "textvae evaluate runs/x --data reviews.txt",
    "textvae evaluate --generation --out metrics.json",
    "textvae evaluate runs/mnist --likelihood continuous_bernoulli",
    "textvae evaluate runs/open --strangers fashion.npz",
)
def evaluate(
    model: ModelArgument = None,
    named: Model = None,
    data: Data = None,
    samples: Samples = 500,
    limit: Limit = None,
    text_column: TextColumn = None,
    generation: Annotated[
        bool,
        typer.Option(
            "--generation",
            help="Evaluate reconstructions, samples and interpolations too: BLEU, self-BLEU, "
            "distinct-n, duplicates, copies, n-gram perplexity, smoothness; of rows of several "
            "fields, validity and recall; of images, precision and recall; of two views, how "
            "generated pairs help to match them.",
        ),
    ] = False,
    label_column: EvaluatedLabelColumn = None,
    likelihood: Annotated[
        str | None,
        typer.Option(help="Density of a pixel, for image models; default: the model's own."),
    ] = None,
    strangers: Annotated[
        str | None,
        typer.Option(help="Images of no class of the model: how well it tells them apart."),
    ] = None,
    out: JsonFile = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Evaluate a model on held-out data.

    Prints likelihood, perplexity, KL, mutual information, active units and a verdict on the latent.
    """
    from textvae.analysis.exports import JSON, check_out, write_json

    if out is not None:
        check_out(out, JSON)
    folder = located(model, named)
    column = column_of_texts(folder, data, text_column, [label_column])
    columns = (column, label_column)
    metrics = by_modality(
        folder,
        device,
        lambda vae: text_metrics(vae, folder, data, *columns, limit, samples, seed, generation),
        lambda vae: image_metrics(
            vae, folder, data, limit, samples, seed, likelihood, generation, strangers
        ),
        texts_only={
            "label_column": label_column is not None,
            "text_column": text_column is not None,
        },
        images_only={"likelihood": likelihood is not None, "strangers": strangers is not None},
        tables=lambda vae: table_metrics(vae, folder, data, limit, samples, seed, generation),
    )
    # Imported here: mistakes in options are found before torch is imported.
    from textvae.analysis.diagnosis import diagnosis_of, trained_of
    from textvae.analysis.reports import evaluation_text, metric_notes
    from textvae.analysis.wording import diagnosis_report, verdict_report, verdict_warning

    verdict = diagnosis_report(diagnosis_of(metrics, trained_of(folder))).stored
    result = metrics | {"notes": metric_notes(metrics), "verdict": verdict}
    if out is not None:
        write_json(out, result)
    emit(result, as_json, f"{evaluation_text(metrics)}\n\n{verdict_report(verdict)}")
    if as_json and (warning := verdict_warning(verdict)):
        say(warning)
    warn_of_metrics(metrics)


def text_metrics(
    vae: "SentenceVAE",
    folder: str,
    data: str | None,
    text_column: str,
    label_column: str | None,
    limit: int | None,
    samples: int,
    seed: int,
    generation: bool,
) -> dict[str, Any]:
    """Metrics of a text model on held-out texts, with those of labels when a column is named."""
    from textvae.analysis.probing import probe_z
    from textvae.training.references import run_references
    from textvae.training.run_data import (
        entropy_of,
        known_rows,
        subset,
        training_labels,
        training_texts,
    )

    if vae.reads_rows:
        check_own_columns(text_column, label_column)
        return row_metrics(vae, folder, data, limit, samples, seed, generation)
    labels, probe = None, dict[str, Any]()
    if label_column is None:
        texts = subset(held_out(folder, data, text_column), limit, seed)
    else:
        rows = held_out_with_labels(folder, data, text_column, label_column)
        pairs = subset(list(zip(*rows, strict=True)), limit, seed)
        texts, labels = ([pair[column] for pair in pairs] for column in (0, 1))
        if not vae.predicts_labels:
            training_rows = training_labels(folder, data, text_column, label_column)
            notes = []
            probe_rows = known_rows(texts, labels, notes)
            print_notes(notes)
            probe, labels = probe_z(vae, training_rows, probe_rows, seed), None
    training, notes = training_texts(folder) if generation else (None, [])
    print_notes(notes)
    metrics = asdict(vae.evaluate(texts, samples, seed, generation, training, labels))
    references = run_references(folder, vae, metrics, texts, say_note)
    return metrics | probe | entropy_of(folder, data) | references


def row_metrics(
    vae: "SentenceVAE",
    folder: str,
    data: str | None,
    limit: int | None,
    samples: int,
    seed: int,
    generation: bool,
) -> dict[str, Any]:
    """Metrics of a model of rows of several fields on held-out rows."""
    from textvae.analysis.row_metrics import validated_metrics
    from textvae.training.references import run_references
    from textvae.training.run_data import training_columns

    every = recipe_columns(folder, data, limit, seed)
    columns = {name: every[name] for name in vae.fields}
    training = None
    if generation and not vae.conditions:
        training, notes = training_columns(folder)
        print_notes(notes)
    metrics = asdict(vae.evaluate(columns, samples, seed, generation, training))
    metrics |= validated_metrics(vae, folder, data, every, seed, print_notes)
    return metrics | run_references(folder, vae, metrics, columns, say_note)


def table_metrics(
    vae: "TableVAE",
    folder: str,
    data: str | None,
    limit: int | None,
    samples: int,
    seed: int,
    generation: bool = False,
) -> dict[str, Any]:
    """Metrics of a model of tables on held-out rows, on request those of generated pairs.

    Raises:
        ValueError: those of samples are asked for, and the model does not write two views.
    """
    from textvae.evaluation.generated_pairs import paired_fields
    from textvae.training.run_data import training_columns

    if generation and paired_fields(vae.model.config) is None:
        raise ValueError(
            "--generation: this is a model of tables; the option is for texts, images, and tables "
            "of two images or vectors"
        )
    from textvae.analysis.row_metrics import validated_metrics

    every = recipe_columns(folder, data, limit, seed)
    columns = {name: every[name] for name in vae.fields}
    training = None
    if generation:
        training, notes = training_columns(folder)
        print_notes(notes)
    seen = None if training is None else {name: training[name] for name in vae.fields}
    metrics = asdict(vae.evaluate(columns, samples, seed, seen))
    return metrics | validated_metrics(vae, folder, data, every, seed, print_notes)


def image_metrics(
    vae: "ImageVAE",
    folder: str,
    data: str | None,
    limit: int | None,
    samples: int,
    seed: int,
    likelihood: str | None,
    generation: bool = False,
    strangers: str | None = None,
) -> dict[str, Any]:
    """Metrics of an image model on held-out images.

    Raises:
        ValueError: strangers are named, and the model predicts no label.
    """
    from textvae.analysis.image_samples import sampled_images
    from textvae.training.run_data import (
        held_out_images,
        image_subset,
        strange_images,
        validation_images,
    )

    if strangers is not None and not vae.predicts_labels:
        raise ValueError("--strangers: for models that predict a label")
    rows, notes = held_out_images(folder, data)
    validation, more = validation_images(folder, always=strangers is not None)
    others, seen = (None, []) if strangers is None else strange_images(folder, strangers)
    print_notes([*notes, *more, *seen])
    rows = image_subset(rows, limit, seed)
    found = vae.evaluate(
        rows, samples, seed, likelihood=likelihood, validation=validation, strangers=others
    )
    metrics = asdict(found)
    if generation:
        metrics["image_samples"] = asdict(sampled_images(vae, folder, data, seed))
    return metrics


@command(
    "Evaluate",
    "textvae positions",
    "textvae positions runs/a runs/b --baseline runs/lm --length 20 --recover",
)
def positions(
    models: ModelArguments = None,
    named: Model = None,
    data: Data = None,
    baseline: Annotated[
        str | None, typer.Option(help="Run of a language model: print the gain over its loss.")
    ] = None,
    length: Annotated[
        int | None, typer.Option(min=1, help="Use only texts of this many tokens, end included.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, max=MOST_SAMPLES, help="Number of posterior samples per text.")
    ] = 1,
    mean: Annotated[bool, typer.Option("--mean", help="Decode posterior means.")] = False,
    recover: Annotated[
        bool, typer.Option("--recover", help="Measure reconstruction accuracy per position too.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="PNG file, JSON next to it; default: in the run folder.")
    ] = None,
    text_column: TextColumn = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Plot the reconstruction loss at each token position.

    Writes a PNG and a JSON file. Several runs, of one recipe with different seeds, are averaged.
    """
    folders = [located(model, named) for model in models or [None]]
    column = column_of_texts(folders[0], data, text_column)
    from textvae.analysis.exports import PICTURE, check_beside, check_out, write_positions
    from textvae.analysis.positions import analyse_positions
    from textvae.analysis.reports import positions_text

    picture = out or Path(folders[0] if Path(folders[0]).is_dir() else ".") / "positions.png"
    check_out(picture, PICTURE)
    check_beside(picture)
    runs = [load(folder, device) for folder in folders]
    texts = held_out_rows_of(runs[0], folders[0], data, column)
    language_model = None if baseline is None else load(baseline, device)
    study = analyse_positions(runs, texts, language_model, length, samples, mean, recover, seed)
    name = runs[0].model.config.recipe or folders[0]
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    title = f"{name}: reconstruction loss at each position; {study.latent}, {count}"
    result = write_positions(study, picture, title)
    emit(result, as_json, f"{positions_text(result)}; picture: {picture}")


@command("Evaluate", "textvae doctor", "textvae doctor runs/x --data reviews.txt")
def doctor(
    model: ModelArgument = None,
    named: Model = None,
    data: Data = None,
    limit: Annotated[
        int, typer.Option(min=2, help="Use a random subset of this many texts.")
    ] = 500,
    text_column: TextColumn = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Diagnose a latent and its training, and suggest measures.

    Prints whether z is used, where, and why not: collapse, a training that was too short, a KL
    weight that never rose. Settings of the trained recipe come before other recipes.
    """
    folder = located(model, named)
    column = column_of_texts(folder, data, text_column)
    from textvae.analysis.diagnosis import diagnose_latent, diagnosis_of, trained_of
    from textvae.analysis.wording import diagnosis_report
    from textvae.training.references import run_references

    trained = trained_of(folder)

    def texts(vae: "SentenceVAE") -> Any:
        rows = held_out_rows_of(vae, folder, data, column, limit, seed)

        def references(metrics: Mapping[str, Any]) -> dict[str, Any]:
            return run_references(folder, vae, metrics, rows, say_note)

        return diagnose_latent(vae, rows, trained, seed=seed, references=references)

    def images(vae: "ImageVAE") -> Any:
        return diagnosis_of(image_metrics(vae, folder, data, limit, 50, seed, None), trained)

    def tables(vae: "TableVAE") -> Any:
        return diagnosis_of(table_metrics(vae, folder, data, limit, 50, seed), trained)

    given = {"text_column": text_column is not None}
    report = diagnosis_report(
        by_modality(folder, device, texts, images, texts_only=given, tables=tables)
    )
    emit(asdict(report), as_json, report.text())
    warn_of_metrics(report.metrics)


@command(
    "Evaluate",
    "textvae compare runs/* --out runs.png",
    "textvae compare runs/a runs/b --data reviews.txt --samples 100",
)
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run folders or hub names.")],
    data: Data = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_SAMPLES, help="Evaluate again, with so many samples."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Evaluate again, on this many texts.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="PNG file: rate (KL) against distortion.")
    ] = None,
    text_column: TextColumn = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Compare runs in one table.

    The metrics are those stored after training; --data, --samples or --limit evaluates again.
    """
    columns = {run: column_of_texts(run, data, text_column) for run in runs}
    from textvae.analysis.comparison import (
        comparison_table,
        differing_texts,
        draw_comparison,
        names_of,
    )
    from textvae.analysis.exports import PICTURE, check_out
    from textvae.evaluation.verdict import verdict_of
    from textvae.training.history import training_of
    from textvae.training.run_data import stored_metrics

    if out is not None:
        check_out(out, PICTURE)
    again = (data, samples, limit) != (None, None, None)
    metrics = {}
    for name, run in zip(names_of(runs), runs, strict=True):
        if again:
            metrics[name] = measured(run, device, data, columns[run], limit, samples or 50, seed)
        elif not (stored := stored_metrics(run)):
            raise ValueError(f"{run}: holds no metrics; with --samples 50 they are measured")
        else:
            metrics[name] = stored
        metrics[name]["verdict"] = verdict_of(metrics[name], training_of(run)).value
    if out is not None:
        draw_comparison(metrics, out)
    emit([{"run": name, **m} for name, m in metrics.items()], as_json, comparison_table(metrics))
    if differing_texts(metrics):
        say("note: metrics are of different texts and do not compare; --data evaluates again")


def measured(
    run: str,
    device: str | None,
    data: str | None,
    text_column: str,
    limit: int | None,
    samples: int,
    seed: int,
) -> dict[str, Any]:
    """Metrics of a model of any modality on held-out rows."""
    how = (data, limit, samples, seed)
    return by_modality(
        run,
        device,
        lambda vae: text_metrics(vae, run, data, text_column, None, limit, samples, seed, False),
        lambda vae: image_metrics(vae, run, *how, None),
        texts_only={"text_column": text_column != "text"},
        tables=lambda vae: table_metrics(vae, run, *how),
    )
