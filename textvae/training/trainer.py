"""Training on transformers.Trainer: our batches, our losses, resumable to the same bits."""

import math
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from textvae.checkpoints import CheckpointError, checkpoints, damage, discard, put_in_place
from textvae.config import LaggingConfig, TrainingConfig
from textvae.data.batching import Examples, ShuffledBatches
from textvae.evaluation.latent import distinct_rows, is_deterministic
from textvae.evaluation.verdict import FORESEEABLE
from textvae.graph.model import VAE, VAEConfig
from textvae.graph.refinement import held
from textvae.layers.spectral import spectral_norms
from textvae.objectives.outputs import Loss
from textvae.randomness import seed_process
from textvae.training.arguments import training_arguments
from textvae.training.averaging import AverageWeights, averaged
from textvae.training.callbacks import OrderOfEpoch, Patience, Report
from textvae.training.compiling import compiled_loss
from textvae.training.lagging import (
    Falling,
    drop_gradients,
    is_aggressive,
    seed_noise,
    similar_texts,
    split_parameters,
)
from textvae.training.loading import WholeBatches, as_it_is
from textvae.training.processes import process_count, process_rank
from textvae.training.sharding import (
    full_optimizer_state,
    full_state_dict,
    load_weights,
    set_optimizer,
    unsharded,
)
from textvae.training.validation import (
    check_selection,
    coherence,
    label_set_f1,
    mean_reciprocal_rank,
    validate,
)

EVENTS = ("log", "validation")
WEIGHTS, AVERAGED = "model.safetensors", "averaged.safetensors"
"""Files of a checkpoint: the weights, and their mean."""


class NonFiniteLossError(ArithmeticError):
    """The loss became NaN or infinite; training stopped before the step was taken."""


def with_penalty(loss: Loss, weight: float, model: VAE) -> Loss:
    """A loss with a penalty on the spectral norms of a model's weights, which is logged too."""
    norms = spectral_norms(model)
    return Loss(loss.value + weight * norms, {**loss.terms, "spectral_norms": norms.detach()})


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
        report: Report = lambda event, values: None,
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
        self.distinct = distinct_rows(valid)
        self.batches = ShuffledBatches(
            train.lengths,
            config.planned_batch_size,
            config.seed,
            config.gradient_accumulation_steps,
            process_rank(),
            world,
        )
        self.micro_step = 0
        self.unchecked: list[tuple[int, Loss]] = []
        """Losses that are not known to be finite, and their steps."""
        if model.objective is not None:
            model.objective.plan(self.batches.steps * config.planned_epochs)
        self.terms: dict[str, Tensor] = {}
        self.terms_count = 0
        check_selection(model, config.select, valid)
        stops = [Patience(config.patience, config.select)] if config.patience else []
        self.whole_batches = WholeBatches(train, config.planned_multiple)
        self.by_length = np.argsort(train.lengths, kind="stable") if config.lagging else None
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=train,  # type: ignore[arg-type]  # a map-style sequence is enough
            eval_dataset=valid,  # type: ignore[arg-type]
            data_collator=train.collate,
            callbacks=[OrderOfEpoch(self.batches), *stops, *(callbacks or [])],
        )
        # Reading a loss empties the queue of a GPU, which then stands still.
        self.checks_each_loss = self.args.device.type == "cpu"
        self.compiled = None if config.compile == "none" else compiled_loss(model, config.compile)
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        self.check_sharding()
        self.average: AveragedModel | None = None
        if config.averaging is not None:
            self.average = averaged(model, config.averaging)
            epochs = config.planned_epochs
            before = epochs - (config.averaging.epochs or epochs)
            self.add_callback(AverageWeights(self.average, model, before * self.batches.steps))

    def check_sharding(self) -> None:
        """Refuse settings that sharded weights do not support.

        Raises:
            ValueError: FSDP of version 1, a mean of the weights, or a penalty on them.
        """
        plugin: Any = getattr(self.accelerator.state, "fsdp_plugin", None)
        if plugin is not None and plugin.fsdp_version != 2:
            raise ValueError("weights are sharded among processes with --fsdp_version 2 alone")
        if plugin is not None and self.config.averaging is not None:
            raise ValueError("train.averaging: not with weights sharded among processes (FSDP)")
        if plugin is not None and self.config.spectral_penalty:
            raise ValueError("train.spectral_penalty: not with sharded weights (FSDP)")

    def get_train_dataloader(self) -> DataLoader:
        """Our batches as they are; accelerate would shard them a second time."""
        return DataLoader(
            self.whole_batches,
            batch_sampler=self.batches,
            collate_fn=as_it_is,  # type: ignore[arg-type]  # a whole batch
            num_workers=self.args.dataloader_num_workers,
            pin_memory=torch.cuda.is_available() and self.args.device.type == "cuda",
        )

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """The norm of the gradients for the log; where none are clipped, in logged steps alone."""
        if grad_norm is None and (self.state.global_step + 1) % self.args.logging_steps:
            return None
        return super()._get_grad_norm(model, grad_norm)

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
        number = self.state.global_step * self.batches.accumulation + self.micro_step
        seed = self.config.seed * 1_000_000_007 + number * 4096 + self.batches.rank
        seed_process(seed)
        drawn = self.train_rows.drawn(self._prepare_inputs(inputs))
        loss = super().training_step(model, drawn, num_items_in_batch)
        if lagging is not None:
            drop_gradients(split_parameters(self.vae)[0])
        return loss

    def update_encoders(self, model: nn.Module, config: LaggingConfig) -> None:
        """Aggressive encoder updates: the encoders alone, until their loss stops falling.

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
            seed_noise(*seed, batches.rank)
            batch = self.whole_batches.__getitems__(chosen)
            inputs = self.train_rows.drawn(self._prepare_inputs(batch))
            with held(others if batches.world == 1 else []):  # several wait for every gradient
                with self.compute_loss_context_manager():
                    loss = model(step=step, **inputs).value
                self.accelerator.backward(loss)
            drop_gradients(others)
            limit = self.config.max_grad_norm or math.inf
            self.accelerator.clip_grad_norm_(model.parameters(), limit)
            self.optimizer.step()  # type: ignore[union-attr]
            model.zero_grad()
            value = float(self.accelerator.reduce(loss.detach(), "mean"))  # type: ignore[arg-type]
            if not math.isfinite(value):
                raise NonFiniteLossError(
                    f"the loss is {value} in the encoder updates before step {step}"
                )
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
        loss = (self.compiled or model)(step=self.state.global_step, **inputs)
        if self.config.spectral_penalty:
            loss = with_penalty(loss, self.config.spectral_penalty, self.vae)
        self.unchecked.append((self.state.global_step, Loss(loss.value.detach(), loss.terms)))
        if self.checks_each_loss:
            self.check_losses()
        for name, value in loss.terms.items():
            self.terms[name] = self.terms.get(name, 0.0) + value
        self.terms_count += 1
        return (loss.value, loss) if return_outputs else loss.value

    def check_losses(self) -> None:
        """Refuse losses that are not finite: on a CPU before their step is taken.

        On a GPU before the next log, validation or checkpoint, whichever is first.

        Raises:
            NonFiniteLossError: naming the first such step and the terms of the loss.
        """
        unchecked, self.unchecked = self.unchecked, []
        values = [loss.value for _, loss in unchecked]
        if len(values) == 1:  # as on a CPU, where each microsecond is one of the step
            finite = torch.isfinite(values[0])
        else:
            finite = not values or torch.isfinite(torch.stack(values)).all()
        if finite:
            return
        step, loss = next(each for each in unchecked if not each[1].value.isfinite())
        terms = ", ".join(f"{name} {value.item():g}" for name, value in loss.terms.items())
        raise NonFiniteLossError(
            f"the loss is {loss.value.item()} at step {step} ({terms}); "
            f"a lower learning_rate or a smaller max_grad_norm may help"
        )

    def _prepare_input(self, data: Any) -> Any:
        """A tensor on the device: the loader pins its memory, so that nothing waits for a copy."""
        if isinstance(data, Tensor):
            return data.to(self.args.device, non_blocking=True)
        return super()._prepare_input(data)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, with the mean of each term of the objective since the last log."""
        self.check_losses()
        if "loss" in logs and self.terms_count:
            logs |= {name: (v / self.terms_count).item() for name, v in self.terms.items()}
            self.terms, self.terms_count = {}, 0
        super().log(logs, start_time)
        if "loss" in logs:
            self.report("log", {**logs, "step": self.state.global_step})

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Validate: every process evaluates all rows with the same noise, so all agree."""
        self.check_losses()
        lagging = self.config.lagging is not None
        with unsharded(self.vae):
            metrics = validate(self.candidate, self.valid, self.config.validation_samples, lagging)
            if self.config.select == "coherence":
                metrics["npmi"] = coherence(self.candidate, self.valid)
            if self.config.select == "micro_f1":
                metrics["micro_f1"] = label_set_f1(self.candidate, self.valid)
            if self.config.select == "matching":
                metrics["mrr"] = mean_reciprocal_rank(self.candidate, self.valid)
        if not math.isfinite(metrics["loss"]):
            terms = ", ".join(f"{name} {metrics[name]:g}" for name in ("reconstruction_loss", "kl"))
            raise NonFiniteLossError(
                f"the validation loss is {metrics['loss']} after step {self.state.global_step} "
                f"({terms}); a lower learning_rate or a smaller max_grad_norm may help"
            )
        metrics |= self.kl_weights()
        logs = {f"eval_{name}": value for name, value in metrics.items()}
        self.log(logs)
        progress = {
            "step": self.state.global_step,
            "steps": self.state.max_steps,
            "epoch": self.state.epoch or 0.0,
            "distinct": self.distinct,
            "deterministic": is_deterministic(self.vae),
        }
        self.report("validation", {**metrics, **progress})
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, logs)
        return logs

    @property
    def candidate(self) -> VAE:
        """The model to validate and to keep: with averaged weights, where there are some."""
        if self.average is None or not self.average.n_averaged:
            return self.vae
        return cast(VAE, self.average.module)

    def kl_weights(self) -> dict[str, float]:
        """The objective's KL weight at this step and at its schedule's end; empty without one."""
        schedule = None if self.vae.objective is None else self.vae.objective.kl_weight
        if schedule is None:
            return {}
        step = self.state.global_step
        return {"kl_weight": schedule(step), "kl_weight_end": schedule(FORESEEABLE)}

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the model; of a sharded one the full state dict."""
        state = full_state_dict(self.vae) if self.is_fsdp_enabled else None
        self._save(output_dir, state)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # Without the pickled arguments that transformers saves with the weights.
        if self.args.should_save:
            self.vae.save_pretrained(output_dir or str(self.args.output_dir), state_dict=state_dict)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write a checkpoint atomically; keep the two newest and the best."""
        if not self.args.should_save:
            super()._save_checkpoint(model, trial)  # writes nothing
        else:
            self.write_checkpoint(model, trial)
            for path in checkpoints(self.folder)[:-2]:
                if path != self.checkpoint(self.state.best_global_step):
                    discard(path)
        # The others may load it next: the first process must have renamed it.
        self.accelerator.wait_for_everyone()

    def write_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write the files of transformers and the averaged weights, with their manifest."""
        self.check_losses()
        with put_in_place(self.checkpoint(self.state.global_step)) as path:
            self.args.output_dir = str(path.parent)
            try:
                super()._save_checkpoint(model, trial)
            finally:
                self.args.output_dir = str(self.folder)
            # The step identifies the best one; a path would be wrong once the run is moved.
            self.state.best_model_checkpoint = None
            self.state.save_to_json(str(path / TRAINER_STATE_NAME))
            if self.average is not None and self.average.n_averaged:
                # On a GPU the weights of an LSTM are parts of one tensor.
                mean = self.average.state_dict().items()
                save_file({name: w.cpu().clone() for name, w in mean}, path / AVERAGED)

    def checkpoint(self, step: int | None) -> Path:
        """The path of the checkpoint of a step."""
        return self.folder / f"checkpoint-{step}"

    def finished_model(self) -> VAE:
        """The model with the weights that the config keeps: of the best validation, or the last.

        Raises:
            CheckpointError: their file was damaged since it was saved.
        """
        best = self.config.keep == "best"
        if best or self.is_fsdp_enabled:
            step = self.state.best_global_step if best else self.state.global_step
            path = self.checkpoint(step)
            problem = damage(path)
            if problem is not None:
                raise CheckpointError(f"{path}, the best checkpoint, is lost: {problem}; --resume")
            if self.is_fsdp_enabled:
                # Each process has a shard of the trained one.
                model = VAE(cast(VAEConfig, self.vae.config))
                load_weights(model, path / WEIGHTS, strict=False)
                return model
            self._load_from_checkpoint(str(path))
        if self.candidate is not self.vae:
            self.vae.load_state_dict(self.candidate.state_dict())
        return self.vae

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load a checkpoint's weights and their mean, from safetensors only.

        Raises:
            CheckpointError: a file is missing or does not fit the model.
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
        """Load the optimizer and the schedule; torch unpickles tensors and plain values only.

        Raises:
            CheckpointError: a file holds something else.
        """
        try:
            if checkpoint is not None and self.is_fsdp_enabled:
                self.load_sharded_optimizer(Path(checkpoint))
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

    def load_sharded_optimizer(self, checkpoint: Path) -> None:
        """Load the optimizer and the schedule of a sharded model."""
        parts: Any = self
        optimizer, schedule = (
            torch.load(checkpoint / name, map_location="cpu", weights_only=True)
            for name in (OPTIMIZER_NAME, SCHEDULER_NAME)
        )
        set_optimizer(self.vae, parts.optimizer, optimizer)
        parts.lr_scheduler.load_state_dict(schedule)

    def _save_rng_state(self, output_dir: str) -> None:
        """Do nothing: the noise of a step follows from the seed."""

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Do nothing: the noise of a step follows from the seed."""
