"""Planted failures: each has its verdict, and its own advice, applied, removes it."""

import random

import pytest

from textvae.analysis.diagnosis import diagnose_latent, trained_of
from textvae.analysis.findings import RemedyCode, Verdict
from textvae.api.sentence import SentenceVAE
from textvae.data.readers import Corpus
from textvae.recipes import load_recipe, read_recipe
from textvae.training.runs import train_run

TOPICS = [[first + last for first in "abcde"] for last in "klmnprst"]
TRAINING = 350

DELTA = {"name": "z", "kind": "delta", "dim": 8, "rate": 4.0, "given": ["text"]}
LATE = {"kind": "sigmoid", "midpoint": 300, "steepness": 0.03}

PLANTED = {
    Verdict.ANNEALING_NOT_FINISHED: {
        "objective": {"kind": "elbo", "kl_weight": LATE, "free_bits": 3.0},
        "train": {"epochs": 6, "batch_size": 16},
    },
    Verdict.UNDERTRAINED: {
        "objective": {"kind": "elbo", "free_bits": 3.0},
        "train": {"epochs": 1, "batch_size": 8},
    },
    Verdict.COLLAPSED: {"train": {"epochs": 30}},
    Verdict.PAID_BUT_UNUSED: {
        "latents": [DELTA],
        "train": {"epochs": 30, "learning_rate": 0.003},
    },
}
"""A KL weight that stays near 0; few steps; a strong decoder under the full KL weight; a family
whose KL is above a rate, with a decoder that predicts each word from the words before it."""

ADVICE = {
    Verdict.ANNEALING_NOT_FINISHED: [RemedyCode.MORE_EPOCHS, RemedyCode.EARLIER_SCHEDULE],
    Verdict.UNDERTRAINED: [RemedyCode.MORE_EPOCHS],
    Verdict.COLLAPSED: [RemedyCode.FREE_BITS, RemedyCode.WORD_DROPOUT],
    Verdict.PAID_BUT_UNUSED: [RemedyCode.WORD_DROPOUT],
}
"""Advice on settings, each of which is to remove the verdict."""


def planted(latents=None, objective=None, train=None):
    """A recipe with a failure."""
    node = {"name": "z", "kind": "gaussian", "dim": 4, "given": ["text"]}
    return read_recipe(
        {
            "model": {
                "encoders": [{"name": "text", "kind": "bag", "hidden": 32}],
                "latents": latents or [node],
                "decoders": [{"name": "text", "kind": "lstm", "hidden": 32, "given": ["z"]}],
            },
            "objective": objective or {"kind": "elbo"},
            "tokenizer": {"kind": "word", "vocab_size": 60},
            "train": {"learning_rate": 0.01, "validation_samples": 2, **(train or {})},
        },
        "planted",
    )


def corpus():
    """450 texts of four words of one of eight topics: z can encode ln 8 = 2.1 nats, or more."""
    draw = random.Random(1)
    texts = [" ".join(draw.choices(draw.choice(TOPICS), k=4)) for _ in range(TRAINING + 100)]
    return Corpus(texts[:TRAINING], texts[TRAINING:], [], "planted", [])


def diagnosis_after(recipe, folder):
    """The diagnosis of a recipe that is trained in a folder."""
    model, tokenizer = train_run(recipe, corpus(), folder, device="cpu")
    vae = SentenceVAE(model, tokenizer)
    return diagnose_latent(vae, corpus().valid, trained_of(str(folder)), samples=10)


@pytest.mark.parametrize("verdict", PLANTED)
def test_advice_removes_the_verdict(verdict, tmp_path):
    before = diagnosis_after(planted(**PLANTED[verdict]), tmp_path / "planted")
    assert before.code is verdict
    settings = [remedy for remedy in before.remedies if remedy.overrides]
    assert [remedy.reason for remedy in settings] == ADVICE[verdict]
    for remedy in settings:
        recipe = load_recipe(remedy.recipe, remedy.overrides)
        after = diagnosis_after(recipe, tmp_path / remedy.reason.value)
        assert after.code is not verdict, remedy
        assert after.metrics["mutual_information"] > 1, remedy
