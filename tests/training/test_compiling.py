"""The loss as compiled code and as graphs: the same values and gradients, few shapes."""

import pytest
import torch
from conftest import DECODERS, ENCODERS, VOCAB, Z, ids, vae
from support.runs import corpus
from torch._dynamo.testing import CompileCounterWithBackend
from transformers import TrainerCallback

from textvae.config import TrainingConfig
from textvae.data.batching import Sentences
from textvae.data.tokenizers import train_tokenizer
from textvae.objectives import Objective
from textvae.training import arguments
from textvae.training.arguments import training_arguments
from textvae.training.compiling import CompiledLoss, GraphedLoss, with_tensors
from textvae.training.trainer import VAETrainer

EIGHT = {"kind": "linear", "steps": 8}
ELBO = {
    "kind": "elbo",
    "kl_weight": {"kind": "linear", "steps": 4},
    "terms": [
        {"kind": "posterior_kl", "of": "z", "to": "z", "weight": {"kind": "linear", "steps": 8}}
    ],
}
OBJECTIVES = {
    "elbo": ELBO,
    "free bits": {"kind": "elbo", "free_bits": 0.1, "free_bits_per": "dimension"},
    "importance_weighted": {"kind": "importance_weighted", "samples": 2},
    "target_rate": {"kind": "target_rate", "target": {"kind": "linear", "steps": 4, "end": 2.0}},
    "mmd": {"kind": "mmd", "kl_weight": {"kind": "linear", "steps": 4}},
    "minimum_rate": {"kind": "minimum_rate", "rate": 1.0},
}
TO_COMPILE = [
    pytest.param(name, marks=[] if name == "elbo" else pytest.mark.slow) for name in OBJECTIVES
]
LENGTHS = ((5, 7, 3, 2), (9, 12, 4, 1), (3, 4, 2, 2))
"""Words of the texts of three batches."""


def text_vae(encoder, decoder, objective, **latent):
    model = vae(
        [{"name": "text", **encoder}],
        [{**Z, **latent}],
        [{"name": "text", "given": ["z"], **decoder}],
    )
    model.objective = Objective.build(objective)
    return model.train()


def steps(model, loss_of):
    """Losses, terms and gradients of three steps on batches of three lengths."""
    found = []
    for step, lengths in enumerate(LENGTHS):
        torch.manual_seed(step)
        model.zero_grad()
        loss = loss_of(step=step, text=ids(*lengths, vocab=VOCAB))
        loss.value.backward()
        gradients = {n: w.grad.clone() for n, w in model.named_parameters() if w.grad is not None}
        found.append({"loss": loss.value.detach(), **loss.terms, **gradients})
    return found


def assert_close(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            torch.testing.assert_close(value, other[name], rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("objective", TO_COMPILE)
def test_compiled_loss_is_one_graph_and_equal(objective):
    model = text_vae(ENCODERS["transformer-mean"], DECODERS["transformer"], OBJECTIVES[objective])
    expected = steps(model, model)
    backend = CompileCounterWithBackend("aot_eager")
    assert_close(steps(model, CompiledLoss(model, backend=backend)), expected)
    # torch may compile the first length alone, and then one code for all others.
    assert backend.frame_count <= 2, "no step and no length is compiled anew"


def test_compiled_loss_of_an_lstm_is_refused():
    model = text_vae(ENCODERS["lstm-last-forward-1"], DECODERS["lstm"], ELBO)
    with pytest.raises(ValueError, match="allowed for this model: none, cudagraphs"):
        steps(model, CompiledLoss(model, backend="aot_eager"))


class Captured:
    """Stands in for CUDA graphs: calls the module, into outputs that it writes again each time."""

    def __init__(self):
        self.count = 0

    def __call__(self, module, examples, allow_unused_input, pool):
        self.count += 1
        terms = torch.zeros_like(module(*examples)[1])

        def replay(*tensors):
            value, new = module(*tensors)
            return value, terms.copy_(new)

        return replay


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_graphed_loss_is_equal_with_a_graph_a_shape(objective):
    model = text_vae(ENCODERS["lstm-last-forward-1"], DECODERS["lstm"], OBJECTIVES[objective])
    expected = steps(model, model)
    capture = Captured()
    loss = GraphedLoss(model, capture)
    assert_close(steps(model, loss), expected)
    assert_close(steps(model, loss), expected)
    assert capture.count == len(LENGTHS)


class Graphed(TrainerCallback):
    """Gives a trainer graphs, as on a GPU."""

    def on_train_begin(self, *args, model=None, **kwargs):
        self.trainer.compiled = GraphedLoss(model, Captured())


def trained(folder, callback=None, **settings):
    """The weights after an epoch with text padded, on graphs or not."""
    config = TrainingConfig(epochs=1, batch_size=16, validation_samples=1, **settings)
    texts = corpus()
    tokenizer = train_tokenizer("word", texts.train, VOCAB)
    rows = [Sentences.encoded(tokenizer, part) for part in (texts.train, texts.valid)]
    torch.manual_seed(0)
    model = text_vae(ENCODERS["lstm-last-forward-1"], DECODERS["lstm"], ELBO)
    trainer = VAETrainer(
        model, config, *rows, folder, callbacks=[callback] if callback is not None else None
    )
    if callback is not None:
        callback.trainer = trainer
    trainer.train()
    return trainer.compiled, model.state_dict()


def test_padded_training_on_graphs_ends_with_equal_weights(tmp_path):
    nothing, expected = trained(tmp_path / "plain")
    graphed, found = trained(tmp_path / "graphed", Graphed(), pad_to_multiple_of=8)
    assert nothing is None and len(graphed.graphs) == 2, "texts have 3 to 11 tokens"
    assert all(shape[1] % 8 == 0 for ((_, shape, _),) in graphed.graphs)
    for name, weight in found.items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-4, atol=1e-5, msg=name)


def test_capture_moves_no_running_average():
    model = text_vae(ENCODERS["bag-mean"], DECODERS["bag"], ELBO, batch_norm=0.5)
    loss = GraphedLoss(model, Captured())
    steps(model, loss)
    assert model.latents["z"].normalizer.batches == len(LENGTHS)


def test_model_that_waits_has_no_graph():
    def capture(*given, **options):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    model = text_vae(ENCODERS["lstm-last-forward-1"], DECODERS["lstm"], ELBO)
    with pytest.raises(ValueError, match=r"no CUDA graph .* capturing \(none\)$"):
        steps(model, GraphedLoss(model, capture))


def test_tensor_schedules_leave_the_objective_as_it_is():
    objective = Objective.build(ELBO)
    copied, schedules = with_tensors(objective, torch.device("cpu"))
    for schedule in schedules:
        schedule.set(2)
    assert [copied.kl_weight(0), copied.terms[0].weight(0)] == [0.5, 0.25]
    assert [objective.kl_weight(0), objective.terms[0].weight(0)] == [0.0, 0.0]


REFUSED = {
    "needs a CUDA GPU": {"device": "cpu"},
    "needs one process": {"world": 2},
    "needs the package triton": {"missing": "triton"},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_compile_is_refused_with_a_reason(reason, monkeypatch):
    setting = {"device": None, "world": 1, "missing": None, **REFUSED[reason]}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    find = arguments.importlib.util.find_spec
    monkeypatch.setattr(
        arguments.importlib.util,
        "find_spec",
        lambda name: None if name == setting["missing"] else find(name),
    )
    config = TrainingConfig(compile="default")
    with pytest.raises(ValueError, match=f"train.compile: default {reason}"):
        arguments.check_compile(config, setting["device"] == "cpu", setting["world"])


def test_compile_is_refused_before_a_run_on_a_cpu(tmp_path):
    with pytest.raises(ValueError, match=r"train.compile: cudagraphs needs a CUDA GPU \(none\)"):
        training_arguments(TrainingConfig(compile="cudagraphs"), tmp_path, 1, "cpu")


def test_graphs_are_refused_with_micro_batches():
    with pytest.raises(ValueError, match="needs gradient_accumulation_steps 1"):
        TrainingConfig(compile="cudagraphs", gradient_accumulation_steps=2)


def test_compiled_steps_pad_to_multiples_of_eight():
    assert TrainingConfig().planned_multiple == 1
    assert TrainingConfig(compile="cudagraphs").planned_multiple == 8
    assert TrainingConfig(compile="cudagraphs", pad_to_multiple_of=4).planned_multiple == 4
