"""Diagnosis: losses by position, the doctor, runs beside each other."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.cli.app import command
from textvae.cli.evaluate import image_metrics, table_metrics, text_metrics
from textvae.cli.models import by_modality, load, located, warn_of_metrics
from textvae.cli.options import (
    MOST_SAMPLES,
    Data,
    Device,
    Json,
    Model,
    ModelArgument,
    ModelArguments,
    Seed,
    TextColumn,
)
from textvae.cli.sources import (
    column_of_texts,
    held_out_rows_of,
)
from textvae.console import emit, say, say_note

if TYPE_CHECKING:
    from textvae.api.image import ImageVAE
    from textvae.api.sentence import SentenceVAE
    from textvae.api.table import TableVAE


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
    from textvae.graph.folders import local_folder
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
            local_folder(run)  # a folder that is not there is reported first
            raise ValueError(f"{run}: holds no metrics; with --samples 50 they are measured")
        else:
            metrics[name] = stored
        metrics[name]["verdict"] = verdict_of(metrics[name], training_of(run)).value
    if out is not None:
        draw_comparison(metrics, out)
    emit([{"run": name, **m} for name, m in metrics.items()], as_json, comparison_table(metrics))
    if differing_texts(metrics):
        say("note: metrics are of different texts or fields and do not compare; see --data")


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
