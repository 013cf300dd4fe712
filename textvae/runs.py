"""A run: one folder that holds a recipe, its tokenizer, its checkpoints and the finished model."""

import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast, TrainerCallback, TrainerControl, TrainerState
from transformers.integrations.integration_utils import TensorBoardCallback

from textvae.checkpoints import (
    CheckpointError,
    last_sound_checkpoint,
    quiet_transformers,
    written_whole,
)
from textvae.data.batching import Sentences
from textvae.data.readers import Corpus, DataError
from textvae.data.tokenizers import load_tokenizer, train_tokenizer
from textvae.model import VAE, VAEConfig
from textvae.objectives import Objective
from textvae.recipes import Recipe, parse_yaml, read_recipe
from textvae.trainer import VAETrainer, process_rank

Report = Callable[[str, Mapping[str, Any]], None]
RECIPE, STATE, RESULTS = "recipe.yaml", "run.json", "results.json"


class RunError(ValueError):
    """A run folder that cannot be used as asked."""


class InterruptedRunError(Exception):
    """Training stopped on request; its checkpoint is saved."""


def build_model(recipe: Recipe, vocab_size: int) -> VAE:
    """The recipe's model with its objective; initial weights depend on the recipe's seed alone.

    Raises:
        SpecError: a node or the objective cannot be built; every mistake is named.
    """
    objective = Objective.build(recipe.objective)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.train.seed)
        model = VAE(VAEConfig(vocab_size=vocab_size, recipe=recipe.name, **recipe.model))
    model.objective = objective
    return model


def train_run(
    recipe: Recipe,
    corpus: Corpus,
    folder: Path,
    resume: bool = False,
    report: Report = lambda event, values: None,
    device: str | None = None,
) -> tuple[VAE, PreTrainedTokenizerFast]:
    """Train a recipe on a corpus in a folder; the best model by validation bound is kept.

    Interrupted at any moment and resumed, it ends with the same model, bit for bit on the CPU.

    Args:
        recipe: what to train and how.
        corpus: texts; `valid` must not be empty.
        folder: of the run; new, unless `resume`.
        resume: go on from the newest undamaged checkpoint, or from the start if there is none.
        report: called with an event and its values: begin, note, step, log, validation.
        device: "cpu" to stay off a GPU that is there.

    Raises:
        RunError: the folder holds a run already, or, with `resume`, another one; or another
            process trains there.
        SpecError: the recipe's model or objective cannot be built.
        NonFiniteLossError: the loss became NaN or infinite; checkpoints are kept.
        InterruptedRunError: Ctrl-C; a checkpoint of this moment is kept.
    """
    with alone_in(folder, resume):
        return train_alone(recipe, corpus, folder, resume, report, device)


def train_alone(
    recipe: Recipe, corpus: Corpus, folder: Path, resume: bool, report: Report, device: str | None
) -> tuple[VAE, PreTrainedTokenizerFast]:
    """`train_run` in a folder that no other process writes to."""
    checkpoint = open_folder(recipe, corpus, folder, resume, report)
    if resume and (folder / "model.safetensors").exists():
        report("note", {"text": f"{folder} had finished: what is left is to measure it again"})
    tokenizer = run_tokenizer(recipe, corpus, folder, resume)
    train, left_out = training_sentences(tokenizer, corpus.train, recipe.data.max_tokens)
    if left_out:
        report(
            "note", {"text": f"{left_out} texts of over {recipe.data.max_tokens} tokens left out"}
        )
    valid = Sentences.encoded(tokenizer, corpus.valid)
    model = build_model(recipe, len(tokenizer))
    with interruptible() as stopped, quiet_transformers():
        trainer = VAETrainer(
            model,
            recipe.train,
            train,
            valid,
            folder / "checkpoints",
            report,
            device,
            run_callbacks(folder, stopped, report),
        )
        report("begin", description(model, tokenizer, train, valid, trainer))
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if stopped.is_set():
        raise InterruptedRunError(f"stopped; go on with: textvae train --resume --output {folder}")
    if process_rank() == 0:
        with written_whole(folder) as beside, quiet_transformers():
            trainer.vae.save_pretrained(beside)
            tokenizer.save_pretrained(str(beside))
    return trainer.vae, tokenizer


@contextmanager
def alone_in(folder: Path, resume: bool) -> Iterator[None]:
    """Hold a run's folder, made if it is new; given up by itself when the process dies.

    Raises:
        RunError: another process holds it, or there is nothing to resume.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on Windows
        yield
        return
    if process_rank() > 0:
        yield
        return
    if resume and not folder.is_dir():
        raise RunError(f"{folder} holds no run to resume")
    with suppress(FileExistsError):  # a file: refused with the rest of the checks
        folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise RunError(
            f"{folder}: another process trains there; wait for it, or name another --output"
        ) from None
    try:
        yield
    finally:
        os.close(handle)


def open_folder(
    recipe: Recipe, corpus: Corpus, folder: Path, resume: bool, report: Report
) -> Path | None:
    """Make or reopen a run's folder; the checkpoint to go on from, if any.

    Only the first of several processes checks and writes. The others need not wait for it: a
    barrier here would start torch.distributed before transformers does, which then trains each
    process on its own.
    """
    if process_rank() == 0:
        check_folder(recipe, corpus, folder, resume)
        if not resume:
            make_folder(recipe, corpus, folder)
    if not resume:
        return None
    checkpoint, notes = last_sound_checkpoint(folder / "checkpoints")
    for note in notes:
        report("note", {"text": note})
    return checkpoint


def check_folder(recipe: Recipe, corpus: Corpus, folder: Path, resume: bool) -> None:
    """Refuse to train over another run, or to resume what is not there.

    Raises:
        RunError: saying what the folder holds and what is allowed.
    """
    if not (folder / RECIPE).exists():
        if resume:
            raise RunError(f"{folder} holds no run to resume")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(f"{folder} is not empty: name a new folder with --output")
        return
    if not resume:
        raise RunError(
            f"{folder} holds a run already: --resume to go on, or another --output to begin"
        )
    if saved_recipe(folder).document() != recipe.document():
        raise RunError(f"{folder} holds a run of another recipe; --resume takes no changes")
    if read_state(folder).get("fingerprint") != fingerprint(corpus):
        raise RunError(f"{folder} was trained on other texts than {corpus.source} now holds")


def make_folder(recipe: Recipe, corpus: Corpus, folder: Path) -> None:
    """A new run's folder. The recipe comes last: a folder that has it is a run."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "recipe": recipe.name,
        "data": corpus.source,
        "fingerprint": fingerprint(corpus),
    }
    (folder / STATE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    beside = folder / f".{RECIPE}"
    beside.write_text(recipe.yaml(), encoding="utf-8")
    beside.replace(folder / RECIPE)


def saved_recipe(folder: Path) -> Recipe:
    """The recipe of a run.

    Raises:
        RunError: the folder holds none.
    """
    try:
        text = (folder / RECIPE).read_text(encoding="utf-8")
    except OSError:
        raise RunError(f"{folder} holds no run: {RECIPE} is missing") from None
    document = parse_yaml(text, str(folder / RECIPE))
    return read_recipe(document, read_state(folder).get("recipe", folder.name))


def read_state(folder: Path) -> dict[str, Any]:
    """What `run.json` of a run says; empty when it is missing."""
    try:
        return json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def run_tokenizer(
    recipe: Recipe, corpus: Corpus, folder: Path, resume: bool
) -> PreTrainedTokenizerFast:
    """The run's tokenizer, trained on its training texts; the same ones give the same tokenizer."""
    place = folder / "tokenizer"
    if resume and (place / "tokenizer.json").exists():
        return load_tokenizer(place)
    tokenizer = train_tokenizer(recipe.tokenizer.kind, corpus.train, recipe.tokenizer.vocab_size)
    if process_rank() == 0:
        with written_whole(place) as beside:
            tokenizer.save_pretrained(str(beside))
    return tokenizer


def training_sentences(
    tokenizer: PreTrainedTokenizerFast, texts: list[str], max_tokens: int
) -> tuple[Sentences, int]:
    """The sentences to train on and the number of texts that were too long.

    Raises:
        DataError: every text is too long.
    """
    sentences = Sentences.encoded(tokenizer, texts)
    keep = sentences.lengths <= max_tokens
    if keep.all():
        return sentences, 0
    if not keep.any():
        raise DataError(
            f"every training text has more than data.max_tokens = {max_tokens} tokens "
            f"(the shortest: {sentences.lengths.min()})"
        )
    kept = [text for text, short in zip(texts, keep, strict=True) if short]
    return Sentences.encoded(tokenizer, kept), len(texts) - len(kept)


def description(
    model: VAE,
    tokenizer: PreTrainedTokenizerFast,
    train: Sentences,
    valid: Sentences,
    trainer: VAETrainer,
) -> dict[str, Any]:
    """What a run is about, for the report's "begin"."""
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "vocabulary": len(tokenizer),
        "train": len(train),
        "valid": len(valid),
        "steps": trainer.batches.steps * trainer.plan.epochs,
        "epochs": trainer.plan.epochs,
        "device": str(trainer.args.device),
    }


def run_callbacks(folder: Path, stopped: threading.Event, report: Report) -> list[TrainerCallback]:
    """Progress, stopping on request, and TensorBoard where it is installed (first process)."""
    callbacks: list[TrainerCallback] = [StepReport(stopped, report)]
    if process_rank() == 0:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return callbacks
        callbacks.append(TensorBoardCallback(SummaryWriter(str(folder / "tensorboard"))))
    return callbacks


class StepReport(TrainerCallback):
    """Reports each optimizer step, and stops with a checkpoint when asked to."""

    def __init__(self, stopped: threading.Event, report: Report):
        self.stopped = stopped
        self.report = report
        self.steps_per_epoch = 1

    def on_train_begin(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note how long an epoch is."""
        self.steps_per_epoch = state.max_steps // state.num_train_epochs

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report the step; on request, save and stop."""
        self.report("step", {"step": state.global_step, "steps": state.max_steps})
        if self.stopped.is_set():
            control.should_save = True
            control.should_training_stop = True

    def on_epoch_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """An epoch that was stopped midway is not validated: it would count as one more."""
        if self.stopped.is_set() and state.global_step % self.steps_per_epoch:
            control.should_evaluate = False
            control.should_save = False


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; a second one interrupts at once."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(signum: int, frame: Any) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


def fingerprint(corpus: Corpus) -> str:
    """A SHA-256 of the training and validation texts."""
    sha = hashlib.sha256()
    for texts in (corpus.train, corpus.valid):
        for text in texts:
            sha.update(text.encode("utf-8", "surrogatepass"))
            sha.update(b"\n")
        sha.update(b"\0")
    return sha.hexdigest()


def last_run(parent: Path = Path("runs")) -> Path:
    """The run that finished last.

    Raises:
        CheckpointError: there is none.
    """
    found = newest(parent, "model.safetensors")
    if found is None:
        raise CheckpointError(f"no trained run in {parent}{os.sep}: name one with --model")
    return found


def newest(parent: Path, file: str) -> Path | None:
    """The folder in `parent` whose `file` was written last; None where there is none."""
    found = list(parent.glob(f"*/{file}"))
    return max(found, key=lambda path: path.stat().st_mtime).parent if found else None


def next_folder(name: str, parent: Path = Path("runs")) -> Path:
    """A folder for a run of this name that is not there yet: runs/name, runs/name-2, ..."""
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}-{number}")
        if not folder.exists():
            return folder
        number += 1
