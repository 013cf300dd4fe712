"""Encoders: what they say of a text depends on its tokens and on nothing else."""

import pytest
import torch
from conftest import ENCODERS, IMAGE_ENCODERS, TEXT_ENCODERS, VOCAB, ids
from torch import nn

from textvae.encoders import Encoder
from textvae.encoders.text import pool
from textvae.vocabulary import PAD

PARTS = ("joined", "past", "sequence", "set")
"""Those of parts have a table of their own, in test_part_encoders.py."""
NOISE = {"kind": "drop", "rate": 0.5}

# A text's features are the same sums in another batch layout: float32 rounding.
ROUNDING = {"atol": 1e-5, "rtol": 1e-5}


def test_every_kind_has_a_row():
    rows = [*ENCODERS.values(), *IMAGE_ENCODERS.values()]
    others = {*PARTS, "label", "labels", "pair", "span"}
    assert others | {spec["kind"] for spec in rows} == set(Encoder.kinds)


@pytest.fixture(params=ENCODERS.values(), ids=ENCODERS)
def encoder(request):
    return Encoder.build(request.param, vocab_size=VOCAB).eval()


def test_shapes(encoder):
    texts = ids(3, 0, 5)
    found = encoder(texts)
    assert found.pooled.shape == (3, encoder.features)
    assert found.states.shape == (3, 7, encoder.features)
    assert torch.equal(found.mask, texts != PAD)


def test_more_padding_changes_nothing(encoder):
    texts = ids(3, 0, 5)
    padded = torch.cat([texts, torch.full((3, 4), PAD)], 1)
    found, expected = encoder(padded), encoder(texts)
    torch.testing.assert_close(found.pooled, expected.pooled, **ROUNDING)
    present = texts != PAD
    torch.testing.assert_close(found.states[:, :7][present], expected.states[present], **ROUNDING)
    assert torch.equal(found.mask, padded != PAD)


def test_a_text_is_the_same_alone_and_among_longer_ones(encoder):
    texts = ids(3, 0, 5, 1)
    together = encoder(texts).pooled
    for row, text in enumerate(texts):
        alone = encoder(text[text != PAD][None]).pooled[0]
        torch.testing.assert_close(together[row], alone, **ROUNDING)


def test_every_word_matters_and_their_order_but_in_a_bag(encoder):
    text = torch.tensor([[1, 5, 6, 7, 8, 2]])
    before = encoder(text).pooled
    for changed in [[1, 9, 6, 7, 8, 2], [1, 5, 6, 9, 8, 2], [1, 5, 6, 7, 9, 2]]:
        assert (encoder(torch.tensor([changed])).pooled - before).abs().max() > 1e-4
    moved = (encoder(torch.tensor([[1, 8, 6, 7, 5, 2]])).pooled - before).abs().max()
    assert moved > 1e-4 if encoder.ordered else moved < 1e-6


def test_noise_is_for_training_only(encoder):
    noisy = Encoder.build(
        {**next(s for s in ENCODERS.values() if s["kind"] == encoder.kind), "noise": NOISE},
        vocab_size=VOCAB,
    )
    text = ids(9)
    assert not torch.equal(noisy(text).pooled, noisy(text).pooled)
    noisy.eval()
    assert torch.equal(noisy(text).pooled, noisy(text).pooled)


def test_every_parameter_learns(encoder):
    encoder(ids(3, 0, 5)).pooled.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_padding_does_not_learn(encoder):
    encoder(ids(3, 0, 5)).pooled.square().sum().backward()
    assert encoder.embedding.weight.grad[PAD].abs().sum() == 0


@pytest.mark.parametrize("kind", TEXT_ENCODERS)
def test_dropout_is_noise_in_training_only(kind):
    encoder = Encoder.build({"kind": kind, "hidden": 8, "dropout": 0.5}, vocab_size=VOCAB)
    text = ids(4)
    assert not torch.equal(encoder(text).pooled, encoder(text).pooled)
    encoder.eval()
    assert torch.equal(encoder(text).pooled, encoder(text).pooled)


@pytest.mark.parametrize("pooling", ["last", "max", "mean"])
def test_a_bidirectional_lstm_is_two_readers(pooling):
    spec = {"kind": "lstm", "hidden": 4, "pooling": pooling}
    both = Encoder.build({**spec, "bidirectional": True}, vocab_size=VOCAB)
    readers = [Encoder.build(spec, vocab_size=VOCAB) for _ in range(2)]
    for reader, ending in zip(readers, ("", "_reverse"), strict=True):
        reader.embedding = both.embedding
        for name, parameter in reader.lstm.named_parameters():
            parameter.data = getattr(both.lstm, name + ending).data
    text = ids(5)
    found = both(torch.cat([text, torch.full((1, 3), PAD)], 1)).pooled
    expected = torch.cat([readers[0](text).pooled, readers[1](text.flip(1)).pooled], -1)
    torch.testing.assert_close(found, expected, **ROUNDING)


def test_pooling_on_known_states():
    states = torch.tensor(
        [[[1.0, -4.0], [3.0, -5.0], [9.0, 9.0]], [[1.0, 2.0], [5.0, 0.0], [0, 1]]]
    )
    mask = torch.tensor([[True, True, False], [True, True, True]])
    expected = {
        "last": [[3.0, -5.0], [0.0, 1.0]],
        "max": [[3.0, -4.0], [5.0, 2.0]],
        "mean": [[2.0, -4.5], [2.0, 1.0]],
    }
    for pooling, values in expected.items():
        torch.testing.assert_close(pool(states, mask, pooling), torch.tensor(values))


def test_an_lstm_has_as_many_layers_and_directions_as_asked():
    encoder = Encoder.build(
        {"kind": "lstm", "hidden": 4, "layers": 2, "bidirectional": True}, vocab_size=VOCAB
    )
    assert isinstance(encoder.lstm, nn.LSTM) and encoder.features == 8
    assert encoder.lstm.num_layers == 2 and encoder.embedding.embedding_dim == 4


@pytest.mark.parametrize("option", [{"layer_norm": True}, {"locked": True, "layers": 2}])
def test_what_a_bidirectional_lstm_lacks_is_refused(option):
    with pytest.raises(ValueError, match="a bidirectional encoder has no layer_norm"):
        Encoder.build({"kind": "lstm", "bidirectional": True, **option}, vocab_size=VOCAB)


def test_an_encoder_drops_words_and_features():
    spec = {"kind": "lstm", "hidden": 8, "layers": 2, "locked": True, "dropout": 0.5}
    texts = ids(4, 6)
    for changed in (spec, {"kind": "lstm", "hidden": 8, "embedding_dropout": 0.5}):
        encoder = Encoder.build(changed, vocab_size=VOCAB)
        found = [encoder(texts).pooled for _ in range(3)]
        assert not torch.equal(found[0], found[1]) or not torch.equal(found[0], found[2])
        encoder.eval()
        assert torch.equal(encoder(texts).pooled, encoder(texts).pooled)


def test_heads_must_share_the_width():
    with pytest.raises(ValueError, match=r"multiple of 2 \* heads \(got 6 and 2\)"):
        Encoder.build({"kind": "transformer", "hidden": 6, "heads": 2}, vocab_size=VOCAB)


@pytest.mark.parametrize("log_counts", [False, True])
def test_counts_are_what_a_linear_layer_would_read(log_counts):
    spec = {"kind": "counts", "hidden": 6, "layers": 2, "log_counts": log_counts}
    encoder = Encoder.build(spec, vocab_size=VOCAB).eval()
    text = torch.tensor([[1, 5, 5, 3, 8, 2, 0, 0]])
    counts = torch.zeros(1, VOCAB).index_put(
        (torch.tensor([0, 0, 0]), torch.tensor([5, 3, 8])), torch.tensor([2.0, 1.0, 1.0])
    )
    counts = counts.log1p() if log_counts else counts
    first = (counts @ encoder.embedding.weight + encoder.bias).relu()
    second = encoder.layers[0](first).relu()
    found = encoder(text)
    torch.testing.assert_close(found.layers, (first, second))
    assert found.pooled is found.layers[-1]
    empty = encoder(torch.tensor([[1, 2]])).layers[0]
    torch.testing.assert_close(empty, encoder.bias[None].relu())
