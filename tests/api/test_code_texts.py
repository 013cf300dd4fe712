"""Texts of the most probable codes: of a codebook, and of classes."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from conftest import vae
from support.rows import EVENTS, MOODS, OBSERVED, REPLIES, table

from textvae.analysis.diagnosis import diagnosis_of
from textvae.analysis.generation_reports import answers_text
from textvae.analysis.reports import evaluation_text
from textvae.analysis.wording import diagnosis_report
from textvae.api.sentence import SentenceVAE
from textvae.data.tokenizers import train_tokenizer
from textvae.families.base import AlikeError

BOOK = {"kind": "vq", "codes": 2, "size": 4, "code_dim": 3}
PRIOR = {"kind": "codes", "given": ["event"], "hidden_size": 5}
CLASSES = {"kind": "gumbel", "embedding": 4, "field": "mood", "label_weight": 1.0}


def model_of(latent) -> SentenceVAE:
    torch.manual_seed(0)
    tokenizer = train_tokenizer("word", EVENTS + REPLIES + MOODS, 60)
    encoders = [
        {"name": "event", "kind": "lstm", "hidden": 6},
        {"name": "reply", "kind": "lstm", "hidden": 6},
    ]
    latents = [{"name": "z", "given": ["event", "reply"], **latent}]
    decoders = [{"name": "reply", "kind": "lstm", "hidden": 8, "given": ["z", "event"]}]
    model = vae(encoders, latents, decoders, vocab_size=len(tokenizer), observed=OBSERVED)
    for name, weight in model.priors.named_parameters():
        torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(len(name)))
    return SentenceVAE(model.eval(), tokenizer)


@pytest.fixture(scope="module")
def quantized():
    return model_of({**BOOK, "prior": PRIOR})


@pytest.fixture(scope="module")
def classed():
    return model_of({**CLASSES, "prior": {"given": ["event"]}})


def test_codes_are_listed_by_probability(quantized):
    given = {"event": EVENTS[:3]}
    found = quantized.likeliest_codes(16, given=given)
    assert [len(rows) for rows in found] == [16, 16, 16]
    for rows in found:
        nlls = [row.nll for row in rows]
        assert nlls == sorted(nlls)
        assert np.exp(-np.array(nlls)).sum() == pytest.approx(1, abs=1e-4)
        assert {row.code for row in rows} == {f"{a} {b}" for a in range(4) for b in range(4)}
    (alone,) = quantized.likeliest_codes(3, given={"event": EVENTS[1]})
    assert [(row.code, row.row) for row in alone] == [(r.code, r.row) for r in found[1][:3]]


def test_a_text_is_the_decoded_code(quantized):
    row = quantized.likeliest_codes(2, given={"event": EVENTS[0]})[0][1]
    numbers = torch.tensor([int(number) for number in row.code.split()])
    z = quantized.model.latents["z"].vectors(numbers[None])
    assert quantized.decode(z, given={"event": EVENTS[0]}) == [row.row["reply"]]


def test_codes_of_a_label_have_its_names(classed):
    (rows,) = classed.likeliest_codes(5, given={"event": EVENTS[0]})
    assert {row.code for row in rows} == set(MOODS) and rows[0].nll < rows[1].nll


@pytest.mark.parametrize(
    ("latent", "error", "message"),
    [
        (BOOK, AlikeError, "every code is equally probable"),
        ({"kind": "gumbel", "codes": 2, "size": 3}, AlikeError, "every code is equally probable"),
        ({"kind": "gaussian", "dim": 2}, ValueError, "one latent that is made of codes"),
    ],
)
def test_models_without_likelier_codes_are_refused(latent, error, message):
    with pytest.raises(error, match=message):
        model_of(latent).likeliest_codes(3, given={"event": EVENTS[0]})


def test_an_evaluation_has_the_use_of_codes_and_their_texts(quantized):
    columns = {field: table()[field] for field in ("event", "reply")}
    metrics = asdict(quantized.evaluate(columns, samples=5, generation=True))
    assert metrics["samples"] == 1 and metrics["certain"]
    assert metrics["nll"] == pytest.approx(-metrics["elbo"])
    assert 1 <= metrics["code_perplexity"] <= metrics["codes_used"] <= 4
    assert metrics["answers"]["codes"]["each"] == 10
    assert metrics["answers"]["word_share"] is None
    text = evaluation_text(metrics)
    assert "upper bound of one sample" in text and "importance-weighted" not in text
    assert "codes used" in text and "10 likeliest codes" in text
    report = diagnosis_report(diagnosis_of(metrics)).text()
    assert f"{metrics['codes_used']} of 4 codes are used" in report


def test_the_word_of_a_class_is_looked_for_in_its_text(classed):
    answers = asdict(classed.evaluate(table(), samples=2, generation=True))["answers"]
    assert 0 <= answers["word_share"] <= 1 and 0 <= answers["random_word_share"] <= 1
    assert "the word of a code stands in its text" in answers_text(answers)


def test_interpolation_passes_over_codes(quantized):
    ends = quantized.encode({"event": EVENTS[:2], "reply": REPLIES[:2]})
    path = quantized.between(ends, 5)
    assert torch.equal(quantized.model.latents["z"].project(path), path)
    np.testing.assert_array_equal(path[[0, -1]], ends)
