"""Rows whose fields are written one from another: their order, and what may be given."""

import pytest
import torch
from conftest import vae as small_vae
from support.rows import EVENTS, OBSERVED, REPLIES, table
from support.trees import TEXTS, TREES, tree_vae

from textvae.api.parts import Writing
from textvae.api.sentence import SentenceVAE
from textvae.api.writing import batch_of
from textvae.data.tokenizers import train_tokenizer
from textvae.graph.decoding import Decoding
from textvae.graph.plates import writing_order

HOW = Decoding(max_new_tokens=12)


@pytest.fixture(scope="module", params=[True, False], ids=["dependent", "independent"])
def vae(request):
    found = tree_vae(request.param)
    with torch.no_grad():
        found.model.latents["zt"].head.bias[:2] += 3  # the mean, away from the prior's
    return found


def test_a_field_that_is_written_first_is_no_condition(vae):
    config = vae.model.config
    assert config.conditions() == [] and config.written_or_given == ["tree"]
    assert config.writes_in_turn and not tree_vae(attends=False).model.config.writes_in_turn


def test_a_text_is_written_from_the_tree_that_is_written(vae):
    for row in vae.sample_rows(3, HOW, seed=0):
        assert list(row) == ["text", "tree"]
        if row["tree"]:
            again = vae.sample_rows(1, HOW, seed=0, given={"tree": row["tree"]})[0]
            assert again["tree"] == row["tree"]


def test_a_given_tree_is_kept_and_read(vae):
    rows = vae.sample_rows(1, HOW, seed=0, given={"tree": TREES})
    assert [row["tree"] for row in rows] == TREES


def test_the_latent_of_a_given_tree_comes_from_its_posterior(vae):
    fields = batch_of(vae, vae.given_conditions({"tree": TREES}), slice(0, 3))
    posterior = vae.model.encode(tree=fields["tree"])["zt"]
    steps, values = writing_order(vae.model.config, None), []
    for _ in range(300):
        writing = Writing(vae, 3, Decoding(max_new_tokens=1), fields)
        with torch.no_grad():
            writing.run(steps, writing.features)
        values.append(writing.values["zt"][0])
    found, deviation = torch.stack(values), posterior.stddev
    error = (found.mean(0) - posterior.mean).abs() / deviation * 300**0.5
    assert error.max() < 5  # standard errors


def test_what_cannot_be_given_is_refused(vae):
    with pytest.raises(ValueError, match="unknown field 'text'"):
        vae.sample_rows(1, HOW, given={"text": TEXTS[0]})
    with pytest.raises(ValueError, match="no condition"):
        tree_vae(attends=False).sample_rows(1, HOW, given={"tree": TREES[0]})


@pytest.fixture(scope="module")
def mood_vae():
    """A reply to an event, written after its mood."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer("word", EVENTS + REPLIES, 60)
    encoders = [
        {"name": "event", "kind": "lstm", "hidden": 6},
        {"name": "reply", "kind": "lstm", "hidden": 6},
        {"name": "mood", "kind": "label"},
    ]
    latents = [{"name": "z", "kind": "gaussian", "dim": 3, "given": ["event", "reply", "mood"]}]
    decoders = [
        {"name": "mood", "kind": "label", "given": ["z", "event"]},
        {"name": "reply", "kind": "lstm", "hidden": 8, "given": ["z", "event", "mood"]},
    ]
    model = small_vae(encoders, latents, decoders, observed=OBSERVED, vocab_size=len(tokenizer))
    return SentenceVAE(model, tokenizer)


def test_the_likeliest_texts_need_the_field_that_is_written_first(mood_vae):
    given = {"event": EVENTS[:2], "mood": ["calm", "glad"]}
    first, second = mood_vae.likeliest(2, HOW, given=given)
    assert len(first) == len(second) == 2 and first[0][1] <= first[1][1]
    with pytest.raises(ValueError, match="mood is written before it, and must be given"):
        mood_vae.likeliest(2, HOW, given={"event": EVENTS[:2]})


def test_answers_are_measured_without_a_beam_where_a_field_is_written_first(mood_vae):
    columns = table(12) | {"mood": ["calm", "glad"] * 6}
    found = mood_vae.evaluate(columns, 1, generation=True).answers
    assert found.beam is None and found.sampled.each == found.greedy.each


def test_a_given_label_that_is_missing_is_written(mood_vae):
    given = {"event": EVENTS[:3], "mood": ["calm", "", "glad"]}
    for seed in range(5):
        rows = mood_vae.sample_rows(1, HOW, seed=seed, given=given)
        moods = [row["mood"] for row in rows]
        assert (moods[0], moods[2]) == ("calm", "glad") and moods[1] in ("calm", "glad")


def test_a_row_of_unknown_words_alone_has_none_that_is_known(mood_vae):
    rows = {"event": ["zebra quagga"], "mood": ["calm"], "reply": ["okapi"]}
    assert not mood_vae.has_known_words(rows)
    assert mood_vae.has_known_words(rows | {"reply": [REPLIES[0]]})
