"""Evaluation: metrics on held-out data, by position, of several runs, and what is wrong."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.cli.app import command
from textvae.cli.models import by_modality, located, warn_of_metrics
from textvae.cli.options import (
    Data,
    Device,
    EvaluatedLabelColumn,
    Json,
    JsonFile,
    Limit,
    Model,
    ModelArgument,
    Samples,
    Seed,
    TextColumn,
)
from textvae.cli.sources import (
    check_own_columns,
    column_of_texts,
    held_out,
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
    from textvae.training.run_images import (
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
