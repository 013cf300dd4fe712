"""The metrics of an image model on held-out images."""

from dataclasses import dataclass

from textvae.api.metrics import Metrics
from textvae.evaluation.factors import FactorMetrics
from textvae.evaluation.image_samples import ImageSamples
from textvae.evaluation.novelty import Novelty
from textvae.evaluation.sparse_priors import Codes


@dataclass(frozen=True, kw_only=True, repr=False)
class ImageEvaluation(Metrics):
    """Metrics over held-out images.

    Args:
        bits_per_dimension: nll / (pixels * ln 2).
        images: number of images N.
        pixels: description of the pixels, which a likelihood depends on.
        likelihood: kind of the likelihood of a pixel.
        trained_likelihood: kind that the model was trained with.
        factors: parts of the KL over all images and the mutual information gap, where a claim asks
            for them; `textvae factors` prints them.
        accuracy: share of labelled images whose label is predicted; None without labels.
        macro_f1: mean of the classes' F1; None without labels.
        labelled: number of images with a label.
        codes: classes of a categorical latent with a prior of its own; None without one.
        novelty: how images of classes that no training image has are told apart; None without
            such images, or without validation images to choose the threshold.
        squared_error: of the mean image at the posterior mean, summed over pixels in [0, 1], mean
            over the images.
        image_samples: precision and recall of samples, where they are asked for.
    """

    bits_per_dimension: float
    images: int
    pixels: str
    likelihood: str
    trained_likelihood: str
    factors: FactorMetrics | None = None
    accuracy: float | None = None
    macro_f1: float | None = None
    labelled: int = 0
    codes: Codes | None = None
    novelty: Novelty | None = None
    squared_error: float | None = None
    image_samples: ImageSamples | None = None
