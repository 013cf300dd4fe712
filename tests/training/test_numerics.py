"""Training under extreme settings ends with numbers, or says at which step which one is none."""

import math
import re
from itertools import product

import pytest
import torch
from conftest import DECODERS, ENCODERS, fields_of, pair
from safetensors.torch import load_file

import textvae.training.runs as runs
from textvae.data.readers import Corpus
from textvae.graph.decoding import Decoding
from textvae.graph.generation import generate
from textvae.recipes import read_recipe
from textvae.training.runs import train_run
from textvae.training.trainer import NonFiniteLossError

LONG = 2000
"""Tokens of the longest text."""

LATENTS = {
    "a usual posterior": ({"kind": "gaussian"}, 0.0),
    "a posterior without width": ({"kind": "gaussian"}, -60.0),
    "a posterior far wider than the prior": ({"kind": "gaussian"}, 60.0),
    "a posterior beyond float32": ({"kind": "gaussian"}, 400.0),
    "means of no scale": ({"kind": "gaussian", "batch_norm": 1e-6}, 0.0),
    "means of a large scale": ({"kind": "gaussian", "batch_norm": 1e4}, 0.0),
    "a flat sphere": ({"kind": "vmf", "kappa": 1e-4}, 0.0),
    "a point on the sphere": ({"kind": "vmf", "kappa": 1e5}, 0.0),
    "a copula": ({"kind": "copula"}, 0.0),
    "no rate to keep": ({"kind": "delta", "rate": 1e-4}, 0.0),
    "much rate to keep": ({"kind": "delta", "rate": 7.0}, 0.0),
}
"""Latents, and what is added to the logarithm of their variance before training."""


def corpus(longest: int, copies: int) -> Corpus:
    """Texts of one word, of five, and one of many tokens, begin and end included."""
    words = "the a dog cat sees finds".split()
    texts = [*words, "the dog sees a cat"] * (4 * copies)
    long = " ".join(words[i % 6] for i in range(longest - 2))
    return Corpus([*texts, *["a"] * 3, long], ["a dog", "cat"], [], "made by the test", [])


def recipe(latent: dict, kl_weight: float, precision: str, epochs: int):
    node = {"name": "text", "kind": "lstm", "hidden": 8}
    return read_recipe(
        {
            "model": {
                "encoders": [node],
                "latents": [{"name": "z", "dim": 3, "given": ["text"], **latent}],
                "decoders": [
                    {**node, "kind": "transformer", "heads": 1, "layers": 1, "given": ["z"]}
                ],
            },
            "objective": {"kind": "elbo", "kl_weight": kl_weight},
            "tokenizer": {"kind": "word", "vocab_size": 12},
            "data": {"max_tokens": LONG},
            "train": {
                "epochs": epochs,
                "batch_size": 4,
                "learning_rate": 1e-2,
                "precision": precision,
                "validation_samples": 1,
            },
        },
        "extreme",
    )


EXTREMES = [
    pytest.param(latent, kl_weight, precision, 2000, LONG, marks=pytest.mark.slow)
    for latent, kl_weight, precision in product(LATENTS, (0.0, 100.0), ("float32", "bfloat16"))
    if LATENTS[latent][0] == {"kind": "gaussian"} or (kl_weight == 0.0) == (precision == "float32")
] + [
    ("a posterior without width", 100.0, "float32", 16, 200),
    ("a posterior far wider than the prior", 100.0, "bfloat16", 16, 200),
    ("a posterior beyond float32", 0.0, "float32", 16, 200),
]
"""Latent, KL weight, precision, steps, tokens of the longest text."""


@pytest.mark.parametrize(("latent", "kl_weight", "precision", "steps", "longest"), EXTREMES)
def test_training_ends_with_numbers_or_names_what_is_none(
    latent, kl_weight, precision, steps, longest, tmp_path, monkeypatch
):
    # A CPU without instructions for it computes the same numbers, slowly.
    monkeypatch.setattr("textvae.training.arguments.cpu_has_bfloat16", lambda: True)
    spec, log_variance = LATENTS[latent]
    built = runs.build_model

    def widened(*arguments):
        model = built(*arguments)
        if log_variance:
            model.latents["z"].head.bias.data[3:] += log_variance
        return model

    monkeypatch.setattr(runs, "build_model", widened)
    texts, taken = corpus(longest, copies=math.ceil(steps / 100)), []
    try:
        train_run(
            recipe(spec, kl_weight, precision, math.ceil(4 * steps / len(texts.train))),
            texts,
            tmp_path / "run",
            report=lambda event, values: taken.append(values["step"]) if event == "step" else None,
        )
    except NonFiniteLossError as error:
        assert re.search(r"loss is (nan|-?inf) (at|after) step \d+ \(.*kl ", str(error)), error
        assert latent == "a posterior beyond float32", error
        return
    assert max(taken) >= steps
    weights = load_file(tmp_path / "run/model.safetensors")
    assert all(torch.isfinite(value).all() for value in weights.values())


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("encoder", ["lstm-mean-both-1", "transformer-mean", "bag-max"])
def test_a_model_cast_to_bfloat16_is_close_to_itself(encoder, decoder):
    assert encoder in ENCODERS
    model = pair(encoder, decoder)
    fields = fields_of(model, 3, 5)
    torch.manual_seed(0)
    exact = model.infer(2, **fields)
    torch.manual_seed(0)
    close = model.to(torch.bfloat16).infer(2, **fields)
    assert close.log_weight.dtype == torch.float32
    # Eight bits of each weight: a relative error of 2^-8 in each of some ten sums.
    torch.testing.assert_close(
        close.total_log_likelihood, exact.total_log_likelihood, rtol=0.04, atol=0.04
    )
    torch.testing.assert_close(close.kl, exact.kl, rtol=0.04, atol=0.04)
    values = {name: latent.value for name, latent in close.latents.items()}
    (context,) = model.contexts(values, {}, 2).values()
    for beams in (1, 3):
        assert generate(model.decoders["text"], context[0], Decoding(num_beams=beams)).shape[0] == 2
