"""Rows held out of train: their number, their choice, and what a grown file does to it."""

import random
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from textvae.config import ImageDataConfig
from textvae.data.held_out import ByContent, Sketch, default_size, held_out_sizes
from textvae.data.images import read_image_corpus
from textvae.data.readers import DataError, read_corpus


def written(path, texts):
    path.write_text("\n".join(texts) + "\n")
    return str(path)


def splits_of(corpus):
    return {"train": list(corpus.train), "valid": corpus.valid, "test": corpus.test}


def test_a_split_is_large_enough_to_judge():
    sizes = {count: default_size(count) for count in (20, 500, 1000, 2000, 20_000, 10**6)}
    assert sizes == {20: 2, 500: 50, 1000: 100, 2000: 100, 20_000: 1000, 10**6: 2000}


@pytest.mark.parametrize(
    ("count", "shares", "sizes"),
    [
        (2, (None, None), (1, 0)),
        (3, (None, None), (1, 1)),
        (200, (0.999, None), (179, 20)),
        (200, (0.999, 0.999), (1, 198)),
        (1000, (0.3, 0.01), (300, 10)),
    ],
)
def test_one_row_at_least_is_left_for_training(count, shares, sizes):
    given = dict(zip(("valid", "test"), shares, strict=True))
    assert tuple(held_out_sizes(count, given).values()) == sizes


def test_equal_texts_go_to_one_split(tmp_path):
    draw = random.Random(0)
    texts = [f"text {draw.choice([number, number % 400])}" for number in range(2000)]
    corpus = read_corpus(written(tmp_path / "t.txt", texts))
    parts = splits_of(corpus)
    different = [set(part) for part in parts.values()]
    assert len(set.union(*different)) == sum(map(len, different))
    assert Counter(text for part in parts.values() for text in part) == Counter(texts)
    assert 100 <= len(corpus.valid) <= 105 and 100 <= len(corpus.test) <= 105


def test_a_frequent_text_stays_in_train(tmp_path):
    for seed in range(20):
        texts = [f"text {number}" for number in range(600)] + ["the same"] * 400
        corpus = read_corpus(written(tmp_path / "t.txt", texts), seed=seed)
        assert list(corpus.train).count("the same") == 400
        assert len(corpus.valid) == len(corpus.test) == 100


def test_few_different_texts_are_divided_all_the_same(tmp_path):
    corpus = read_corpus(written(tmp_path / "t.txt", ["a", "b", "c"] * 100))
    parts = splits_of(corpus)
    assert sorted(len(part) for part in parts.values()) == [100, 100, 100]
    corpus = read_corpus(written(tmp_path / "t.txt", ["a", "b"] * 100))
    assert len(corpus.train) == len(corpus.valid) == 100 and corpus.test == []
    assert "too few different texts for test data" in corpus.notes[0]
    with pytest.raises(DataError, match="all 9 sentences are equal"):
        read_corpus(written(tmp_path / "t.txt", ["a"] * 9))


def test_a_grown_file_keeps_each_text_where_it_was(tmp_path):
    texts = [f"text {number}" for number in range(1000)]
    path = written(tmp_path / "t.txt", texts)
    before = read_corpus(path)
    parts = splits_of(before)
    random.Random(1).shuffle(texts)
    written(tmp_path / "t.txt", [f"new {number}" for number in range(500)] + texts)
    after = read_corpus(path, held_out=ByContent.from_facts(before.held_out))
    for split, part in splits_of(after).items():
        assert set(parts[split]) == {text for text in part if text.startswith("text")}
    assert "held out when the run began" in after.notes[0]
    anew = read_corpus(path)
    assert set(anew.test) & set(parts["valid"])  # as a new run has it


def test_a_test_split_is_held_out_beside_a_validation_file(tmp_path):
    texts = [f"text {number}" for number in range(1000)]
    written(tmp_path / "train.txt", texts)
    written(tmp_path / "valid.txt", texts[:300])
    corpus = read_corpus(str(tmp_path))
    assert corpus.valid == texts[:300] and len(corpus.test) == 100
    assert not set(corpus.test) & {*corpus.valid, *corpus.train}
    assert "no test data: held out of 1,000 texts: 100 for test" in corpus.notes[0]
    written(tmp_path / "test.txt", ["x"])
    whole = read_corpus(str(tmp_path))
    assert (list(whole.train), whole.test, whole.notes) == (texts, ["x"], [])
    assert whole.held_out is None


def test_a_sketch_of_the_lowest_hashes_chooses_as_all_hashes_do():
    contents = [str(number % 30_000).encode() for number in range(50_000)]
    small, whole = (Sketch({"valid": 0.01, "test": 0.02}, 0) for _ in range(2))
    whole.room = 10**9
    for content in contents:
        small.add(content)
        whole.add(content)
    assert small.choose() == whole.choose()
    assert len(small.counts) < 4 * 1500 + 4096 < len(whole.counts)


def test_facts_of_a_choice_can_be_read_back():
    chosen = ByContent(3, {"valid": 5, "test": 9}, frozenset([2, 7]))
    assert ByContent.from_facts(chosen.facts) == chosen
    for facts in ({}, {"seed": 0}, [], {"seed": "x", "hashes_below": {}, "in_train": []}):
        with pytest.raises(ValueError, match="no facts of held-out rows"):
            ByContent.from_facts(facts)


def test_images_are_held_out_by_content_too(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 4, 4), np.uint8)
    for number, image in enumerate(np.concatenate([pixels, pixels[:10]])):
        Image.fromarray(image).save(tmp_path / f"{number:02}.png")
    config = ImageDataConfig(modality="image", source=str(tmp_path))
    corpus = read_image_corpus(config)
    parts = [
        {image.tobytes() for image in rows.columns["image"].values}
        for rows in (corpus.train, corpus.valid, corpus.test)
    ]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 60
    assert len(corpus.valid) == len(corpus.test) == 7
    assert "held out of 70 images: 7 for validation and 7 for test" in corpus.notes[0]
    by_row = config.model_copy(update={"split_by": "row", "test_fraction": 0.0})
    former = read_image_corpus(by_row.model_copy(update={"valid_fraction": 0.05}))
    order = np.random.default_rng(0).permutation(70)  # of version 0.1
    images = np.concatenate([pixels, pixels[:10]])
    held = np.sort(order[: round(0.05 * 70)])
    assert np.array_equal(former.valid.columns["image"].values[:, 0], images[held])
    assert former.test is None


@pytest.mark.parametrize(("copies", "others"), [(450, 150), (500, 100), (4000, 30)])
def test_a_text_that_is_most_of_the_data_stays_in_train(copies, others, tmp_path):
    texts = [f"text {number}" for number in range(others)] + ["the same"] * copies
    for seed in range(5):
        corpus = read_corpus(written(tmp_path / "t.txt", texts), seed=seed)
        assert list(corpus.train).count("the same") == copies
        # Half of the other texts are held out, and no more.
        held_out = len(corpus.valid) + len(corpus.test)
        assert others / 3 < held_out <= others / 2 + 2 and min(len(corpus.valid), len(corpus.test))
