"""Training from end to end: read the data, train in a run folder, summarise the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from textvae.checkpoints import write_file
from textvae.config import DataConfig, ImageDataConfig
from textvae.console import exit_code, json_text
from textvae.data.first_rows import OPTIONS, check_first_rows
from textvae.data.readers import Corpus, DataError
from textvae.data.sources import path_of
from textvae.data.tables import TableCorpus
from textvae.graph.folders import CARD
from textvae.recipes import Recipe, check_model, load_recipe, with_changes
from textvae.sizing import as_saved, count_words, leaves_open, sized, sizes_text
from textvae.training.folders import (
    RECIPE,
    RESULTS,
    InterruptedRunError,
    RunError,
    held_out_of,
    how_to_go_on,
    newest,
    next_folder,
    saved_recipe,
)
from textvae.training.longer import LENGTHS, differs_in_length
from textvae.training.processes import process_count, process_rank

if TYPE_CHECKING:
    from textvae.data.corpora import AnyCorpus
    from textvae.data.tokenizers import TextTokenizer
    from textvae.graph.model import VAE
    from textvae.training.callbacks import Report

__all__ = ["Summary", "TrainedRun", "process_rank", "resume", "train"]


class Summary(Protocol):
    """What is made of a finished run; stored in its folder."""

    @property
    def summary(self) -> dict[str, Any]:
        """All of it as JSON."""
        ...

    @property
    def card(self) -> str:
        """The model card, Markdown."""
        ...


S = TypeVar("S", bound=Summary)


@dataclass(frozen=True)
class TrainedRun:
    """A run whose training is over.

    Args:
        model: the best, without its objective.
        tokenizer: of its texts; None for images.
        corpus: that it was trained on.
        folder: of the run.
        seconds: that training took, this time.
    """

    model: VAE
    tokenizer: TextTokenizer | None
    corpus: AnyCorpus
    folder: Path
    seconds: float


def train(
    recipe: str,
    overrides: list[str],
    data: str | None,
    text_column: str | None,
    output: Path | None,
    report: Report,
    summarize: Callable[[TrainedRun], S],
    device: str | None = None,
    label_column: str | None = None,
) -> S | None:
    """Train a recipe in a new folder.

    Args:
        recipe: name or path.
        overrides: `key=value` changes to it.
        data: folder, file or hub name; None for what the recipe names.
        text_column: column of a table that holds the texts; None for what the recipe names.
        output: folder of the run; None for runs/NAME, numbered when taken.
        report: called with each event.
        summarize: what to make of the finished run; its `summary` is stored in the folder.
        device: "cpu" to stay off a GPU that is there.
        label_column: column of the labels; None for what the recipe names.

    Raises:
        ValueError: the recipe, the data or the folder cannot be used; see `train_run`.
    """
    loaded = recipe_on(recipe, overrides, data, text_column, label_column)
    check_model(loaded)
    if output is None and process_count() > 1:
        raise RunError("several processes cannot agree on a new folder: name one with --output")
    return run(loaded, output or next_folder(loaded.name), False, report, summarize, device)


def recipe_on(
    recipe: str,
    overrides: list[str],
    data: str | None,
    text_column: str | None,
    label_column: str | None = None,
    options: Collection[str] = OPTIONS,
) -> Recipe:
    """A recipe on its data, of which the first rows were read.

    Args:
        recipe: name or path.
        overrides: `key=value` changes to it.
        data: folder, file or hub name; None for what the recipe names.
        text_column: column of a table that holds the texts; None for what the recipe names.
        label_column: column of the labels; None for what the recipe names.
        options: that the command has, see `check_first_rows`.

    Raises:
        ValueError: the recipe or the data cannot be used.
    """
    loaded = with_data(load_recipe(recipe, overrides), data, text_column, label_column)
    if isinstance(loaded.data, DataConfig):
        check_first_rows(loaded.data, options=options)
    return loaded


def resume(
    recipe: str | None,
    overrides: list[str],
    data: str | None,
    text_column: str | None,
    output: Path | None,
    report: Report,
    summarize: Callable[[TrainedRun], S],
    device: str | None = None,
    label_column: str | None = None,
) -> S | None:
    """Go on with the run in `output`, or with the newest one, as it began.

    `data` may name another path to the same data, which is then stored in the run, and
    `overrides` may raise `train.epochs`, see `reason_against_longer`.

    Raises:
        RunError: there is no run, or a recipe or data other than the run's is named.
        SpecError: an override is malformed.
    """
    for option, column in (("text", text_column), ("label", label_column)):
        if column is not None and data is None:
            raise RunError(f"--{option}-column goes with --data: a run remembers its own")
    folder = output or newest_run()
    saved = saved_recipe(folder)
    if recipe is not None or overrides or data is not None:
        lengths = [f"train.{key}" for key in LENGTHS]
        keys = [override.partition("=")[0].strip() for override in overrides]
        if recipe is None and not set(keys) <= set(lengths):
            allowed = " or ".join(lengths)
            raise RunError(f"--resume takes no --set but {allowed}: a run goes on as it began")
        asked = with_changes(saved, overrides) if recipe is None else load_recipe(recipe, overrides)
        asked = with_data(asked, data, text_column, label_column)
        if data is None:
            several = getattr(saved.data, "fields", None) is not None
            names = () if several else ("text", "label")
            columns = [getattr(saved.data, f"{name}_column", None) for name in names] or [None]
            asked = with_data(asked, saved.data.source, *columns)
        asked = as_saved(asked, saved)
        if not asked.trains_as(saved) and not differs_in_length(asked, saved):
            raise RunError(f"{folder} holds another run than the one asked for; --output names it")
        saved = asked
    return run(saved, folder, True, report, summarize, device)


def newest_run(parent: Path = Path("runs")) -> Path:
    """The run that was begun last.

    Raises:
        RunError: there is none.
    """
    folder = newest(parent, RECIPE)
    if folder is None:
        raise RunError(f"no run in {parent}/ to resume: name one with --output")
    return folder


def with_data(
    recipe: Recipe, data: str | None, text_column: str | None, label_column: str | None = None
) -> Recipe:
    """The recipe with other data; a local path is made absolute, so that a run can resume.

    Raises:
        RunError: a column of texts is named for images.
    """
    fields = getattr(recipe.data, "fields", None)
    if fields is not None and (text_column is not None or label_column is not None):
        raise RunError(
            f"{recipe.name} reads the fields {', '.join(fields)}: name their columns with "
            "--field FIELD=COLUMN"
        )
    changes: dict[str, Any] = {}
    source = recipe.data.source if data is None else str(path_of(data))
    if source is not None:
        changes["source"] = str(Path(source).resolve()) if Path(source).exists() else source
    if text_column is not None:
        if isinstance(recipe.data, ImageDataConfig):
            raise RunError(f"--text-column: {recipe.name} is for images")
        changes["text_column"] = text_column
    if label_column is not None:
        changes["label_column"] = label_column
    config = type(recipe.data).model_validate({**recipe.data.model_dump(), **changes})
    return Recipe(**{**vars(recipe), "data": config})


def words_of(corpus: AnyCorpus) -> int:
    """The words of the training texts, those of all fields; 0 for images."""
    if isinstance(corpus, TableCorpus):
        return sum(count_words(corpus.train.columns[name]) for name in corpus.texts)
    return count_words(corpus.train) if isinstance(corpus, Corpus) else 0


def run(
    recipe: Recipe,
    folder: Path,
    resumed: bool,
    report: Report,
    summarize: Callable[[TrainedRun], S],
    device: str | None,
) -> S | None:
    """Train or go on, then have the model summarised and store the summary.

    Of several processes only the first summarises; the others return None.

    Raises:
        InterruptedRunError: Ctrl-C or SIGTERM; the message has the command to resume.
        ValueError: the data or the folder cannot be used; see `train_run`.
    """
    # Imported here, one after the other: mistakes in the recipe need no torch to be found, mistakes
    # in the data no Trainer, which takes longer to import than torch.
    from textvae.training.run_data import corpus_of

    corpus = corpus_of(recipe.data, held_out_of(folder) if resumed else None)
    for note in corpus.notes:
        report("note", {"text": note})
    if leaves_open(recipe):
        size = len(corpus.train), words_of(corpus)
        fixed = sized(recipe, *size)
        report("note", {"text": f"sized for {size[0]:,} texts: {sizes_text(recipe, fixed)}"})
        recipe = fixed
    if not len(corpus.valid):
        unit = "row" if isinstance(corpus, TableCorpus) else "text"
        raise DataError(f"{corpus.source}: no {unit} to validate on")
    from textvae.training.runs import train_run

    began = time.monotonic()
    try:
        model, tokenizer = train_run(recipe, corpus, folder, resumed, report, device)
        seconds = time.monotonic() - began
        if process_rank() > 0:
            return None
        report("finished", {})
        finished = summarize(TrainedRun(model, tokenizer, corpus, folder, seconds))
        write_file(folder / RESULTS, json_text(finished.summary) + "\n")
        write_file(folder / CARD, finished.card)
    except KeyboardInterrupt as stop:
        # A second Ctrl-C, or one before the first step or after the last.
        raise InterruptedRunError(how_to_go_on(folder), exit_code(stop)) from None
    return finished
