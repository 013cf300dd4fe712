"""The latent space of a text model: posterior means of held-out texts as points in a plane."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from textvae.analysis.columns import Column, class_column, first_word_column, length_column
from textvae.analysis.exports import write_json
from textvae.analysis.planes import moments_of, principal_plane
from textvae.api.sentence import SentenceVAE
from textvae.checkpoints import atomic_folder
from textvae.data.tables import Columns
from textvae.plots import plot_scatter
from textvae.vocabulary import MISSING

Method = Literal["pca", "tsne", "umap"]
Colour = Literal["label", "length", "first-word"]

POINTS = 2000
"""Texts that are drawn where no limit is given: t-SNE of so many takes seconds."""
PERPLEXITY = 30.0
"""Of t-SNE; a third of the other texts where they are fewer than three times as many."""


@dataclass(frozen=True)
class Projection:
    """Points in a plane.

    Args:
        points: (N, 2).
        axes: names of the two axes.
        variance: share of the variance of each axis; None where the method has none.
        note: the method in words, with its settings.
    """

    points: np.ndarray
    axes: tuple[str, str]
    variance: tuple[float, float] | None
    note: str


def project(means: np.ndarray, method: Method, seed: int) -> Projection:
    """Posterior means, (N, D), in the plane.

    Raises:
        ValueError: an unknown method, fewer than four texts, a method that is not installed, or
            neighbours of means that are all equal.
    """
    if method not in get_args(Method):
        raise ValueError(f"--method must be {', '.join(get_args(Method))} (got {method!r})")
    if len(means) < 4:
        raise ValueError(f"at least 4 texts are needed for a picture (got {len(means)})")
    if method == "pca":
        return principal_components(means)
    if not np.ptp(means, axis=0).any():
        raise ValueError(f"--method {method}: the posterior means of all texts are equal")
    return t_sne(means, seed) if method == "tsne" else umap(means, seed)


def principal_components(means: np.ndarray) -> Projection:
    """The two directions of largest variance, see `principal_plane`; the second may have none."""
    plane = principal_plane(*moments_of(means))
    points, (first, *rest) = plane.place(means), plane.axes
    if points.shape[1] == 1:
        points = np.pad(points, [(0, 0), (0, 1)])
    assert plane.variance is not None, "that of principal axes is known"
    second = rest[0] if rest else "no second dimension"
    shares = (*plane.variance, 0.0)
    return Projection(points, (first, second), (shares[0], shares[1]), plane.note)


def t_sne(means: np.ndarray, seed: int) -> Projection:
    """t-SNE of scikit-learn, begun at the principal components where there are two.

    Source: van der Maaten & Hinton 2008, Journal of Machine Learning Research 9.
    """
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(means) - 1) / 3)
    init = "pca" if means.shape[1] > 1 else "random"
    embedding = TSNE(perplexity=perplexity, init=init, random_state=seed)
    note = (
        f"t-SNE of {means.shape[1]} dimensions, perplexity {perplexity:.3g}; "
        "distances between clusters mean little"
    )
    return Projection(embedding.fit_transform(means), ("t-SNE 1", "t-SNE 2"), None, note)


def umap(means: np.ndarray, seed: int) -> Projection:
    """UMAP, where umap-learn is installed.

    Raises:
        ValueError: it is not.

    Source: McInnes et al. 2018, arXiv:1802.03426.
    """
    if importlib.util.find_spec("umap") is None:
        raise ValueError("--method umap: pip install umap-learn, or take pca or tsne")
    from umap import UMAP  # type: ignore[import-not-found]

    embedding = UMAP(n_neighbors=min(15, len(means) - 1), random_state=seed)
    note = f"UMAP of {means.shape[1]} dimensions; distances between clusters mean little"
    return Projection(embedding.fit_transform(means), ("UMAP 1", "UMAP 2"), None, note)


class TextLatents:
    """A picture of the posterior means of held-out texts.

    Args:
        vae: the model.
        texts: held-out texts, at least four.
        labels: of the texts, blank where there is none; None where they have none.
        total: number of held-out texts that these were drawn from.
        source: of the texts, for the title.
        seed: of the drawing, and of t-SNE and UMAP.
        means: posterior means of the texts, (N, D), where they are not those of the texts alone.
    """

    def __init__(
        self,
        vae: SentenceVAE,
        texts: Sequence[str],
        labels: Sequence[str] | None = None,
        total: int | None = None,
        source: str = "",
        seed: int = 0,
        means: np.ndarray | None = None,
    ):
        self.vae, self.texts, self.labels = vae, list(texts), labels
        self.total = len(self.texts) if total is None else total
        self.source, self.seed = source, seed
        self.means = np.asarray(vae.encode(self.texts)) if means is None else means

    def column(self, colour: Colour) -> Column:
        """The classes of the texts that have a colour each."""
        if colour == "label":
            return class_column("label", self.labels or [])
        return {"length": length_column, "first-word": first_word_column}[colour](self.texts)

    def most_explaining(self) -> Colour:
        """The colour that explains most of the variance on the principal axes."""
        points = principal_components(self.means).points
        colours: list[Colour] = ["length", "first-word"]
        if any(self.labels or []):
            colours.append("label")
        return max(colours, key=lambda colour: self.column(colour).explained(points))

    def write(
        self, folder: Path, method: Method = "pca", colour: Colour | None = None
    ) -> dict[str, Any]:
        """Write `METHOD-COLOUR.png`, with a JSON file beside it, into a folder; return the result.

        Args:
            folder: of both files.
            method: of the projection.
            colour: of the points; `most_explaining` when not given.

        Raises:
            ValueError: an unknown method or colour, labels that are not there, or too few texts.
        """
        if colour is not None and colour not in get_args(Colour):
            raise ValueError(f"--colour must be {', '.join(get_args(Colour))} (got {colour!r})")
        if colour == "label" and not any(self.labels or []):
            raise ValueError("--colour label: the texts have none: name their --label-column")
        projection = project(self.means, method, self.seed)
        colour = colour or self.most_explaining()
        name = f"{method}-{colour}"
        result = self.result(projection, method, colour) | {"picture": str(folder / f"{name}.png")}
        with atomic_folder(folder) as partial:
            self.draw(projection, colour, partial / f"{name}.png")
            write_json(partial / f"{name}.json", result)
        return result

    def result(self, projection: Projection, method: Method, colour: Colour) -> dict[str, Any]:
        """The JSON output without the path of the picture."""
        return {
            "texts": len(self.texts),
            "held_out": self.total,
            "dimensions": self.means.shape[1],
            "method": method,
            "colour": colour,
            "variance": projection.variance,
            "seed": self.seed,
        }

    def draw(self, projection: Projection, colour: Colour, out: Path) -> None:
        """Write the picture with its caption, axes and legend."""
        column = self.column(colour)
        rest = [f"{column.others} others"] if column.others else []
        rest += [f"no {column.name}"] if column.counts[-1] else []
        names = dict(enumerate(column.names)) | ({MISSING: ", ".join(rest)} if rest else {})
        numbers = np.where(column.numbers < len(column.names), column.numbers, MISSING)
        title = self.title(projection, colour)
        legend, ordered = column.name, column.ordered
        plot_scatter(
            projection.points, numbers, names, projection.axes, title, out, legend, ordered
        )

    def title(self, projection: Projection, colour: Colour) -> str:
        """Model, texts, method, colour and seed, in three lines."""
        name = self.vae.model.config.recipe or "text model"
        drawn = "" if len(self.texts) == self.total else f" of {self.total:,}"
        source = f" ({self.source})" if self.source else ""
        return (
            f"{name}: posterior means of {len(self.texts):,}{drawn} texts{source}\n"
            f"{projection.note}\ncolour: {colour.replace('-', ' ')}; seed {self.seed}"
        )


def row_latents(
    vae: SentenceVAE, columns: Columns, total: int, source: str, seed: int = 0
) -> TextLatents:
    """The picture of rows of several fields: the means of their latents of whole rows.

    A row is coloured by the text that the model writes, of several by the first, its parts joined;
    its label is that of the first field of labels without parts.

    Args:
        vae: the model.
        columns: of the rows.
        total: number of held-out rows that these were drawn from.
        source: of the rows, for the title.
        seed: see `TextLatents`.
    """
    config = vae.model.config
    written = vae.model.field_of(vae.model.text_decoders[0])
    texts = [cell if isinstance(cell, str) else " ".join(cell) for cell in columns[written]]
    observed = config.observed or {}
    classes = [
        name
        for name in vae.fields
        if "classes" in observed.get(name, {}) and name not in config.plates
    ]
    labels = [str(cell or "") for cell in columns[classes[0]]] if classes else None
    return TextLatents(vae, texts, labels, total, source, seed, vae.row_means(columns))


def text_latents_text(result: Mapping[str, Any]) -> str:
    """The result for a terminal."""
    shares = result["variance"]
    method = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}[result["method"]]
    if shares is not None:
        method += f", {shares[0]:.1%} and {shares[1]:.1%} of the variance"
    return (
        f"{result['texts']:,} of {result['held_out']:,} texts, {result['dimensions']} dimensions, "
        f"{method} -> {result['picture']}"
    )
