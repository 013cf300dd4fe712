"""Precision and recall of sampled images."""

import numpy as np
import pytest

from textvae.evaluation.image_samples import MOST, Classifier, image_samples, inside, some_rows


def blobs(classes, each, seed):
    """Images of 2 x 2 pixels around one corner of the cube for each class, and their classes."""
    corners = np.eye(4)
    noise = np.random.default_rng(seed).normal(0, 0.05, (len(classes) * each, 4))
    labels = np.repeat(classes, each)
    return (corners[labels] + noise).reshape(-1, 1, 2, 2), labels


def test_a_point_is_inside_the_ball_of_any_centre():
    centres = np.array([[0.0], [1.0], [10.0]])
    # balls to the nearest neighbour: radius 1, 1 and 9
    assert inside(np.array([[-1.0], [2.0], [18.9]]), centres, k=1) == 1.0
    assert inside(np.array([[-1.1], [19.1]]), centres, k=1) == 0.0


def test_samples_of_half_the_classes_are_real_and_not_all_there():
    training, seen = blobs([0, 1, 2, 3], 100, 0)
    held_out, labels = blobs([0, 1, 2, 3], 100, 1)
    samples, _ = blobs([0, 1], 200, 2)
    for known in ((labels, seen), None):
        found = image_samples(samples, held_out, training, known)
        assert found.precision > 0.85 and 0.35 < found.recall <= 0.5, known
        assert found.real_precision > 0.85 and found.real_recall > 0.85
        assert found.images == 400
    with_labels = image_samples(samples, held_out, training, (labels, seen))
    assert with_labels.class_entropy == pytest.approx(np.log(2), abs=0.05)
    assert with_labels.real_class_entropy == pytest.approx(np.log(4), abs=0.05)
    assert with_labels.classifier_accuracy > 0.95
    assert found.class_entropy is None and found.classifier_accuracy is None


def test_samples_that_resemble_nothing_have_neither():
    training, _ = blobs([0, 1], 50, 0)
    held_out, _ = blobs([0, 1], 50, 1)
    found = image_samples(np.full((100, 1, 2, 2), 9.0), held_out, training)
    assert found.precision == 0.0 and found.recall == 0.0


def test_images_without_a_class_do_not_count():
    training, seen = blobs([0, 1], 50, 0)
    held_out, labels = blobs([0, 1], 50, 1)
    hidden = np.where(np.arange(100) % 2, -1, seen)
    found = image_samples(held_out, held_out, training, (np.full(100, -1), hidden))
    assert found.classifier_accuracy is None and found.class_entropy > 0.6
    none = image_samples(held_out, held_out, training, (labels, np.full(100, -1)))
    assert none.class_entropy is None


def test_the_classifier_depends_on_its_seed_alone():
    pixels, labels = blobs([0, 1, 2], 30, 0)
    flat = pixels.reshape(len(pixels), -1)
    first, second = Classifier(flat, labels, seed=3), Classifier(flat, labels, seed=3)
    assert np.array_equal(first.features(flat), second.features(flat))
    assert np.array_equal(some_rows(9, 4, 1), some_rows(9, 4, 1))
    assert len(set(some_rows(9, 4, 1).tolist())) == 4 and len(some_rows(3, MOST, 0)) == 3


def test_too_few_images_are_refused():
    images, _ = blobs([0], 4, 0)
    with pytest.raises(ValueError, match="at least 5 held-out and training images"):
        image_samples(images, images, images)
