"""Interface of image models: images in, latents and images out."""

import copy
import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from textvae.api.base import TrainedVAE, as_tensor, load_vae
from textvae.api.features import Kind
from textvae.api.image_evaluation import ImageEvaluation
from textvae.api.sentence import SentenceVAE
from textvae.api.table import TableVAE
from textvae.data.fields import Fields, Images, Labels, binarized
from textvae.data.images import (
    View,
    as_bytes,
    check_unit_interval,
    checked_split,
    read_picture,
    size_text,
)
from textvae.data.texts import DataError
from textvae.decoders.image import ImageDecoder
from textvae.encoders.label import LabelEncoder
from textvae.evaluation.labels import classified, label_metrics
from textvae.evaluation.novelty import Novelty, novelty
from textvae.evaluation.sparse_priors import code_metrics
from textvae.graph.folders import is_image_model, is_table_model
from textvae.graph.model import VAE
from textvae.likelihoods import Likelihood
from textvae.randomness import seeded
from textvae.vocabulary import MISSING

ROWS = 512
"""Most images decoded at once."""

OF_LOGITS = ("bernoulli", "continuous_bernoulli")
"""Likelihoods with one logit per pixel."""

PIXELS = {
    "grey": "grey pixels",
    "dequantized": "dequantised pixels, held-out noise drawn with seed 0",
    "static": "statically binarised pixels",
    "dynamic": "dynamically binarised pixels, held-out bits drawn once",
}
"""A description of each kind of pixels."""


class ImageVAE(TrainedVAE):
    """An image VAE.

    Images are an array, (N, C, H, W), (N, H, W) or (N, H, W, C), as the model sees them: uint8,
    bits (only 0 and 1), or floats in [0, 1]; `read` gives those of picture files. A conditional
    model also needs the labels of the images, by number or name.

    >>> vae = ImageVAE.from_pretrained("runs/kingma2014_image")  # doctest: +SKIP
    >>> z = vae.encode(images)  # doctest: +SKIP
    >>> vae.decode(z)  # doctest: +SKIP

    Args:
        model: with one image decoder.

    Raises:
        ValueError: no image decoder, or several.
    """

    def __init__(self, model: VAE):
        super().__init__(model)
        decoders = [
            (model.field_of(name), decoder)
            for name, decoder in model.decoders.items()
            if name in model.main_decoders and isinstance(decoder, ImageDecoder)
        ]
        if len(decoders) != 1:
            raise ValueError(f"one image decoder is needed (the model has {len(decoders)})")
        self.field, self.decoder = decoders[0]
        encoders = model.config.nodes("encoders")
        self.label_fields = [
            node["field"]
            for node in encoders
            if isinstance(model.encoders[node["name"]], LabelEncoder)
        ]

    @classmethod
    def from_pretrained(
        cls, folder: str | PathLike[str], device: str | torch.device = "cpu"
    ) -> "ImageVAE":
        """The model in a folder or under a hub name; safetensors only, never pickle.

        Raises:
            CheckpointError: there is none, it is of another kind, or it is damaged.
        """
        model, local = load_vae(folder)
        return cls(model).opened(local, device)

    @property
    def shape(self) -> tuple[int, int, int]:
        """C, H, W of the images."""
        channels, height, width = self.decoder.shape
        return channels, height, width

    @property
    def pixels(self) -> str:
        """The kind of pixels that the model reads, see `ImageDataConfig`."""
        return (self.model.config.observed or {})[self.field]["pixels"]

    @property
    def view(self) -> View:
        """How the pictures of the training data were read."""
        return View.from_facts((self.model.config.observed or {})[self.field])

    @property
    def classes(self) -> int:
        """Number of classes of a conditional model; 0 for any other."""
        observed = self.model.config.observed or {}
        return observed[self.label_fields[0]]["classes"] if self.label_fields else 0

    def read(
        self, files: Sequence[str | PathLike[str]], notes: list[str] | None = None
    ) -> np.ndarray:
        """Picture files as the model's training data were read, (N, C, H, W), uint8.

        Size, background, inversion and channels are those of the training data.

        Args:
            files: N paths.
            notes: sentences on what was done to the pictures are added.

        Raises:
            DataError: a file is missing or damaged, or has another size where the model's data
                were not resized.
        """
        channels, said = self.shape[0], [] if notes is None else notes
        images = [read_picture(Path(name), self.view, said, channels) for name in files]
        for image in images:
            self.check(image[None])
        return np.stack(images)

    def rows(
        self, images: np.ndarray | Fields, labels: Sequence[int | str] | None = None
    ) -> Fields:
        """Images and labels as fields of the model.

        Raises:
            ValueError: no image, an image of another size or range, or labels that do not fit.
        """
        if isinstance(images, Fields):
            column = images.columns[self.field]
            assert isinstance(column, Images), "the field contains images"
            self.check(column.values)
            columns = dict(images.columns)
            for field in self.label_fields:
                given = columns.get(field)
                numbers = self.matched(given) if isinstance(given, Labels) else None
                columns[field] = self.labels_column(self.check_labels(numbers))
            return Fields(columns)
        values, checked = checked_split(
            "images", np.asarray(images), None if labels is None else self.label_numbers(labels)
        )
        (values,), _ = as_bytes("images", [values], [])
        self.check(values)
        if self.pixels in ("static", "dynamic"):
            values = binarized(values, 0)
        columns: dict[str, Any] = {self.field: Images(values, self.pixels)}  # type: ignore[arg-type]
        for field in self.label_fields:
            columns[field] = self.labels_column(self.check_labels(checked))
        return Fields(columns)

    def labels_column(self, numbers: np.ndarray) -> Labels:
        """Classes as the model numbers them, (N,), as a field with their names."""
        return Labels(numbers, self.classes, tuple(self.labels))

    def matched(self, column: Labels) -> np.ndarray:
        """The classes of rows as the model numbers them, (N,): by name where the rows have names.

        Raises:
            ValueError: a row has a class that the model does not know.
        """
        if not column.names:
            return column.values
        numbers = column.values.copy()
        for number in set(column.values[column.values >= 0].tolist()):
            numbers[column.values == number] = self.label_number(column.names[number])
        return numbers

    def label_numbers(self, labels: Sequence[int | str]) -> np.ndarray:
        """Classes given by number or name, as numbers; an array of numbers as it is.

        Raises:
            ValueError: an unknown name.
        """
        if isinstance(labels, np.ndarray) and labels.dtype.kind not in "UO":
            return labels
        numbers = [self.label_number(y) if isinstance(y, str) else y for y in labels]
        return np.asarray(numbers)

    def scored_as(self, kind: str) -> "ImageVAE":
        """A copy with the same logits under another likelihood, for comparison.

        Raises:
            ValueError: a likelihood without logits, or not of these pixels.

        Source: Loaiza-Ganem & Cunningham 2019, section 5.1, arXiv:1907.06845.
        """
        own = self.decoder.likelihood.kind
        if {kind, own} - {*OF_LOGITS}:
            raise ValueError(
                f"the logits of {' and '.join(OF_LOGITS)} models can be scored as either "
                f"(got {kind!r} for a {own} model)"
            )
        density = Likelihood.build({"kind": kind})
        if self.pixels not in density.pixels:
            raise ValueError(f"{kind} is no density of {PIXELS[self.pixels]}")
        copied = ImageVAE(copy.deepcopy(self.model))
        copied.decoder.likelihood = density
        return copied

    def check(self, values: np.ndarray) -> None:
        """Refuse images, (N, C, H, W), of another size or outside the likelihood's range."""
        if values.shape[1:] != self.shape:
            given, wanted = size_text(values.shape[1:]), size_text(self.shape)
            raise DataError(f"the model reads images of {wanted} (got {given})")
        likelihood = self.decoder.likelihood
        check_unit_interval(values, [likelihood.kind] if likelihood.bounded else [], "images")

    def check_labels(self, labels: np.ndarray | None) -> np.ndarray:
        """The labels, (N,), after a check that they exist and are in range."""
        if labels is None:
            raise ValueError("the model is given labels: name one for each image")
        if labels.size and not (labels.min() >= MISSING and labels.max() < self.classes):
            given = f"{labels.min()} to {labels.max()}"
            raise ValueError(f"labels must be from 0 to {self.classes - 1} (got {given})")
        return labels

    def encode(
        self,
        images: np.ndarray | Fields,
        labels: Sequence[int | str] | None = None,
        return_scales: bool = False,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Posterior means, (N, D), float32, all latents side by side; on request, also scales."""
        means, scales = self.moments(self.rows(images, labels))
        return (means, scales) if return_scales else means

    def features(
        self,
        images: np.ndarray | Fields,
        kind: Kind = "mean",
        seed: int = 0,
        labels: Sequence[int | str] | None = None,
    ) -> np.ndarray:
        """Features of images for another model, (N, H), see `features_of`."""
        return self.features_of(self.rows(images, labels), kind, seed)

    @torch.no_grad()
    def decode(
        self, z: np.ndarray | Tensor, labels: Sequence[int | str] | None = None
    ) -> np.ndarray:
        """The mean image of each latent, (N, C, H, W), float32.

        Args:
            z: latents side by side, (N, D), as `encode` gives them.
            labels: one for each latent of a conditional model.

        Raises:
            ValueError: z is not (N, D), or labels are missing or unknown.
        """
        latents = as_tensor(z)
        label_fields = self.label_batch(labels, len(latents))
        parts = []
        for start in range(0, len(latents), ROWS):
            part = slice(start, start + ROWS)
            values = self.values_of(latents[part])
            features = self.model.read({name: v[part] for name, v in label_fields.items()})
            count = len(latents[part])
            (likelihood,) = self.model.likelihoods(values, features, count).values()
            parts.append(likelihood.mean[0].float().cpu().numpy())
        return np.concatenate(parts) if parts else np.zeros((0, *self.shape), np.float32)

    def label_batch(self, labels: Sequence[int | str] | None, count: int) -> dict[str, Tensor]:
        """The label fields of a batch; empty for a model without."""
        if not self.label_fields:
            return {}
        if labels is None or len(labels) != count:
            given = "none" if labels is None else len(labels)
            raise ValueError(f"the model is given labels: {count} are needed (got {given})")
        numbers = self.check_labels(self.label_numbers(labels)).astype(np.int64)
        batch = torch.as_tensor(numbers, device=self.model.device)
        return {field: batch for field in self.label_fields}

    def reconstruct(
        self, images: np.ndarray | Fields, labels: Sequence[int | str] | None = None
    ) -> np.ndarray:
        """The mean image at each posterior mean, (N, C, H, W)."""
        rows = self.rows(images, labels)
        numbers = self.labels_of(rows)
        given = None if numbers is None else list(numbers)
        return self.decode(np.asarray(self.encode(rows)), given)

    def labels_of(self, rows: Fields) -> np.ndarray | None:
        """The labels of rows; None for a model without label fields."""
        if not self.label_fields:
            return None
        column = rows.columns.get(self.label_fields[0])
        if not isinstance(column, Labels):
            raise ValueError("the model is given labels, and these images have none")
        return column.values

    @torch.no_grad()
    def sample_latents(
        self, count: int, seed: int | None = None, labels: Sequence[int | str] | None = None
    ) -> np.ndarray:
        """Samples of the prior, (N, D), all latents side by side."""
        if count < 1:
            raise ValueError(f"at least one image must be asked for (got {count})")
        with seeded(seed):
            drawn = self.model.sample_prior(count, None, **self.label_batch(labels, count))
        return torch.cat([value[0] for value in drawn.values()], -1).cpu().numpy()

    def sample(
        self, count: int = 1, seed: int | None = None, labels: Sequence[int | str] | None = None
    ) -> np.ndarray:
        """Mean images of prior samples, (N, C, H, W).

        Args:
            count: number of images.
            seed: of z; None to draw from the global random state.
            labels: one for each image of a conditional model.

        Raises:
            ValueError: count below 1, or labels are missing or unknown.
        """
        return self.decode(self.sample_latents(count, seed, labels), labels)

    def interpolate(
        self,
        images: np.ndarray | Fields,
        steps: int = 8,
        spherical: bool = False,
        labels: Sequence[int | str] | None = None,
    ) -> np.ndarray:
        """Mean images between the posterior means of two images, (steps, C, H, W).

        With labels, the first half has the label of the first image.

        Raises:
            ValueError: fewer than two steps, or not two images.
        """
        rows = self.rows(images, labels)
        if len(rows) != 2:
            raise ValueError(f"an interpolation is between 2 images (got {len(rows)})")
        end_labels = self.labels_of(rows)
        latents = self.between(np.asarray(self.encode(rows)), steps, spherical)
        if end_labels is None:
            return self.decode(latents)
        return self.decode(
            latents, [end_labels[0 if 2 * step < steps else 1] for step in range(steps)]
        )

    def evaluate(
        self,
        images: np.ndarray | Fields,
        samples: int = 500,
        seed: int = 0,
        labels: Sequence[int | str] | None = None,
        likelihood: str | None = None,
        validation: Fields | None = None,
        strangers: Fields | None = None,
    ) -> ImageEvaluation:
        """Likelihood and latent metrics of held-out images.

        Args:
            images: images that the model was not trained on.
            samples: K of the importance-weighted bound.
            seed: of all samples.
            labels: of the images.
            likelihood: kind that scores the decoder's logits; the trained one by default.
            validation: images that choose the threshold of novelty, where `images` may be of
                classes that the model does not know.
            strangers: images of no class of the model, in place of those among `images`.

        Raises:
            ValueError: see `rows`, and `scored_as`.
        """
        scored = self if likelihood is None else self.scored_as(likelihood)
        rows = scored.rows(images, labels)
        metrics, _ = scored.metrics(rows, samples, seed)
        return ImageEvaluation(
            **metrics,
            **scored.label_metrics(rows),
            novelty=scored.novelty(rows, validation, strangers),
            codes=code_metrics(scored.model, (batch for _, batch in rows.in_length_order())),
            bits_per_dimension=metrics["nll"] / (math.prod(self.shape) * math.log(2)),
            images=len(rows),
            pixels=PIXELS[self.pixels],
            likelihood=scored.decoder.likelihood.kind,
            trained_likelihood=self.decoder.likelihood.kind,
            squared_error=scored.squared_error(rows),
        )

    def novelty(
        self, rows: Fields, validation: Fields | None, strangers: Fields | None
    ) -> Novelty | None:
        """How images of other classes are told apart; arguments as those of `evaluate`."""
        if validation is None:
            return None
        others = None if strangers is None else self.rows(strangers)
        return novelty(self.model, rows, validation, others)

    def squared_error(self, rows: Fields) -> float:
        """The squared error of reconstructions, summed over pixels, mean over the rows."""
        column, total = rows.columns[self.field], 0.0
        for start in range(0, len(rows), ROWS):
            part = np.arange(start, min(start + ROWS, len(rows)))
            images = column.stack([column[int(index)] for index in part])
            decoded = self.reconstruct(rows.select(part))
            total += (torch.from_numpy(decoded) - images).double().square().sum().item()
        return total / len(rows)

    def classify(self, images: np.ndarray | Fields) -> np.ndarray:
        """q(label | x) of images, (N, C), float32; the classes are `labels`, in that order.

        Raises:
            ValueError: the model was trained without labels, or see `rows`.
        """
        return classified(self.model, self.rows(images))

    def label_metrics(self, rows: Fields) -> dict[str, Any]:
        """The accuracy of the label that a model predicts; empty where it predicts none.

        Rows without labels have none either.
        """
        return label_metrics(self.model, self.rows(rows))


def open_model(
    folder: str | PathLike[str], device: str | torch.device = "cpu"
) -> SentenceVAE | ImageVAE | TableVAE:
    """The model in a folder or under a hub name, with the interface of its modality.

    Raises:
        CheckpointError: there is none, it is of another kind, or it is damaged.
    """
    if is_image_model(folder):
        return ImageVAE.from_pretrained(folder, device)
    if is_table_model(folder):
        return TableVAE.from_pretrained(folder, device)
    return SentenceVAE.from_pretrained(folder, device)
