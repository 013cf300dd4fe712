"""Labels and topics: classifiers on latents, and what a model generates for a label."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.cli.app import SEVERAL, command
from textvae.cli.models import by_modality, chosen_device, for_one_text, load, located
from textvae.cli.options import (
    Data,
    Device,
    ImageData,
    Json,
    Limit,
    Model,
    ModelArgument,
    ModelArguments,
    RunLabelColumn,
    Samples,
    Seed,
    Set,
    Temperature,
    TextColumn,
    check_data,
    whole_numbers,
)
from textvae.cli.progress import TrainingDisplay
from textvae.cli.sources import column_of_texts, data_section, grey_images, held_out, print_notes
from textvae.console import emit, say_note, table

PER_CLASS = "5,50,500"

if TYPE_CHECKING:
    from textvae.api.image import ImageVAE
    from textvae.api.sentence import SentenceVAE


@command(
    "Evaluate",
    "textvae probe runs/x --data labelled.csv --labels-per-class 5 50 500",
    "textvae probe runs/x runs/y --data train.tsv --test test.tsv --kind hidden",
)
def probe(
    data: Annotated[
        str,
        typer.Option(
            "--data",
            "-d",
            callback=check_data,
            help="Labelled texts: a table or a folder with splits.",
        ),
    ],
    models: ModelArguments = None,
    test: Annotated[
        str | None,
        typer.Option(
            callback=check_data,
            help="Labelled test texts; default: the test split, the texts that the run "
            "held out, or half of the data.",
        ),
    ] = None,
    labels_per_class: Annotated[
        str, typer.Option(metavar=SEVERAL, help="Numbers of labels per class, one or more.")
    ] = PER_CLASS,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Features: mean, hidden, sample or layers; repeatable; default: mean."),
    ] = None,
    subsets: Annotated[int, typer.Option(min=1, help="Random subsets of each size.")] = 5,
    text_column: TextColumn = None,
    label_column: Annotated[
        str, typer.Option("--label-column", help="Table column with the labels.")
    ] = "label",
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Probe the latents with classifiers on few labels.

    Classifiers on TF-IDF and on bags of words are the baselines.
    """
    folders = models or [located(None)]
    for folder in folders:
        for_one_text(folder)
    column = column_of_texts(folders[0], data, text_column, [label_column])
    column_of_texts(folders[0], test, text_column, [label_column])
    from textvae.analysis.comparison import names_of
    from textvae.analysis.probing import labelled_data, probe_models, probe_text
    from textvae.api.features import check_kind

    for each in kind or []:
        check_kind(each)
    sizes = whole_numbers(labels_per_class, "--labels-per-class")
    train, held, notes = labelled_data(data, test, column, label_column, seed, folders)
    print_notes(notes)
    fewest = min(Counter(train.labels).values(), default=0)
    if labels_per_class == PER_CLASS and any(size <= fewest for size in sizes):
        for size in [size for size in sizes if size > fewest]:
            sizes.remove(size)
            say_note(f"--labels-per-class {size} is left out: a class has {fewest:,} labels")
    loaded = {n: load(f, device) for n, f in zip(names_of(folders), folders, strict=True)}
    kinds: Any = kind or ["mean"]
    result = probe_models(loaded, train, held, sizes, kinds, subsets, seed)
    emit(result, as_json, probe_text(result))


@command("Evaluate", "textvae topics", "textvae topics runs/x --data news.csv --words 8")
def topics(
    model: ModelArgument = None,
    named: Model = None,
    data: Data = None,
    words: Annotated[int, typer.Option(min=2, help="Number of words per topic.")] = 10,
    samples: Samples = 20,
    limit: Limit = None,
    text_column: TextColumn = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Print the topics of a topic model.

    Each topic has its words and their coherence (NPMI); the perplexity of the model follows.
    """
    folder = located(model, named)
    column = column_of_texts(folder, data, text_column)
    from textvae.analysis.topics import analyse_topics, topics_text
    from textvae.training.run_data import subset

    texts = subset(held_out(folder, data, column), limit, seed)
    result = analyse_topics(load(folder, device), texts, words, samples, seed)
    emit(result, as_json, topics_text(result))


@command(
    "Evaluate",
    "textvae classify",
    "textvae classify kingma2014_image --data mnist --labels 1000 --labels 100",
)
def classify(
    recipe: Annotated[str, typer.Argument(help="Recipe of the VAE.")] = "kingma2014_image",
    data: ImageData = None,
    labels: Annotated[
        list[int] | None, typer.Option(help="Number of labels; repeatable; default: 300 and 100.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of classifiers of each kind.")] = 3,
    set_: Set = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the run of the VAE.")
    ] = Path("runs/classify"),
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Compare classifiers on pixels and on VAE features.

    The VAE is trained on all images without labels, the classifiers on few labels.
    """
    from textvae.analysis.classification import classification_text, semi_supervised
    from textvae.analysis.wording import training_warning

    corpus = grey_images(data, data_section(recipe, set_ or []))
    display = TrainingDisplay(warning=training_warning)
    print_notes(corpus.notes)
    sizes, device = labels or [300, 100], chosen_device(device)
    try:
        rows = semi_supervised(
            corpus, recipe, output, sizes, seeds, None, set_ or [], display, device
        )
    finally:
        display.close()
    emit(rows, as_json, classification_text(rows))


@command(
    "Evaluate",
    "textvae control-accuracy runs/sohn2015_image -n 1000",
    "textvae control-accuracy runs/m2 -n 200",
    name="control-accuracy",
)
def control_accuracy(
    model: ModelArgument = None,
    named: Model = None,
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, help="Number of samples per label.")
    ] = 100,
    data: Data = None,
    text_column: TextColumn = None,
    label_column: RunLabelColumn = None,
    temperature: Temperature = 1.0,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Measure how often samples match the given label.

    An independent classifier predicts the label of each sample.
    """
    folder = located(model, named)
    column = column_of_texts(folder, data, text_column, [label_column])
    from textvae.analysis.classification import image_control_accuracy, text_control_accuracy
    from textvae.training.run_data import real_texts
    from textvae.training.run_images import image_data_config, run_images

    def texts(vae: "SentenceVAE") -> dict[str, Any]:
        notes: list[str] = []
        labelled = real_texts(folder, data, column, label_column, notes)
        print_notes(notes)
        return text_control_accuracy(vae, *labelled, count, seed, temperature)

    def images(vae: "ImageVAE") -> dict[str, Any]:
        if data is None:
            corpus = run_images(folder, pixels="grey")
        else:
            corpus = grey_images(data, image_data_config(folder))
        print_notes(corpus.notes)
        return image_control_accuracy(vae, corpus, count, seed)

    result = by_modality(folder, device, texts, images)
    rows = [(name.replace("_", " "), value) for name, value in result.items() if name != "by_label"]
    emit(result, as_json, table(rows))
