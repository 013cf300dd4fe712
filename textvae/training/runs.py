"""A run: a folder with a recipe, its tokenizer, its checkpoints and the finished model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from textvae.checkpoints import atomic_folder, quiet_transformers
from textvae.data.batching import joined
from textvae.data.corpora import AnyCorpus
from textvae.data.fields import sentences_of, text_columns
from textvae.data.known_words import words_of
from textvae.data.tokenizers import TextTokenizer, tokenizer_kind
from textvae.decoders import Decoder
from textvae.evaluation.latent import fit_priors
from textvae.graph.model import VAE, VAEConfig
from textvae.objectives import Objective
from textvae.randomness import draws, seeded
from textvae.recipes import Recipe, first_stage
from textvae.training.callbacks import Report, StepReport, interruptible, trackers
from textvae.training.description import description
from textvae.training.folders import (
    CHECKPOINTS,
    WEIGHTS,
    InterruptedRunError,
    Start,
    how_to_go_on,
    new_run,
    open_folder,
    read_state,
)
from textvae.training.longer import has_ended, how_to_train_longer
from textvae.training.prepared import Prepared, prepared
from textvae.training.pretraining import begin_with, finished_weights, pretrained
from textvae.training.previews import Previews
from textvae.training.processes import process_rank
from textvae.training.threads import threads
from textvae.training.trainer import VAETrainer


def build_model(
    recipe: Recipe,
    vocab_size: int = 0,
    observed: dict[str, dict[str, Any]] | None = None,
    rows: int = 0,
) -> VAE:
    """The recipe's model with its objective; initial weights depend on the recipe's seed alone.

    Args:
        recipe: that describes it.
        vocab_size: number of token ids V of text fields.
        observed: properties of other fields, see `VAEConfig`.
        rows: number of training rows.

    Raises:
        SpecError: a node or the objective cannot be built; every mistake is named.
    """
    with seeded(recipe.train.seed), draws():
        facts = {"vocab_size": vocab_size, "observed": observed, "recipe": recipe.name}
        model = VAE(VAEConfig(**facts, **recipe.model))
        model.objective = Objective.build(recipe.objective, sizes=model.sizes, rows=rows)
    return model


def train_run(
    recipe: Recipe,
    corpus: AnyCorpus,
    folder: Path,
    resume: bool = False,
    report: Report = lambda event, values: None,
    device: str | None = None,
) -> tuple[VAE, TextTokenizer | None]:
    """Train a recipe on a corpus in a folder; the best model by validation bound is kept.

    Interrupted at any moment and resumed, it ends with the same model, bit for bit on the CPU. An
    error before the first step leaves no run: files and folders that were made are removed.

    Args:
        recipe: what to train and how.
        corpus: texts or images; `valid` must not be empty.
        folder: of the run; new, unless `resume`.
        resume: go on from the newest undamaged checkpoint, or from the start if there is none.
        report: called with an event and its values: begin, note, step, log, validation, preview,
            sample.
        device: "cpu" to stay off a GPU that is there.

    Raises:
        ValueError: a tracker of `train.report_to` is not installed.
        RunError: the folder holds a run already, or, with `resume`, another one; or another
            process trains there.
        SpecError: the recipe's model or objective cannot be built.
        NonFiniteLossError: the loss became NaN or infinite; checkpoints are kept.
        InterruptedRunError: Ctrl-C or SIGTERM; a checkpoint of this moment is kept.
    """
    stored = read_state(folder).get("threads", torch.get_num_threads()) if resume else None
    with (
        new_run(folder, resume) as start,
        threads(stored, lambda text: report("note", {"text": text})),
    ):

        def noticed(event: str, values: Mapping[str, Any]) -> None:
            start.begun = start.begun or event == "begin"
            report(event, values)

        return train_locked(recipe, corpus, start, resume, noticed, device)


def train_locked(
    recipe: Recipe,
    corpus: AnyCorpus,
    start: Start,
    resume: bool,
    report: Report,
    device: str | None,
) -> tuple[VAE, TextTokenizer | None]:
    """`train_run` in a folder that no other process writes to."""
    folder = start.folder

    def note(text: str) -> None:
        report("note", {"text": text})

    logs = trackers(recipe.train.report_to, folder) if process_rank() == 0 else []
    number = torch.get_num_threads()
    checkpoint = open_folder(recipe, corpus, folder, resume, note, number, start)
    if resume and (folder / WEIGHTS).exists():
        note(finished_note(recipe, folder))
    rows = prepared(recipe, corpus, folder, resume, note)
    model = initial_model(recipe, corpus, rows, folder, report, device)
    with interruptible() as stopped, quiet_transformers():
        trainer = VAETrainer(
            model,
            recipe.train,
            rows.train,
            rows.valid,
            folder / CHECKPOINTS,
            report,
            device,
            [StepReport(stopped.event, report), *logs],
        )
        if process_rank() == 0 or trainer.is_fsdp_enabled:
            trainer.add_callback(Previews(trainer, rows.tokenizer, report, logs))
        report("begin", description(recipe, model, rows, trainer))
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if stopped.event.is_set():
        raise InterruptedRunError(how_to_go_on(folder), stopped.code)
    model = trainer.finished_model()
    save_finished(model, rows, folder)
    return model, rows.tokenizer


def finished_note(recipe: Recipe, folder: Path) -> str:
    """What is left to do in a folder with a finished model."""
    if has_ended(recipe, folder):
        left = "what is left is to measure it again"
        return f"{folder} had finished: {left}; {how_to_train_longer(recipe, folder)}"
    return f"{folder} goes on to {recipe.train.epochs} epochs; until then its finished model stays"


def initial_model(
    recipe: Recipe,
    corpus: AnyCorpus,
    rows: Prepared,
    folder: Path,
    report: Report,
    device: str | None,
) -> VAE:
    """The model that training begins with, pretrained where the recipe has `pretrain`."""
    facts = (rows.vocab_size, rows.observed, len(rows.train))
    model = build_model(recipe, *facts)
    for name, decoder in model.decoders.items():
        texts = sentences_of(rows.train, model.field_of(name))
        if cast(Decoder, decoder).observes and texts is not None:
            counts = torch.from_numpy(texts.counts(rows.vocab_size))
            cast(Decoder, decoder).observe(counts, len(texts))
    config = recipe.pretrain
    if config is None:
        return model

    def train(stage: Recipe, folder: Path, resume: bool) -> VAE:
        return train_run(stage, corpus, folder, resume, report, device)[0]

    if config.run is not None:
        weights = finished_weights(config.run, rows.tokenizer)
    else:
        # First with untrained weights: a part that does not fit is refused before any training.
        begin_with(model, build_model(first_stage(recipe), *facts).state_dict(), config)
        weights = pretrained(recipe, folder, report, train)
    begin_with(model, weights, config)
    return model


def save_finished(model: VAE, rows: Prepared, folder: Path) -> None:
    """Fit the priors of a trained model and save it with its tokenizer (first process)."""
    # The finished model has no critic: its weights serve training alone.
    del model.objective
    model.objective = None
    if process_rank() > 0:
        return
    fit_priors(model, (batch for _, batch in rows.train.in_length_order()))
    with atomic_folder(folder) as path:
        model.save_pretrained(path)
        if rows.tokenizer is not None:
            rows.tokenizer.words = training_words(rows)
            rows.tokenizer.save_pretrained(path)


def training_words(rows: Prepared) -> list[list[int]] | None:
    """The words of the training texts, where a tokenizer could put pieces together to others."""
    texts = text_columns(rows.train)
    if not texts or rows.tokenizer is None:
        return None
    if tokenizer_kind(rows.tokenizer) not in ("bpe", "unigram"):
        return None
    return words_of(rows.tokenizer.pieces, joined(texts))
