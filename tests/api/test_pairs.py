"""Models of two texts with a latent each: encoding one of them, evaluation, rows from the prior."""

import numpy as np
import pytest
import torch
from conftest import GRAPHS, vae
from support.models import texts

from textvae.api.sentence import SentenceVAE
from textvae.data.tokenizers import train_tokenizer

COLUMNS = {"question": texts(40)[:20], "answer": texts(40)[20:]}


@pytest.fixture(scope="module")
def crossed() -> SentenceVAE:
    torch.manual_seed(0)
    tokenizer = train_tokenizer("word", texts(), 50)
    graph = GRAPHS["crossed"]
    graph = {**graph, "latents": [{**each, "dim": 3} for each in graph["latents"]]}
    observed = {"question": {}, "answer": {}}
    return SentenceVAE(vae(**graph, vocab_size=len(tokenizer), observed=observed), tokenizer)


def test_one_field_is_encoded_by_the_latents_that_need_no_other(crossed):
    both = crossed.encode(COLUMNS)
    assert both.shape == (20, 6)
    for number, field in enumerate(COLUMNS):
        means, scales = crossed.encode({field: COLUMNS[field]}, return_scales=True)
        np.testing.assert_allclose(means, both[:, 3 * number : 3 * number + 3], atol=1e-5)
        assert means.shape == scales.shape == (20, 3)


def test_a_latent_of_two_fields_needs_both():
    tokenizer = train_tokenizer("word", texts(), 50)
    graph = {**GRAPHS["learned prior"], "observed": {"context": {}, "answer": {}}}
    model = SentenceVAE(vae(**graph, vocab_size=len(tokenizer)), tokenizer)
    with pytest.raises(ValueError, match="missing: context"):
        model.encode({"answer": ["the dog"]})


@pytest.mark.parametrize("columns", [{}, {"reply": ["a dog"]}])
def test_rows_without_a_known_field_are_refused(crossed, columns):
    with pytest.raises(ValueError, match="the model must be given question|unknown field 'reply'"):
        crossed.encode(columns)


def test_an_evaluation_ranks_the_partners(crossed):
    metrics = crossed.evaluate(COLUMNS, samples=2)
    first, second = np.split(crossed.encode(COLUMNS), 2, axis=1)
    scores = first @ second.T
    ranks = 1 + (scores > np.diag(scores)[:, None]).sum(1)
    assert metrics.matching.mrr == pytest.approx((1 / ranks).mean())
    assert metrics.matching.pairs == 20 and metrics.answers is None


def test_rows_of_both_texts_come_from_the_prior(crossed):
    rows = crossed.sample_rows(3, seed=0)
    assert [set(row) for row in rows] == [{"question", "answer"}] * 3
    assert rows == crossed.sample_rows(3, seed=0)
    with pytest.raises(ValueError, match="sample_rows"):
        crossed.sample(3)
