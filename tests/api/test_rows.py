"""A conditional model in Python: what it must be given, and what it writes."""

import numpy as np
import pytest
import torch
from support.rows import EVENTS, REPLIES, conditional_vae, table

from textvae.graph.decoding import Decoding

GIVEN = {"event": EVENTS[:3]}
ROWS = {name: cells[:12] for name, cells in table().items() if name != "mood"}


@pytest.fixture(scope="module")
def vae():
    return conditional_vae()


def test_samples_of_each_condition_stand_together(vae):
    texts = vae.sample(4, seed=1, given=GIVEN)
    assert len(texts) == 12 and vae.sample(4, seed=1, given=GIVEN) == texts
    (one,) = vae.sample(1, Decoding(), seed=1, given={"event": EVENTS[0]})
    z = vae.model.sample_prior
    assert one == vae.sample_rows(1, Decoding(), 1, given={"event": EVENTS[0]})[0]["reply"]
    assert callable(z)


def test_a_condition_decides_what_is_written(vae):
    how = Decoding(max_new_tokens=12)
    z = np.zeros((2, 3), np.float32)
    same = vae.decode(z, how, given={"event": EVENTS[0]})
    each = vae.decode(z, how, given={"event": [EVENTS[0], EVENTS[3]]})
    assert (
        same[0] == same[1] == each[0]
        and each[1] == vae.decode(z[:1], how, given={"event": EVENTS[3]})[0]
    )


def test_texts_are_encoded_by_field(vae):
    means = np.asarray(vae.encode(ROWS))
    assert means.shape == (12, 3)
    for row in (0, 7):
        alone = {name: [cells[row]] for name, cells in ROWS.items()}
        np.testing.assert_allclose(np.asarray(vae.encode(alone))[0], means[row], atol=1e-5)
    other = ROWS | {"event": ROWS["event"][::-1]}
    assert not np.allclose(np.asarray(vae.encode(other)), means)


def test_reconstructions_and_interpolations_keep_the_condition(vae):
    rebuilt = vae.reconstruct(ROWS)
    means = np.asarray(vae.encode(ROWS))
    assert rebuilt == vae.decode(means, given={"event": ROWS["event"]})
    ends = {"event": [EVENTS[1]] * 2, "reply": REPLIES[:2]}
    line = vae.interpolate(*REPLIES[:2], steps=3, given={"event": EVENTS[1]})
    assert [line[0], line[-1]] == vae.reconstruct(ends)


def test_different_rows_are_different(vae):
    found = vae.different_rows(5, Decoding(do_sample=True, max_new_tokens=6), 0, GIVEN)
    assert len(found) == 3
    for rows in found:
        texts = [row["reply"] for row in rows]
        assert len(texts) == len(set(texts)) == 5
    # The most probable text of a sample is nearly always one.
    assert len(vae.different_rows(5, Decoding(max_new_tokens=1), 0, {"event": EVENTS[0]})[0]) < 5


def test_the_likeliest_come_first(vae):
    for beam in vae.likeliest(4, Decoding(max_new_tokens=6), GIVEN):
        losses = [nll for _, nll in beam]
        assert losses == sorted(losses) and len(beam) == 4


def test_metrics_have_their_denominators(vae):
    found = vae.evaluate(ROWS, samples=3, generation=True)
    words = sum(len(text.split()) + 1 for text in ROWS["reply"])
    assert (found.sentences, found.words, found.marginal_kl) == (12, words, None)
    assert found.word_perplexity == pytest.approx(np.exp(found.nll * 12 / words))
    assert found.generation is None and found.answers is not None
    assert found.answers.sampled.conditions == len(set(ROWS["event"]))
    assert found.answers.greedy is not None and found.answers.beam is not None
    assert len(vae.positions(ROWS).loss) > 3 and found.shuffled_z_gap is not None


def test_a_model_without_a_latent_answers_too():
    seq2seq = conditional_vae(latent=False)
    found = seq2seq.evaluate(ROWS, samples=3, generation=True)
    assert found.dimensions == 0 and found.answers is not None
    assert found.answers.greedy is None and found.answers.sampled.each == 10
    assert len(seq2seq.sample(2, seed=0, given=GIVEN)) == 6


def test_a_label_may_be_given_and_may_be_missing():
    vae = conditional_vae(mood=True)
    assert vae.conditions == ["event", "mood"]
    texts = [
        vae.sample(3, seed=0, given={"event": EVENTS[0], "mood": mood}) for mood in ("calm", "glad")
    ]
    assert texts[0] != texts[1]
    z, how = np.zeros((1, 3), np.float32), Decoding(max_new_tokens=4)
    with torch.no_grad():
        assert vae.decode(z, how, given={"event": EVENTS[0], "mood": ""})


@pytest.mark.parametrize(
    "given, error, message",
    [
        (None, ValueError, "the model must be given event (missing: event)"),
        ({}, ValueError, "the model must be given event (missing: event)"),
        ({"evnt": "a"}, ValueError, "unknown field 'evnt' (did you mean 'event'? known: event)"),
        ({"event": " "}, ValueError, "event[0] is blank: a text is needed"),
        ({"event": ["a", ""]}, ValueError, "event[1] is blank: a text is needed"),
        ({"event": 3}, TypeError, "event must be a list of strings (got int)"),
        ({"event": ["a", None]}, TypeError, "event[1]"),
        ("a text", TypeError, "give a mapping of fields: event (got one string)"),
        ({"event": []}, ValueError, "at least one text is needed"),
    ],
)
def test_what_is_missing_or_wrong_is_named(vae, given, error, message):
    with pytest.raises(error) as problem:
        vae.sample(2, given=given)
    assert message in str(problem.value)


def test_fields_must_have_as_many_values(vae):
    with pytest.raises(ValueError, match="as many values .got 2 of event, 1 of reply."):
        vae.encode({"event": EVENTS[:2], "reply": REPLIES[:1]})
    with pytest.raises(ValueError, match="conditions of 3 rows are needed .got those of 2."):
        vae.decode(np.zeros((3, 3), np.float32), given={"event": EVENTS[:2]})


def test_a_list_of_texts_is_refused_with_the_fields(vae):
    with pytest.raises(ValueError, match="give a mapping with event, reply"):
        vae.encode(["a text"])


def test_an_unknown_label_is_named():
    vae = conditional_vae(mood=True)
    with pytest.raises(ValueError, match="unknown label 'sad'"):
        vae.sample(1, given={"event": EVENTS[0], "mood": "sad"})
