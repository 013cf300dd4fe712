"""Dialogues in Python: sampled turn after turn, reconstructed, encoded, saved and loaded."""

import numpy as np
import pytest
import torch
from support.dialogues import DECODERS, OBSERVED, columns, dialogues, interface

from textvae.api.sentence import SentenceVAE
from textvae.graph.decoding import Decoding
from textvae.registry import SpecError


@pytest.fixture(scope="module")
def dialogue_model():
    return interface()


SHORT = Decoding(do_sample=True, max_new_tokens=5)


def test_sampled_dialogues_have_the_lengths_of_training(dialogue_model):
    rows = dialogue_model.sample_rows(300, SHORT, seed=0)
    assert rows == dialogue_model.sample_rows(300, SHORT, seed=0)
    lengths = [len(row["text"]) for row in rows]
    assert lengths == [len(row["speaker"]) for row in rows]
    # 300 draws of 1, 2, 2 and 4 turns: a share of .5 within five standard errors
    assert set(lengths) == {1, 2, 4} and abs(lengths.count(2) / 300 - 0.5) < 5 * 0.5 / 300**0.5
    assert {speaker for row in rows for speaker in row["speaker"]} == {"driver", "guide"}
    assert {row["mood"] for row in rows} == {"calm", "glad"}


def test_a_label_ends_a_dialogue():
    facts = {**OBSERVED["speaker"], "ends": "guide"}
    rows = interface(observed=OBSERVED | {"speaker": facts}).sample_rows(100, SHORT, seed=0)
    for row in rows:
        assert "guide" not in row["speaker"][:-1]
        assert row["speaker"][-1] == "guide" or len(row["speaker"]) == 4
    assert len({len(row["speaker"]) for row in rows}) > 1


def test_a_turn_is_written_from_the_turns_before_it():
    """The label of a turn is the class that its past has, which is told of the first turn."""
    model = interface()
    past, speaker = model.model.encoders["past"], model.model.decoders["speaker"]
    with torch.no_grad():
        for weight in (*past.parameters(), *speaker.parameters()):
            weight.zero_()
        speaker.output.bias[:] = torch.tensor([9.0, -9.0])
        assert set(model.sample_rows(1, SHORT, seed=1)[0]["speaker"]) == {"driver"}
        past.lstm.bias_ih_l0.fill_(5.0)  # any turn before makes every feature of the past 0.76
        speaker.output.weight[1, -6:] = 60.0
    rows = model.sample_rows(20, SHORT, seed=1)
    assert all(row["speaker"][0] == "driver" for row in rows)
    assert {each for row in rows for each in row["speaker"][1:]} == {"guide"}


def test_a_field_of_a_turn_is_read_by_another_one():
    """The text of each turn is the one of its speaker, which is written first."""
    decoders = [*DECODERS[:2], DECODERS[2] | {"given": ["speaker"]}]
    model = interface(decoders=decoders)
    text = model.model.decoders["text"]
    words = [model.tokenizer.pieces.index(word) for word in ("thanks", "two")]
    with torch.no_grad():
        for weight in text.parameters():
            weight.zero_()
        text.initial.weight.copy_(torch.tensor([[50.0, -50.0]]).expand(6, 2))
        text.lstm.bias_ih_l0[6:12] = 50.0  # the forget gate: the cell stays
        text.lstm.bias_ih_l0[18:] = 50.0
        text.output.weight[words[0]] = 50.0
        text.output.weight[words[1]] = -50.0
    rows = model.sample_rows(30, Decoding(do_sample=True, max_new_tokens=1), seed=0)
    said = {"driver": "thanks", "guide": "two"}
    for row in rows:
        assert row["text"] == tuple(said[speaker] for speaker in row["speaker"])


def test_fields_that_read_each_other_are_refused():
    decoders = [
        DECODERS[0],
        DECODERS[1] | {"given": ["text"]},
        DECODERS[2] | {"given": ["speaker"]},
    ]
    with pytest.raises(SpecError, match="each reads what another writes"):
        interface(decoders=decoders)


def test_every_dialogue_is_encoded_and_rebuilt_in_its_place(dialogue_model):
    rows = columns(dialogues(20))
    found = dialogue_model.encode_parts(rows)
    counts = [len(row) for row in rows["text"]]
    assert found.counts["turn"].tolist() == counts and found.means["z"].shape == (20, 3)
    assert [len(each) for each in found.by_row("words")] == counts
    alone = dialogue_model.encode_parts({name: [cells[7]] for name, cells in rows.items()})
    for latent in ("z", "words"):
        np.testing.assert_allclose(
            alone.means[latent], found.by_row(latent)[7], atol=1e-5, rtol=1e-5
        )
    how = Decoding(max_new_tokens=4)
    rebuilt = dialogue_model.reconstruct_parts(rows, how)
    assert [len(row["text"]) for row in rebuilt] == counts
    one = {name: [cells[7]] for name, cells in rows.items()}
    assert dialogue_model.reconstruct_parts(one, how)[0] == rebuilt[7]


def test_a_saved_model_samples_the_same_dialogues(dialogue_model, tmp_path):
    dialogue_model.save_pretrained(tmp_path / "saved")
    loaded = SentenceVAE.from_pretrained(tmp_path / "saved")
    assert loaded.sample_rows(5, SHORT, seed=3) == dialogue_model.sample_rows(5, SHORT, seed=3)


def test_dialogues_are_evaluated(dialogue_model):
    rows = columns(dialogues(30))
    found = dialogue_model.evaluate(rows, samples=3)
    assert found.nll > 0 and found.sentences == 30
    assert found.parts == {"turn": np.mean([len(row) for row in rows["text"]])}
    assert found.latent_kls.keys() == {"z", "who", "words"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text": "hello"}, "text: give a list of parts for each row (got one string)"),
        ({"text": [["a"], []]}, "at least one text is needed (got none for text[1])"),
        (
            {"speaker": [["driver"], ["driver"]]},
            "'text' and 'speaker' must have one value for each",
        ),
        ({"text": [["a", " "], ["b"]]}, "text[1] is blank: a text is needed"),
    ],
)
def test_other_rows_are_refused(dialogue_model, change, words):
    rows = {"mood": ["calm", ""], "text": [["a", "b"], ["c"]], "speaker": [["driver", ""], [""]]}
    assert len(dialogue_model.rows(rows)) == 2
    with pytest.raises((TypeError, ValueError)) as error:
        dialogue_model.rows(rows | change)
    assert words in str(error.value)


def test_what_is_of_whole_rows_alone_is_refused(dialogue_model):
    rows = columns(dialogues(4))
    for call in (dialogue_model.encode, dialogue_model.features):
        with pytest.raises(ValueError, match="encode_parts"):
            call(rows)


def test_a_dialogue_is_decoded_from_the_latents_of_the_whole(dialogue_model):
    rows = columns(dialogues(6))
    means, scales = dialogue_model.row_moments(rows)
    assert means.shape == scales.shape == (6, 3) and (scales > 0).all()
    how = Decoding(max_new_tokens=5)
    decoded = dialogue_model.decode_parts(means, how)
    assert decoded == dialogue_model.decode_parts(means, how)  # nothing is drawn
    assert {len(row["text"]) for row in decoded} == {2}  # the median of 1, 2, 2 and 4 turns
    assert {len(row["speaker"]) for row in dialogue_model.decode_parts(means, how, most=1)} == {1}
    assert dialogue_model.decode_parts(means[4:5], how) == decoded[4:5]
    drawn = dialogue_model.decode_parts(means, SHORT, seed=1)
    assert drawn == dialogue_model.decode_parts(means, SHORT, seed=1) != decoded
    with pytest.raises(ValueError, match=r"z must be \(N, 3\), of whole rows"):
        dialogue_model.decode_parts(np.zeros((1, 9)), how)


def test_what_is_written_depends_on_the_latents_that_are_given():
    """The mood is the sign of z, and z is not drawn again."""
    model = interface()
    mood = model.model.decoders["mood"]
    with torch.no_grad():
        for weight in mood.parameters():
            weight.zero_()
        mood.output.weight[1, 0] = 50.0
    z = np.array([[2, 0, 0], [-2, 0, 0]] * 10, np.float32)
    for how in (Decoding(max_new_tokens=2), Decoding(do_sample=True, max_new_tokens=2)):
        found = [row["mood"] for row in model.decode_parts(z, how, seed=0)]
        assert found == ["glad", "calm"] * 10


def test_latents_of_the_whole_are_sampled_from_their_prior(dialogue_model):
    z = dialogue_model.sample_latents(400, seed=0)
    np.testing.assert_array_equal(z, dialogue_model.sample_latents(400, seed=0))
    # N(0, I): means of 400 draws within five standard errors
    assert z.shape == (400, 3) and (np.abs(z.mean(0)) < 5 / 400**0.5).all()
    assert (np.abs(z.std(0) - 1) < 0.25).all()


def test_one_dialogue_is_measured_as_it_is_among_equal_ones(dialogue_model):
    rows = columns(dialogues(1))
    alone = dialogue_model.evaluate(rows, samples=2)
    twice = dialogue_model.evaluate({name: cells * 2 for name, cells in rows.items()}, samples=2)
    assert alone.words > 0 and 2 * alone.words == twice.words
    assert np.isfinite(alone.word_perplexity)


def test_latents_need_all_fields_that_one_of_them_reads(dialogue_model):
    rows = columns(dialogues(2))
    last = list(rows)[-1]
    with pytest.raises(ValueError, match="the model must be given .* \\(missing: "):
        dialogue_model.encode_parts({last: rows[last]})
