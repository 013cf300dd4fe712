"""Dimension reduction of images: selection, PCA and autoencoders behind one interface."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from textvae.api.image import ImageVAE
from textvae.config import ImageDataConfig
from textvae.console import table
from textvae.data.fields import Fields
from textvae.data.images import read_image_corpus
from textvae.evaluation.likelihood import likelihood
from textvae.evaluation.space import knn_accuracy
from textvae.recipes import Recipe, check_model, load_recipe
from textvae.registry import SpecError
from textvae.training.callbacks import Report
from textvae.training.folders import (
    RECIPE,
    WEIGHTS,
    RunError,
    fingerprint,
    read_state,
    saved_recipe,
)
from textvae.training.runs import train_run

AUTOENCODERS = {
    "plain": "hinton2006_plain",
    "constrained": "hinton2006_constrained",
    "small": "hinton2006_small",
    "small, constrained": "hinton2006_small_constrained",
}
"""The recipe of each of the four autoencoders."""


class Reducer(Protocol):
    """A map of images to codes and back."""

    def fit(self, images: np.ndarray) -> Self:
        """Fit to images, (N, C, H, W), uint8 or floats."""
        ...

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Codes, (N, D)."""
        ...

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Images, (N, C, H, W), of codes, (N, D)."""
        ...


def flat(images: np.ndarray) -> np.ndarray:
    """Images, (N, C, H, W), as rows of pixels, (N, P), float64; bytes are scaled to [0, 1]."""
    rows = images.reshape(len(images), -1).astype(np.float64)
    return rows / 255 if images.dtype == np.uint8 else rows


def squared_error(reducer: Reducer, images: np.ndarray) -> float:
    """Squared error of the reconstructions, summed over pixels, mean over images."""
    reconstructions = reducer.decode(reducer.encode(images))
    return float(((flat(images) - flat(reconstructions)) ** 2).sum(1).mean())


class Selection:
    """The m pixels of largest variance, decoded by least squares: W = argmin ||X_S W - X||^2.

    X is centred for decoding, as in PCA.

    Args:
        dim: m.

    >>> images = np.random.default_rng(0).random((20, 1, 3, 3))
    >>> Selection(2).fit(images).encode(images).shape
    (20, 2)
    """

    def __init__(self, dim: int):
        self.dim = checked_dim(dim)

    def fit(self, images: np.ndarray) -> Self:
        """Fit to images, (N, C, H, W)."""
        rows, self.shape = flat(images), images.shape[1:]
        check_fits(self.dim, rows)
        self.chosen = np.sort(np.argsort(-rows.var(0), kind="stable")[: self.dim])
        self.mean = rows.mean(0)
        centred = rows - self.mean
        self.weights = np.linalg.lstsq(centred[:, self.chosen], centred, rcond=None)[0]
        return self

    def encode(self, images: np.ndarray) -> np.ndarray:
        """The chosen pixels, (N, m)."""
        return flat(images)[:, self.chosen]

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Images, (N, C, H, W), of codes, (N, m)."""
        centred = codes - self.mean[self.chosen]
        return (self.mean + centred @ self.weights).reshape(-1, *self.shape)


class PCA:
    """Principal components: code = P_m^T (x - mu), reconstruction = mu + P_m code.

    P holds the eigenvectors of the covariance C = X X^T / (n - 1) of the centred images, the
    largest eigenvalue first.

    Args:
        dim: m.

    >>> images = np.random.default_rng(0).random((20, 1, 3, 3))
    >>> pca = PCA(2).fit(images)
    >>> bool(abs(squared_error(pca, images) - pca.tail) < 1e-9)
    True
    """

    def __init__(self, dim: int):
        self.dim = checked_dim(dim)

    def fit(self, images: np.ndarray) -> Self:
        """Fit to images, (N, C, H, W)."""
        rows, self.shape = flat(images), images.shape[1:]
        check_fits(self.dim, rows)
        self.count = len(rows)
        self.mean = rows.mean(0)
        centred = rows - self.mean
        values, vectors = np.linalg.eigh(centred.T @ centred / max(1, self.count - 1))
        self.eigenvalues = np.maximum(values[::-1], 0.0)
        self.components = vectors[:, ::-1][:, : self.dim]
        return self

    @property
    def tail(self) -> float:
        """The sum of the eigenvalues beyond m, times (n - 1) / n: the error on the training images.

        The covariance divides by n - 1, a mean over images by n.
        """
        return float(self.eigenvalues[self.dim :].sum() * (self.count - 1) / self.count)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Codes, (N, m)."""
        return (flat(images) - self.mean) @ self.components

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Images, (N, C, H, W), of codes, (N, m)."""
        return (self.mean + codes @ self.components.T).reshape(-1, *self.shape)


class Autoencoder:
    """An image model whose latent means are the codes, trained in a run folder.

    Args:
        recipe: name of a recipe, or a loaded recipe.
        folder: of the run: a finished run is read, an unfinished run is resumed.
        overrides: `key=value` changes to a recipe by name.
        report: called with each event of training.
        device: "cpu" to train on the CPU where there is a GPU.

    Raises:
        SpecError: the recipe is not one of images.
    """

    def __init__(
        self,
        recipe: str | Recipe,
        folder: Path,
        overrides: Sequence[str] = (),
        report: Report = lambda event, values: None,
        device: str | None = None,
    ):
        loaded = load_recipe(recipe, overrides) if isinstance(recipe, str) else recipe
        if not isinstance(loaded.data, ImageDataConfig):
            raise SpecError([f"{loaded.name}: a codec of images needs a recipe of images"])
        check_model(loaded)
        self.recipe, self.config, self.folder = loaded, loaded.data, folder
        self.report, self.device = report, device

    def fit(self, images: np.ndarray) -> Self:
        """Train on images, (N, C, H, W), part of which is the validation split.

        A finished run of the recipe on the same images is read and not trained again.

        Raises:
            RunError: the folder holds another run, or one of other images.
        """
        config = self.config.model_copy(update={"test_fraction": 0.0})
        corpus = read_image_corpus(config, given={"train": (images, None)})
        if (self.folder / WEIGHTS).exists() and saved_recipe(self.folder) == self.recipe:
            if read_state(self.folder).get("fingerprint") != fingerprint(corpus):
                raise RunError(f"{self.folder} learned from other images; --output names another")
            self.vae = ImageVAE.from_pretrained(self.folder, self.device or "cpu")
            return self
        resume = (self.folder / RECIPE).exists()
        model, _ = train_run(self.recipe, corpus, self.folder, resume, self.report, self.device)
        self.vae = ImageVAE(model)
        return self

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Codes, (N, D)."""
        return np.asarray(self.vae.encode(images))

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Images, (N, C, H, W), of codes, (N, D)."""
        return self.vae.decode(codes)

    def loss(self, images: np.ndarray) -> float:
        """Reconstruction loss, -log p(x | z) at a posterior sample, nats per image."""
        rows: Fields = self.vae.rows(images)
        batches = [batch for _, batch in rows.in_length_order()]
        return likelihood(self.vae.model, batches, samples=1).reconstruction_loss.mean().item()


def checked_dim(dim: int) -> int:
    """The size of a code, checked.

    Raises:
        ValueError: the size is below one.
    """
    if dim < 1:
        raise ValueError(f"dim must be at least 1 (got {dim})")
    return dim


def check_fits(dim: int, rows: np.ndarray) -> None:
    """Refuse more dimensions than there are pixels.

    Raises:
        ValueError: with both numbers.
    """
    if dim > rows.shape[1]:
        raise ValueError(f"dim must be at most {rows.shape[1]}, the number of pixels (got {dim})")


def linear_rows(
    train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], dims: Sequence[int]
) -> list[dict[str, Any]]:
    """Error and kNN-10 accuracy of selection and PCA, by size of the code."""
    rows = []
    for dim in dims:
        for name, reducer in (("selection", Selection(dim)), ("PCA", PCA(dim))):
            reducer.fit(train[0])
            row: dict[str, Any] = {
                "codec": name,
                "dim": dim,
                "train": squared_error(reducer, train[0]),
                "test": squared_error(reducer, test[0]),
                "knn": knn_accuracy(
                    reducer.encode(train[0]), train[1], reducer.encode(test[0]), test[1]
                ),
            }
            if isinstance(reducer, PCA):
                row["tail"] = reducer.tail
            rows.append(row)
    return rows


def autoencoder_rows(
    train: np.ndarray,
    test: np.ndarray,
    parent: Path,
    overrides: Sequence[str],
    report: Report,
    device: str | None,
) -> list[dict[str, Any]]:
    """Reconstruction loss of the four autoencoders on training and test images, and its gap."""
    rows = []
    for name, recipe in AUTOENCODERS.items():
        autoencoder = Autoencoder(recipe, parent / recipe, overrides, report, device).fit(train)
        losses = {"train": autoencoder.loss(train), "test": autoencoder.loss(test)}
        epochs = autoencoder.recipe.train.epochs
        gap = losses["test"] - losses["train"]
        rows.append({"model": name, "recipe": recipe, "epochs": epochs, **losses, "gap": gap})
    return rows


def dimension_reduction_text(
    linear: Sequence[Mapping[str, Any]], trained: Sequence[Mapping[str, Any]]
) -> str:
    """The tables of linear methods and of autoencoders."""
    keys = ("codec", "dim", "train", "test", "knn")
    parts = [
        "squared error per image, pixels in [0, 1]; accuracy of 10 nearest codes",
        table([[row[key] for key in keys] for row in linear], [*keys[:4], "kNN-10"]),
    ]
    if trained:
        names = ("model", "epochs", "train", "test", "gap")
        parts += [
            "\nsummed cross-entropy per image, nats, 2-D code",
            table([[row[name] for name in names] for row in trained], names),
        ]
    return "\n".join(parts)
