"""Training on transformers.Trainer: our batches, our losses, resumable to the same bits."""

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from textvae.checkpoints import CheckpointError, checkpoints, damage, discard, put_in_place
from textvae.config import AveragingConfig, LaggingConfig, TrainingConfig
from textvae.data.batching import Examples, Sentences, ShuffledBatches
from textvae.data.fields import sentences_of
from textvae.decoders.topics import TopicDecoder
from textvae.evaluation.labels import label_accuracy, labelled_latent
from textvae.evaluation.latent import (
    active_units,
    information,
    is_collapsed,
    is_deterministic,
    posterior_means,
)
from textvae.evaluation.likelihood import likelihood
from textvae.evaluation.topics import npmi, topic_decoder
from textvae.graph.model import VAE, VAEConfig
from textvae.graph.refinement import held
from textvae.training.lagging import (
    Falling,
    drop_gradients,
    is_aggressive,
    seed_noise,
    similar_texts,
    split_parameters,
)
from textvae.training.sharding import (
    full_optimizer_state,
    full_state_dict,
    gathered,
    set_optimizer,
    set_weights,
)

OPTIMIZERS = {"adamw": "adamw_torch_fused", "sgd": "sgd"}
LEARNING_RATE_SCHEDULES = {
    "constant": "constant_with_warmup",
    "linear": "linear",
    "cosine": "cosine",
    "plateau": "reduce_lr_on_plateau",
}
MONITORED = {"bound": "eval_loss", "coherence": "eval_npmi", "accuracy": "eval_accuracy"}
"""What a validation logs, by what chooses the best model."""
TOPIC_WORDS = 10
"""Words of each topic whose coherence is looked at."""
EVENTS = ("log", "validation")
WEIGHTS, AVERAGED = "model.safetensors", "averaged.safetensors"
"""Files of a checkpoint: the weights, and their mean."""


class NonFiniteLossError(ArithmeticError):
    """The loss became NaN or infinite; training stopped before the step was taken."""


def cpu_has_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16; others compute it, several times slower."""
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def training_arguments(
    config: TrainingConfig, folder: Path, world: int, device: str | None
) -> TrainingArguments:
    """A config in the words of transformers.

    Args:
        config: how to train.
        folder: for checkpoints.
        world: number of processes.
        device: "cpu" to stay off a GPU that is there.

    Raises:
        ValueError: bfloat16 on a device that would compute it slower than float32.
    """
    half = config.precision == "bfloat16"
    on_cpu = device == "cpu" or not torch.accelerator.is_available()
    if half and on_cpu and not cpu_has_bfloat16():
        raise ValueError(
            "train.precision: bfloat16 needs a GPU or a CPU that computes it (float32)"
        )
    falling = {"factor": 0.5, "patience": 0, "mode": "min" if config.select == "bound" else "max"}
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=max(1, config.batch_size // config.accumulation // world),
        gradient_accumulation_steps=config.accumulation,
        optim=OPTIMIZERS[config.optimizer],
        learning_rate=config.learning_rate,
        lr_scheduler_type=LEARNING_RATE_SCHEDULES[config.schedule],
        lr_scheduler_kwargs=falling if config.schedule == "plateau" else {},
        warmup_steps=config.warmup_steps,
        weight_decay=config.weight_decay,
        max_grad_norm=config.clip,
        bf16=half,
        seed=config.seed,
        # Without this, transformers 5.23 starts several CPU processes as if each were alone.
        use_cpu=on_cpu,
        eval_strategy="epoch",
        save_strategy="epoch",
        metric_for_best_model=MONITORED[config.select],
        greater_is_better=config.select != "bound",
        remove_unused_columns=False,
        logging_steps=50,
        # The default logs a NaN as the running average; we stop on it instead.
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to=[],
        ddp_find_unused_parameters=False,
        dataloader_num_workers=config.workers,
    )
    # One process has one GPU: more of them would wrap the model in DataParallel.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


class VAETrainer(Trainer):
    """transformers.Trainer for a VAE whose loss comes from its objective.

    The order of texts and the noise of a step depend on the seed and the step alone, so a resumed
    run equals an uninterrupted one bit for bit (on the CPU), and no random state is stored.

    Args:
        model: with its objective set.
        config: how to train.
        train: sentences or images to train on.
        valid: held-out ones, read after each epoch; they choose the model that is kept.
        folder: for checkpoints.
        report: called with an event, one of `EVENTS`, and its values.
        device: "cpu" to stay off a GPU that is there.
        callbacks: further callbacks of transformers.
    """

    def __init__(
        self,
        model: VAE,
        config: TrainingConfig,
        train: Examples,
        valid: Examples,
        folder: Path,
        report: Callable[[str, Mapping[str, Any]], None] = lambda event, values: None,
        device: str | None = None,
        callbacks: list[TrainerCallback] | None = None,
    ):
        world = process_count()
        arguments = training_arguments(config, folder, world, device)
        self.config = config
        self.folder = folder
        self.vae = model
        self.train_rows, self.valid = train, valid
        self.report = report
        self.batches = ShuffledBatches(
            train.lengths,
            config.batch_size,
            config.seed,
            config.accumulation,
            process_rank(),
            world,
        )
        self.micro_step = 0
        self.terms: dict[str, Tensor] = {}
        self.terms_count = 0
        if config.select == "coherence":
            topics_and_texts(model, valid)  # refused before any training
        found = labelled_latent(model)
        if config.select == "accuracy" and (found is None or not has_labels(valid, found[1])):
            raise ValueError("train.select: accuracy needs a latent that labels say, and labels")
        stops = [Patience(config.patience, config.select)] if config.patience else []
        self.by_length = np.argsort(train.lengths, kind="stable") if config.lagging else None
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=train,  # type: ignore[arg-type]  # a map-style sequence is enough
            eval_dataset=valid,  # type: ignore[arg-type]
            data_collator=train.collate,
            callbacks=[OrderOfEpoch(self.batches), *stops, *(callbacks or [])],
        )
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        plugin: Any = getattr(self.accelerator.state, "fsdp_plugin", None)
        if plugin is not None and plugin.fsdp_version != 2:
            raise ValueError("weights are divided among processes with --fsdp_version 2 alone")
        if plugin is not None and config.averaging is not None:
            raise ValueError("train.averaging: not with weights divided among processes (FSDP)")
        self.average: AveragedModel | None = None
        if config.averaging is not None:
            self.average = averaged(model, config.averaging)
            before = config.epochs - (config.averaging.epochs or config.epochs)
            self.add_callback(AverageWeights(self.average, model, before * self.batches.steps))

    def get_train_dataloader(self) -> DataLoader:
        """Our batches as they are; accelerate would shard them a second time."""
        return DataLoader(
            self.train_dataset,  # type: ignore[arg-type]
            batch_sampler=self.batches,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=torch.cuda.is_available() and self.args.device.type == "cuda",
        )

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """One micro-batch forward and backward, with noise from seed, step, micro-batch and rank.

        Raises:
            NonFiniteLossError: naming the step and the terms of the loss.
        """
        config = self.config.lagging
        lagging = config if config and is_aggressive(config, self.state.log_history) else None
        if lagging is not None:
            self.update_encoders(model, lagging)
        self.micro_step = (self.micro_step + 1) % self.args.gradient_accumulation_steps
        place = (self.state.global_step * self.batches.accumulation + self.micro_step) * 4096
        torch.manual_seed(self.config.seed * 1_000_000_007 + place + self.batches.rank)
        drawn = self.train_rows.drawn(inputs)
        loss = super().training_step(model, drawn, num_items_in_batch)
        if lagging is not None:
            drop_gradients(split_parameters(self.vae)[0])
        return loss

    def update_encoders(self, model: nn.Module, config: LaggingConfig) -> None:
        """Update the encoders alone until their loss stops falling.

        The batches and the noise follow from the seed and the step, as those of a step do.

        Raises:
            NonFiniteLossError: the loss became NaN or infinite.
        """
        assert self.by_length is not None and self.optimizer is not None
        model.train()  # validation leaves it in evaluation mode
        _, others = split_parameters(self.vae)
        batches, falling = self.batches, Falling(config)
        step, updates = self.state.global_step, 0
        for updates in range(1, config.steps + 1):
            seed = (self.config.seed, step, updates)
            chosen = similar_texts(
                self.by_length, batches.batch_size, seed, batches.rank, batches.world
            )
            rows = [self.train_dataset[index] for index in chosen]  # type: ignore[index]
            seed_noise(*seed, batches.rank)
            drawn = self.train_rows.drawn(self.data_collator(rows))
            inputs = self._prepare_inputs(drawn)
            with held(others if batches.world == 1 else []):  # several wait for every gradient
                with self.compute_loss_context_manager():
                    loss = model(step=step, **inputs).value
                self.accelerator.backward(loss)
            drop_gradients(others)
            self.accelerator.clip_grad_norm_(model.parameters(), self.config.clip or math.inf)
            self.optimizer.step()  # type: ignore[union-attr]
            model.zero_grad()
            value = float(self.accelerator.reduce(loss.detach(), "mean"))  # type: ignore[arg-type]
            if not math.isfinite(value):
                raise NonFiniteLossError(f"the loss is {value} as encoders catch up at step {step}")
            if not falling(value):
                break
        self.terms["encoder_updates"] = self.terms.get("encoder_updates", 0.0) + torch.tensor(
            float(updates)
        )

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The objective's loss at this step: the mean over the micro-batch's texts.

        All micro-batches of a step hold as many texts, so the mean of their means is the mean
        over the global batch.
        """
        loss = model(step=self.state.global_step, **inputs)
        if not torch.isfinite(loss.value):
            terms = ", ".join(f"{name} {value.item():g}" for name, value in loss.terms.items())
            raise NonFiniteLossError(
                f"the loss is {loss.value.item()} at step {self.state.global_step} ({terms}); "
                f"a lower learning_rate or a smaller clip may help"
            )
        for name, value in loss.terms.items():
            self.terms[name] = self.terms.get(name, 0.0) + value
        self.terms_count += 1
        return (loss.value, loss) if return_outputs else loss.value

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, with the mean of each term of the objective since the last time."""
        if "loss" in logs and self.terms_count:
            logs |= {name: (v / self.terms_count).item() for name, v in self.terms.items()}
            self.terms, self.terms_count = {}, 0
        super().log(logs, start_time)
        if "loss" in logs:
            self.report("log", {**logs, "step": self.state.global_step})

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Validate: every process reads all of it, with the same noise, so all agree."""
        lagging = self.config.lagging is not None
        with gathered(self.vae):
            metrics = validate(self.candidate, self.valid, self.config.validation_samples, lagging)
            if self.config.select == "coherence":
                metrics["npmi"] = coherence(self.candidate, self.valid)
        if not math.isfinite(metrics["loss"]):
            terms = ", ".join(f"{name} {metrics[name]:g}" for name in ("reconstruction_loss", "kl"))
            raise NonFiniteLossError(
                f"the validation loss is {metrics['loss']} after step {self.state.global_step} "
                f"({terms}); a lower learning_rate or a smaller clip may help"
            )
        weight = self.current_kl_weight()
        metrics |= {} if weight is None else {"kl_weight": weight}
        logs = {f"eval_{name}": value for name, value in metrics.items()}
        self.log(logs)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, logs)
        place = {"step": self.state.global_step, "epoch": self.state.epoch or 0.0}
        self.report("validation", {**metrics, **place})
        return logs

    @property
    def candidate(self) -> VAE:
        """The model to validate and to keep: the mean of the weights, where there is one."""
        if self.average is None or not self.average.n_averaged:
            return self.vae
        return cast(VAE, self.average.module)

    def current_kl_weight(self) -> float | None:
        """The objective's KL weight at this step; None if it has none."""
        schedule = getattr(self.vae.objective, "kl_weight", None)
        return None if schedule is None else schedule(self.state.global_step)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the model; of one divided among processes all of it."""
        state = full_state_dict(self.vae) if self.is_fsdp_enabled else None
        self._save(output_dir, state)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # Without the pickled arguments that transformers puts beside the weights.
        if self.args.should_save:
            self.vae.save_pretrained(output_dir or str(self.args.output_dir), state_dict=state_dict)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Save beside the place and rename into it; keep the two newest and the best."""
        if not self.args.should_save:
            super()._save_checkpoint(model, trial)  # writes nothing
        else:
            self.save_in_place(model, trial)
            for path in checkpoints(self.folder)[:-2]:
                if path != self.checkpoint(self.state.best_global_step):
                    discard(path)
        # What the first process has not renamed yet the others cannot load.
        self.accelerator.wait_for_everyone()

    def save_in_place(self, model: nn.Module, trial: Any) -> None:
        """Save what transformers saves, sealed and as a whole."""
        with put_in_place(self.checkpoint(self.state.global_step)) as beside:
            self.args.output_dir = str(beside.parent)
            try:
                super()._save_checkpoint(model, trial)
            finally:
                self.args.output_dir = str(self.folder)
            # The step says which is the best; a path would be wrong once the run is moved.
            self.state.best_model_checkpoint = None
            self.state.save_to_json(str(beside / TRAINER_STATE_NAME))
            if self.average is not None and self.average.n_averaged:
                # On a GPU the weights of an LSTM are parts of one tensor.
                mean = self.average.state_dict().items()
                save_file({name: w.cpu().clone() for name, w in mean}, beside / AVERAGED)

    def checkpoint(self, step: int | None) -> Path:
        """The place of the checkpoint of a step."""
        return self.folder / f"checkpoint-{step}"

    def finished_model(self) -> VAE:
        """The model with the weights that the config keeps: the best validation's, or the last.

        Raises:
            CheckpointError: they were damaged since they were saved.
        """
        best = self.config.keep == "best"
        if best or self.is_fsdp_enabled:
            step = self.state.best_global_step if best else self.state.global_step
            kept = self.checkpoint(step)
            problem = damage(kept)
            if problem is not None:
                raise CheckpointError(f"{kept}, the best checkpoint, is lost: {problem}; --resume")
            if self.is_fsdp_enabled:
                # Each process has a part of the trained one.
                model = VAE(cast(VAEConfig, self.vae.config))
                load_weights(model, kept / WEIGHTS, strict=False)
                return model
            self._load_from_checkpoint(str(kept))
        if self.candidate is not self.vae:
            self.vae.load_state_dict(self.candidate.state_dict())
        return self.vae

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load a checkpoint's weights and their mean, of safetensors only.

        Raises:
            CheckpointError: they are not there or do not fit.
        """
        folder = Path(resume_from_checkpoint)
        load_weights(self.vae, folder / WEIGHTS)
        if self.average is None:
            return
        if (folder / AVERAGED).exists():
            load_weights(self.average, folder / AVERAGED)
        else:
            self.average.n_averaged.zero_()

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Load the rest of a checkpoint; torch unpickles tensors and plain values only.

        Raises:
            CheckpointError: there is something else in it.
        """
        try:
            if checkpoint is not None and self.is_fsdp_enabled:
                self.load_divided_optimizer(Path(checkpoint))
            else:
                super()._load_optimizer_and_scheduler(checkpoint)
        except (UnpicklingError, AttributeError, KeyError, RuntimeError, TypeError, ValueError):
            raise CheckpointError(
                f"{checkpoint}: optimizer.pt or scheduler.pt holds no state of this training"
            ) from None

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.is_fsdp_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        parts: Any = self
        state = full_optimizer_state(self.vae, parts.optimizer)
        if self.args.should_save:
            torch.save(state, Path(output_dir) / OPTIMIZER_NAME)
            torch.save(parts.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def load_divided_optimizer(self, checkpoint: Path) -> None:
        """Load the optimizer and the schedule of a model that is divided among processes."""
        parts: Any = self
        optimizer, schedule = (
            torch.load(checkpoint / name, map_location="cpu", weights_only=True)
            for name in (OPTIMIZER_NAME, SCHEDULER_NAME)
        )
        set_optimizer(self.vae, parts.optimizer, optimizer)
        parts.lr_scheduler.load_state_dict(schedule)

    def _save_rng_state(self, output_dir: str) -> None:
        """Nothing: the noise of a step follows from the seed."""

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Nothing: the noise of a step follows from the seed."""


def load_weights(module: nn.Module, file: Path, strict: bool = True) -> None:
    """Give a module, perhaps one that is divided among processes, the weights of a file.

    Raises:
        CheckpointError: they are not there or do not fit.
    """
    try:
        set_weights(module, load_file(file), strict)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{file} cannot be used: {str(error).splitlines()[0]}") from None


def averaged(model: VAE, config: AveragingConfig) -> AveragedModel:
    """A mean of a model's weights, of none so far; buffers are the newest."""
    exponential = config.kind == "exponential"
    return AveragedModel(
        model, multi_avg_fn=get_ema_multi_avg_fn(config.decay) if exponential else None
    )


class AverageWeights(TrainerCallback):
    """Takes the weights after each step into their mean.

    Args:
        average: the mean.
        model: whose weights they are.
        first: steps whose weights do not count.
    """

    def __init__(self, average: AveragedModel, model: VAE, first: int):
        self.average = average
        self.model = model
        self.first = first

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the weights of a finished step."""
        if state.global_step > self.first:
            self.average.update_parameters(self.model)


class Patience(TrainerCallback):
    """Stops when so many validations in a row were not better than the best before them.

    It counts what was logged, which a checkpoint holds: a counter of its own would begin anew when
    training resumes, as that of transformers does.
    """

    def __init__(self, patience: int, select: str = "bound"):
        self.patience = patience
        self.metric = MONITORED[select]
        self.sign = 1 if select == "bound" else -1

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop when patience is at its end."""
        logs = [log for log in state.log_history if self.metric in log]
        losses = [self.sign * log[self.metric] for log in logs]
        if len(losses) - 1 - losses.index(min(losses)) >= self.patience:
            control.should_training_stop = True


class OrderOfEpoch(TrainerCallback):
    """Tells the batches which epoch they are in, also after resuming in the middle of one."""

    def __init__(self, batches: ShuffledBatches):
        self.batches = batches

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Set the epoch from the number of finished steps."""
        self.batches.epoch = state.global_step // self.batches.steps


def has_labels(rows: Examples, field: str) -> bool:
    """Whether some of the rows have a label of this field."""
    column = getattr(rows, "columns", {}).get(field)
    return column is not None and bool((column.values >= 0).any())


def topics_and_texts(model: VAE, valid: Examples) -> tuple[TopicDecoder, Sentences]:
    """What coherence is of, and what it is counted in.

    Raises:
        ValueError: the model has no topics, or there are no texts.
    """
    decoder, texts = topic_decoder(model), sentences_of(valid)
    if texts is None:
        raise ValueError("train.select: coherence needs texts")
    return decoder, texts


def coherence(model: VAE, valid: Examples) -> float:
    """Mean NPMI of a model's topics, counted in held-out texts.

    Raises:
        ValueError: see `topics_and_texts`.
    """
    decoder, texts = topics_and_texts(model, valid)
    topics = decoder.topic_words(min(TOPIC_WORDS, decoder.words)).cpu().numpy()
    return float(npmi(topics, [texts[i] for i in range(len(texts))]).mean())


def validate(
    model: VAE, sentences: Examples, samples: int, mutual: bool = False
) -> dict[str, float]:
    """Means over held-out rows: loss (negative ELBO), nll, reconstruction, kl; active units.

    Where the model was taught a label, also the share of rows that it gives theirs: accuracy.

    Args:
        model: is left in evaluation mode.
        sentences: held out, or images.
        samples: of each posterior.
        mutual: mutual information too, whose time is the square of the number of texts.
    """
    batches = [batch for _, batch in sentences.in_length_order()]
    estimate = likelihood(model, batches, samples=samples)
    metrics = {
        "loss": -estimate.elbo.mean().item(),
        "nll": estimate.nll.mean().item(),
        "reconstruction_loss": estimate.reconstruction_loss.mean().item(),
        "kl": estimate.kl.mean().item(),
    }
    if len(model.latents):
        active = active_units(posterior_means(model, estimate.features))
        metrics["active_units"] = float(active)
        # A point has no rate: it is dead when it does not vary.
        rate = math.inf if is_deterministic(model) else metrics["kl"]
        metrics["collapsed"] = float(is_collapsed(rate, active))
        if mutual:
            said = information(model, estimate.features, samples=1)
            metrics["mutual_information"] = said.mutual_information
    if (accuracy := label_accuracy(model, batches)) is not None:
        metrics["accuracy"] = accuracy
    return metrics


def process_count() -> int:
    """Number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_rank() -> int:
    """Number of this process among those that train together."""
    return int(os.environ.get("RANK", "0"))
