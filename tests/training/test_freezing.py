"""Frozen parts: no gradient, and evaluation mode while the rest trains."""

import pytest
import torch
from safetensors.torch import load_file

from textvae.config import ImageDataConfig, PretrainingConfig
from textvae.data.readers import Corpus
from textvae.layers.recurrent import LSTM
from textvae.recipes import first_stage, load_recipe, read_recipe, shipped_recipes
from textvae.training.pretraining import begin_with
from textvae.training.runs import build_model, train_run

TEXTS = ["the cat sees a dog", "a dog finds the old house", "the river", "a small bird sees"] * 8


def recipe(**pretrain):
    """A recipe whose latent, encoder and decoder behave differently in training."""
    node = {"name": "text", "kind": "lstm", "hidden": 8, "layers": 2, "dropout": 0.5}
    batch_norm = {"batch_norm": 0.6, "given": ["text"]}
    return read_recipe(
        {
            "model": {
                "encoders": [{**node, "noise": {"kind": "drop"}}],
                "latents": [{"name": "z", "kind": "gaussian", "dim": 3, **batch_norm}],
                "decoders": [{**node, "word_dropout": 0.5, "given": ["z"]}],
            },
            "pretrain": {
                "objective": {"kind": "elbo"},
                "train": {"epochs": 1, "keep": "last"},
                "transfer": ["encoders", "latents", "decoders"],
                **pretrain,
            },
            "objective": {"kind": "elbo"},
            "tokenizer": {"kind": "word", "vocab_size": 30},
            "train": {"epochs": 1, "batch_size": 8, "validation_samples": 1, "keep": "last"},
        },
        "frozen",
    )


def frozen_model(*parts):
    model = build_model(recipe(), 20)
    config = PretrainingConfig(objective={}, transfer=["encoders"], freeze=list(parts))
    begin_with(model, model.state_dict(), config)
    return model


def in_evaluation(model):
    return {name for name, module in model.named_modules() if not module.training}


@pytest.mark.parametrize(
    ("part", "inside"),
    [
        ("latents.z.head", {"latents.z.head"}),
        ("latents", {"latents", "latents.z", "latents.z.head", "latents.z.normalizer"}),
        ("latents.z.head.weight", set()),
    ],
)
def test_modules_inside_a_frozen_part_stay_in_evaluation(part, inside):
    model = frozen_model(part)
    assert in_evaluation(model) == inside
    model.eval()
    assert model.train() is model and in_evaluation(model) == inside
    assert not frozen_model().train().frozen and not in_evaluation(frozen_model().train())


def test_dropout_and_noise_of_a_frozen_encoder_are_off():
    ids = torch.tensor([[1, 5, 6, 7, 8, 2]] * 4)
    free, frozen = (frozen_model(*parts).train().encoders["text"] for parts in ((), ("encoders",)))
    assert not torch.equal(free(ids).pooled, free(ids).pooled)
    assert torch.equal(frozen(ids).pooled, frozen(ids).pooled)


def test_training_leaves_a_frozen_latent_as_it_is(tmp_path):
    """Its batch normalisation tracks no averages; encoder and decoder are trained through it."""
    corpus = Corpus(TEXTS, TEXTS[:4], [], "made by the test", [])
    train_run(recipe(freeze=["latents"]), corpus, tmp_path / "run")
    first, second = (
        load_file(tmp_path / name / "model.safetensors") for name in ("run/pretrain", "run")
    )
    assert "latents.z.normalizer.mean" in first
    for name, value in second.items():
        assert torch.equal(first[name], value) == name.startswith("latents."), name


def test_a_decoder_in_evaluation_passes_gradients_on():
    model = frozen_model("decoders").train()
    model(0, text=torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0]])).value.backward()
    assert all(p.grad is None for p in model.decoders.parameters())
    assert all(p.grad is not None and p.grad.any() for p in model.latents.parameters())


def test_training_without_dropout_equals_evaluation():
    """What a frozen LSTM computes on CUDA, where evaluation mode has no gradient."""
    torch.manual_seed(0)
    lstm = LSTM(3, 4, 2, batch_first=True, dropout=0.5).eval()
    x = torch.randn(2, 5, 3, requires_grad=True)
    with lstm.training_without_dropout():
        assert lstm.training
        states, _ = lstm(x)
    assert not lstm.training and lstm.dropout == 0.5
    torch.testing.assert_close(states, lstm(x)[0])


FROZEN = [name for name in shipped_recipes() if (p := load_recipe(name).pretrain) and p.freeze]


@pytest.mark.parametrize("name", FROZEN)
def test_shipped_recipes_with_frozen_parts_build(name):
    recipe = load_recipe(name)
    images = isinstance(recipe.data, ImageDataConfig)
    facts = (
        (0, {"image": {"shape": [1, 28, 28], "pixels": recipe.data.pixels}}) if images else (30,)
    )
    model = build_model(recipe, *facts)
    begin_with(model, build_model(first_stage(recipe), *facts).state_dict(), recipe.pretrain)
    assert in_evaluation(model) >= set(recipe.pretrain.freeze)
