"""Labels that a model predicts for rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from textvae.api.rows import class_names_of, given_rows, set_names_of
from textvae.data.batching import Examples
from textvae.data.fields import Fields
from textvae.evaluation.label_sets import predicted_set, probabilities_of
from textvae.evaluation.labels import classified, taught_label
from textvae.graph.model import VAE

if TYPE_CHECKING:
    from textvae.api.sentence import SentenceVAE
    from textvae.api.table import TableVAE


@dataclass(frozen=True)
class Labelling:
    """The labels of N rows by a model.

    Args:
        field: the label's.
        names: of the C classes, or of the labels of a set.
        probabilities: of each of them, (N, C), float32.
        several: whether a row has a set of labels, and not one class.
    """

    field: str
    names: list[str]
    probabilities: np.ndarray
    several: bool

    def chosen(self, threshold: float = 0.5) -> list[list[str]]:
        """The labels of each row, the most probable one first: its class, or all of its set.

        Args:
            threshold: probability above which a label is in a set.
        """
        if not self.several:
            return [[self.names[number]] for number in self.probabilities.argmax(1)]
        found = []
        for row in self.probabilities:
            order = np.argsort(-row, kind="stable")
            found.append([self.names[number] for number in order if row[number] > threshold])
        return found


def rows_to_label(vae: "SentenceVAE | TableVAE", columns: Mapping[str, Any]) -> Fields:
    """Rows of several fields of which the fields are given that the label is predicted from.

    Raises:
        TypeError, ValueError: see `given_rows`; or the model was taught no label.
    """
    needed = read_for_label(vae.model)
    return given_rows(vae.model.config, vae.tokenizer, columns, needed, vae.fields)


def labelling(model: VAE, rows: Examples, seed: int = 0) -> Labelling:
    """The labels that a model predicts for rows, whose own labels it does not read.

    Args:
        model: that was trained with labels.
        rows: N of them.
        seed: of samples of the prior, of sets of labels that are decoded.

    Raises:
        ValueError: the model was taught no label.
    """
    if (predicts := predicted_set(model)) is not None:
        names = set_names_of(model.config, predicts[1])
        return Labelling(predicts[1], names, probabilities_of(model, rows, seed), True)
    _, field = taught_label(model)
    names = class_names_of(model.config, field) or []
    return Labelling(field, names, classified(model, rows), False)


def read_for_label(model: VAE) -> list[str]:
    """The fields that the label of a row is predicted from.

    Raises:
        ValueError: the model was taught no label.
    """
    predicts = predicted_set(model)
    if predicts is not None and not predicts[2]:
        return model.config.conditions()
    name, field = taught_label(model) if predicts is None else predicts[:2]
    return [each for each in model.config.fields_read(name) if each != field]
