"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer


def check_device(device: str | None) -> str | None:
    """The device, if it is there; torch is imported only to look for a GPU.

    Raises:
        ValueError: it is unknown or not available.
    """
    if device not in (None, "cpu", "cuda"):
        raise ValueError(f"--device must be cpu or cuda (got {device!r})")
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise ValueError("--device cuda: there is no GPU here")
    return device


def check_data(source: str | None) -> str | None:
    """The data that a command names, if it may be there; before torch and the model are loaded.

    Raises:
        DataError: it is the name of a missing file.
    """
    if source is not None:
        from textvae.data.hub import check_source

        check_source(source)
    return source


def shipped_names(incomplete: str) -> list[str]:
    """The shipped recipes whose name begins with what is typed, for the shell."""
    from textvae.recipe_index import shipped_recipes

    return [name for name in shipped_recipes() if name.startswith(incomplete)]


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", callback=check_device, help="cpu or cuda; default: a GPU if there is one."
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Random seed.")]

MODEL_HELP = "Run folder or hub name; default: the last run."
Model = Annotated[str | None, typer.Option("--model", "-m", help=MODEL_HELP)]
ModelArgument = Annotated[str | None, typer.Argument(metavar="[MODEL]", help=MODEL_HELP)]
ModelArguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="[MODEL]...", help="Run folders or hub names; default: the last run."),
]

Recipe = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE", help="Recipe name or YAML file.", autocompletion=shipped_names
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one value of the recipe; repeatable."),
]

Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        "-d",
        callback=check_data,
        help="Folder, file or `datasets` name; default: the data of the run.",
    ),
]
RecipeData = Annotated[
    str | None,
    typer.Option(
        "--data",
        "-d",
        callback=check_data,
        help="Folder, file or `datasets` name; default: the recipe's.",
    ),
]
ImageData = Annotated[
    str | None,
    typer.Option(
        "--data",
        "-d",
        callback=check_data,
        help="Folder, file or `datasets` name; default: scikit-learn's 8 x 8 digits.",
    ),
]
TextColumn = Annotated[
    str | None,
    typer.Option("--text-column", help="Table column with the texts; default: the run's."),
]
RecipeTextColumn = Annotated[
    str | None,
    typer.Option("--text-column", help="Table column with the texts; default: the recipe's."),
]
RecipeLabelColumn = Annotated[
    str | None,
    typer.Option("--label-column", help="Table column with the labels; default: the recipe's."),
]
EvaluatedLabelColumn = Annotated[
    str | None,
    typer.Option(
        "--label-column",
        help="Table column with labels: measure how well the model, or z, predicts them.",
    ),
]
RunLabelColumn = Annotated[
    str | None,
    typer.Option("--label-column", help="Table column with the labels; default: the run's."),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", min=1, help="Use a random subset of this many texts."),
]
MOST_SAMPLES = 1_000_000
Samples = Annotated[
    int,
    typer.Option(
        "--samples", min=1, max=MOST_SAMPLES, help="Number of importance samples per text."
    ),
]
ClaimSamples = Annotated[
    int | None,
    typer.Option(
        "--samples",
        min=1,
        max=MOST_SAMPLES,
        help="Importance samples per text; default: the claim's.",
    ),
]
JsonFile = Annotated[Path | None, typer.Option("--out", help="JSON file for the metrics.")]

Temperature = Annotated[
    float, typer.Option("--temperature", help="Divide the logits by this; below 1 is less random.")
]
TopK = Annotated[
    int, typer.Option("--top-k", help="Sample from the k most probable tokens; 0: all.")
]
TopP = Annotated[
    float,
    typer.Option("--top-p", help="Sample from the fewest tokens whose probability reaches p."),
]
NumBeams = Annotated[
    int, typer.Option("--num-beams", help="Width of the beam search; 1 disables it.")
]
MaxNewTokens = Annotated[
    int, typer.Option("--max-new-tokens", help="Maximum length of a sentence, in tokens.")
]
Label = Annotated[str | None, typer.Option("--label", help="Class, for image models with labels.")]
ImageFile = Annotated[
    Path | None,
    typer.Option("--out", help="PNG file, for image models; default: a file in the run folder."),
]


def whole_numbers(text: str, option: str) -> list[int]:
    """Whole numbers separated by commas.

    Raises:
        ValueError: there is something else.
    """
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts):
        raise ValueError(f"{option}: must be whole numbers, as in 5 50 500 (got {text!r})")
    return [int(part) for part in parts]
