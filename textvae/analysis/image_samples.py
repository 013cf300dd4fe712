"""Samples of an image model beside the images of its run."""

import numpy as np

from textvae.api.image import ImageVAE
from textvae.data.fields import Fields, Labels
from textvae.evaluation.image_samples import MOST, ImageSamples, image_samples, some_rows
from textvae.training.run_images import grey_images


def sampled_images(vae: ImageVAE, model: str, data: str | None, seed: int = 0) -> ImageSamples:
    """Precision and recall of samples, as many as there are held-out images, `MOST` at most.

    A conditional model is given the labels of held-out images.

    Args:
        vae: the model of the run.
        model: folder of the run.
        data: images that are held out in place of the run's own.
        seed: of the samples, of the classifier, and of the images that are compared.

    Raises:
        DataError: the images cannot be read.
        ValueError: there are too few.
    """
    training, held_out = grey_images(model, data)
    count = min(len(held_out), MOST)
    held_out = held_out.select(some_rows(len(held_out), count, seed))
    given = vae.labels_of(held_out)
    samples = vae.sample(count, seed, None if given is None else given.tolist())
    first, second = (rows.columns.get("label") for rows in (held_out, training))
    labels = None
    if isinstance(first, Labels) and isinstance(second, Labels):
        labels = first.values, second.values
    return image_samples(samples, pixels(held_out), pixels(training), labels, seed)


def pixels(rows: Fields) -> np.ndarray:
    """The images as floats, (N, C, H, W)."""
    column = rows.columns["image"]
    return column.stack([column[index] for index in range(len(rows))]).float().numpy()
