"""A GPU computes what the CPU computes, trains in bfloat16, and its models load anywhere."""

import copy

import numpy as np
import pytest
import torch
from conftest import ids, vae

from textvae.api.sentence import SentenceVAE
from textvae.config import TrainingConfig
from textvae.data.batching import Sentences
from textvae.data.tokenizers import train_tokenizer
from textvae.evaluation.likelihood import likelihood
from textvae.graph.saving import load_model
from textvae.objectives import Objective
from textvae.training.compiling import compiled_loss
from textvae.training.trainer import VAETrainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="needs a GPU: torch.cuda.is_available() is false"
    ),
]

DEVICE = "cuda"
V = 200
KINDS = {
    "lstm": {"kind": "lstm", "hidden": 64, "embedding": 32},
    "transformer": {"kind": "transformer", "hidden": 32, "layers": 2, "heads": 2, "dropout": 0.0},
}
# Sums are in another order, and each rounds by 6e-8; weights that differ by 3e-7 of their size move
# these losses by 2e-7. Refinement moves them by 2e-3 and more.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(autouse=True)
def whole_float32(monkeypatch):
    """Products keep all bits of float32: by default cuDNN rounds to TF32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture
def same_noise(monkeypatch):
    """Gaussian noise that does not depend on the device: it is drawn on the CPU."""

    def drawn(shape, dtype, device):
        return torch.randn(shape, dtype=dtype).to(device)

    monkeypatch.setattr("torch.distributions.normal._standard_normal", drawn)


def text_vae(kind, **settings):
    part = {"name": "text", **KINDS[kind]}
    z = {"name": "z", "kind": "gaussian", "dim": 8, "given": ["text"]}
    settings = {"vocab_size": V, "init_range": 0.2, **settings}
    model = vae([part], [z], [{**part, "given": ["z"]}], **settings)
    model.objective = Objective.build({"kind": "elbo"})
    return model


def batch():
    return ids(12, 9, 5, 3, 17, 8, 8, 1, vocab=V)


def losses(model, text, device, steps=3):
    """The loss before, between and after SGD steps on one batch, (steps + 1,)."""
    model, text = copy.deepcopy(model).to(device).train(), text.to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    torch.manual_seed(0)
    found = []
    for _ in range(steps + 1):
        loss = model(0, text=text).value
        found.append(loss.detach().cpu())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return torch.stack(found)


@pytest.mark.parametrize("kind", KINDS)
def test_training_losses_equal_those_of_the_cpu(kind, same_noise):
    model, text = text_vae(kind), batch()
    expected = losses(model, text, "cpu")
    assert (expected.diff().abs() > 0.01).all(), "the steps change the loss"
    torch.testing.assert_close(losses(model, text, DEVICE), expected, **TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_nll_equals_that_of_the_cpu(kind, same_noise):
    model, batches = text_vae(kind), [{"text": batch()}, {"text": batch()}]
    expected = likelihood(model, batches, samples=20)
    found = likelihood(copy.deepcopy(model).to(DEVICE), batches, samples=20)
    for name in ("nll", "elbo", "kl"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), **TOLERANCE)


def refined():
    return text_vae("lstm", refinement={"steps": 5})


def test_refined_elbo_equals_that_of_the_cpu(same_noise):
    """In evaluation, where cuDNN has no gradient of an LSTM."""
    model, batches = refined(), [{"text": batch()}]
    expected = likelihood(model, batches, samples=5).elbo
    found = likelihood(copy.deepcopy(model).to(DEVICE), batches, samples=5).elbo
    torch.testing.assert_close(found, expected, **TOLERANCE)


def test_refinement_trains():
    model = refined().to(DEVICE).train()
    model(0, text=batch().to(DEVICE)).value.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def corpus(count, seed):
    """Texts that count upwards from a random word: what comes next is easy to learn."""
    random = np.random.default_rng(seed)
    rows = []
    for length in random.integers(3, 12, count):
        first = random.integers(4, V - length)
        rows.append([1, *range(first, first + length), 2])
    offsets = np.cumsum([0, *map(len, rows)])
    return Sentences(np.concatenate(rows).astype(np.int32), offsets, int(offsets[-1] - count))


def trained(kind, precision, folder, **settings):
    """A trainer that has finished, and its validation losses."""
    reported = []

    def report(event, values):
        if event == "validation":
            reported.append(values["loss"])

    config = TrainingConfig(
        epochs=3, learning_rate=1e-2, precision=precision, validation_samples=1, **settings
    )
    model = text_vae(kind, init_range=0.1)
    trainer = VAETrainer(model, config, corpus(640, 0), corpus(64, 1), folder, report)
    trainer.train()
    return trainer, reported


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_training_lowers_the_loss(kind, tmp_path):
    trainer, reported = trained(kind, "bfloat16", tmp_path)
    assert trainer.vae.device.type == DEVICE
    assert {parameter.dtype for parameter in trainer.vae.parameters()} == {torch.float32}
    assert reported[-1] < 0.9 * reported[0]


@pytest.mark.parametrize("kind", KINDS)
def test_training_step_waits_for_nothing(kind):
    model, text = text_vae(kind).to(DEVICE).train(), batch().to(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    for mode in ("default", "error"):  # a first step may allocate, which waits
        torch.cuda.set_sync_debug_mode(mode)
        try:
            model(0, text=text).value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            optimizer.zero_grad()
        finally:
            torch.cuda.set_sync_debug_mode("default")


def gradients(model, loss_of):
    """Losses and gradients of batches of two lengths, each twice."""
    found = []
    for text in [batch().to(DEVICE), batch()[:, :10].to(DEVICE)] * 2:
        model.zero_grad()
        loss = loss_of(step=0, text=text).value
        loss.backward()
        gradient = torch.cat([weight.grad.flatten() for weight in model.parameters()])
        found += [loss.detach().clone(), gradient.clone()]
    return found


@pytest.mark.parametrize(
    ("kind", "compiled"),
    [(kind, "cudagraphs") for kind in KINDS] + [("transformer", "reduce-overhead")],
)
def test_compiled_loss_equals_that_of_the_model(kind, compiled):
    """Of a language model, which draws no noise."""
    model = vae(None, None, [{"name": "text", **KINDS[kind]}], vocab_size=V).to(DEVICE).train()
    model.objective = Objective.build({"kind": "elbo"})
    expected = gradients(model, model)
    for one, other in zip(gradients(model, compiled_loss(model, compiled)), expected, strict=True):
        torch.testing.assert_close(one, other, **TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_training_on_cuda_graphs_lowers_the_loss(kind, tmp_path):
    _, reported = trained(kind, "bfloat16", tmp_path, compile="cudagraphs")
    assert reported[-1] < 0.9 * reported[0]


def test_checkpoint_loads_on_the_cpu(tmp_path):
    trainer, _ = trained("lstm", "float32", tmp_path)
    loaded = load_model(trainer.checkpoint(trainer.state.global_step))
    assert loaded.device.type == "cpu"
    expected = trainer.vae.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    for name, weight in loaded.state_dict().items():
        assert torch.equal(weight, expected[name].cpu()), name


@pytest.mark.parametrize("kind", KINDS)
def test_samples_depend_on_the_seed_alone(kind):
    tokenizer = train_tokenizer("word", [f"w{n}" for n in range(V - 4)], V)
    model = SentenceVAE(text_vae(kind).to(DEVICE), tokenizer)
    first, again, other = (model.sample(16, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
