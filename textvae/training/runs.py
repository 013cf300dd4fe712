"""A run: one folder that holds a recipe, its tokenizer, its checkpoints and the finished model."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast, TrainerCallback, TrainerControl, TrainerState
from transformers.integrations.integration_utils import TensorBoardCallback

from textvae.checkpoints import (
    CheckpointError,
    atomic_folder,
    last_sound_checkpoint,
    quiet_transformers,
)
from textvae.config import DataConfig, PretrainingConfig
from textvae.data.batching import Examples, none_is_short
from textvae.data.cache import encoded_sentences, trained_tokenizer
from textvae.data.fields import sentences_of
from textvae.data.images import ImageCorpus, check_unit_interval
from textvae.data.labels import class_names, kept, numbered, with_labels
from textvae.data.readers import Corpus, DataError
from textvae.data.texts import add_text, sha_of
from textvae.data.tokenizers import load_tokenizer
from textvae.decoders import Decoder
from textvae.evaluation.latent import fit_priors
from textvae.graph.model import VAE, VAEConfig
from textvae.likelihoods import PixelLikelihood
from textvae.objectives import Objective
from textvae.recipes import Recipe, first_stage, parse_yaml, read_recipe
from textvae.registry import SpecError
from textvae.training.processes import process_rank
from textvae.training.trainer import VAETrainer

Report = Callable[[str, Mapping[str, Any]], None]
RECIPE, STATE, RESULTS, WEIGHTS = "recipe.yaml", "run.json", "results.json", "model.safetensors"


class RunError(ValueError):
    """A run folder that cannot be used as asked."""


class OccupiedError(RunError):
    """Another process trains in the folder."""


class InterruptedRunError(Exception):
    """Training stopped on request; its checkpoint is saved."""


def build_model(
    recipe: Recipe, vocab_size: int = 0, observed: dict[str, dict[str, Any]] | None = None
) -> VAE:
    """The recipe's model with its objective; initial weights depend on the recipe's seed alone.

    Args:
        recipe: that describes it.
        vocab_size: number of token ids V of text fields.
        observed: what is known of other fields, see `VAEConfig`.

    Raises:
        SpecError: a node or the objective cannot be built; every mistake is named.
    """
    with torch.random.fork_rng():
        torch.manual_seed(recipe.train.seed)
        known = {"vocab_size": vocab_size, "observed": observed, "recipe": recipe.name}
        model = VAE(VAEConfig(**known, **recipe.model))
        model.objective = Objective.build(recipe.objective, sizes=model.sizes)
    return model


def train_run(
    recipe: Recipe,
    corpus: Corpus | ImageCorpus,
    folder: Path,
    resume: bool = False,
    report: Report = lambda event, values: None,
    device: str | None = None,
) -> tuple[VAE, PreTrainedTokenizerFast | None]:
    """Train a recipe on a corpus in a folder; the best model by validation bound is kept.

    Interrupted at any moment and resumed, it ends with the same model, bit for bit on the CPU.

    Args:
        recipe: what to train and how.
        corpus: texts or images; `valid` must not be empty.
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
    recipe: Recipe,
    corpus: Corpus | ImageCorpus,
    folder: Path,
    resume: bool,
    report: Report,
    device: str | None,
) -> tuple[VAE, PreTrainedTokenizerFast | None]:
    """`train_run` in a folder that no other process writes to."""

    def note(text: str) -> None:
        report("note", {"text": text})

    checkpoint = open_folder(recipe, corpus, folder, resume, report)
    if resume and (folder / WEIGHTS).exists():
        note(f"{folder} had finished: what is left is to measure it again")
    rows = prepared(recipe, corpus, folder, resume, note)
    tokenizer, facts = rows.tokenizer, (rows.vocab_size, rows.observed)
    model = build_model(recipe, *facts)
    observers = [d for d in model.decoders.values() if cast(Decoder, d).observes]
    if observers and (texts := sentences_of(rows.train)) is not None:
        counts = torch.from_numpy(texts.counts(rows.vocab_size))
        for decoder in observers:
            cast(Decoder, decoder).observe(counts, len(rows.train))
    if (config := recipe.pretrain) is not None:
        if config.run is not None:
            weights = finished_weights(config.run, tokenizer)
        else:
            # First with untrained weights: a part that does not fit is refused before any training.
            begin_with(model, build_model(first_stage(recipe), *facts).state_dict(), config)
            weights = pretrained(recipe, corpus, folder, report, device)
        begin_with(model, weights, config)
    with interruptible() as stopped, quiet_transformers():
        trainer = VAETrainer(
            model,
            recipe.train,
            rows.train,
            rows.valid,
            folder / "checkpoints",
            report,
            device,
            run_callbacks(folder, stopped, report),
        )
        report("begin", description(model, rows, trainer))
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if stopped.is_set():
        raise InterruptedRunError(how_to_go_on(folder))
    model = trainer.finished_model()
    # A critic has done its work; the finished model holds none of its weights.
    del model.objective
    model.objective = None
    if process_rank() == 0:
        fit_priors(model, (batch for _, batch in rows.train.in_length_order()))
        with atomic_folder(folder) as beside, quiet_transformers():
            model.save_pretrained(beside)
            if tokenizer is not None:
                tokenizer.save_pretrained(str(beside))
    return model, tokenizer


@dataclass(frozen=True)
class Prepared:
    """What a run reads: rows to train and validate on, and what a model must know of them.

    Args:
        train: to train on.
        valid: to validate on.
        tokenizer: of the texts; None for images.
        observed: what is known of each field that is no text, see `VAEConfig`.
    """

    train: Examples
    valid: Examples
    tokenizer: PreTrainedTokenizerFast | None
    observed: dict[str, dict[str, Any]] | None = None

    @property
    def vocab_size(self) -> int:
        """Number of token ids V; 0 for images."""
        return 0 if self.tokenizer is None else len(self.tokenizer)


def prepared(
    recipe: Recipe,
    corpus: Corpus | ImageCorpus,
    folder: Path,
    resume: bool,
    note: Callable[[str], None],
) -> Prepared:
    """The rows of a corpus as a model reads them."""
    if isinstance(corpus, ImageCorpus):
        check_range(recipe, corpus)
        return Prepared(corpus.train, corpus.valid, None, corpus.facts)
    assert isinstance(recipe.data, DataConfig), "texts come from a data section for texts"
    tokenizer = run_tokenizer(recipe, corpus, folder, resume, note)
    valid = encoded_sentences(tokenizer, corpus.valid, note)
    if corpus.labels is not None:
        names = class_names(corpus.labels["train"])
        untaught = sorted(set(corpus.labels["valid"]) - {*names, ""})
        if untaught:
            raise DataError(
                f"{corpus.source}: only validation texts have the label {untaught[0]!r}"
            )
        texts, values = labelled_texts(recipe, corpus, tokenizer, names, note)
        train = with_labels(encoded_sentences(tokenizer, texts, note), values, names)
        held_out = numbered(corpus.labels["valid"], names)
        return Prepared(train, with_labels(valid, held_out, names), tokenizer, train.facts)
    train = encoded_sentences(tokenizer, corpus.train, note, recipe.data.max_tokens)
    say_left_out(len(corpus.train) - len(train), recipe.data, note)
    return Prepared(train, valid, tokenizer)


def say_left_out(count: int, config: DataConfig, note: Callable[[str], None]) -> None:
    """A note on texts that are too long, if there are some."""
    if count:
        note(f"{count} texts of over {config.max_tokens} tokens left out")


def labelled_texts(
    recipe: Recipe,
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerFast,
    names: list[str],
    note: Callable[[str], None],
) -> tuple[list[str], np.ndarray]:
    """The training texts and the label of each, (N,), -1 for none, as the data section asks."""
    config = recipe.data
    assert isinstance(config, DataConfig) and corpus.labels is not None, "texts with labels"
    lengths = encoded_sentences(tokenizer, corpus.train, note).lengths
    short = np.flatnonzero(lengths <= config.max_tokens)
    if not len(short):
        raise none_is_short(config.max_tokens, int(lengths.min()))
    say_left_out(len(lengths) - len(short), config, note)
    values = numbered(corpus.labels["train"], names)[short]
    if config.labelled is not None:
        values = kept(values, config.labelled, recipe.train.seed)
    labelled = np.flatnonzero(values >= 0)
    note(f"{len(labelled):,} training texts have a label: {', '.join(names)}")
    rows = np.concatenate([np.arange(len(values)), np.tile(labelled, config.repeat_labelled - 1)])
    texts = list(corpus.train)
    return [texts[short[row]] for row in rows], values[rows]


def check_range(recipe: Recipe, corpus: ImageCorpus) -> None:
    """Refuse images outside [0, 1] under a likelihood that has no density for them.

    Raises:
        DataError: naming the likelihood and the range.
    """
    kinds = [dict(node.get("likelihood") or {}).get("kind") for node in recipe.model["decoders"]]
    bounded = [k for k in kinds if k in PixelLikelihood.kinds and PixelLikelihood.kinds[k].bounded]  # type: ignore[attr-defined]
    for rows in (corpus.train, corpus.valid):
        check_unit_interval(rows.columns["image"].values, bounded, corpus.source)  # type: ignore[attr-defined]


def pretrained(
    recipe: Recipe,
    corpus: Corpus | ImageCorpus,
    folder: Path,
    report: Report,
    device: str | None,
) -> Mapping[str, Tensor]:
    """The weights that the recipe's first training ends with, by name.

    It is a run of its own in the folder's `pretrain`, resumed or only read where it is there.
    """
    place = folder / "pretrain"
    if (place / WEIGHTS).exists():
        return load_file(place / WEIGHTS)
    report("note", {"text": "the first of two trainings"})
    begun = (place / RECIPE).exists()
    try:
        model, _ = train_run(first_stage(recipe), corpus, place, begun, report, device)
    except InterruptedRunError:
        raise InterruptedRunError(how_to_go_on(folder)) from None
    report("note", {"text": "the second of two trainings"})
    return model.state_dict()


def finished_weights(run: str, tokenizer: PreTrainedTokenizerFast | None) -> Mapping[str, Tensor]:
    """The weights of a finished run, by name.

    Args:
        run: its folder.
        tokenizer: of whom begins with them; None for images.

    Raises:
        RunError: no model is there, or its ids stand for other tokens.
    """
    place = Path(run)
    if not (place / WEIGHTS).exists():
        raise RunError(f"pretrain.run: {run} holds no finished model ({WEIGHTS})")
    if tokenizer is not None and load_tokenizer(place).get_vocab() != tokenizer.get_vocab():
        raise RunError(
            f"pretrain.run: ids of {run} stand for other tokens; it must have been trained on the "
            f"same texts with the same tokenizer section"
        )
    return load_file(place / WEIGHTS)


@torch.no_grad()
def begin_with(model: VAE, weights: Mapping[str, Tensor], config: PretrainingConfig) -> None:
    """Give a model the weights of a first training, and freeze what is not to change.

    Raises:
        SpecError: a part that is not there, or whose weights have another shape.
    """
    own = model.state_dict()
    problems = []
    for part, source in config.sources.items():
        found = {name: source + name.removeprefix(part) for name in within(part, own)}
        taken = {name: weights[other] for name, other in found.items() if other in weights}
        if not taken:
            problems.append(f"pretrain.transfer: no weights go from {source!r} to {part!r}")
        for name, value in taken.items():
            if value.shape != own[name].shape:
                shapes = f"{tuple(value.shape)} to {tuple(own[name].shape)}"
                problems.append(f"pretrain.transfer: {name}: from shape {shapes}")
            else:
                own[name].copy_(value)
    for part in config.freeze:
        if not within(part, own):
            problems.append(f"pretrain.freeze: the model has no part {part!r}")
    if problems:
        raise SpecError(problems)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(within(part, [name]) for part in config.freeze))


def within(part: str, names: Iterable[str]) -> list[str]:
    """The names of parameters that belong to a part, such as `encoders.text`."""
    return [name for name in names if name == part or name.startswith(f"{part}.")]


def how_to_go_on(folder: Path) -> str:
    """What to say of a run that was stopped."""
    if not (folder / RECIPE).exists():
        return "stopped before the run began"
    return f"stopped; go on with: textvae train --resume --output {folder}"


@contextmanager
def alone_in(folder: Path, resume: bool) -> Iterator[None]:
    """Hold a run's folder, made if it is new; given up by itself when the process dies.

    Raises:
        OccupiedError: another process holds it.
        RunError: there is nothing to resume.
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
        raise OccupiedError(
            f"{folder}: another process trains there; wait for it, or name another --output"
        ) from None
    handles = [handle]

    def let_go() -> None:
        while handles:
            os.close(handles.pop())

    # A loader's worker outlives a killed parent by seconds, and would hold the folder as long.
    os.register_at_fork(after_in_child=let_go)
    try:
        yield
    finally:
        let_go()


def open_folder(
    recipe: Recipe, corpus: Corpus | ImageCorpus, folder: Path, resume: bool, report: Report
) -> Path | None:
    """Make or reopen a run's folder; the checkpoint to go on from, if any.

    Only the first of several processes checks and writes. The others need not wait for it: a
    barrier here would start torch.distributed before transformers does, which then trains each
    process on its own.
    """
    if process_rank() == 0:
        check_folder(recipe, corpus, folder, resume)
        if not resume or saved_recipe(folder).document() != recipe.document():
            make_folder(recipe, corpus, folder)
    if not resume:
        return None
    checkpoint, notes = last_sound_checkpoint(folder / "checkpoints")
    for note in notes:
        report("note", {"text": note})
    return checkpoint


def check_folder(recipe: Recipe, corpus: Corpus | ImageCorpus, folder: Path, resume: bool) -> None:
    """Refuse to train over another run, or to resume what is not there.

    Raises:
        RunError: saying what the folder holds and what is allowed.
    """
    if not (folder / RECIPE).exists():
        if resume:
            raise RunError(f"{folder} holds no run to resume")
        if folder.exists() and not (folder.is_dir() and is_vacant(folder)):
            raise RunError(f"{folder} is not empty: name a new folder with --output")
        return
    if not resume:
        raise RunError(
            f"{folder} holds a run already: --resume to go on, or another --output to begin"
        )
    if not recipe.trains_as(saved_recipe(folder)):
        raise RunError(f"{folder} holds a run of another recipe; --resume takes no changes")
    if read_state(folder).get("fingerprint") != fingerprint(corpus):
        what = "images" if isinstance(corpus, ImageCorpus) else "texts"
        raise RunError(f"{folder} was trained on other {what} than {corpus.source} now holds")


def is_vacant(folder: Path) -> bool:
    """Whether a folder holds nothing but what a process left that was killed before it began."""
    return {path.name for path in folder.iterdir()} <= {STATE, f".{RECIPE}"}


def make_folder(recipe: Recipe, corpus: Corpus | ImageCorpus, folder: Path) -> None:
    """A new run's folder, or data's new place. The recipe last: a folder that has it is a run."""
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
    recipe: Recipe, corpus: Corpus, folder: Path, resume: bool, note: Callable[[str], None]
) -> PreTrainedTokenizerFast:
    """The run's tokenizer, trained on its training texts; the same ones give the same tokenizer."""
    place = folder / "tokenizer"
    if resume and (place / "tokenizer.json").exists():
        return load_tokenizer(place)
    config = recipe.tokenizer
    tokenizer = trained_tokenizer(
        config.kind, corpus.train, config.vocab_size, note, config.stop_words
    )
    if process_rank() == 0:
        with atomic_folder(place) as beside:
            tokenizer.save_pretrained(str(beside))
    return tokenizer


def description(model: VAE, rows: Prepared, trainer: VAETrainer) -> dict[str, Any]:
    """What a run is about, for the report's "begin"."""
    return {
        "parameters": sum(
            p.numel() for name, p in model.named_parameters() if not name.startswith("objective.")
        ),
        "vocabulary": rows.vocab_size,
        "train": len(rows.train),
        "valid": len(rows.valid),
        "steps": trainer.batches.steps * trainer.config.epochs,
        "epochs": trainer.config.epochs,
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


def fingerprint(corpus: Corpus | ImageCorpus) -> str:
    """A SHA-256 of the training and validation texts or images."""
    if isinstance(corpus, ImageCorpus):
        return corpus.fingerprint()
    sha = sha_of(corpus.train)
    sha.update(b"\0")
    for text in corpus.valid:
        add_text(sha, text)
    sha.update(b"\0")
    for label in (label for split in (corpus.labels or {}).values() for label in split):
        add_text(sha, label)
    return sha.hexdigest()


def last_run(parent: Path = Path("runs")) -> Path:
    """The run that finished last.

    Raises:
        CheckpointError: there is none.
    """
    found = newest(parent, WEIGHTS)
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
