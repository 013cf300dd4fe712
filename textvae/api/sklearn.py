"""The latents of a trained model as a scikit-learn transformer."""

from collections.abc import Iterable
from os import PathLike
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags

from textvae.api.features import Kind, check_kind
from textvae.api.sentence import SentenceVAE
from textvae.data.python_texts import text_list


class LatentFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Texts -> features of a trained VAE, (N, F), float32; `fit` only checks its arguments.

    Works in a `Pipeline`, `FeatureUnion` or `GridSearchCV`. With a folder or hub name the pickle
    has a few hundred bytes, and every process reads the model.

    Args:
        model: folder or hub name of a trained model, or a `SentenceVAE`, which is copied and
            pickled as a whole.
        kind: `mean`, `hidden`, `sample` or `layers`: see `SentenceVAE.features`.
        device: of the computation.
        seed: of kind `sample`.

    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> classifier = make_pipeline(LatentFeatures("runs/bowman2016"), LogisticRegression())
    """

    def __init__(
        self,
        model: str | PathLike[str] | SentenceVAE,
        kind: Kind = "mean",
        device: str = "cpu",
        seed: int = 0,
    ):
        self.model = model
        self.kind: Kind = kind
        self.device = device
        self.seed = seed

    def fit(self, X: Iterable[str], y: Any = None) -> Self:
        """Check the model, the kind and the texts.

        Raises:
            ValueError: a missing or damaged model, an unknown kind, or an empty text.
            TypeError: X is not a list of strings.
        """
        check_kind(self.kind)
        self.__dict__.pop("_loaded", None)  # the folder may contain another model by now
        self.vae().require_latent()
        strings(X)
        return self

    def transform(self, X: Iterable[str]) -> np.ndarray:
        """Features of texts, (N, F), float32; only samples depend on the other texts.

        Args:
            X: N texts: a list, a pandas column, a numpy array.

        Raises:
            ValueError: as `fit`.
            TypeError: X is not a list of strings.
        """
        return self.vae().features(strings(X), self.kind, self.seed)

    def vae(self) -> SentenceVAE:
        """The model, read at its first use."""
        if isinstance(self.model, SentenceVAE):
            return self.model
        key = (str(self.model), self.device)
        if self.__dict__.get("_loaded", (None, None))[0] != key:
            self._loaded = key, SentenceVAE.from_pretrained(self.model, self.device)
        return self._loaded[1]

    @property
    def _n_features_out(self) -> int:
        return sum(self.vae().feature_sizes(self.kind))

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        return {name: value for name, value in state.items() if name != "_loaded"}

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def strings(texts: Any) -> list[str]:
    """Texts as a list, see `text_list`.

    Raises:
        TypeError: one string, a table, or an element that is not a string.
        ValueError: no text, or a blank one.
    """
    elements = text_list(texts, "X")
    for number, text in enumerate(elements):
        if not text.strip():
            raise ValueError(f"X[{number}]: the text is empty")
    return elements
