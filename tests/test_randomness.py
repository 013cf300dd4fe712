"""A seed gives the same numbers in every thread, and nothing disturbs the random state."""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from support.models import image_vae, sentence_vae, texts
from torch import distributions as d
from torch import nn

from textvae.analysis.classification import Budget, train_classifier
from textvae.api.sentence import SentenceVAE
from textvae.graph.decoding import Decoding
from textvae.graph.model import VAE, VAEConfig
from textvae.randomness import draws, seed_process, seeded

WORKERS, CALLS = 8, 16

DRAWN = {
    "rand": lambda: torch.rand(3),
    "randn": lambda: torch.randn(2, 9),
    "randint": lambda: torch.randint(9, (5,)),
    "randperm": lambda: torch.randperm(9),
    "rand_like": lambda: torch.rand_like(torch.zeros(3)),
    "randn_like": lambda: torch.randn_like(torch.zeros(30)),
    "bernoulli": lambda: torch.bernoulli(torch.full((9,), 0.5)),
    "uniform_": lambda: torch.zeros(4).uniform_(),
    "gaussian": lambda: d.Normal(torch.zeros(20), torch.ones(20)).rsample(),
    "uniform": lambda: d.Uniform(torch.zeros(2), torch.ones(2)).sample(),
    "full covariance": lambda: d.MultivariateNormal(torch.zeros(3), torch.eye(3)).sample(),
    "dirichlet": lambda: d.Dirichlet(torch.ones(4)).rsample(),
    "beta": lambda: d.Beta(torch.ones(2), torch.ones(2)).sample(),
    "gamma": lambda: d.Gamma(torch.ones(3), torch.ones(3)).sample(),
    "classes": lambda: d.OneHotCategorical(logits=torch.zeros(5)).sample((4,)),
    "mixture": lambda: d.MixtureSameFamily(
        d.Categorical(logits=torch.zeros(3)), d.Normal(torch.zeros(3), torch.ones(3))
    ).sample((4,)),
    "linear layer": lambda: nn.Linear(4, 4).weight.detach(),
    "embedding": lambda: nn.Embedding(4, 3).weight.detach(),
    "lstm": lambda: nn.LSTM(2, 2).weight_hh_l0.detach(),
    "convolution": lambda: nn.Conv2d(1, 1, 3).weight.detach(),
}


@pytest.mark.parametrize("name", DRAWN)
def test_seeded_draws_equal_those_after_manual_seed(name):
    before = torch.get_rng_state()
    with seeded(3), draws():
        drawn = DRAWN[name]()
    assert torch.equal(torch.get_rng_state(), before), "the random state is not used"
    torch.manual_seed(3)
    assert torch.equal(drawn, DRAWN[name]())


@pytest.mark.parametrize("seed", [0, 7 * 1_000_000_007 + 4096, -1])
def test_seeding_the_process_equals_manual_seed(seed):
    torch.manual_seed(seed)
    expected = torch.rand(3)
    seed_process(seed)
    assert torch.equal(torch.rand(3), expected)


def test_a_draw_keeps_a_generator_of_its_own():
    own = torch.Generator().manual_seed(5)
    with seeded(3), draws():
        drawn = torch.rand(3, generator=own)
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(5)))


def test_without_a_seed_draws_come_from_the_caller():
    with seeded(None), draws():
        drawn = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(3))
    with seeded(3), seeded(None), draws():
        inner = torch.rand(3)
    assert torch.equal(inner, torch.rand(3, generator=torch.Generator().manual_seed(3)))


LATENTS = {
    "gaussian": {"kind": "gaussian"},
    "mixture prior": {"kind": "gaussian", "prior": {"kind": "mixture", "components": 3}},
    "fitted prior": {"kind": "gaussian", "prior": {"fitted": True}},
    "vmf": {"kind": "vmf", "kappa": 5.0},
    "delta": {"kind": "delta", "steps": 3},
    "copula": {"kind": "copula"},
    "dirichlet": {"kind": "dirichlet"},
    "logistic normal": {"kind": "logistic_normal"},
    "categorical": {"kind": "categorical"},
    "point": {"kind": "point"},
}
SAMPLED = Decoding(do_sample=True, max_new_tokens=8)
METHODS = {
    "sample": lambda vae, seed: vae.sample(4, SAMPLED, seed=seed),
    "decode": lambda vae, seed: vae.decode(np.ones((3, vae.dim), "f"), SAMPLED, seed=seed),
    "encode": lambda vae, seed: vae.encode(texts(6)).tolist(),
    "features": lambda vae, seed: vae.features(texts(6), kind="sample", seed=seed).tolist(),
    "feature_sizes": lambda vae, seed: vae.feature_sizes("sample"),
    "reconstruct": lambda vae, seed: vae.reconstruct(texts(3)),
    "interpolate": lambda vae, seed: vae.interpolate(*texts(2), steps=3),
    "nearest": lambda vae, seed: vae.nearest(texts(1)[0], texts(6)),
    "evaluate": lambda vae, seed: vae.evaluate(texts(6), samples=3, seed=seed),
    "positions": lambda vae, seed: vae.positions(texts(6), seed=seed).loss,
    "recovery": lambda vae, seed: vae.recovery(texts(6)),
    "shuffled": lambda vae, seed: vae.positions_with_shuffled_latents(texts(6), seed=seed)[0].loss,
}


def text_model(kind: str) -> SentenceVAE:
    sizes = {"dim": 3} if kind != "delta" else {"dim": 6}
    return sentence_vae(latents=[{"name": "z", "given": ["text"], **sizes, **LATENTS[kind]}])


def same_in_threads(call) -> None:
    """Calls of eight threads equal those of one, and the random states stay as they were."""
    alone = [repr(call(seed)) for seed in range(CALLS)]
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    with ThreadPoolExecutor(WORKERS) as pool:
        beside = list(pool.map(lambda seed: repr(call(seed)), range(CALLS)))
    assert beside == alone
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]


@pytest.mark.parametrize("method", METHODS)
def test_methods_are_the_same_in_threads(method):
    vae = text_model("gaussian")
    same_in_threads(lambda seed: METHODS[method](vae, seed))


@pytest.mark.parametrize("kind", [kind for kind in LATENTS if kind != "gaussian"])
def test_latents_are_sampled_the_same_in_threads(kind):
    vae = text_model(kind)
    same_in_threads(
        lambda seed: (METHODS["sample"](vae, seed), vae.evaluate(texts(4), samples=2, seed=seed))
    )


def test_refinement_is_the_same_in_threads():
    vae = text_model("gaussian")
    config = vae.model.config.to_dict() | {"refinement": {"steps": 2, "samples": 2}}
    model = VAE(VAEConfig(**{name: config[name] for name in VAEConfig.names() if name in config}))
    refined = SentenceVAE(model.eval(), vae.tokenizer)
    same_in_threads(lambda seed: refined.encode(texts(4)).tolist())


def test_different_seeds_draw_different_samples():
    vae = text_model("gaussian")
    assert vae.sample(4, SAMPLED, seed=1) != vae.sample(4, SAMPLED, seed=2)


def test_loading_a_model_keeps_the_random_state(tmp_path):
    text_model("gaussian").save_pretrained(tmp_path)
    same_in_threads(lambda seed: SentenceVAE.from_pretrained(tmp_path).sample(2, seed=seed))


def test_a_classifier_is_the_same_in_threads():
    inputs, labels = np.random.default_rng(0).normal(size=(40, 3)).astype("f"), np.arange(40) % 2
    budget = Budget(epochs=1, least_steps=5)

    def weights(seed):
        network = train_classifier(inputs, labels, 2, budget, seed)
        return [parameter.tolist() for parameter in network.parameters()]

    same_in_threads(weights)


IMAGE_METHODS = {
    "sample": lambda vae, seed: vae.sample(3, seed=seed).tolist(),
    "sample_latents": lambda vae, seed: vae.sample_latents(3, seed=seed).tolist(),
    "features": lambda vae, seed: vae.features(PICTURES, kind="sample", seed=seed).tolist(),
    "evaluate": lambda vae, seed: vae.evaluate(PICTURES, samples=3, seed=seed),
    "reconstruct": lambda vae, seed: vae.reconstruct(PICTURES).tolist(),
}
PICTURES = (np.random.default_rng(0).random((5, 1, 4, 4)) > 0.5).astype("float32")


@pytest.mark.parametrize("method", IMAGE_METHODS)
def test_image_methods_are_the_same_in_threads(method):
    vae = image_vae()
    same_in_threads(lambda seed: IMAGE_METHODS[method](vae, seed))
