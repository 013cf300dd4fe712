"""Reconstruction."""

from typing import TYPE_CHECKING, Annotated

import typer

from textvae.cli.app import command
from textvae.cli.conditions import GivenOption, given_of
from textvae.cli.models import Output, by_modality, emit_output, located, warn_meaningless
from textvae.cli.options import (
    Device,
    ImageFile,
    Json,
    Label,
    Model,
    NumBeams,
)
from textvae.cli.rows import rows_text
from textvae.cli.sources import print_notes, print_unknown_words, row_numbers
from textvae.console import visible

if TYPE_CHECKING:
    from textvae.api.image import ImageVAE
    from textvae.api.sentence import SentenceVAE
    from textvae.graph.decoding import Decoding


@command(
    "Generate",
    'textvae reconstruct "the food was great ." --num-beams 5',
    "textvae reconstruct 3 8 --model runs/mnist --out pairs.png",
)
def reconstruct(
    texts: Annotated[
        list[str],
        typer.Argument(help="Sentences, picture files, or numbers of test images or dialogues."),
    ],
    num_beams: NumBeams = 1,
    label: Label = None,
    given: GivenOption = None,
    out: ImageFile = None,
    model: Model = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Reconstruct sentences or images.

    Decodes the posterior mean of each one. Of rows with parts, such as dialogues, give the numbers
    of held-out rows, from 0.
    """
    from textvae.graph.decoding import Decoding

    decoding = Decoding(num_beams=num_beams)
    folder = located(model)

    def sentences(vae: "SentenceVAE") -> Output:
        if vae.has_parts:
            return rebuilt_rows(vae, folder, texts, decoding, given)
        print_unknown_words(vae, texts)
        asked = vae.with_conditions(texts, given_of(vae, given))
        decoded = vae.reconstruct(asked, decoding)
        warn_meaningless(vae, folder, asked)
        pairs = list(zip(texts, decoded, strict=True))
        result = [{"text": text, "reconstruction": back} for text, back in pairs]
        lines = [f"{visible(text)}\n  -> {visible(back)}" for text, back in pairs]
        return result, "\n".join(lines)

    def images(vae: "ImageVAE") -> Output:
        from textvae.analysis.pictures import reconstruction_picture

        return reconstruction_picture(vae, folder, texts, label, out)

    of_images = {"label": label is not None, "out": out is not None}
    of_texts = {"given": bool(given)}
    emit_output(by_modality(folder, device, sentences, images, of_texts, of_images), as_json)


def rebuilt_rows(
    vae: "SentenceVAE", folder: str, numbers: list[str], how: "Decoding", given: list[str] | None
) -> Output:
    """Held-out rows with parts, and what the model writes at their posterior means.

    Raises:
        ValueError: an argument is no number of a held-out row, or a condition is given.
    """
    from textvae.data.tables import Table
    from textvae.training.run_data import held_out_rows

    columns, notes = held_out_rows(folder, None)
    print_notes(notes)
    table = Table({name: columns[name] for name in vae.fields})
    if given:
        raise ValueError("--given: a row has its own conditions")
    chosen = table.select(row_numbers(numbers, len(table)))
    rebuilt = vae.reconstruct_parts(chosen.columns, how)
    rows = [{name: cells[i] for name, cells in chosen.columns.items()} for i in range(len(chosen))]
    result = [{"row": a, "reconstruction": b} for a, b in zip(rows, rebuilt, strict=True)]
    pairs = [
        (rows_text([a], None), rows_text([b], None)) for a, b in zip(rows, rebuilt, strict=True)
    ]
    return result, "\n\n".join(f"{row}\n->\n{back}" for row, back in pairs)
