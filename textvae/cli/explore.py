"""A live page over the latent space of a model."""

from typing import TYPE_CHECKING, Annotated

import typer

from textvae.cli.app import command
from textvae.cli.models import by_modality, located
from textvae.cli.options import Data, Device, Model, ModelArgument, Seed, TextColumn
from textvae.cli.sources import check_text_column, column_of_texts, print_notes
from textvae.console import say

if TYPE_CHECKING:
    from textvae.explore.answers import Explorer


@command(
    "Latent space",
    "textvae explore",
    "textvae explore runs/x --data reviews.csv --label-column stars",
)
def explore(
    model: ModelArgument = None,
    named: Model = None,
    data: Data = None,
    text_column: TextColumn = None,
    label_column: Annotated[
        list[str] | None,
        typer.Option(
            "--label-column",
            help="Table column with labels; repeatable; default: the run's, or a table of labels "
            "beside the texts.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Most held-out texts or images on the map.")
    ] = 5000,
    port: Annotated[
        int, typer.Option("--port", min=1024, max=65535, help="Port; if taken, the next free one.")
    ] = 8017,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page, on a screen.")
    ] = True,
    seed: Seed = 0,
    device: Device = None,
) -> None:
    """Print the address of a live page over a latent space.

    It serves this machine alone, 127.0.0.1, until Ctrl-C. From another one: ssh -L
    8017:127.0.0.1:8017 HOST, then open the printed address there.
    """
    from textvae.explore.serving import check_installed, free_port, serve

    check_installed()
    columns = label_column or []
    folder = located(model, named)
    column = column_of_texts(folder, data, text_column, columns)
    check_text_column(data, column)
    require_latent(folder)
    listening = free_port(port)

    def explorer() -> "Explorer":
        from textvae.explore.loading import explorer_of_images, explorer_of_texts

        return by_modality(
            folder,
            device,
            lambda vae: explorer_of_texts(vae, folder, data, column, columns, limit, seed),
            lambda vae: explorer_of_images(vae, folder, data, limit, seed),
            {"text_column": text_column is not None, "label_column": bool(columns)},
        )

    with listening:
        found = explorer()
        print_notes(found.explored.rows.notes)
        say(f"{found.summary()}; at this address, on this machine alone:")
        from textvae.explore.app import make_app

        serve(lambda at, token: make_app(found, at, token), listening, browser)


def require_latent(folder: str) -> None:
    """Refuse a language model, before torch is imported.

    Raises:
        ValueError: it has no latent.
    """
    from textvae.graph.folders import local_folder, read_document

    if not read_document(local_folder(folder)).get("latents"):
        raise ValueError(f"{folder} is a language model: it has no latent space to explore")
