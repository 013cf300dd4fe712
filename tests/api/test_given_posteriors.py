"""Latents that come from their posteriors, since the fields that these read are given."""

import numpy as np
import pytest
import torch
from conftest import Z
from conftest import vae as small_vae
from support.models import texts

from textvae.api.sentence import SentenceVAE
from textvae.data.tokenizers import train_tokenizer
from textvae.graph.decoding import Decoding

HOW = Decoding(max_new_tokens=6)
STYLES = texts(4)
LSTM = {"kind": "lstm", "hidden": 6}


def model(styled: dict, observed: dict, **more) -> SentenceVAE:
    """A model that writes `text` from r, of the style, and z; changes are of r."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer("word", texts(), 50)
    encoders = [{**LSTM, "name": "style"}, {**LSTM, "name": "text"}, *more.pop("encoders", [])]
    latents = [{**Z, "name": "r", "given": ["style"]} | styled, {**Z, "given": ["text"]}]
    decoders = [{**LSTM, "name": "text", "given": ["r", "z"]}]
    built = small_vae(encoders, latents, decoders, vocab_size=len(tokenizer), observed=observed)
    with torch.no_grad():
        built.latents["r"].head.bias[:3] += 3  # the mean, away from the prior's
    return SentenceVAE(built, tokenizer)


PARTS = {"style": {"plate": "mine", "lengths": [1, 2]}, "text": {}}
SET = {"name": "all", "kind": "set", "hidden": 6, "given": ["style"]}


@pytest.fixture(scope="module", params=["rows", "parts"])
def vae(request):
    if request.param == "rows":
        return model({}, {"style": {}, "text": {}})
    return model({"given": ["all"]}, PARTS, encoders=[SET])


def given_of(vae, rows=STYLES):
    return {"style": [[style, rows[0]] for style in rows] if vae.has_parts else list(rows)}


def test_the_field_is_no_condition_and_may_be_given(vae):
    config = vae.model.config
    assert (config.conditions(), config.read_or_given) == ([], ["style"])
    assert not config.comes_from_posterior("r", set())
    assert config.comes_from_posterior("r", {"style"})
    assert not config.comes_from_posterior("z", {"style"})
    assert len(vae.sample(3, HOW, seed=0)) == 3


def test_a_given_style_fixes_the_distribution_of_its_latent_alone(vae):
    given, draws = given_of(vae), 400
    columns = vae.given_conditions(given)
    batch = columns.collate([columns[index] for index in range(4)])
    with torch.no_grad():
        posterior = vae.model.encode(**batch)["r"]
    drawn = np.stack([vae.sample_latents(4, seed=s, given=given) for s in range(draws)])
    error = (drawn[..., :3].mean(0) - posterior.mean.numpy()) / posterior.stddev.numpy()
    assert np.abs(error).max() * draws**0.5 < 5  # standard errors
    assert np.abs(drawn[..., 3:].mean((0, 1))).max() < 5 / (4 * draws) ** 0.5
    free = np.stack([vae.sample_latents(4, seed=s) for s in range(draws)])
    assert np.abs(free.mean((0, 1))).max() < 5 / (4 * draws) ** 0.5


def test_texts_depend_on_the_given_style(vae):
    given = given_of(vae)
    rows = vae.sample_rows(5, Decoding(do_sample=True, max_new_tokens=6), seed=0, given=given)
    assert len(rows) == 20 and all(set(row) == {"text"} for row in rows)
    again = vae.sample_rows(5, Decoding(do_sample=True, max_new_tokens=6), seed=0, given=given)
    assert rows == again
    assert rows != vae.sample_rows(20, Decoding(do_sample=True, max_new_tokens=6), seed=0)


def test_a_beam_begins_at_the_posterior_mean():
    vae = model({}, {"style": {}, "text": {}})
    given = {"style": STYLES}
    rows = vae.given_conditions(given)
    batch = rows.collate([rows[index] for index in range(4)])
    with torch.no_grad():
        mean = vae.model.encode(**batch)["r"].mean
    z = torch.cat([mean, torch.zeros(4, 3)], -1)
    best = vae.decode(z, Decoding(num_beams=3, max_new_tokens=128, allow_unknown=False))
    found = vae.likeliest(3, Decoding(), given)
    assert [beam[0][0] for beam in found] == best


def test_other_fields_are_refused(vae):
    with pytest.raises(ValueError, match="unknown field 'text'"):
        vae.sample(1, HOW, given={"text": "a b"})


def test_held_out_answers_are_of_the_given_style(monkeypatch):
    vae = model({}, {"style": {}, "text": {}})
    asked = []
    monkeypatch.setattr(
        SentenceVAE,
        "given_conditions",
        lambda self, given, count=None, own=SentenceVAE.given_conditions: (
            asked.append(given) or own(self, given, count)
        ),
    )
    from textvae.api.generation import evaluate_answers

    evaluate_answers(vae, {"style": texts(6), "text": texts(6)}, each=2)
    assert all(sorted(each["style"]) == sorted(set(texts(6))) for each in asked if each)
    assert asked
