"""The latent space: codes of data, neighbours, pictures and dimension reduction."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.cli.app import command
from textvae.cli.models import (
    by_modality,
    chosen_device,
    located,
    warn_meaningless,
)
from textvae.cli.options import (
    Data,
    Device,
    ImageData,
    Json,
    Model,
    ModelArgument,
    RunLabelColumn,
    Seed,
    Set,
    TextColumn,
)
from textvae.cli.progress import TrainingDisplay
from textvae.cli.sources import (
    check_own_columns,
    column_of_texts,
    data_section,
    grey_images,
    held_out,
    held_out_columns,
    held_out_with_labels,
    own_label_column,
    print_notes,
    source_name,
    texts_to_encode,
)
from textvae.console import emit, say_note

if TYPE_CHECKING:
    from textvae.api.image import ImageVAE
    from textvae.api.sentence import SentenceVAE


@command(
    "Latent space",
    "textvae latent runs/kingma2014_image --out pictures",
    "textvae latent runs/x --data reviews.csv --label-column stars --method tsne",
)
def latent(
    model: ModelArgument = None,
    named: Model = None,
    data: Data = None,
    method: Annotated[
        str | None, typer.Option(help="Of texts: pca (default), tsne, or umap if installed.")
    ] = None,
    colour: Annotated[
        str | None,
        typer.Option(
            "--colour",
            "--color",
            help="Of texts: label, length or first-word; default: what explains most variance.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=4, help="Use so many rows of each split; default: 2,000 texts."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the pictures; default: latent in the run.")
    ] = None,
    text_column: TextColumn = None,
    label_column: RunLabelColumn = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Plot the latent space of a model.

    Of texts: a scatter plot of posterior means, by label, length or first word. Of images: a
    scatter plot, a manifold, traversals and metrics.
    """
    folder = located(model, named)
    pictures = out or Path(folder if Path(folder).is_dir() else ".") / "latent"
    columns = (column_of_texts(folder, data, text_column, [label_column]), label_column)
    texts_only = {
        "method": method is not None,
        "colour": colour is not None,
        "text_column": text_column is not None,
        "label_column": label_column is not None,
    }
    by_modality(
        folder,
        device,
        lambda vae: plot_texts(
            vae, folder, data, *columns, method, colour, limit, pictures, seed, as_json
        ),
        lambda vae: plot_images(vae, folder, data, limit, pictures, seed, as_json),
        texts_only,
    )


def plot_texts(
    vae: "SentenceVAE",
    folder: str,
    data: str | None,
    text_column: str,
    label_column: str | None,
    method: Any,
    colour: Any,
    limit: int | None,
    out: Path,
    seed: int,
    as_json: bool,
) -> None:
    """Write the scatter plot of held-out texts, and print where it is."""
    from textvae.analysis.text_latents import POINTS, TextLatents, row_latents, text_latents_text
    from textvae.training.run_data import column_subset, subset

    if vae.reads_rows:
        check_own_columns(text_column, label_column)
        columns = held_out_columns(vae, folder, data, None, seed)
        some = column_subset(columns, limit or POINTS, seed)
        total = len(next(iter(columns.values())))
        latents = row_latents(vae, some, total, source_name(folder, data), seed)
        result = latents.write(out, method or "pca", colour)
        emit(result, as_json, text_latents_text(result))
        warn_meaningless(vae, folder, some, "the picture is not meaningful: ")
        return
    if label_column is not None and colour not in (None, "label"):
        raise ValueError(f"--label-column is for --colour label (got --colour {colour})")
    column = own_label_column(folder, data) if label_column is None else label_column
    if colour in (None, "label") and column is not None:
        rows = list(zip(*held_out_with_labels(folder, data, text_column, column), strict=True))
        colour = colour if label_column is None else "label"
    else:
        rows = [(text, "") for text in held_out(folder, data, text_column)]
    drawn = subset(rows, limit or POINTS, seed)
    texts, labels = ([row[part] for row in drawn] for part in (0, 1))
    latents = TextLatents(vae, texts, labels, len(rows), source_name(folder, data), seed)
    result = latents.write(out, method or "pca", colour)
    emit(result, as_json, text_latents_text(result))
    warn_meaningless(vae, folder, texts, "the picture is not meaningful: ")


def plot_images(
    vae: "ImageVAE",
    folder: str,
    data: str | None,
    limit: int | None,
    out: Path,
    seed: int,
    as_json: bool,
) -> None:
    """Write the pictures of an image model, and print its metrics."""
    from textvae.analysis.latent_space import LatentSpaceReport, latent_space_text
    from textvae.data.images import read_image_corpus
    from textvae.training.run_images import image_data_config, image_subset, run_images

    other = None if data is None else read_image_corpus(image_data_config(folder, data))
    corpus = other or run_images(folder)
    print_notes(corpus.notes)
    held_out_rows = corpus.test or corpus.valid
    splits = (corpus.train, held_out_rows)
    train, test = (vae.rows(image_subset(rows, limit, seed)) for rows in splits)
    result = LatentSpaceReport(vae, train, test, seed, len(held_out_rows)).write(out)
    emit(result, as_json, latent_space_text(result))


@command(
    "Latent space",
    "textvae factors runs/chen2018_tcvae --data sprites.npz",
    "textvae factors runs/x --data reviews.csv --label-column topic",
)
def factors(
    model: ModelArgument = None,
    named: Model = None,
    data: Data = None,
    text_column: TextColumn = None,
    label_column: Annotated[
        list[str] | None,
        typer.Option("--label-column", help="Of texts: column with a factor; repeatable."),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=2, help="Use so many texts at most; of images all are used.")
    ] = 5000,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Measure which dimensions have which factors of the data.

    Splits the KL into mutual information, total correlation and marginal KL. With known factors
    (array `factors` of an npz file, label columns of texts) it has the mutual information gap.
    """
    from dataclasses import asdict

    folder = located(model, named)
    columns = label_column or []
    if columns and data is None:
        raise ValueError("--label-column goes with --data: the table that has the column")
    column = column_of_texts(folder, data, text_column, columns)

    def texts(vae: "SentenceVAE") -> Any:
        from textvae.analysis.factors import text_factors
        from textvae.training.run_data import subset

        if data is None:
            rows, labels = held_out(folder, data, column), dict[str, list[str]]()
        else:
            rows, labels, notes = texts_to_encode(data, column, columns)
            print_notes(notes)
        known = [row for row in range(len(rows)) if all(each[row] for each in labels.values())]
        if len(known) < len(rows):
            blank = len(rows) - len(known)
            say_note(f"left out {blank:,} of {len(rows):,} texts, which lack a label")
        chosen = subset(known, limit, seed)
        every = list(rows)
        picked = {name: [values[row] for row in chosen] for name, values in labels.items()}
        return text_factors(vae, [every[row] for row in chosen], picked, seed)

    def images(vae: "ImageVAE") -> Any:
        from textvae.analysis.factors import image_factors

        return image_factors(vae, folder, data, seed)

    only = {"label_column": bool(columns), "text_column": text_column is not None}
    result = asdict(by_modality(folder, device, texts, images, only))
    from textvae.analysis.factors import factors_text

    emit(result, as_json, factors_text(result))


@command(
    "Latent space",
    "textvae reduce",
    "textvae reduce --data mnist --dim 2 --dim 20 --autoencoders",
)
def reduce(
    data: ImageData = None,
    dim: Annotated[
        list[int] | None,
        typer.Option(help="Dimension of a linear code; repeatable; default: 2 and 20."),
    ] = None,
    autoencoders: Annotated[
        bool, typer.Option("--autoencoders", help="Train the four autoencoders too.")
    ] = False,
    set_: Set = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the runs of the autoencoders.")
    ] = Path("runs/reduce"),
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Compare PCA and autoencoders for dimension reduction.

    Pixel selection, PCA and four autoencoders are compared on training and test images.
    """
    from textvae.analysis.classification import images_and_labels, training_images
    from textvae.analysis.dimension_reduction import (
        AUTOENCODERS,
        autoencoder_rows,
        dimension_reduction_text,
        linear_rows,
    )
    from textvae.analysis.wording import training_warning

    if set_ and not autoencoders:
        raise ValueError("--set is for --autoencoders: linear codes have no recipe")
    corpus = grey_images(data, data_section(next(iter(AUTOENCODERS.values())), set_ or []))
    print_notes(corpus.notes)
    train, test = training_images(corpus), images_and_labels(corpus.test or corpus.valid)
    linear = linear_rows(train, test, dim or [2, 20])
    trained: list[dict[str, Any]] = []
    if autoencoders:
        display = TrainingDisplay(warning=training_warning)
        try:
            trained = autoencoder_rows(
                train[0], test[0], output, set_ or [], display, chosen_device(device)
            )
        finally:
            display.close()
    result = {"source": corpus.source, "linear": linear, "autoencoders": trained}
    emit(result, as_json, dimension_reduction_text(linear, trained))
