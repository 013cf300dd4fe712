"""A running mean of the weights."""

from typing import Any

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from textvae.config import AveragingConfig
from textvae.graph.model import VAE


def averaged(model: VAE, config: AveragingConfig) -> AveragedModel:
    """A mean of a model's weights, of none so far; buffers are the newest."""
    exponential = config.kind == "exponential"
    return AveragedModel(
        model, multi_avg_fn=get_ema_multi_avg_fn(config.decay) if exponential else None
    )


class AverageWeights(TrainerCallback):
    """Adds the weights after each step to their mean.

    Args:
        average: the mean.
        model: whose weights are averaged.
        first: number of the first optimizer steps whose weights are left out.
    """

    def __init__(self, average: AveragedModel, model: VAE, first: int):
        self.average = average
        self.model = model
        self.first = first

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Add the weights of a finished step."""
        if state.global_step > self.first:
            self.average.update_parameters(self.model)
