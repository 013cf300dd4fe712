"""The encoder of pairs: its equation, padding, gradients, and what it can be given."""

import pytest
import torch
from conftest import TEXT, Z, ids, vae

from textvae.encoders import Encoder, Features
from textvae.encoders.pair import PairEncoder
from textvae.registry import SpecError
from textvae.vocabulary import PAD


def features(*lengths: int, size: int) -> Features:
    """States of texts of so many positions, padded with numbers that must not matter."""
    states = torch.randn(len(lengths), max(lengths), size)
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    return Features(states[:, 0], states, mask)


def alone(texts: Features, row: int) -> Features:
    """One text without padding."""
    length = int(texts.mask[row].sum())
    states = texts.states[row : row + 1, :length]
    return Features(states[:, 0], states, texts.mask[row : row + 1, :length])


FIRST, SECOND = {"size": 3}, {"size": 5}


@pytest.fixture
def encoder() -> PairEncoder:
    return Encoder.build({"kind": "pair", "hidden": 4}, given_features=[3, 5])


def test_features_are_the_means_of_states_beside_those_attended_to(encoder):
    s, t = features(4, **FIRST), features(2, **SECOND)
    first, second = s.states[0], t.states[0]
    scores = first @ encoder.scores.weight @ second.T / 3**0.5
    u = encoder.first(torch.cat([first, scores.softmax(1) @ second], -1)).tanh()
    v = encoder.second(torch.cat([second, scores.softmax(0).T @ first], -1)).tanh()
    expected = torch.cat([u.mean(0), v.mean(0)])
    found = encoder(s, t)
    torch.testing.assert_close(found.pooled, expected[None])
    assert encoder.features == 8 and found.states.shape[1] == 0


def test_a_pair_is_the_same_alone_and_among_longer_ones(encoder):
    s, t = features(4, 1, 7, **FIRST), features(2, 6, 3, **SECOND)
    together = encoder(s, t).pooled
    for row in range(3):
        torch.testing.assert_close(together[row], encoder(alone(s, row), alone(t, row)).pooled[0])


def test_every_parameter_and_both_texts_get_a_gradient(encoder):
    s, t = features(4, 2, **FIRST), features(3, 5, **SECOND)
    for each in (s, t):
        each.states.requires_grad_()
    encoder(s, t).pooled.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    for each in (s, t):
        assert torch.equal(each.states.grad.abs().sum(-1) > 0, each.mask)


@pytest.mark.parametrize("sizes", [[], [3], [3, 5, 3]])
def test_a_pair_is_of_two(sizes):
    with pytest.raises(ValueError, match=rf"two encoders in given \(got {len(sizes)}\)"):
        PairEncoder(sizes)


ENCODERS = [
    {**TEXT, "name": "event"},
    {**TEXT, "name": "inference", "hidden": 4},
    {"name": "xy", "kind": "pair", "hidden": 5, "given": ["event", "inference"]},
]
LATENTS = [{**Z, "given": ["xy"], "prior": {"given": ["event"]}}]
DECODERS = [{**TEXT, "name": "inference", "given": ["z"], "attend": "event"}]


def test_a_model_reads_pairs_and_needs_the_condition_alone_to_sample():
    model = vae(ENCODERS, LATENTS, DECODERS)
    fields = {"event": ids(3, 0, 5), "inference": ids(1, 6, 2)}
    posterior = model.encode(**fields)["z"]
    for row in range(3):
        one = {name: text[row][text[row] != PAD][None] for name, text in fields.items()}
        torch.testing.assert_close(
            model.encode(**one)["z"].mean[0], posterior.mean[row], atol=1e-5, rtol=1e-5
        )
    assert model.config.conditions() == ["event"]
    assert model.config.fields_read("z") == ["event", "inference"]
    assert model.encode(event=fields["event"]) == {}
    assert model.sample_prior(3, event=fields["event"])["z"].shape == (1, 3, 3)


def test_a_pair_of_what_has_no_states_is_refused():
    encoders = [*ENCODERS, {"name": "top", "kind": "pair", "given": ["xy", "event"]}]
    line = r"encoders.top.given: must name an encoder of token ids \(got 'xy'"
    with pytest.raises(SpecError, match=line):
        vae(encoders, LATENTS, DECODERS)
