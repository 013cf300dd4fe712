"""Precision and recall of sampled images, in the features of a classifier of real ones."""

import warnings
from dataclasses import dataclass

import numpy as np

from textvae.evaluation.generated_parts import entropy

NEIGHBOURS = 3
"""k: the ball of an image reaches to its k-th nearest neighbour."""

MOST = 2000
"""Most images of each kind that are compared."""

MOST_LEARNED = 10_000
"""Most training images that the classifier is trained on."""


@dataclass(frozen=True)
class ImageSamples:
    """Samples of an image model beside held-out images.

    Args:
        precision: share of the samples inside the ball of some held-out image: are they real?
        recall: share of the held-out images inside the ball of some sample: are all kinds there?
        real_precision: precision of training images in place of samples: what can be reached.
        real_recall: recall of training images.
        class_entropy: entropy of the classes that the classifier finds in the samples, nats; None
            without labels.
        real_class_entropy: of the classes that it finds in the held-out images.
        classifier_accuracy: share of held-out images whose class it finds. None without labels:
            then distances are between pixels.
        images: number of samples, and of held-out and of training images that are compared.

    Source: Kynkaanniemi et al. 2019, arXiv:1904.06991, with features of a classifier of these
    images in place of one of photographs.
    """

    precision: float
    recall: float
    real_precision: float
    real_recall: float
    class_entropy: float | None
    real_class_entropy: float | None
    classifier_accuracy: float | None
    images: int


class Classifier:
    """A perceptron of one hidden layer, whose units are features of an image.

    Args:
        pixels: of training images, (N, D), in [0, 1].
        labels: their classes, (N,).
        seed: of its weights, and of the training images that it sees where there are many.
        hidden: number of units.
    """

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, seed: int = 0, hidden: int = 128):
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        rows = some_rows(len(pixels), MOST_LEARNED, seed)
        self.model = MLPClassifier((hidden,), random_state=seed, max_iter=30)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(pixels[rows], labels[rows])

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """The hidden units of images, (N, H)."""
        return np.maximum(pixels @ self.model.coefs_[0] + self.model.intercepts_[0], 0.0)

    def classes(self, pixels: np.ndarray) -> np.ndarray:
        """The most probable class of each image, (N,)."""
        return np.asarray(self.model.predict(pixels))


def image_samples(
    samples: np.ndarray,
    held_out: np.ndarray,
    training: np.ndarray,
    labels: tuple[np.ndarray, np.ndarray] | None = None,
    seed: int = 0,
) -> ImageSamples:
    """The metrics of sampled images.

    Args:
        samples: written by a model, (N, ...), pixels in [0, 1].
        held_out: images that it was not trained on, (M, ...).
        training: images that it was trained on, (T, ...).
        labels: classes of the held-out and of the training images, (M,) and (T,), negative where
            there is none; None for distances between pixels.
        seed: of the classifier, and of the images that are compared where there are many.

    Raises:
        ValueError: fewer than `NEIGHBOURS` + 2 images of a kind.
    """
    count = min(len(samples), len(held_out), len(training), MOST)
    if count < NEIGHBOURS + 2:
        raise ValueError(
            f"samples are compared with at least {NEIGHBOURS + 2} held-out and training images "
            f"(got {len(samples)} samples, {len(held_out)} and {len(training)})"
        )
    kinds = [images.reshape(len(images), -1) for images in (samples, held_out, training)]
    chosen = [some_rows(len(pixels), count, seed) for pixels in kinds]
    drawn, real, seen = (pixels[rows] for pixels, rows in zip(kinds, chosen, strict=True))
    found: tuple[float | None, float | None, float | None] = (None, None, None)
    if labels is not None and (known := labels[1] >= 0).any():
        classifier = Classifier(kinds[2][known], labels[1][known], seed)
        truth = labels[0][chosen[1]]
        classes, real_classes = classifier.classes(drawn), classifier.classes(real)
        right = (real_classes == truth)[truth >= 0]
        accuracy = float(right.mean()) if len(right) else None
        found = (entropy(classes), entropy(real_classes), accuracy)
        drawn, real, seen = (classifier.features(pixels) for pixels in (drawn, real, seen))
    shares = inside(drawn, real), inside(real, drawn), inside(seen, real), inside(real, seen)
    return ImageSamples(*shares, *found, count)


def inside(points: np.ndarray, centres: np.ndarray, k: int = NEIGHBOURS) -> float:
    """Share of points in a ball around some centre, which reaches to the centre's k-th neighbour.

    >>> centres = np.array([[0.0], [1.0], [2.0]])
    >>> inside(np.array([[2.5], [3.5]]), centres, k=1)
    0.5
    """
    from sklearn.metrics import pairwise_distances
    from sklearn.neighbors import NearestNeighbors

    reach = NearestNeighbors(n_neighbors=k).fit(centres).kneighbors()[0][:, -1]
    return float((pairwise_distances(points, centres) <= reach).any(1).mean())


def some_rows(rows: int, most: int, seed: int) -> np.ndarray:
    """At most so many row numbers, drawn with a seed, in order."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
