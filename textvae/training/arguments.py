"""The `TrainingArguments` of transformers for a recipe's section `train`."""

import importlib.util
from pathlib import Path

import torch
from transformers import TrainingArguments

from textvae.config import TrainingConfig

OPTIMIZERS = {"adamw": "adamw_torch_fused", "sgd": "sgd"}
LEARNING_RATE_SCHEDULES = {
    "constant": "constant_with_warmup",
    "linear": "linear",
    "cosine": "cosine",
    "plateau": "reduce_lr_on_plateau",
}
MONITORED = {
    "bound": "eval_loss",
    "coherence": "eval_npmi",
    "accuracy": "eval_accuracy",
    "micro_f1": "eval_micro_f1",
    "matching": "eval_mrr",
}
"""The logged validation metric of each value of `train.select`."""


def training_arguments(
    config: TrainingConfig, folder: Path, world: int, device: str | None
) -> TrainingArguments:
    """A config as arguments of transformers.

    Args:
        config: how to train.
        folder: for checkpoints.
        world: number of processes.
        device: "cpu" to stay off a GPU that is there.

    Raises:
        ValueError: bfloat16 on a device that would compute it slower than float32, or compiled
            steps on one that has none.
    """
    half = config.precision == "bfloat16"
    on_cpu = device == "cpu" or not torch.accelerator.is_available()
    check_bfloat16(config, on_cpu)
    check_compile(config, on_cpu, world)
    micro_batches = config.gradient_accumulation_steps
    falling = {"factor": 0.5, "patience": 0, "mode": "min" if config.select == "bound" else "max"}
    arguments = TrainingArguments(
        output_dir=str(folder),
        # The name of the run in a tracker.
        run_name=folder.parent.name,
        num_train_epochs=config.planned_epochs,
        per_device_train_batch_size=max(1, config.planned_batch_size // micro_batches // world),
        gradient_accumulation_steps=micro_batches,
        optim=OPTIMIZERS[config.optimizer],
        learning_rate=config.learning_rate,
        lr_scheduler_type=LEARNING_RATE_SCHEDULES[config.schedule],
        lr_scheduler_kwargs=falling if config.schedule == "plateau" else {},
        # Below one it is a share of the training.
        warmup_steps=config.warmup_ratio or config.warmup_steps,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
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
        # Trackers are callbacks of the run: see `trackers`.
        report_to=[],
        ddp_find_unused_parameters=False,
        dataloader_num_workers=config.workers,
    )
    # One process has one GPU: more of them would wrap the model in DataParallel.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


def check_bfloat16(config: TrainingConfig, on_cpu: bool) -> None:
    """Refuse bfloat16 on a CPU that emulates it.

    Raises:
        ValueError: naming the alternative.
    """
    if config.precision == "bfloat16" and on_cpu and not cpu_has_bfloat16():
        raise ValueError(
            "train.precision: bfloat16 needs a GPU or a CPU that computes it (float32)"
        )


def check_compile(config: TrainingConfig, on_cpu: bool, world: int) -> None:
    """Refuse compiled steps where there is nothing to compile them with, or for.

    Raises:
        ValueError: naming the alternatives.
    """
    kind = config.compile
    if kind == "none":
        return
    if on_cpu or not torch.cuda.is_available():
        raise ValueError(f"train.compile: {kind} needs a CUDA GPU (none)")
    if world > 1:
        raise ValueError(f"train.compile: {kind} needs one process (none)")
    if kind != "cudagraphs" and importlib.util.find_spec("triton") is None:
        raise ValueError(f"train.compile: {kind} needs the package triton (none, cudagraphs)")


def cpu_has_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16; others compute it, several times slower."""
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()
