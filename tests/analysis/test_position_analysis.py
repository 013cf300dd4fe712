"""The per-position protocol: the same texts under several runs and a language model."""

import pytest
import torch
from conftest import GRAPHS, vae

from textvae.analysis.positions import analyse_positions
from textvae.api.sentence import SentenceVAE
from textvae.data.tokenizers import train_tokenizer

TEXTS = ["a b c d", "b a", "c c d", "d b a", "a a a", "b c"]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer("word", TEXTS, 12)


def model(graph, tokenizer):
    return SentenceVAE(vae(**GRAPHS[graph], vocab_size=len(tokenizer)), tokenizer)


def test_improvement_is_a_share_of_the_baseline_loss(tokenizer):
    runs = [model("vae", tokenizer) for _ in range(2)]
    baseline = model("language model", tokenizer)
    result = analyse_positions(runs, TEXTS, baseline, use_mean=True).result()
    losses = [run.positions(TEXTS, use_mean=True).loss for run in runs]
    base = baseline.positions(TEXTS).loss
    saved = torch.stack([(base - loss) / base for loss in losses])
    for name, expected in {
        "loss": torch.stack(losses).mean(0),
        "baseline": base,
        "improvement": saved.mean(0),
        "improvement_low": saved.amin(0),
        "improvement_high": saved.amax(0),
    }.items():
        assert result[name] == pytest.approx(expected.tolist(), abs=2e-6), name
    assert result["position"] == [1, 2, 3, 4, 5]
    assert result["texts"] == [6, 6, 6, 4, 1]
    assert result["latent"] == "posterior means"


def test_analysis_of_one_length(tokenizer):
    result = analyse_positions([model("vae", tokenizer)], TEXTS, length=4).result()
    assert result["texts"] == [3, 3, 3, 3] and result["length"] == 4
    with pytest.raises(
        ValueError, match=r"no text has 9 targets; most have 4 \(3 texts\), .* 3 to 5"
    ):
        analyse_positions([model("vae", tokenizer)], TEXTS, length=9)


def test_recovery_compares_token_by_token(tokenizer):
    run = model("vae", tokenizer)
    result = analyse_positions([run], TEXTS, recover=True).result()
    back = run.reconstruct(TEXTS)
    exact = sum(a == b for a, b in zip(TEXTS, back, strict=True)) / 6
    first = (
        sum(a.split()[0] == (b.split() or [""])[0] for a, b in zip(TEXTS, back, strict=True)) / 6
    )
    assert result["exact_recovery"] == pytest.approx(exact, abs=1e-6)
    assert result["first_word_recovery"] == pytest.approx(first, abs=1e-6)


def test_analysis_refuses_runs_that_do_not_compare(tokenizer):
    other = train_tokenizer("word", ["x y z w"], 12)
    with pytest.raises(ValueError, match="the same vocabulary"):
        analyse_positions([model("vae", tokenizer), model("vae", other)], TEXTS)
    with pytest.raises(ValueError, match="must be a language model"):
        analyse_positions([model("vae", tokenizer)], TEXTS, model("vae", tokenizer))
    with pytest.raises(ValueError, match="no latent"):
        analyse_positions([model("language model", tokenizer)], TEXTS, recover=True)
