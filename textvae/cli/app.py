"""The command line: each command is a few lines over the library."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.console import (
    COLLAPSED,
    IMAGES_COLLAPSED,
    TrainingDisplay,
    emit,
    error_lines,
    is_full_disk,
    is_out_of_memory,
    say,
    table,
)

if TYPE_CHECKING:
    from textvae.api.image import ImageVAE
    from textvae.api.sentence import SentenceVAE
    from textvae.data.images import ImageCorpus
    from textvae.graph.generation import Decoding

# typer carries its own click since 0.29; this finds the base of usage errors in either.
UsageProblem: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

app = typer.Typer(
    name="textvae",
    help="Train, sample, interpolate and judge sentence VAEs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")]
Model = Annotated[
    str | None, typer.Option("--model", "-m", help="Run folder or hub name; default: last run.")
]
ModelArgument = Annotated[
    str | None, typer.Argument(metavar="[MODEL]", help="Run folder or hub name; default: last run.")
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data", "-d", help="Folder, file or `datasets` name; default: what the model was made on."
    ),
]
GreyData = Annotated[
    str | None,
    typer.Option(
        "--data",
        "-d",
        help="Folder, file or `datasets` name; default: scikit-learn's 8 x 8 digits.",
    ),
]
TextColumn = Annotated[
    str, typer.Option("--text-column", help="Column of a table that holds the texts.")
]
Device = Annotated[str | None, typer.Option("--device", help="cpu or cuda; default: a GPU if any.")]
Seed = Annotated[
    int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of all random choices.")
]
Temperature = Annotated[float, typer.Option(help="Divides the logits; below 1 is more careful.")]
TopK = Annotated[int, typer.Option("--top-k", help="Sample among the k best tokens; 0: all.")]
TopP = Annotated[float, typer.Option("--top-p", help="Sample among the best that add up to p.")]
MaxTokens = Annotated[int, typer.Option("--max-tokens", help="Longest sentence, in tokens.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one value of the recipe; repeatable."),
]
Picture = Annotated[
    Path | None, typer.Option("--out", help="PNG file of images; default: in the run's folder.")
]
Label = Annotated[
    int | None, typer.Option("--label", min=0, help="Class, for image models that are given it.")
]
RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe name or YAML file.")]


@app.command(
    epilog="Examples: `textvae train`; `textvae train fu2019_cyclical --data reviews.csv "
    "--text-column text`; `textvae train bowman2016 --set latents.z.dim=64 --output runs/big`; "
    "`textvae train --resume`."
)
def train(
    recipe: Annotated[
        str | None, typer.Argument(help="Recipe name or YAML file; default: bowman2016.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", "-d", help="Folder, file or `datasets` name; default: the recipe's."
        ),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option("--text-column", help="Column of a table that holds the texts.")
    ] = None,
    set_: Set = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the run; default: runs/RECIPE.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --output (or the newest).")
    ] = False,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train a recipe; print held-out metrics, reconstructions, samples, an interpolation."""
    from textvae.analysis.summary import summarize_run
    from textvae.training import workflow as training

    check_device(device)
    display = TrainingDisplay(quiet=training.process_rank() > 0)
    given = (set_ or [], data, text_column, output, display, summarize_run, device)
    try:
        if resume:
            finished = training.resume(recipe, *given)
        else:
            finished = training.train(recipe or "bowman2016", *given)
    finally:
        display.close()
    if finished is not None:
        emit(finished.summary, as_json, finished.text())
        if finished.metrics["collapsed"]:
            say(f"warning: {IMAGES_COLLAPSED if finished.pictures else COLLAPSED}")


@app.command(epilog="Examples: `textvae sample`; `textvae sample runs/x -n 5 --temperature 0.7`.")
def sample(
    model: ModelArgument = None,
    named: Model = None,
    count: Annotated[int, typer.Option("-n", "--count", help="Number of sentences.")] = 10,
    temperature: Temperature = 1.0,
    top_k: TopK = 0,
    top_p: TopP = 1.0,
    beams: Annotated[int, typer.Option(help="Beam width; above 1: no sampling of tokens.")] = 1,
    max_tokens: MaxTokens = 128,
    label: Annotated[
        str | None,
        typer.Option("--label", help="Class to write or draw, for models that were taught labels."),
    ] = None,
    out: Picture = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Sentences or images from the prior; images are the means of p(x | z), in one PNG."""
    from textvae.graph.generation import Decoding

    folder = located(model, named)
    if (images := image_model(folder, device)) is not None:
        from textvae.analysis.pictures import sample_picture

        for_texts_only(
            temperature=temperature != 1.0,
            top_k=top_k != 0,
            top_p=top_p != 1.0,
            beams=beams != 1,
            max_tokens=max_tokens != 128,
        )
        number = None if label is None else images.label_number(label)
        result, text = sample_picture(images, folder, count, seed, number, out)
        return emit(result, as_json, text)
    for_images_only(out=out)
    if beams > 1 and (temperature, top_k, top_p) != (1.0, 0, 1.0):
        raise ValueError("--beams goes without --temperature, --top-k and --top-p: no sampling")
    decoding = Decoding(beams <= 1, temperature, top_k, top_p, beams, max_tokens)
    vae = load(folder, device)
    sentences = vae.sample(count, decoding, seed, label)
    named_label = {} if label is None else {"label": label}
    emit({"samples": sentences, "seed": seed, **named_label}, as_json, "\n".join(sentences))


@app.command(
    epilog='Example: `textvae interpolate "the food was great ." "i hated the film ." --steps 8`.'
)
def interpolate(
    first: Annotated[
        str, typer.Argument(help="Sentence, PNG or test image's number at the start.")
    ],
    second: Annotated[str, typer.Argument(help="The same, at the end.")],
    steps: Annotated[int, typer.Option(help="Sentences, both ends included.")] = 8,
    slerp: Annotated[
        bool, typer.Option("--slerp", help="Great circle in place of a line.")
    ] = False,
    beams: Annotated[int, typer.Option(help="Beam width; 1: greedy.")] = 1,
    label: Label = None,
    out: Picture = None,
    model: Model = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Sentences or images between two posterior means; the ends are the two reconstructions."""
    folder = located(model)
    if (images := image_model(folder, device)) is not None:
        from textvae.analysis.pictures import interpolation_picture

        ends = (first, second)
        result, text = interpolation_picture(images, folder, ends, steps, slerp, label, out)
        return emit(result, as_json, text)
    for_images_only(label=label, out=out)
    vae = load(model, device)
    sentences = vae.interpolate(first, second, steps, slerp, decoding(beams))
    dead = is_dead(vae, model, [first, second])
    if dead:
        say(f"warning: these sentences mean nothing: {COLLAPSED}")
    rows = [(f"{i / (steps - 1):.2f}", sentence) for i, sentence in enumerate(sentences)]
    text = f"{'from':>6}  {first}\n{table([(f'{a:>6}', s) for a, s in rows])}\n{'to':>6}  {second}"
    result = {"first": first, "second": second, "sentences": sentences, "collapsed": dead}
    emit(result, as_json, text)


@app.command(epilog='Example: `textvae reconstruct "the food was great ." --beams 5`.')
def reconstruct(
    texts: Annotated[
        list[str], typer.Argument(help="Sentences, PNG files or numbers of test images.")
    ],
    beams: Annotated[int, typer.Option(help="Beam width; 1: greedy.")] = 1,
    label: Label = None,
    out: Picture = None,
    model: Model = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """The sentence or image that the model decodes from each one's posterior mean."""
    folder = located(model)
    if (images := image_model(folder, device)) is not None:
        from textvae.analysis.pictures import reconstruction_picture

        result, text = reconstruction_picture(images, folder, texts, label, out)
        return emit(result, as_json, text)
    for_images_only(label=label, out=out)
    vae = load(model, device)
    decoded = vae.reconstruct(texts, decoding(beams))
    if is_dead(vae, model, texts):
        say(f"warning: {COLLAPSED}")
    pairs = list(zip(texts, decoded, strict=True))
    result = [{"text": text, "reconstruction": back} for text, back in pairs]
    emit(result, as_json, "\n".join(f"{text}\n  -> {back}" for text, back in pairs))


@app.command(epilog="Examples: `textvae encode reviews.txt --out z.npz`; `--out z.parquet`.")
def encode(
    file: Annotated[str, typer.Argument(help="Texts: a file, a folder's test set, a hub name.")],
    out: Annotated[
        Path,
        typer.Option(
            help=".npy: means (N, D); .npz: arrays `mean` and `scale`; .parquet: text, mean_*, "
            "scale_* columns."
        ),
    ] = Path("z.npz"),
    text_column: TextColumn = "text",
    model: Model = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Posterior means and standard deviations of texts or images, for downstream use."""
    from textvae.analysis.exports import LATENTS, check_out, write_latents
    from textvae.data.readers import read_split

    check_out(out, LATENTS)
    folder = located(model)
    if (images := image_model(folder, device)) is not None:
        from textvae.analysis.pictures import latents_of_source

        means, scales, notes = latents_of_source(images, folder, file)
        for note in notes:
            say(f"note: {note}")
        write_latents(out, None, means, scales)
        result = {"images": len(means), "dimensions": means.shape[1], "out": str(out)}
        text = f"{len(means):,} images, {means.shape[1]} dimensions -> {out}"
        return emit(result, as_json, text)
    texts, notes = read_split(file, text_column=text_column)
    for note in notes:
        # A skipped line moves the rows: they are numbered as the texts, not as the lines.
        say(f"note: {note}")
    vae = load(model, device)
    means, scales = vae.encode(texts, return_scales=True)
    write_latents(out, texts, means, scales)
    result = {"texts": len(texts), "dimensions": means.shape[1], "out": str(out)}
    emit(result, as_json, f"{len(texts):,} texts, {means.shape[1]} dimensions -> {out}")


@app.command(epilog='Example: `textvae nearest "the food was great ." --data reviews.txt -n 3`.')
def nearest(
    text: Annotated[str, typer.Argument(help="Sentence to look for.")],
    data: Data = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Number of neighbours.")] = 5,
    text_column: TextColumn = "text",
    model: Model = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """The texts whose posterior means lie nearest to a sentence's."""
    folder = located(model)
    vae = load(model, device)
    found = vae.nearest(text, held_out(folder, data, text_column), count)
    if is_dead(vae, model, [text]):
        say(f"warning: neighbours mean nothing: {COLLAPSED}")
    result = [{"text": near, "distance": distance} for near, distance in found]
    emit(result, as_json, table([(d, t) for t, d in found], ["distance", "text"]))


@app.command(
    epilog="Examples: `textvae positions`; `textvae positions runs/a runs/b --baseline runs/lm "
    "--length 20 --recover --out positions.png`."
)
def positions(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...", help="Run folders (of several seeds) or hub names; default: last."
        ),
    ] = None,
    named: Model = None,
    data: Data = None,
    baseline: Annotated[
        str | None, typer.Option(help="A language model's run: what z saves at each position.")
    ] = None,
    length: Annotated[
        int | None, typer.Option(min=1, help="Only texts of so many tokens, end included.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Posterior samples of each text.")] = 1,
    mean: Annotated[bool, typer.Option("--mean", help="Posterior means, not samples.")] = False,
    recover: Annotated[
        bool, typer.Option("--recover", help="Decode each text too: which tokens come back?")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Picture; default: positions.png in the run; JSON beside.")
    ] = None,
    text_column: TextColumn = "text",
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Reconstruction loss at each token position: a table, a JSON file and a PNG."""
    from textvae.analysis.exports import PICTURE, check_beside, check_out, write_positions
    from textvae.analysis.positions import study_positions
    from textvae.analysis.reports import positions_text

    folders = [located(model, named) for model in models or [None]]
    picture = out or Path(folders[0] if Path(folders[0]).is_dir() else ".") / "positions.png"
    check_out(picture, PICTURE)
    check_beside(picture)
    texts = held_out(folders[0], data, text_column)
    runs = [load(folder, device) for folder in folders]
    beside = None if baseline is None else load(baseline, device)
    study = study_positions(runs, texts, beside, length, samples, mean, recover, seed)
    name = runs[0].model.config.recipe or folders[0]
    result = write_positions(study, picture, f"{name}, {study.latent}, {len(runs)} run(s)")
    emit(result, as_json, f"{positions_text(result)}; picture: {picture}")


@app.command(
    epilog="Examples: `textvae evaluate runs/x --data reviews.txt`; `textvae evaluate --generation "
    "--out metrics.json`."
)
def evaluate(
    model: ModelArgument = None,
    named: Model = None,
    data: Data = None,
    samples: Annotated[int, typer.Option(min=1, help="Importance samples of each text.")] = 500,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Evaluate this many texts, drawn with the seed.")
    ] = None,
    text_column: TextColumn = "text",
    generation: Annotated[
        bool,
        typer.Option(
            "--generation",
            help="Also decode, sample and interpolate: reconstruction BLEU, self-BLEU, distinct-n, "
            "duplicates, copies, n-gram perplexities beside those of real text, smoothness.",
        ),
    ] = False,
    label_column: Annotated[
        str | None,
        typer.Option("--label-column", help="Column of labels: how often the model tells them."),
    ] = None,
    likelihood: Annotated[
        str | None,
        typer.Option(help="Density that scores an image model's logits; default: its own."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file to write the metrics to.")] = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Likelihood, perplexity and what the latent holds of held-out texts or images."""
    from textvae.analysis.exports import JSON, check_out, write_json
    from textvae.analysis.reports import evaluation_text, metric_notes
    from textvae.training.run_data import (
        entropy_of,
        held_out_images,
        held_out_labels,
        image_subset,
        subset,
        training_texts,
    )

    if out is not None:
        check_out(out, JSON)
    folder = located(model, named)
    if (images := image_model(folder, device)) is not None:
        for_texts_only(
            generation=generation,
            label_column=label_column is not None,
            text_column=text_column != "text",
        )
        rows, notes = held_out_images(folder, data)
        say(f"note: {notes[0]}")
        rows = image_subset(rows, limit, seed)
        measured = asdict(images.evaluate(rows, samples, seed, likelihood=likelihood))
        if out is not None:
            write_json(out, measured | {"notes": metric_notes(measured)})
        result = measured | {"notes": metric_notes(measured)}
        return emit(result, as_json, evaluation_text(measured))
    for_images_only(likelihood=likelihood)
    texts, labels = subset(held_out(folder, data, text_column), limit, seed), None
    if label_column is not None:
        rows = held_out_labels(folder, data, text_column, label_column)
        pairs = subset(list(zip(*rows, strict=True)), limit, seed)
        texts, labels = ([pair[place] for pair in pairs] for place in (0, 1))
    vae = load(folder, device)
    training, notes = training_texts(folder) if generation else (None, [])
    for note in notes:
        say(f"note: {note}")
    metrics = asdict(vae.evaluate(texts, samples, seed, generation, training, labels))
    metrics |= entropy_of(folder, data)
    result = {**metrics, "notes": metric_notes(metrics)}
    if out is not None:
        write_json(out, result)
    emit(result, as_json, evaluation_text(metrics))
    if metrics["collapsed"]:
        say(f"warning: {COLLAPSED}")


@app.command(epilog="Examples: `textvae doctor`; `textvae doctor runs/x --data reviews.txt`.")
def doctor(
    model: ModelArgument = None,
    named: Model = None,
    data: Data = None,
    limit: Annotated[
        int, typer.Option(min=2, help="Look at this many texts, drawn with the seed.")
    ] = 500,
    text_column: TextColumn = "text",
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Whether, where and why the latent is dead, and which recipe to try next."""
    from textvae.analysis.diagnosis import diagnose
    from textvae.training.run_data import recipe_of, subset

    folder = located(model, named)
    texts = subset(held_out(folder, data, text_column), limit, seed)
    diagnosis = diagnose(load(folder, device), texts, recipe_of(folder), seed=seed)
    emit(asdict(diagnosis), as_json, diagnosis.text())


@app.command(
    epilog="Examples: `textvae compare runs/* --out runs.png`; `textvae compare runs/a runs/b "
    "--data reviews.txt --samples 100`."
)
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run folders or hub names.")],
    data: Data = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Measure anew, with so many importance samples.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Measure anew, on this many texts.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Picture of rate (KL) against distortion, a .png file.")
    ] = None,
    text_column: TextColumn = "text",
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Runs side by side as measured when they finished; with --data, --samples, --limit anew."""
    from textvae.analysis.comparison import (
        comparison_table,
        differing_texts,
        draw_comparison,
        names_of,
    )
    from textvae.analysis.exports import PICTURE, check_out
    from textvae.training.run_data import entropy_of, stored_metrics, subset

    if out is not None:
        check_out(out, PICTURE)
    anew = (data, samples, limit) != (None, None, None)
    same = None if data is None else held_out("", data, text_column)
    metrics = {}
    for name, run in zip(names_of(runs), runs, strict=True):
        found = {} if anew else stored_metrics(run)
        if anew:
            texts = subset(same or held_out(run, None, text_column), limit, seed)
            measured = load(run, device).evaluate(texts, samples or 50, seed)
            found = asdict(measured) | entropy_of(run, data)
        if not found:
            raise ValueError(f"{run}: holds no metrics; with --samples 50 they are measured")
        metrics[name] = found
    if out is not None:
        draw_comparison(metrics, out)
    emit([{"run": name, **f} for name, f in metrics.items()], as_json, comparison_table(metrics))
    if differing_texts(metrics):
        say("note: these are of different texts and do not compare; --data measures them anew")


@app.command(epilog="Example: `textvae latent runs/kingma2014_image --out pictures`.")
def latent(
    model: ModelArgument = None,
    named: Model = None,
    data: Data = None,
    limit: Annotated[
        int | None, typer.Option(min=4, help="Use this many images of each split.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the pictures; default: latent in the run.")
    ] = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Pictures of an image model's latent space: scatter, manifold, traversal, and metrics."""
    from textvae.analysis.latent_space import Atlas, atlas_text
    from textvae.data.images import read_image_corpus
    from textvae.training.run_data import image_data_config, image_subset

    folder = located(model, named)
    corpus = read_image_corpus(image_data_config(folder, data))
    splits = (corpus.train, corpus.test or corpus.valid)
    images = load_images(folder, device)
    train, test = (images.rows(image_subset(rows, limit, seed)) for rows in splits)
    result = Atlas(images, train, test, seed).write(out or Path(folder) / "latent")
    emit(result, as_json, atlas_text(result))


@app.command(
    epilog="Examples: `textvae codecs`; `textvae codecs --data mnist --dim 2 --dim 20 "
    "--autoencoders`."
)
def codecs(
    data: GreyData = None,
    dim: Annotated[
        list[int] | None, typer.Option(help="Size of a linear code; repeatable; default: 2 and 20.")
    ] = None,
    autoencoders: Annotated[
        bool, typer.Option("--autoencoders", help="Train the four autoencoders too, in runs/.")
    ] = False,
    set_: Set = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the autoencoders' runs.")
    ] = Path("runs/codecs"),
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Selection and PCA, and autoencoders in four forms, on training and test images."""
    from textvae.analysis.classification import arrays, joined
    from textvae.analysis.dimension_reduction import autoencoder_rows, codecs_text, linear_rows

    if set_ and not autoencoders:
        raise ValueError("--set is for --autoencoders: linear codes have no recipe")
    corpus = grey_images(data)
    train, test = joined(corpus), arrays(corpus.test or corpus.valid)
    linear = linear_rows(train, test, dim or [2, 20])
    trained: list[dict[str, Any]] = []
    if autoencoders:
        display = TrainingDisplay()
        try:
            trained = autoencoder_rows(
                train[0], test[0], output, set_ or [], display, check_device(device)
            )
        finally:
            display.close()
    result = {"source": corpus.source, "linear": linear, "autoencoders": trained}
    emit(result, as_json, codecs_text(linear, trained))


@app.command(
    epilog="Examples: `textvae classify`; `textvae classify kingma2014_image --data mnist "
    "--labels 10000 --labels 1000 --labels 100`."
)
def classify(
    recipe: Annotated[str, typer.Argument(help="Recipe of the VAE.")] = "kingma2014_image",
    data: GreyData = None,
    labels: Annotated[
        list[int] | None, typer.Option(help="Number of labels; repeatable; default: 300 and 100.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Classifiers of each kind.")] = 3,
    set_: Set = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the VAE's run.")] = Path(
        "runs/classify"
    ),
    device: Device = None,
    as_json: Json = False,
) -> None:
    """A classifier on pixels beside the same with features of a VAE of the unlabelled images."""
    from textvae.analysis.classification import classification_text, semi_supervised

    corpus, display = grey_images(data), TrainingDisplay()
    counts, where = labels or [300, 100], check_device(device)
    try:
        rows = semi_supervised(
            corpus, recipe, output, counts, seeds, None, set_ or [], display, where
        )
    finally:
        display.close()
    emit(rows, as_json, classification_text(rows))


@app.command(
    epilog="Examples: `textvae judge runs/sohn2015_image -n 1000`; `textvae judge runs/m2 -n 200`."
)
def judge(
    model: ModelArgument = None,
    named: Model = None,
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, help="Samples of each label.")
    ] = 100,
    data: Data = None,
    text_column: TextColumn = "text",
    label_column: Annotated[
        str | None,
        typer.Option("--label-column", help="Column of labels; default: that of the run."),
    ] = None,
    temperature: Temperature = 1.0,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """How many samples of a model that was taught labels carry theirs, for a classifier."""
    from textvae.analysis.classification import judged_labels, judged_sentences
    from textvae.training.run_data import image_data_config, real_texts

    folder = located(model, named)
    if (images := image_model(folder, device)) is not None:
        corpus = grey_images(data or image_data_config(folder).source)
        result = judged_labels(images, corpus, count, seed)
    else:
        texts = real_texts(folder, data, text_column, label_column)
        result = judged_sentences(load(folder, device), *texts, count, seed, temperature)
    rows = [(name.replace("_", " "), value) for name, value in result.items() if name != "by_label"]
    emit(result, as_json, table(rows))


@app.command(
    epilog="Examples: `textvae probe runs/x --data labelled.csv --labels-per-class 5 50 500`; "
    "`textvae probe runs/x runs/y --data train.tsv --test test.tsv --kind mean --kind hidden`."
)
def probe(
    data: Annotated[
        str, typer.Option("--data", "-d", help="Labelled texts: a table, or a folder with splits.")
    ],
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Run folders or hub names; default: last run."),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(help="Labelled texts to test on; default: the test split, or half of data."),
    ] = None,
    labels_per_class: Annotated[
        str, typer.Option(metavar="N...", help="How many labels of each class; several numbers.")
    ] = "5,50,500",
    kind: Annotated[
        list[str] | None,
        typer.Option(help="mean, hidden, sample or layers; repeatable; default: mean."),
    ] = None,
    subsets: Annotated[int, typer.Option(min=1, help="Subsets of the labels of each size.")] = 5,
    text_column: TextColumn = "text",
    label_column: Annotated[
        str, typer.Option("--label-column", help="Column that holds the labels.")
    ] = "label",
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """How well a classifier does on the latents with few labels, beside one on the words."""
    from textvae.analysis.comparison import names_of
    from textvae.analysis.probing import labelled_data, probe_models, probe_text
    from textvae.api.features import check_kind

    for wanted in kind or []:
        check_kind(wanted)
    sizes = numbers(labels_per_class, "--labels-per-class")
    folders = models or [located(None)]
    train, held, notes = labelled_data(data, test, text_column, label_column, seed)
    for note in notes:
        say(f"note: {note}")
    loaded = {n: load(f, device) for n, f in zip(names_of(folders), folders, strict=True)}
    kinds: Any = kind or ["mean"]
    result = probe_models(loaded, train, held, sizes, kinds, subsets, seed)
    emit(result, as_json, probe_text(result))


@app.command(epilog="Examples: `textvae topics`; `textvae topics runs/x --data news.csv --words 8`")
def topics(
    model: ModelArgument = None,
    named: Model = None,
    data: Data = None,
    words: Annotated[int, typer.Option(min=2, help="Words of each topic.")] = 10,
    samples: Annotated[int, typer.Option(min=1, help="Importance samples of each text.")] = 20,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Look at this many texts, drawn with the seed.")
    ] = None,
    text_column: TextColumn = "text",
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Each topic's words with their coherence, and the perplexity, of a topic model."""
    from textvae.analysis.topics import study_topics, topics_text
    from textvae.training.run_data import subset

    folder = located(model, named)
    texts = subset(held_out(folder, data, text_column), limit, seed)
    result = study_topics(load(folder, device), texts, words, samples, seed)
    emit(result, as_json, topics_text(result))


def numbers(text: str, option: str) -> list[int]:
    """Whole numbers between commas.

    Raises:
        ValueError: there is something else.
    """
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts):
        raise ValueError(f"{option}: must be whole numbers, as in 5 50 500 (got {text!r})")
    return [int(part) for part in parts]


def with_joined_numbers(arguments: list[str], option: str) -> list[str]:
    """The arguments with the numbers that follow an option as one value, `5,50,500`."""
    if option not in arguments:
        return arguments
    start = stop = arguments.index(option) + 1
    while stop < len(arguments) and arguments[stop].isdecimal():
        stop += 1
    joined = [",".join(arguments[start:stop])] if stop > start else []
    return [*arguments[:start], *joined, *arguments[stop:]]


@app.command(epilog="Example: `textvae recipes --json`.")
def recipes(
    as_json: Json = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the page of systems with stored results here.")
    ] = None,
    results: Annotated[Path, typer.Option(help="Stored results for --markdown.")] = Path(
        "docs/results.json"
    ),
) -> None:
    """The shipped recipes with their paper."""
    from textvae.recipes import recipe_headers

    if markdown is not None:
        from textvae.analysis.claims import read_results, systems_page

        markdown.write_text(systems_page(read_results(results)), encoding="utf-8")

    rows = list(recipe_headers())
    result = [{"name": name, "paper": paper, "summary": text} for name, paper, text in rows]
    emit(
        result, as_json, "\n".join(f"{name}\n    {text}\n    {paper}" for name, paper, text in rows)
    )


@app.command(epilog="Example: `textvae show bowman2016 --set latents.z.dim=64`.")
def show(recipe: RecipeArgument, set_: Set = None, as_json: Json = False) -> None:
    """A recipe, checked, with the defaults of its sections filled in, as YAML."""
    from textvae.recipes import check_model, load_recipe, shipped_recipes

    loaded = load_recipe(recipe, set_ or [])
    if set_ or recipe not in shipped_recipes():
        check_model(loaded)
    emit(loaded.document(), as_json, loaded.yaml().rstrip())


@app.command(epilog="Example: `textvae verify bowman2016_ptb --data ptb`.")
def verify(
    recipe: RecipeArgument,
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", help="The data set of the claim; default: the recipe's."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="A trained run of the recipe; else trains.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Importance samples of each text.")] = 500,
    record: Annotated[
        Path | None, typer.Option(help="JSON file of results to add ours to.")
    ] = None,
    text_column: Annotated[
        str | None,
        typer.Option("--text-column", help="Column of texts; default: the recipe's."),
    ] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Rerun a recipe's claim: ours beside the published number; exit code 1 when it fails."""
    from textvae.analysis.claims import verify_recipe

    check_device(device)
    display = TrainingDisplay()
    try:
        verdict = verify_recipe(recipe, data, model, samples, record, text_column, display, device)
    finally:
        display.close()
    emit(verdict.result(), as_json, verdict.text())
    if not verdict.holds:
        raise typer.Exit(1)


@app.command("make-corpus", epilog="Example: `textvae make-corpus data`.")
def make_corpus(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.")] = Path("data"),
    as_json: Json = False,
) -> None:
    """Write the shipped corpus again, byte for byte."""
    from textvae.corpus.files import write_corpus

    write_corpus(folder)
    emit({"folder": str(folder)}, as_json, f"written to {folder}")


def decoding(beams: int) -> "Decoding":
    """Greedy decoding, or beam search."""
    from textvae.graph.generation import Decoding

    return Decoding(beams=beams)


def located(model: str | None, named: str | None = None) -> str:
    """The model asked for, by argument or by option, or the last run.

    Raises:
        ValueError: both are given.
    """
    if model is not None and named is not None:
        raise ValueError(f"name the model once: {model!r} or --model {named!r}")
    if (found := named if model is None else model) is not None:
        return found
    from textvae.training.folders import last_run

    return str(last_run())


def load(model: str | None, device: str | None) -> "SentenceVAE":
    """The text model asked for, or the last run, on a device.

    Raises:
        ValueError: it is a model of images.
    """
    from textvae.api.image import ImageVAE, open_model

    folder = located(model)
    opened = open_model(folder, check_device(device))
    if isinstance(opened, ImageVAE):
        raise ValueError(f"{folder} is a model of images: this command is for models of texts")
    return opened


def image_model(folder: str, device: str | None) -> "ImageVAE | None":
    """The image model in a folder or under a hub name; None where it is one of texts."""
    from textvae.api.image import ImageVAE, is_image_model

    device = check_device(device)
    return ImageVAE.from_pretrained(folder, device) if is_image_model(folder) else None


def load_images(folder: str, device: str | None) -> "ImageVAE":
    """The image model in a folder or under a hub name.

    Raises:
        ValueError: it is a model of texts.
    """
    found = image_model(folder, device)
    if found is None:
        load(folder, device)  # what is wrong with it is said first
        raise ValueError(f"{folder} is a model of texts: this command is for models of images")
    return found


def grey_images(source: str | None) -> "ImageCorpus":
    """The images of a source as they are; scikit-learn's digits where none is named."""
    from textvae.config import ImageDataConfig
    from textvae.data.images import read_image_corpus

    return read_image_corpus(ImageDataConfig(modality="image", source=source))


def for_images_only(**options: Any) -> None:
    """Refuse options that mean nothing for texts.

    Raises:
        ValueError: naming the first that was given.
    """
    for name, value in options.items():
        if value is not None:
            raise ValueError(f"--{name} is for models of images")


def for_texts_only(**given: bool) -> None:
    """Refuse options that mean nothing for images.

    Raises:
        ValueError: naming the first that was given.
    """
    for name, found in given.items():
        if found:
            raise ValueError(f"--{name.replace('_', '-')} is for models of texts")


def check_device(device: str | None) -> str:
    """The device asked for, or a GPU if there is one.

    Raises:
        ValueError: it is unknown or not there.
    """
    import torch

    if device not in (None, "cpu", "cuda"):
        raise ValueError(f"--device must be cpu or cuda (got {device!r})")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: there is no GPU here")
    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def is_dead(vae: "SentenceVAE", model: str | None, texts: list[str]) -> bool:
    """Whether the latent means nothing: as measured after training, else for these texts."""
    from textvae.training.run_data import stored_metrics

    stored = stored_metrics(located(model))
    return bool(stored.get("collapsed")) or vae.is_collapsed_for(texts)


def held_out(model: str, data: str | None, text_column: str) -> list[str]:
    """Texts of `data`, or of what the model was trained on: its test set, else validation.

    Raises:
        ValueError: a column without the data that has it.
    """
    from textvae.training.run_data import held_out_texts

    if data is None and text_column != "text":
        raise ValueError("--text-column goes with --data: a run remembers its own")

    texts, notes = held_out_texts(model, data, text_column)
    for note in notes:
        say(f"note: {note}")
    return texts


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; bad input ends with one line and exit code 2."""
    given = sys.argv[1:] if arguments is None else arguments
    given = with_joined_numbers(given, "--labels-per-class")
    try:
        code = app(args=given, prog_name="textvae", standalone_mode=False)
        if code == 130:
            # What typer makes of Ctrl-C.
            say("stopped")
    except UsageProblem as error:
        say(f"error: {' '.join(error.format_message().split())}")
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        say("stopped")
        code = 130
    except Exception as error:
        code = report_failure(error)
    sys.exit(code if isinstance(code, int) else 0)


def report_failure(error: Exception) -> int:
    """Print an error that a user can cause in one line for each mistake, exit code 2.

    Raises:
        Exception: any other, which is a mistake of ours.
    """
    from textvae.checkpoints import CheckpointError
    from textvae.data.readers import DataError

    known: tuple[type[Exception], ...] = (
        DataError,
        CheckpointError,
        ValueError,
        OSError,
    )
    if type(error).__name__ == "InterruptedRunError":
        say(str(error))
        return 130
    if not (
        isinstance(error, known)
        or type(error).__name__ == "NonFiniteLossError"
        or is_full_disk(error)
        or is_out_of_memory(error)
    ):
        raise error
    for line in error_lines(error):
        say(f"error: {line}")
    return 2
