"""Training on transformers.Trainer: our batches, our losses, resumable to the same bits."""

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import (
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from textvae.checkpoints import seal
from textvae.data.batching import Sentences, ShuffledBatches
from textvae.evaluation.latent import active_units, is_collapsed, posterior_moments
from textvae.evaluation.likelihood import likelihood
from textvae.model import VAE
from textvae.plan import TrainingPlan

OPTIMIZERS = {"adamw": "adamw_torch_fused", "sgd": "sgd"}
LEARNING_RATE_SCHEDULES = {
    "constant": "constant_with_warmup",
    "linear": "linear",
    "cosine": "cosine",
    "plateau": "reduce_lr_on_plateau",
}
EVENTS = ("log", "validation")


class NonFiniteLossError(ArithmeticError):
    """The loss became NaN or infinite; training stopped before the step was taken."""


def training_arguments(
    plan: TrainingPlan, folder: Path, world: int, device: str | None
) -> TrainingArguments:
    """A plan in the words of transformers.

    Args:
        plan: how to train.
        folder: for checkpoints.
        world: number of processes.
        device: "cpu" to stay off a GPU that is there.

    Raises:
        ValueError: bfloat16 on a device that would compute it slower than float32.
    """
    half = plan.precision == "bfloat16"
    on_cpu = device == "cpu" or not torch.accelerator.is_available()
    # Without its own instructions a CPU computes bfloat16 several times slower than float32.
    if half and on_cpu and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        raise ValueError(
            "train.precision: bfloat16 needs a GPU or a CPU that computes it (float32)"
        )
    plateau = plan.schedule == "plateau"
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=plan.epochs,
        per_device_train_batch_size=max(1, plan.batch_size // plan.accumulation // world),
        gradient_accumulation_steps=plan.accumulation,
        optim=OPTIMIZERS[plan.optimizer],
        learning_rate=plan.learning_rate,
        lr_scheduler_type=LEARNING_RATE_SCHEDULES[plan.schedule],
        lr_scheduler_kwargs={"factor": 0.5, "patience": 0} if plateau else {},
        warmup_steps=plan.warmup_steps,
        weight_decay=plan.weight_decay,
        max_grad_norm=plan.clip,
        bf16=half,
        seed=plan.seed,
        # Without this, transformers 5.23 starts several CPU processes as if each were alone.
        use_cpu=on_cpu,
        eval_strategy="epoch",
        save_strategy="epoch",
        # Two beside the best: one is whole at any moment, also while the next is written.
        save_total_limit=3,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        remove_unused_columns=False,
        logging_steps=50,
        # The default logs a NaN as the running average; we stop on it instead.
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to=[],
        ddp_find_unused_parameters=False,
        dataloader_num_workers=0,
    )


class VAETrainer(Trainer):
    """transformers.Trainer for a VAE whose loss comes from its objective.

    The order of texts and the noise of a step depend on the seed and the step alone, so a resumed
    run equals an uninterrupted one bit for bit (on the CPU), and no random state is stored.

    Args:
        model: with its objective set.
        plan: how to train.
        train: sentences to train on.
        valid: held-out sentences, read after each epoch; they choose the model that is kept.
        folder: for checkpoints.
        report: called with an event, one of `EVENTS`, and its values.
        device: "cpu" to stay off a GPU that is there.
        callbacks: further callbacks of transformers.
    """

    def __init__(
        self,
        model: VAE,
        plan: TrainingPlan,
        train: Sentences,
        valid: Sentences,
        folder: Path,
        report: Callable[[str, Mapping[str, Any]], None] = lambda event, values: None,
        device: str | None = None,
        callbacks: list[TrainerCallback] | None = None,
    ):
        world = process_count()
        arguments = training_arguments(plan, folder, world, device)
        self.plan = plan
        self.vae = model
        self.valid = valid
        self.report = report
        self.batches = ShuffledBatches(
            train.lengths, plan.batch_size, plan.seed, plan.accumulation, process_rank(), world
        )
        self.micro_step = 0
        self.terms: dict[str, Tensor] = {}
        self.terms_count = 0
        stops = [EarlyStoppingCallback(plan.patience)] if plan.patience else []
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

    def get_train_dataloader(self) -> DataLoader:
        """Our batches as they are; accelerate would shard them a second time."""
        return DataLoader(
            self.train_dataset,  # type: ignore[arg-type]
            batch_sampler=self.batches,
            collate_fn=self.data_collator,
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
        self.micro_step = (self.micro_step + 1) % self.args.gradient_accumulation_steps
        place = (self.state.global_step * self.batches.accumulation + self.micro_step) * 4096
        torch.manual_seed(self.plan.seed * 1_000_000_007 + place + self.batches.rank)
        return super().training_step(model, inputs, num_items_in_batch)

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
        metrics = validate(self.vae, self.valid, self.plan.validation_samples)
        weight = self.current_kl_weight()
        metrics |= {} if weight is None else {"kl_weight": weight}
        logs = {f"eval_{name}": value for name, value in metrics.items()}
        self.log(logs)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, logs)
        place = {"step": self.state.global_step, "epoch": self.state.epoch or 0.0}
        self.report("validation", {**metrics, **place})
        return logs

    def current_kl_weight(self) -> float | None:
        """The objective's KL weight at this step; None if it has none."""
        schedule = getattr(self.vae.objective, "kl_weight", None)
        return None if schedule is None else schedule(self.state.global_step)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # Without the pickled arguments that transformers puts beside the weights.
        if self.args.should_save:
            self.vae.save_pretrained(output_dir or str(self.args.output_dir), state_dict=state_dict)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            seal(Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}")

    def _save_rng_state(self, output_dir: str) -> None:
        """Nothing: the noise of a step follows from the seed."""

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Nothing: the noise of a step follows from the seed."""


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


def validate(model: VAE, sentences: Sentences, samples: int) -> dict[str, float]:
    """Means over held-out texts: loss (negative ELBO), nll, reconstruction, kl; active units."""
    batches = [batch for _, batch in sentences.in_length_order()]
    estimate = likelihood(model, batches, samples=samples)
    moments = posterior_moments(model, batches)
    metrics = {
        "loss": -estimate.elbo.mean().item(),
        "nll": estimate.nll.mean().item(),
        "reconstruction": estimate.reconstruction.mean().item(),
        "kl": estimate.kl.mean().item(),
    }
    if not math.isfinite(metrics["loss"]):
        raise NonFiniteLossError(f"the validation loss is {metrics['loss']}")
    if moments:
        active = sum(active_units(means) for means, _ in moments.values())
        metrics["active_units"] = float(active)
        metrics["collapsed"] = float(is_collapsed(metrics["kl"], active))
    return metrics


def process_count() -> int:
    """Number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_rank() -> int:
    """Number of this process among those that train together."""
    return int(os.environ.get("RANK", "0"))
