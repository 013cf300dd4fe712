"""Nothing in a training step waits for a device: a GPU would stand still meanwhile."""

import pytest
import torch
from conftest import ENCODERS, VOCAB, Z, vae
from support.runs import corpus
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import TrainerCallback

from textvae.config import TrainingConfig
from textvae.data.batching import Sentences
from textvae.data.tokenizers import train_tokenizer
from textvae.layers.shapes import static_shapes
from textvae.objectives import Objective
from textvae.training.trainer import NonFiniteLossError, VAETrainer

aten = torch.ops.aten
WAIT = {
    aten._local_scalar_dense.default: "a value is read",
    aten.nonzero.default: "a shape follows from values",
    aten.masked_select.default: "a shape follows from values",
    aten.lift_fresh.default: "a number is copied to the device",
    aten.equal.default: "values are compared",
}
"""Operations for which a process waits until a GPU has emptied its queue."""

OBJECTIVES = {
    "elbo": {"kind": "elbo", "kl_weight": {"kind": "linear", "length": 0.5}},
    "free bits": {"kind": "elbo", "free_bits": 0.1, "free_bits_per": "dimension"},
    "importance_weighted": {"kind": "importance_weighted", "samples": 2},
    "target_rate": {"kind": "target_rate", "target": 1.0},
    "mmd": {"kind": "mmd"},
    "minimum_rate": {"kind": "minimum_rate", "rate": 1.0},
}
PARTS = {
    "lstm": {"kind": "lstm", "hidden": 6, "dropout": 0.1},
    "transformer": {"kind": "transformer", "hidden": 8, "heads": 2},
}
ALLOWED = {
    "bidirectional": {"a value is read"},  # packing needs lengths on the CPU
    "adaptive": {"a shape follows from values", "a number is copied to the device"},
}
"""What waits, and why it may."""


class Waits(TorchDispatchMode):
    """The operations that would wait, while it is on."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        by_mask = func is aten.index.Tensor and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if by_mask or func in WAIT:
            self.found.append(WAIT.get(func, "a shape follows from values"))
        return func(*args, **kwargs or {})


class InSteps(TrainerCallback):
    """Finds what waits between the begin and the end of each step."""

    def __init__(self):
        self.waits, self.steps = Waits(), 0

    def on_step_begin(self, *args, **kwargs):
        self.waits.__enter__()

    def on_step_end(self, *args, **kwargs):
        self.waits.__exit__(None, None, None)
        self.steps += 1


def trainer(model, folder, *callbacks, **settings):
    texts = corpus()
    tokenizer = train_tokenizer("word", texts.train, VOCAB)
    config = TrainingConfig(epochs=1, batch_size=16, validation_samples=1, **settings)
    rows = [Sentences.encoded(tokenizer, part) for part in (texts.train, texts.valid)]
    return VAETrainer(model, config, *rows, folder, callbacks=list(callbacks))


def waits_of(model, folder):
    steps = InSteps()
    training = trainer(model, folder, steps)
    training.checks_each_loss = False  # as on a GPU
    with static_shapes():
        training.train()
    assert steps.steps == 8
    return set(steps.waits.found)


def text_vae(encoder, decoder, objective=None):
    model = vae([{"name": "text", **encoder}], [Z], [{"name": "text", "given": ["z"], **decoder}])
    model.objective = Objective.build(objective or {"kind": "elbo"})
    return model


@pytest.mark.parametrize("part", PARTS)
def test_step_waits_for_nothing(part, tmp_path):
    assert not waits_of(text_vae(PARTS[part], PARTS[part]), tmp_path)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_objective_waits_for_nothing(objective, tmp_path):
    part = PARTS["lstm"]
    assert not waits_of(text_vae(part, part, OBJECTIVES[objective]), tmp_path)


def test_parts_that_wait_are_known(tmp_path):
    part = PARTS["lstm"]
    models = {
        "bidirectional": text_vae(ENCODERS["lstm-last-both-1"], part),
        "adaptive": text_vae(part, {"kind": "lstm", "hidden": 6, "cutoffs": [5]}),
    }
    found = {name: waits_of(model, tmp_path / name) for name, model in models.items()}
    assert found == ALLOWED


class Poison(TrainerCallback):
    """Makes a weight no number after some steps."""

    def __init__(self, model, step):
        self.model, self.step = model, step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            next(self.model.parameters()).data.fill_(float("nan"))


def test_late_check_names_the_first_step(tmp_path):
    model = text_vae(PARTS["lstm"], PARTS["lstm"])
    training = trainer(model, tmp_path, Poison(model, 3))
    training.checks_each_loss = False
    with pytest.raises(NonFiniteLossError, match="at step 3 "):
        training.train()
    assert training.state.global_step == 8, "nothing waited before the first log"
    assert not list(tmp_path.glob("checkpoint-*"))
