"""Order and batches: a function of seed and epoch, every text once, padding where it must be."""

import math
import tracemalloc
from itertools import chain, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies

from textvae.data.batching import CHUNK, POOL, Sentences, ShuffledBatches, write_sentences
from textvae.data.texts import DataError
from textvae.data.tokenizers import encode_texts, train_tokenizer
from textvae.vocabulary import BOS, EOS, PAD


def lengths_of(count):
    return np.random.default_rng(1).integers(2, 60, count)


def sentences(lengths, field="text"):
    """Texts whose words are their own number and place, so that each can be told apart."""
    rows = [[BOS, *(10 + number + np.arange(n - 2)), EOS] for number, n in enumerate(lengths)]
    offsets = np.cumsum([0, *lengths])
    return Sentences(np.concatenate(rows).astype(np.int32), offsets, 0, field)


def test_encoded_texts_are_the_tokenizer_s_ids():
    texts = ["the cat", "", "a dog is here", "the dog"]
    tokenizer = train_tokenizer("word", texts, 20)
    found = Sentences.encoded(tokenizer, texts)
    rows = encode_texts(tokenizer, texts)
    assert len(found) == 4 and [row.tolist() for row in found] == [list(row) for row in rows]
    assert all(row.dtype == np.int64 for row in found)
    assert found.lengths.tolist() == [4, 2, 6, 4]
    # Words and an end for each text; predicted are all tokens but the begin.
    assert found.words == 2 + 0 + 4 + 2 + 4 and found.targets == 3 + 1 + 5 + 3


@pytest.mark.parametrize("chunk", [1, 2, 4, 5])
def test_mapped_texts_are_the_encoded_ones(tmp_path, monkeypatch, chunk):
    texts = ["the cat", "a dog is here", "", "the dog"]
    tokenizer = train_tokenizer("word", texts, 20)
    whole = Sentences.encoded(tokenizer, texts)
    monkeypatch.setattr("textvae.data.batching.CHUNK", chunk)
    write_sentences(tmp_path, tokenizer, iter(texts), math.inf)
    for found in (Sentences.encoded(tokenizer, iter(texts)), Sentences.mapped(tmp_path)):
        assert [row.tolist() for row in found] == [row.tolist() for row in whole]
        assert all(row.dtype == np.int64 for row in found)
        assert (found.words, found.targets) == (whole.words, whole.targets)
        assert np.array_equal(found.lengths, whole.lengths)
    assert Sentences.mapped(tmp_path).ids.dtype == np.uint16


def test_long_texts_are_left_out_with_their_words(tmp_path):
    texts = ["the cat", "a dog is here", "", "the dog"]
    tokenizer = train_tokenizer("word", texts, 20)
    write_sentences(tmp_path, tokenizer, texts, 4)
    found, short = Sentences.mapped(tmp_path), Sentences.encoded(tokenizer, [texts[0], *texts[2:]])
    assert [row.tolist() for row in found] == [row.tolist() for row in short]
    assert found.words == short.words
    with pytest.raises(DataError, match=r"max_tokens = 3 tokens \(the shortest: 4\)"):
        write_sentences(tmp_path, tokenizer, [texts[0], texts[1]], 3)


def test_ids_of_a_large_vocabulary_are_kept(tmp_path):
    tokenizer = train_tokenizer("word", map(str, range(2**16)), 2**17)
    last = str(tokenizer.backend_tokenizer.id_to_token(2**16 + 3))
    write_sentences(tmp_path, tokenizer, [last], math.inf)
    assert Sentences.mapped(tmp_path)[0].tolist() == [BOS, 2**16 + 3, EOS]


def test_only_a_chunk_of_texts_is_in_memory(tmp_path):
    tokenizer = train_tokenizer("word", ["a b"], 9)

    def peak(count):
        tracemalloc.start()
        try:
            write_sentences(tmp_path, tokenizer, map(str, range(count)), math.inf)
            assert len(Sentences.mapped(tmp_path, 0)) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # The further 4,000 texts would take 240 kB, their arrays 56 kB.
    assert peak(6 * CHUNK) < peak(2 * CHUNK) + 40_000


def test_no_texts_are_no_sentences():
    tokenizer = train_tokenizer("word", ["a"], 9)
    for found in (
        Sentences(np.zeros(0, np.int32), np.zeros(1, np.int64), 0),
        Sentences.encoded(tokenizer, []),
    ):
        assert len(found) == 0 and found.targets == 0 and list(found.in_length_order()) == []


def test_collate_pads_on_the_right():
    data = sentences([4, 2, 5], "answer")
    batch = data.collate([data[1], data[2], data[0]])
    assert list(batch) == ["answer"] and batch["answer"].dtype == torch.int64
    assert batch["answer"].tolist() == [
        [BOS, EOS, PAD, PAD, PAD],
        [BOS, 12, 13, 14, EOS],
        [BOS, 10, 11, EOS, PAD],
    ]


@settings(deadline=None, max_examples=60)
@given(
    lengths=strategies.lists(strategies.integers(2, 40), min_size=1, max_size=60),
    max_tokens=strategies.integers(1, 200),
)
def test_in_length_order_reads_every_text_once_in_full_batches(lengths, max_tokens):
    data = sentences(lengths)
    batches = list(data.in_length_order(max_tokens))
    order = np.concatenate([chosen for chosen, _ in batches])
    assert sorted(order) == list(range(len(lengths)))
    assert (np.diff(data.lengths[order]) >= 0).all()
    for chosen, batch in batches:
        ids = batch["text"]
        for index, row in zip(chosen, ids, strict=True):
            assert row[row != PAD].tolist() == data[index].tolist()
        assert ids.numel() <= max_tokens or len(chosen) == 1
    # A batch ends where the next text would not fit.
    for (_, batch), (following, _) in pairwise(batches):
        assert (len(batch["text"]) + 1) * data.lengths[following[0]] > max_tokens


@settings(deadline=None, max_examples=100)
@given(
    count=strategies.integers(1, 400),
    accumulation=strategies.integers(1, 3),
    world=strategies.integers(1, 3),
    micro=strategies.integers(1, 5),
    seed=strategies.integers(0, 2**31),
    epoch=strategies.integers(0, 50),
)
def test_processes_and_micro_batches_share_the_global_batch(
    count, accumulation, world, micro, seed, epoch
):
    lengths, shares = lengths_of(count), accumulation * world
    if count < shares:
        with pytest.raises(ValueError, match=f"at least {shares} texts"):
            ShuffledBatches(lengths, shares * micro, seed, accumulation, 0, world)
        return
    ranks = [
        ShuffledBatches(lengths, shares * micro, seed, accumulation, rank, world)
        for rank in range(world)
    ]
    for rank in ranks:
        rank.epoch = epoch
    batches = ranks[0].global_batches(epoch)
    size = min(shares * micro, count // shares * shares)
    # Every batch is full and no text comes twice; fewer than a batch are left out.
    assert batches.shape == (count // size, size) == (ranks[0].steps, size)
    assert len(np.unique(batches)) == batches.size > count - size
    read = [list(rank) for rank in ranks]
    assert all(len(parts) == len(ranks[0]) == len(batches) * accumulation for parts in read)
    for step, batch in enumerate(batches):
        steps = slice(step * accumulation, (step + 1) * accumulation)
        parts = [part for parts in read for part in parts[steps]]
        assert {len(part) for part in parts} == {size // shares}
        assert sorted(chain.from_iterable(parts)) == sorted(batch)


def test_one_process_reads_the_global_batches_themselves():
    batches = ShuffledBatches(lengths_of(100), 8, 0)
    assert [sorted(b) for b in batches] == [sorted(b.tolist()) for b in batches.global_batches(0)]


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    lengths = lengths_of(500)
    first, second = ShuffledBatches(lengths, 16, 3), ShuffledBatches(lengths, 16, 3)
    list(first)
    first.global_batches(9)
    np.random.random(5)
    for epoch in (2, 0):
        first.epoch = second.epoch = epoch
        assert list(first) == list(first) == list(second)
    epochs = [first.global_batches(epoch) for epoch in range(3)]
    assert not np.array_equal(epochs[0], epochs[1]) and not np.array_equal(epochs[1], epochs[2])
    assert not np.array_equal(epochs[0], ShuffledBatches(lengths, 16, 4).global_batches(0))


def test_ranks_hold_the_same_order_without_talking():
    lengths = lengths_of(300)
    one, other = (ShuffledBatches(lengths, 8, 5, 2, rank, 2) for rank in (0, 1))
    assert np.array_equal(one.global_batches(4), other.global_batches(4))


def test_batches_are_of_similar_length_but_come_shuffled():
    lengths, size = lengths_of(POOL * 16 * 2), 16
    batches = ShuffledBatches(lengths, size, 0).global_batches(0)
    spread = np.ptp(lengths[batches], 1).mean()
    # A pool of 50 sorted batches cuts lengths of 2 to 59 into steps of about one token.
    assert spread < 4 < np.ptp(lengths[: 50 * size].reshape(-1, size), 1).mean()
    means = lengths[batches].mean(1)
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.5


def test_left_out_texts_differ_and_no_length_is_favoured():
    lengths = np.sort(lengths_of(107))
    batches = ShuffledBatches(lengths, 10, 0)
    read = np.zeros(107)
    for epoch in range(300):
        read[batches.global_batches(epoch)] += 1
    # Each text is left out with probability 7 / 107: 280.4 +- 4.3 readings of 300.
    assert (np.abs(read - 300 * 100 / 107) < 5 * 4.3).all()
    for half in (read[:53], read[54:]):
        assert abs(half.mean() - 280.4) < 5 * 4.3 / 53**0.5


@pytest.mark.parametrize(("size", "accumulation", "world"), [(10, 4, 1), (10, 1, 4), (12, 4, 2)])
def test_a_batch_that_cannot_be_dealt_out_is_refused(size, accumulation, world):
    with pytest.raises(
        ValueError, match=rf"multiple of .* = {accumulation * world} \(got {size}\)"
    ):
        ShuffledBatches(lengths_of(100), size, 0, accumulation, 0, world)


def test_fewer_texts_than_a_batch_are_one_batch():
    batches = ShuffledBatches(lengths_of(5), 32, 0)
    assert (batches.steps, batches.batch_size, len(batches)) == (1, 5, 1)
    assert sorted(chain.from_iterable(batches)) == list(range(5))
