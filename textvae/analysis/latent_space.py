"""The latent-space report of an image model: pictures and metrics."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from textvae.analysis.exports import write_json
from textvae.analysis.pictures import (
    labels_note,
    model_name,
    sample_labels,
    write_grid,
    write_interpolation,
    write_pairs,
    write_samples,
)
from textvae.api.image import ImageVAE
from textvae.checkpoints import atomic_folder
from textvae.data.fields import Fields, Labels
from textvae.evaluation.latent import is_deterministic
from textvae.evaluation.space import ROWS, hole_score, knn_accuracy, overlap
from textvae.plots import plot_ellipses, plot_scatter
from textvae.vocabulary import MISSING

SIDE = 20
"""Images on a side of the manifold."""
REACH = 3.0
"""Standard deviations of the prior that a traversal spans to either side of its mean."""
STEPS = 11
"""Images of a traversal or an interpolation."""
MAX_DIMENSIONS = 10
"""Most dimensions that are traversed."""
ELLIPSES = 500
"""Most posteriors that are drawn as ellipses."""


class LatentSpaceReport:
    """Pictures and metrics of the latents of training and held-out images.

    An autoencoder has no prior: a Gaussian fitted to its codes takes its place.

    Args:
        vae: the model.
        train: images whose codes are the neighbours of held-out codes.
        test: held-out images.
        seed: of all samples.
        total: number of held-out images that `test` was drawn from with the seed.
    """

    def __init__(
        self, vae: ImageVAE, train: Fields, test: Fields, seed: int = 0, total: int | None = None
    ):
        self.vae, self.test, self.seed = vae, test, seed
        self.total = len(test) if total is None else total
        self.codes, self.labels = np.asarray(vae.encode(train)), labels_of(train)
        means, scales = vae.encode(test, return_scales=True)
        self.means, self.scales, self.truth = means, scales, labels_of(test)
        self.fitted = is_deterministic(vae.model)
        self.order = np.argsort(-self.means.var(0), kind="stable")

    def prior_samples(self, count: int) -> np.ndarray:
        """Samples of the prior, (count, D)."""
        if not self.fitted:
            labels = sample_labels(self.vae, None, count)
            return self.vae.sample_latents(count, self.seed, labels)
        mean, covariance = self.codes.mean(0), np.atleast_2d(np.cov(self.codes.T))
        generator = np.random.default_rng(self.seed)
        return generator.multivariate_normal(mean, covariance, count).astype(np.float32)

    def posterior_samples(self) -> np.ndarray:
        """One sample of each held-out posterior, (N, D)."""
        return self.vae.features(self.test, "sample", self.seed)

    def metrics(self) -> dict[str, Any]:
        """kNN accuracy, overlap of posteriors and hole score, with a note on each."""
        nearest, random = overlap(self.means, self.scales)
        metrics: dict[str, Any] = {
            "dimensions": self.vae.dim,
            "images": len(self.test),
            "deterministic": self.fitted,
            "prior": "Gaussian fitted to the codes" if self.fitted else "the model's",
            "overlap_nearest": nearest,
            "overlap_random": random,
            "hole_score": hole_score(self.prior_samples(ROWS), self.posterior_samples()),
            "knn_accuracy": None,
        }
        if (self.labels >= 0).sum() >= 10 and (self.truth >= 0).any():
            metrics["knn_accuracy"] = knn_accuracy(self.codes, self.labels, self.means, self.truth)
        return metrics | {"notes": NOTES}

    def quantiles(self, count: int) -> np.ndarray:
        """Quantiles of the prior in the two dimensions of largest variance, (2, count)."""
        shares = (torch.arange(count) + 0.5) / count
        axes = self.order[:2]
        if self.fitted:
            return np.stack([np.quantile(self.codes[:, axis], shares.numpy()) for axis in axes])
        standard = torch.distributions.Normal(0.0, 1.0).icdf(shares).numpy()
        mean, deviation = self.prior_moments()
        return np.stack([mean[axis] + deviation[axis] * standard for axis in axes])

    def prior_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each dimension of the prior, (D,) both."""
        if self.fitted:
            return self.codes.mean(0), self.codes.std(0)
        return self.vae.prior_moments()

    def manifold(self) -> np.ndarray:
        """Latents at a grid of prior quantiles, (SIDE^2, D) or (SIDE, D), the rest at its mean."""
        quantiles = self.quantiles(SIDE)
        mean, _ = self.prior_moments()
        if len(quantiles) == 1:
            grid = np.tile(mean, (SIDE, 1))
            grid[:, self.order[0]] = quantiles[0]
            return grid.astype(np.float32)
        grid = np.tile(mean, (SIDE * SIDE, 1))
        grid[:, self.order[0]] = np.tile(quantiles[0], SIDE)
        # The first row of a picture is its highest.
        grid[:, self.order[1]] = np.repeat(quantiles[1][::-1], SIDE)
        return grid.astype(np.float32)

    def traversal(self) -> np.ndarray:
        """The first image's code with one dimension after the other moved, (rows * STEPS, D)."""
        axes = self.order[:MAX_DIMENSIONS]
        rows = np.tile(self.means[0], (len(axes) * STEPS, 1))
        multiples = np.linspace(-REACH, REACH, STEPS)
        mean, deviation = self.prior_moments()
        for number, axis in enumerate(axes):
            span = slice(number * STEPS, (number + 1) * STEPS)
            rows[span, axis] = mean[axis] + multiples * deviation[axis]
        return rows.astype(np.float32)

    def decoded(self, z: np.ndarray) -> np.ndarray:
        """Images of points projected to latents; of the first class for a model with labels."""
        labels = [0] * len(z) if self.vae.classes else None
        return self.vae.decode(self.vae.project(z), labels)

    def axis_name(self, axis: int) -> str:
        """The name of a dimension of z, with its share of the variance of the posterior means."""
        variances = self.means.var(0)
        return f"dimension {axis} ({variances[axis] / (variances.sum() or 1):.0%} of the variance)"

    def write_manifold(self, out: Path) -> None:
        """Write the images at a grid of prior quantiles of two dimensions."""
        quantiles, axes = self.quantiles(SIDE), self.order[:2]
        # The first row of a picture is its highest.
        labels = [[f"{z:.1f}" if n % 3 == 0 else "" for n, z in enumerate(q)] for q in quantiles]
        rows = labels[1][::-1] if len(labels) > 1 else []
        low, high = 50 / SIDE, 100 - 50 / SIDE
        title = (
            f"{model_name(self.vae)}: images at prior quantiles from {low:g}% to {high:g}%; other "
            "dimensions at the prior's mean"
        )
        names = [*map(self.axis_name, axes), ""][:2]
        grid = self.decoded(self.manifold())
        write_grid(out, grid, SIDE, title, rows, labels[0], names)

    def write_traversal(self, out: Path) -> None:
        """Write the images of a code with one dimension after the other moved."""
        rows = [f"dimension {axis}" for axis in self.order[:MAX_DIMENSIONS]]
        columns = [f"{multiple:.1f}" for multiple in np.linspace(-REACH, REACH, STEPS)]
        title = (
            f"{model_name(self.vae)}: the first held-out image with one dimension of z moved; "
            f"{len(rows)} of {self.vae.dim} dimensions, by variance of the posterior mean"
        )
        names = ("deviations of the prior from its mean", "")
        images = self.decoded(self.traversal())
        write_grid(out, images, STEPS, title, rows, columns, names)

    def write_points(self, out: Path, ellipses: bool) -> None:
        """Write posteriors in the two dimensions of largest variance, as dots or as ellipses."""
        axes = self.order[:2]
        names = [self.axis_name(axis) for axis in axes]
        count = min(len(self.test), ELLIPSES) if ellipses else len(self.test)
        shape = "posteriors (ellipses: one standard deviation)" if ellipses else "posterior means"
        drawn = f" of {self.total:,}" if count < self.total else ""
        title = (
            f"{model_name(self.vae)}: {shape} of {count:,}{drawn} held-out images,\n"
            f"2 of {self.vae.dim} dimensions, those of largest variance; seed {self.seed}"
        )
        means, truth = self.means[:count, axes], self.truth[:count]
        classes = self.class_names if (truth >= 0).any() else {}
        if ellipses:
            scales = self.scales[:count, axes]
            plot_ellipses(means, scales, truth, classes, names, title, out)
        else:
            plot_scatter(means, truth, classes, names, title, out)

    @property
    def class_names(self) -> dict[int, str]:
        """The name of each class of the images, and of none."""
        column = self.test.columns.get("label")
        names = column.names if isinstance(column, Labels) else ()
        return {MISSING: "no label", **dict(enumerate(names))}

    def write(self, folder: Path) -> dict[str, Any]:
        """Write all pictures and latent.json into a folder atomically; return the metrics."""
        metrics, vae = self.metrics(), self.vae
        few = self.test.select(np.arange(min(16, len(self.test))))
        prior = self.prior_samples(100)
        samples = vae.decode(prior, sample_labels(vae, None, len(prior)))
        source = " of a Gaussian fitted to the codes" if self.fitted else ""
        note = f"{source}{labels_note(vae, None)}, seed {self.seed}"
        draw: dict[str, Callable[[Path], None]] = {
            "manifold": self.write_manifold,
            "traversal": self.write_traversal,
            "samples": lambda out: write_samples(out, vae, samples, 10, note),
            "reconstructions": lambda out: write_pairs(
                out, vae, few, f"{len(few)} held-out images"
            ),
        }
        if len(few) > 1:
            ends = few.select(np.array([0, 1]))
            draw["interpolation"] = lambda out: write_interpolation(
                out, vae, ends, STEPS, False, "two held-out images"
            )
        if vae.dim > 1:
            draw["scatter"] = lambda out: self.write_points(out, False)
            draw["ellipses"] = lambda out: self.write_points(out, True)
        with atomic_folder(folder) as partial:
            for name, paint in draw.items():
                paint(partial / f"{name}.png")
            write_json(partial / "latent.json", metrics)
        return metrics | {"pictures": [str(folder / f"{name}.png") for name in draw]}


NOTES = {
    "knn_accuracy": "share of held-out means whose label most of the 10 nearest others have",
    "overlap_nearest": "mean Bhattacharyya coefficient with the posterior of the nearest mean; 0: "
    "points",
    "overlap_random": "the same with another image's posterior",
    "hole_score": "median distance of prior samples to posterior samples, over that between those; "
    "1: no holes",
}


def labels_of(rows: Fields) -> np.ndarray:
    """The labels of rows, (N,), int64; -1 where there are none, or of no class of the model."""
    column = rows.columns.get("label")
    if not isinstance(column, Labels):
        return np.full(len(rows), MISSING)
    return np.maximum(column.values, MISSING)


def latent_space_text(metrics: Mapping[str, Any]) -> str:
    """The metrics as a table."""
    from textvae.console import table

    rows = [
        (name, metrics[name], note)
        for name, note in NOTES.items()
        if metrics[name] is not None and not math.isnan(metrics[name])
    ]
    return f"{table(rows)}\nprior: {metrics['prior']}\npictures: {', '.join(metrics['pictures'])}"
