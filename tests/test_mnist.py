"""The linear baselines and the judge on MNIST itself, where its files are at hand."""

from pathlib import Path

import pytest

from textvae.analysis.classification import (
    Budget,
    accuracy,
    images_and_labels,
    train_classifier,
    training_images,
)
from textvae.analysis.dimension_reduction import flat, linear_rows
from textvae.config import ImageDataConfig
from textvae.data.images import read_image_corpus

MNIST = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "mnist"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MNIST.is_dir(), reason="MNIST is not in ../shared/data/mnist"),
]


@pytest.fixture(scope="module")
def corpus():
    return read_image_corpus(
        ImageDataConfig(modality="image", source=str(MNIST), valid_fraction=0.02)
    )


def test_all_images_are_read(corpus):
    images, labels = training_images(corpus)
    assert images.shape == (60_000, 1, 28, 28) and len(corpus.test) == 10_000
    assert (labels == 5).sum() == 5421, "fives of the training set, as is known"


def test_principal_components_lose_what_is_known(corpus):
    found = linear_rows(training_images(corpus), images_and_labels(corpus.test), [2, 20])
    rows = {(row["codec"], row["dim"]): row for row in found}
    for dim, error, share in ((2, 43.6, 0.445), (20, 18.45, 0.959)):
        row = rows["PCA", dim]
        assert row["test"] == pytest.approx(error, abs=0.1)
        assert row["train"] == pytest.approx(row["tail"], rel=1e-6)
        assert row["knn"] == pytest.approx(share, abs=0.015)
        assert row["train"] < rows["selection", dim]["train"]


def test_the_judge_is_right_about_real_digits(corpus):
    images, labels = training_images(corpus)
    model = train_classifier(flat(images), labels, 10, Budget(epochs=10), seed=0)
    found, truth = images_and_labels(corpus.test)
    assert accuracy(model, flat(found), truth) >= 0.97
