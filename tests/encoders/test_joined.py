"""The joined states of the parts of rows, alone and as what a decoder attends to."""

import pytest
import torch
from conftest import ids, vae

from textvae.api.sentence import SentenceVAE
from textvae.data.tokenizers import train_tokenizer
from textvae.encoders import Encoder
from textvae.encoders.base import Features
from textvae.graph.decoding import Decoding
from textvae.layers.plate import Plate
from textvae.registry import SpecError

COUNTS = torch.tensor([2, 1, 3])
OBSERVED = {
    "evidence": {"plate": "sentence"},
    "reply": {},
    "sentence": {"counts": {"1": 1, "2": 1, "3": 1}},
}
ENCODERS = [
    {"name": "evidence", "kind": "lstm", "hidden": 5},
    {"name": "found", "kind": "joined", "given": ["evidence"]},
    {"name": "reply", "kind": "lstm", "hidden": 4},
]
Z = {"name": "z", "kind": "gaussian", "dim": 2, "given": ["found", "reply"]}
DECODER = {"name": "reply", "kind": "lstm", "hidden": 6, "given": ["z"], "attend": "found"}


def model(decoder=DECODER, encoders=ENCODERS, **changes):
    return vae(encoders, [Z], [decoder], observed=OBSERVED, **changes).eval()


def features(parts=6, length=4):
    mask = torch.arange(length) < torch.randint(1, length + 1, (parts, 1))
    tokens = torch.randint(5, 20, (parts, length)).masked_fill(~mask, 0)
    states = torch.randn(parts, length, 3)
    return Features(torch.randn(parts, 3), states, mask, ids=tokens, plate=Plate.of(COUNTS))


def test_the_states_of_a_row_are_those_of_its_parts_in_their_order():
    given = features()
    found = Encoder.build({"kind": "joined"}, given_features=[3])(given)
    assert found.plate is None and found.states.shape == (3, 3 * 4, 3)
    for row, parts in enumerate([[0, 1], [2], [3, 4, 5]]):
        for name in ("states", "ids"):
            read, whole = getattr(given, name), getattr(found, name)
            expected = torch.cat([read[part][given.mask[part]] for part in parts])
            assert torch.equal(whole[row][found.mask[row]], expected)
        torch.testing.assert_close(found.pooled[row], given.pooled[parts].mean(0))


def test_parts_of_one_encoder_are_joined():
    with pytest.raises(ValueError, match=r"parts of one encoder \(got 2\)"):
        Encoder.build({"kind": "joined"}, given_features=[3, 2])


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"given": ["reply"]}, "reads the parts of a plate: name an encoder of a field with"),
        ({"given": ["past"]}, "must name an encoder of token ids"),
    ],
)
def test_what_cannot_be_joined_is_refused(node, message):
    encoders = [ENCODERS[0], ENCODERS[2], {"name": "past", "kind": "past", "given": ["evidence"]}]
    with pytest.raises(SpecError, match=message):
        model(encoders=[*encoders, ENCODERS[1] | node])


@pytest.mark.parametrize("kind", ["lstm", "copy", "transformer"])
def test_a_row_is_the_same_alone_and_its_reply_follows_every_part(kind):
    decoder = DECODER | {"kind": kind} | ({"heads": 1} if kind == "transformer" else {})
    vae = model(decoder)
    assert vae.config.conditions() == ["evidence"]
    batch = {"evidence": ids(1, 4, 2, 5, 1, 3), "reply": ids(3, 2, 4), "sentence": COUNTS}

    def log_probs(fields):
        values = {"z": torch.zeros(1, len(fields["reply"]), 2)}
        read = vae.read(fields)
        likelihoods = vae.likelihoods(values, read, len(fields["reply"]))
        return vae.log_probs(likelihoods, read, fields)["reply"][0]

    together, start = log_probs(batch), 0
    for row, count in enumerate(COUNTS.tolist()):
        alone = {
            "evidence": batch["evidence"][start : start + count],
            "reply": batch["reply"][row : row + 1],
            "sentence": COUNTS[row : row + 1],
        }
        torch.testing.assert_close(log_probs(alone)[0], together[row], atol=1e-5, rtol=1e-5)
        start += count
    for part in range(6):
        changed = batch["evidence"].clone()
        changed[part, 1] = 6 if changed[part, 1] == 5 else 5
        row = [0, 0, 1, 2, 2, 2][part]
        differs = (log_probs(batch | {"evidence": changed}) - together).abs() > 1e-7
        assert differs.tolist() == [number == row for number in range(3)]


def test_sampling_reads_all_parts_of_what_is_given():
    lines = ["the bank is far", "take the left", "it is late", "go now"]
    tokenizer = train_tokenizer("word", lines, 30)
    torch.manual_seed(0)
    vae = SentenceVAE(model(vocab_size=len(tokenizer)), tokenizer)
    how = Decoding(max_new_tokens=4)
    given = {"evidence": [lines[:1], lines[:2], lines]}
    rows = vae.sample_rows(2, how, seed=0, given=given)
    assert len(rows) == 6 and all(isinstance(row["reply"], str) for row in rows)
    alone = vae.sample_rows(1, how, seed=0, given={"evidence": [lines]})
    assert alone[0]["reply"]
