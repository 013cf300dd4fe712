"""Generation: samples of the prior, interpolations and reconstructions."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textvae.cli.app import command
from textvae.cli.conditions import (
    GivenOption,
    given_of,
    given_rows_of,
    print_unknown_conditions,
    sampled_rows,
    table_conditions,
)
from textvae.cli.models import (
    Output,
    by_modality,
    emit_output,
    for_texts_only,
    located,
    warn_meaningless,
)
from textvae.cli.options import (
    Device,
    ImageFile,
    Json,
    Label,
    MaxNewTokens,
    Model,
    ModelArgument,
    NumBeams,
    Seed,
    Temperature,
    TopK,
    TopP,
)
from textvae.cli.rows import TABLES, csv_text, in_columns, rows_text, table_cells, write_rows
from textvae.cli.sources import print_unknown_words
from textvae.console import table, visible

if TYPE_CHECKING:
    from textvae.api.image import ImageVAE
    from textvae.api.sentence import SentenceVAE
    from textvae.api.table import TableVAE


@command(
    "Generate",
    "textvae sample",
    "textvae sample runs/x -n 5 --temperature 0.7",
    "textvae sample runs/x --plug-in plug_ins/positive -n 20",
    "textvae sample runs/mnist -n 64 --out samples.png",
    'textvae sample runs/replies --given context="how are you ?" -n 10',
)
def sample(
    model: ModelArgument = None,
    named: Model = None,
    count: Annotated[
        int, typer.Option("-n", "--count", max=10_000_000, help="Number of samples.")
    ] = 10,
    temperature: Temperature = 1.0,
    top_k: TopK = 0,
    top_p: TopP = 1.0,
    num_beams: NumBeams = 1,
    max_new_tokens: MaxNewTokens = 128,
    new_words: Annotated[
        bool, typer.Option("--new-words", help="Allow words that no training text has.")
    ] = False,
    label: Annotated[
        str | None, typer.Option("--label", help="Class, for models trained with labels.")
    ] = None,
    plug_in: Annotated[
        Path | None,
        typer.Option("--plug-in", help="Folder of a plug-in of the model: sample its attribute."),
    ] = None,
    given: GivenOption = None,
    given_file: Annotated[
        str | None, typer.Option("--given-file", help="Table with a condition in each row.")
    ] = None,
    likeliest: Annotated[
        bool,
        typer.Option(
            "--likeliest",
            help="The most probable texts, by a beam search; of a model with codes, a text of each "
            "of its most probable codes.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="PNG file for images; csv or jsonl for texts and rows; npz for rows of images.",
        ),
    ] = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Sample sentences, images or table rows from the prior.

    Under a condition, prints different sentences. Images are the means of p(x | z), written to one
    PNG file. With --plug-in, each sentence is the most probable one of its z unless --temperature,
    --top-k or --top-p is given.
    """
    from textvae.analysis.exports import check_out
    from textvae.graph.decoding import Decoding

    if num_beams > 1 and (temperature, top_k, top_p) != (1.0, 0, 1.0):
        raise ValueError("--num-beams goes without --temperature, --top-k and --top-p")
    decoding = Decoding(
        do_sample=num_beams <= 1
        and (plug_in is None or (temperature, top_k, top_p) != (1.0, 0, 1.0)),
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        num_beams=num_beams,
        max_new_tokens=max_new_tokens,
        known_words=not new_words,
    )
    folder = located(model, named)

    if given and given_file is not None:
        raise ValueError("--given and --given-file: give one of them")
    if likeliest and (temperature, top_k, top_p, num_beams) != (1.0, 0, 1.0, 1):
        raise ValueError("--likeliest goes without settings of sampling and beams")

    def texts(vae: "SentenceVAE") -> Output:
        from textvae.control.plug_in import load_plug_in

        if out is not None:
            check_out(out, TABLES)
        conditions: dict[str, Any] | None
        if given_file is None:
            conditions = given_of(vae, given)
        else:
            conditions = given_rows_of(vae, folder, given_file)
        print_unknown_conditions(vae, conditions)
        how = Decoding(max_new_tokens=max_new_tokens) if likeliest else decoding
        if conditions is not None:
            how = replace(how, allow_unknown=False)
        if plug_in is None:
            rows = sampled_rows(vae, count, how, seed, label, conditions, likeliest)
        else:
            plug = load_plug_in(plug_in)
            rows = [{"text": text} for text in vae.sample(count, how, seed, label, plug_in=plug)]
        chosen = {} if label is None else {"label": label}
        chosen |= {} if plug_in is None else {"plug_in": str(plug_in)}
        if vae.reads_rows or likeliest:
            result = {"samples": rows, "seed": seed, **chosen}
        else:
            result = {"samples": [*(row["text"] for row in rows)], "seed": seed, **chosen}
        if out is None:
            return result, rows_text(rows, conditions)
        write_rows(out, in_columns(folder, rows))
        return result, f"written to {out}: {len(rows):,} rows"

    def images(vae: "ImageVAE") -> Output:
        from textvae.analysis.pictures import sample_picture

        number = None if label is None else vae.label_number(label)
        return sample_picture(vae, folder, count, seed, number, out)

    def tables(vae: "TableVAE") -> Output:
        if label is not None:
            raise ValueError("--label is for models of texts or images; conditions: --given")
        from textvae.analysis.views import image_fields, sample_views

        if image_fields(vae):
            conditions = table_conditions(vae, folder, given, given_file)
            return sample_views(vae, folder, count, seed, conditions, out)
        if out is not None:
            check_out(out, TABLES)
        conditions = table_conditions(vae, folder, given, given_file)
        rows = vae.sample(count, seed, conditions)
        cells = table_cells(vae, folder, rows)
        if out is not None:
            write_rows(out, cells)
            return {"samples": cells, "seed": seed}, f"written to {out}: {len(rows):,} rows"
        return {"samples": cells, "seed": seed}, csv_text(cells).replace("\r\n", "\n").rstrip()

    decoding_options = {
        "temperature": temperature != 1.0,
        "top_k": top_k != 0,
        "top_p": top_p != 1.0,
        "num_beams": num_beams != 1,
        "max_new_tokens": max_new_tokens != 128,
        "plug_in": plug_in is not None,
    }
    decoding_options |= {"likeliest": likeliest}
    conditional = {"given": bool(given), "given_file": given_file is not None}

    def pictures(vae: "ImageVAE") -> Output:
        for_texts_only(conditional)
        return images(vae)

    emit_output(
        by_modality(folder, device, texts, pictures, decoding_options, tables=tables), as_json
    )


@command(
    "Generate",
    'textvae interpolate "the food was great ." "i hated the film ." --steps 8',
    "textvae interpolate 3 8 --model runs/mnist",
)
def interpolate(
    first: Annotated[
        str, typer.Argument(help="First sentence, picture file or number of a test image.")
    ],
    second: Annotated[str, typer.Argument(help="Last sentence, picture file or number.")],
    steps: Annotated[
        int, typer.Option(max=100_000, help="Number of sentences, both ends included.")
    ] = 8,
    slerp: Annotated[
        bool, typer.Option("--slerp", help="Follow a great circle instead of a line.")
    ] = False,
    num_beams: NumBeams = 1,
    label: Label = None,
    given: GivenOption = None,
    out: ImageFile = None,
    model: Model = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Interpolate between two sentences or images.

    Decodes points between the two posterior means; the ends are the two reconstructions.
    """
    from textvae.graph.decoding import Decoding

    decoding = Decoding(num_beams=num_beams)
    folder = located(model)

    def texts(vae: "SentenceVAE") -> Output:
        print_unknown_words(vae, [first, second])
        conditions = given_of(vae, given)
        sentences = vae.interpolate(first, second, steps, slerp, decoding, conditions)
        consequence = "the interpolation is not meaningful: "
        asked = vae.with_conditions([first, second], conditions)
        collapsed = warn_meaningless(vae, folder, asked, consequence)
        rows = [(f"{i / (steps - 1):6.2f}", text) for i, text in enumerate(sentences)]
        shown = f"{'from':>6}  {visible(first)}\n{table(rows)}\n{'to':>6}  {visible(second)}"
        ends = {"first": first, "second": second}
        return {**ends, "sentences": sentences, "collapsed": collapsed}, shown

    def images(vae: "ImageVAE") -> Output:
        from textvae.analysis.pictures import interpolation_picture

        return interpolation_picture(vae, folder, (first, second), steps, slerp, label, out)

    of_images = {"label": label is not None, "out": out is not None}
    of_texts = {"given": bool(given)}
    emit_output(by_modality(folder, device, texts, images, of_texts, of_images), as_json)
