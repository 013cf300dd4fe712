"""Noise: words change as its kind says; begin, end and padding never do."""

import pytest
import torch
from conftest import ids

from textvae.layers.noise import Noise, is_word
from textvae.vocabulary import BOS, EOS, PAD, UNK

KINDS = {
    "none": {},
    "drop": {"rate": 0.4},
    "blank": {"rate": 0.4},
    "substitute": {"rate": 0.4},
    "shuffle": {"distance": 3},
}


def test_every_kind_has_a_row():
    assert set(KINDS) == set(Noise.kinds)


@pytest.fixture(params=KINDS)
def noise(request):
    return Noise.build({"kind": request.param, **KINDS[request.param]})


def test_begin_end_and_padding_stay(noise):
    texts = ids(9, 0, 30, 1, width=40)
    changed = noise(texts)
    assert changed.shape == texts.shape
    for row in changed.tolist():
        length = row.index(EOS) + 1
        assert row[0] == BOS and row.count(BOS) == row.count(EOS) == 1
        assert all(word not in (BOS, EOS, PAD) for word in row[1 : length - 1])
        assert set(row[length:]) <= {PAD}


def test_texts_without_words_stay(noise):
    texts = ids(0, 0, width=5)
    assert torch.equal(noise(texts), texts)


def long():
    """Two texts of 4,000 different words."""
    words = torch.arange(10, 4010)
    return torch.stack([torch.cat([torch.tensor([BOS]), words, torch.tensor([EOS])])] * 2)


def test_a_word_is_dropped_at_the_rate_and_the_others_keep_their_order():
    texts = long()
    changed = Noise.build({"kind": "drop", "rate": 0.3})(texts)
    kept = [row[is_word(row)] for row in changed]
    assert all((row.diff() > 0).all() for row in kept)
    # 8,000 draws: one standard error of the share is 0.005.
    assert sum(map(len, kept)) / 8000 == pytest.approx(0.7, abs=0.025)
    assert not torch.equal(kept[0][:50], kept[1][:50]), "each text has noise of its own"


def test_a_word_is_blanked_at_the_rate():
    texts = long()
    changed = Noise.build({"kind": "blank", "rate": 0.3})(texts)
    assert torch.equal(changed[changed != UNK], texts[changed != UNK])
    assert (changed == UNK).float().sum() / 8000 == pytest.approx(0.3, abs=0.025)


def test_a_word_is_substituted_at_the_rate_by_words_of_the_batch():
    texts = long()
    changed = Noise.build({"kind": "substitute", "rate": 0.3})(texts)
    assert (changed != texts).float().sum() / 8000 == pytest.approx(0.3, abs=0.025)
    assert set(changed.flatten().tolist()) <= set(texts.flatten().tolist())


def test_words_are_shuffled_within_a_distance():
    texts = long()
    changed = Noise.build({"kind": "shuffle", "distance": 3})(texts)
    assert torch.equal(changed.sort().values, texts.sort().values)
    moves = (changed - texts)[:, 1:-1].abs()
    assert moves.max() == 3, "words are numbered by their place"
    assert (moves > 0).float().mean() > 0.5


def test_the_same_random_state_gives_the_same_noise(noise):
    texts = ids(9, 12)
    torch.manual_seed(5)
    first = noise(texts)
    torch.manual_seed(5)
    assert torch.equal(first, noise(texts))
