"""Training from end to end: data, run, held-out figures, what the model says."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from textvae.console import json_text
from textvae.data.fields import Fields
from textvae.data.images import ImageCorpus, read_image_corpus
from textvae.data.readers import Corpus, DataError
from textvae.image import ImageVAE
from textvae.pictures import write_first_pictures
from textvae.plan import DataPlan, ImagePlan
from textvae.recipes import Recipe, check_model, load_recipe
from textvae.reports import entropy_of, evaluation_text, image_subset, read_data, subset
from textvae.runs import (
    RECIPE,
    RESULTS,
    InterruptedRunError,
    OccupiedError,
    Report,
    RunError,
    how_to_go_on,
    newest,
    next_folder,
    saved_recipe,
    train_run,
)
from textvae.sentence import SentenceVAE
from textvae.trainer import process_count, process_rank

__all__ = ["Finished", "process_rank", "resume", "train"]

SUMMARY_SAMPLES, SUMMARY_SENTENCES = 50, 500


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Args:
        folder: of the run.
        figures: of held-out texts.
        reconstructions: pairs of a held-out text and what came back.
        samples: sentences from the prior.
        interpolation: sentences between two held-out texts; empty without a latent.
        seconds: that training took, this time.
        pictures: files of an image model: reconstructions, samples, an interpolation.
    """

    folder: Path
    figures: dict[str, Any]
    reconstructions: list[tuple[str, str]]
    samples: list[str]
    interpolation: list[str]
    seconds: float
    pictures: tuple[str, ...] = ()

    @property
    def summary(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {**asdict(self), "folder": str(self.folder)}

    def text(self) -> str:
        """All of it for a person."""
        parts = [f"held-out figures\n{evaluation_text(self.figures)}"]
        if self.reconstructions:
            lines = [f"  {text}\n    -> {back}" for text, back in self.reconstructions]
            parts.append("\n".join(["reconstructions (greedy, from the posterior mean)", *lines]))
        if self.samples:
            lines = [f"  {sentence}" for sentence in self.samples]
            parts.append("\n".join(["samples from the prior", *lines]))
        if self.interpolation:
            lines = [f"  {sentence}" for sentence in self.interpolation]
            parts.append("\n".join(["an interpolation", *lines]))
        if self.pictures:
            parts.append("\n".join(["pictures", *(f"  {picture}" for picture in self.pictures)]))
        parts.append(f"saved in {self.folder} after {self.seconds:.0f} s of training")
        return "\n\n".join(parts)


def train(
    recipe: str,
    overrides: list[str],
    data: str | None,
    text_column: str | None,
    output: Path | None,
    report: Report,
    device: str | None = None,
) -> Finished | None:
    """Train a recipe in a new folder.

    Args:
        recipe: name or path.
        overrides: `key=value` changes to it.
        data: folder, file or hub name; None for what the recipe names.
        text_column: column of a table that holds the texts; None for what the recipe names.
        output: folder of the run; None for runs/NAME, numbered when taken.
        report: called with each event.
        device: "cpu" to stay off a GPU that is there.

    Raises:
        ValueError: the recipe, the data or the folder cannot be used; see `train_run`.
    """
    loaded = with_data(load_recipe(recipe, overrides), data, text_column)
    check_model(loaded)
    if output is None and process_count() > 1:
        raise RunError("several processes cannot agree on a new folder: name one with --output")
    return run(loaded, output or next_folder(loaded.name), False, report, device)


def resume(
    recipe: str | None,
    overrides: list[str],
    data: str | None,
    text_column: str | None,
    output: Path | None,
    report: Report,
    device: str | None = None,
) -> Finished | None:
    """Go on with the run in `output`, or with the newest one; nothing of it can be changed.

    `data` may name another place, where the run's data has gone: the run then remembers that one.

    Raises:
        RunError: there is no run, or a recipe or data other than the run's is named.
    """
    if text_column is not None and data is None:
        raise RunError("--text-column goes with --data: a run remembers its own")
    folder = output or newest_run()
    saved = saved_recipe(folder)
    if recipe is not None or overrides or data is not None:
        if recipe is None and overrides:
            raise RunError("--resume takes no --set: a run goes on as it began")
        asked = saved if recipe is None else load_recipe(recipe, overrides)
        asked = with_data(asked, data, text_column)
        if data is None:
            column = getattr(saved.data, "text_column", None)
            asked = with_data(asked, saved.data.source, column)
        if not asked.trains_as(saved):
            raise RunError(f"{folder} holds another run than the one asked for; --output names it")
        saved = asked
    return run(saved, folder, True, report, device)


def newest_run(parent: Path = Path("runs")) -> Path:
    """The run that was begun last.

    Raises:
        RunError: there is none.
    """
    found = newest(parent, RECIPE)
    if found is None:
        raise RunError(f"no run in {parent}/ to resume: name one with --output")
    return found


def with_data(recipe: Recipe, data: str | None, text_column: str | None) -> Recipe:
    """The recipe with other data; a local path is made absolute, so that a run can resume."""
    changes: dict[str, Any] = {}
    source = recipe.data.source if data is None else data
    if source is not None:
        changes["source"] = str(Path(source).resolve()) if Path(source).exists() else source
    if text_column is not None:
        if isinstance(recipe.data, ImagePlan):
            raise RunError(f"--text-column: {recipe.name} is for images")
        changes["text_column"] = text_column
    plan = type(recipe.data).model_validate({**recipe.data.model_dump(), **changes})
    return Recipe(**{**vars(recipe), "data": plan})


def run(
    recipe: Recipe, folder: Path, resumed: bool, report: Report, device: str | None
) -> Finished | None:
    """Train or go on, then look at the model with held-out texts and store the figures.

    Of several processes only the first looks; the others have nothing to return.

    Raises:
        InterruptedRunError: Ctrl-C; the message says how to go on.
        ValueError: the data or the folder cannot be used; see `train_run`.
    """
    corpus = corpus_of(recipe.data)
    for note in corpus.notes:
        report("note", {"text": note})
    if not len(corpus.valid):
        raise DataError(f"{corpus.source}: no text to validate on")
    began = time.monotonic()
    try:
        with all_or_nothing(folder, report) as noticed:
            model, tokenizer = train_run(recipe, corpus, folder, resumed, noticed, device)
        seconds = time.monotonic() - began
        if process_rank() > 0:
            return None
        report("finished", {})
        if isinstance(corpus, ImageCorpus):
            rows = image_subset(corpus.test or corpus.valid, SUMMARY_SENTENCES)
            finished = look_at_images(ImageVAE(model), rows, folder, seconds)
        else:
            assert tokenizer is not None, "texts have one"
            split = "test" if corpus.test else "valid"
            texts = subset(getattr(corpus, split), SUMMARY_SENTENCES)
            labels = None if corpus.labels is None else corpus.labels[split]
            labels = None if labels is None else subset(labels, SUMMARY_SENTENCES)
            finished = look(SentenceVAE(model, tokenizer), texts, folder, seconds, labels)
        (folder / RESULTS).write_text(json_text(finished.summary) + "\n", encoding="utf-8")
    except KeyboardInterrupt:
        # A second Ctrl-C, or one before the first step or after the last.
        raise InterruptedRunError(how_to_go_on(folder)) from None
    return finished


def corpus_of(plan: DataPlan | ImagePlan) -> Corpus | ImageCorpus:
    """The texts or images that a recipe's data section names."""
    return read_image_corpus(plan) if isinstance(plan, ImagePlan) else read_data(plan)


@contextmanager
def all_or_nothing(folder: Path, report: Report) -> Iterator[Report]:
    """A report to train with; a new folder is taken away again by an error before the first step.

    Ctrl-C leaves it where it can be resumed.

    Args:
        folder: of the run, which training makes if it is not there.
        report: that each event goes on to.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    vacant = bool(missing) or (folder.is_dir() and not any(folder.iterdir()))
    begun = False

    def noticed(event: str, values: Mapping[str, Any]) -> None:
        nonlocal begun
        begun = begun or event == "begin"
        report(event, values)

    try:
        yield noticed
    except OccupiedError:
        raise  # the folder is the other's
    except BaseException as error:
        resumes = not isinstance(error, Exception) and (folder / RECIPE).exists()
        if vacant and not begun and not resumes and process_rank() == 0:
            shutil.rmtree(folder, ignore_errors=True)
            if not missing:
                folder.mkdir()
            with suppress(OSError):
                # Another run may stand in a parent by now.
                for parent in missing[1:]:
                    parent.rmdir()
        raise


def look(
    vae: SentenceVAE, texts: list[str], folder: Path, seconds: float, labels: list[str] | None
) -> Finished:
    """Held-out figures, three reconstructions, three samples and an interpolation."""
    told = labels if labels is not None and any(labels) and vae.tells_labels else None
    figures = asdict(vae.evaluate(texts, SUMMARY_SAMPLES, labels=told))
    figures |= entropy_of(str(folder), None)
    few = texts[:3]
    decodes = bool(vae.dim) and vae.ordered
    back = vae.reconstruct(few) if decodes else []
    between = vae.interpolate(texts[0], texts[-1], 6) if decodes and len(texts) > 1 else []
    return Finished(
        folder=folder,
        figures=figures,
        reconstructions=list(zip(few, back, strict=False)),
        samples=vae.sample(3, seed=0),
        interpolation=between,
        seconds=seconds,
    )


def look_at_images(vae: ImageVAE, rows: Fields, folder: Path, seconds: float) -> Finished:
    """Held-out figures, and pictures of reconstructions, samples and an interpolation."""
    figures = asdict(vae.evaluate(rows, SUMMARY_SAMPLES))
    pictures = tuple(str(path) for path in write_first_pictures(vae, rows, folder))
    return Finished(folder, figures, [], [], [], seconds, pictures)
