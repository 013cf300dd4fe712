"""Classifiers on pixels and on the features of a VAE trained without labels, compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textvae.analysis.dimension_reduction import Autoencoder, flat
from textvae.api.image import ImageVAE
from textvae.api.sentence import SentenceVAE
from textvae.console import table
from textvae.data.fields import Fields, Labels
from textvae.data.images import ImageCorpus
from textvae.data.labels import numbered
from textvae.data.readers import Labelled
from textvae.evaluation.probes import WORD
from textvae.graph.decoding import Decoding
from textvae.randomness import draws, seeded

BATCH = 100
INPUTS = ("pixels", "pixels + mean", "pixels + hidden", "pixels + sample", "mean alone")
"""Inputs of a classifier; all but the first contain features of a VAE."""


@dataclass(frozen=True)
class Budget:
    """How every classifier is trained, the same for all inputs.

    Args:
        hidden: width of its one hidden layer.
        epochs: passes over the labelled images.
        least_steps: optimizer steps at least, for few labels.
        learning_rate: of Adam.
    """

    hidden: int = 128
    epochs: int = 25
    least_steps: int = 500
    learning_rate: float = 1e-3


def train_classifier(
    inputs: np.ndarray, labels: np.ndarray, classes: int, budget: Budget, seed: int
) -> nn.Module:
    """A network with one hidden layer, trained on standardised inputs, (N, F).

    The caller's random state is not touched.
    """
    x, y = torch.from_numpy(inputs).float(), torch.from_numpy(labels)
    with seeded(seed), draws():
        scale = Standardize(x)
        model = nn.Sequential(
            scale,
            nn.Linear(x.shape[1], budget.hidden),
            nn.ReLU(),
            nn.Linear(budget.hidden, classes),
        )
        optimizer = torch.optim.Adam(model.parameters(), budget.learning_rate)
        steps = max(budget.least_steps, budget.epochs * len(x) // BATCH)
        order = torch.randperm(len(x))
        start = 0
        for _ in range(steps):
            if start + BATCH > len(order):
                order, start = torch.randperm(len(x)), 0
            batch = order[start : start + BATCH]
            start += BATCH
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


class Standardize(nn.Module):
    """Inputs less the mean of the training inputs, over their standard deviation.

    Args:
        x: training inputs, (N, F); a standard deviation below 0.1 counts as 0.1.
    """

    def __init__(self, x: Tensor):
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("scale", x.std(0).clamp(min=0.1) if len(x) > 1 else torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Standardised inputs, (N, F)."""
        return (x - self.mean) / self.scale  # type: ignore[operator]


@torch.no_grad()
def accuracy(model: nn.Module, inputs: np.ndarray, labels: np.ndarray) -> float:
    """Share of inputs, (N, F), that are classified correctly."""
    return float((predicted(model, inputs) == labels).mean())


@torch.no_grad()
def predicted(model: nn.Module, inputs: np.ndarray) -> np.ndarray:
    """The most probable label of each input, (N,)."""
    return model(torch.from_numpy(inputs).float()).argmax(-1).numpy()


def inputs_of(vae: ImageVAE, images: np.ndarray) -> dict[str, np.ndarray]:
    """The inputs of classifiers of images, (N, F) by name of `INPUTS`."""
    pixels = flat(images).astype(np.float32)
    inputs = {"pixels": pixels}
    for kind in ("mean", "hidden", "sample"):
        features = vae.features(images, kind)
        inputs[f"pixels + {kind}"] = np.concatenate([pixels, features], 1)
        if kind == "mean":
            inputs["mean alone"] = features
    return {name: inputs[name] for name in INPUTS}


def semi_supervised(
    corpus: ImageCorpus,
    recipe: str,
    folder: Path,
    labelled: Sequence[int],
    seeds: int,
    budget: Budget | None = None,
    overrides: Sequence[str] = (),
    report: Any = lambda event, values: None,
    device: str | None = None,
) -> list[dict[str, Any]]:
    """Accuracies on the test images, by number of labels and by the inputs of a classifier.

    The images without label train the VAE. A smaller number of labels is a prefix of the
    largest.

    Args:
        corpus: grey images with labels and a test split.
        recipe: of the VAE.
        folder: of its run.
        labelled: numbers of labels.
        seeds: classifiers of each kind; the VAE is one.
        budget: of each classifier.
        overrides: `key=value` changes to the recipe.
        report: called with each event of the VAE's training.
        device: "cpu" to train on the CPU where there is a GPU.

    Raises:
        ValueError: the data has no labels, no test images, or too few images.
    """
    if corpus.test is None or "label" not in corpus.facts:
        raise ValueError(f"{corpus.source}: labels and test images are needed")
    images, labels = training_images(corpus)
    most, classes = max(labelled), corpus.facts["label"]["classes"]
    allowed = min((labels >= 0).sum(), len(images) - 10)
    if min(labelled) < 1 or most > allowed:
        raise ValueError(f"labels: must be from 1 to {allowed} (got {min(labelled)} to {most})")
    test_images, test_labels = with_label(*images_and_labels(corpus.test), corpus.source)
    order = np.random.default_rng(0).permutation(len(images))
    with_labels = order[labels[order] >= 0][:most]
    without_labels = order[~np.isin(order, with_labels)]
    autoencoder = Autoencoder(recipe, folder, overrides, report, device).fit(images[without_labels])
    train_inputs = inputs_of(autoencoder.vae, images[with_labels])
    test_inputs = inputs_of(autoencoder.vae, test_images)
    train_labels, budget = labels[with_labels], budget or Budget()
    rows = []
    for count in sorted(labelled, reverse=True):
        for name in INPUTS:
            train = train_inputs[name][:count], train_labels[:count]
            models = [train_classifier(*train, classes, budget, seed) for seed in range(seeds)]
            scores = [accuracy(model, test_inputs[name], test_labels) for model in models]
            rows.append({"labels": count, "inputs": name, "accuracies": scores})
    return with_gains(rows)


def with_gains(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with their mean accuracy and the gain of each seed over pixels alone."""
    base = {row["labels"]: row["accuracies"] for row in rows if row["inputs"] == "pixels"}
    return [
        {
            **row,
            "accuracy": float(np.mean(row["accuracies"])),
            "gains": [a - b for a, b in zip(row["accuracies"], base[row["labels"]], strict=True)],
        }
        for row in rows
    ]


def training_images(corpus: ImageCorpus) -> tuple[np.ndarray, np.ndarray]:
    """Images, (N, C, H, W), and labels, (N,), of the training and validation splits."""
    parts = [images_and_labels(corpus.train), images_and_labels(corpus.valid)]
    images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return images, labels


def images_and_labels(rows: Any) -> tuple[np.ndarray, np.ndarray]:
    """Images, (N, C, H, W), and labels, (N,), of rows; -1 where there are none."""
    column = rows.columns.get("label")
    labels = column.values if isinstance(column, Labels) else np.full(len(rows), -1)
    return rows.columns["image"].values, labels


def with_label(images: np.ndarray, labels: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """The images, (N, C, H, W), that have a label, and the labels, (N,).

    Raises:
        ValueError: none has one.
    """
    known = labels >= 0
    if not known.any():
        raise ValueError(f"{where}: labels are needed, of test images too")
    return images[known], labels[known]


def image_control_accuracy(
    vae: ImageVAE, corpus: ImageCorpus, count: int, seed: int = 0, budget: Budget | None = None
) -> dict[str, Any]:
    """Share of a conditional model's samples that a classifier gives the requested label.

    Args:
        vae: a model that is given labels.
        corpus: grey images with labels, which train and test the classifier.
        count: samples of each label.
        seed: of samples and classifier.
        budget: of the classifier.

    Raises:
        ValueError: the model is given no labels, or the data has none, or others.
    """
    if not vae.classes:
        raise ValueError("the model is given no labels: no label can be requested")
    if corpus.test is None or "label" not in corpus.facts:
        raise ValueError(f"{corpus.source}: labels and test images are needed")
    parts = zip(known_to(vae, corpus.train), known_to(vae, corpus.valid), strict=True)
    images, labels = (np.concatenate(part) for part in parts)
    images, labels = with_label(images, labels, corpus.source)
    test_images, test_labels = with_label(*known_to(vae, corpus.test), corpus.source)
    for part, truth in ((images, labels), (test_images, test_labels)):
        vae.check(part)
        vae.check_labels(truth)
    model = train_classifier(flat(images), labels, vae.classes, budget or Budget(), seed)
    requested = np.repeat(np.arange(vae.classes), count)
    correct = requested == predicted(
        model, flat(vae.sample(len(requested), seed, requested.tolist()))
    )
    return {
        "classifier_accuracy": accuracy(model, flat(test_images), test_labels),
        "samples_per_label": count,
        "carry_the_label": float(correct.mean()),
        "by_label": {
            name: float(correct[requested == number].mean())
            for number, name in enumerate(vae.labels)
        },
    }


def known_to(vae: ImageVAE, rows: Fields) -> tuple[np.ndarray, np.ndarray]:
    """Images, (N, C, H, W), and their labels, (N,), as the model numbers its classes.

    Raises:
        ValueError: a class that the model does not know.
    """
    images, labels = images_and_labels(rows)
    column = rows.columns.get("label")
    return images, vae.matched(column) if isinstance(column, Labels) else labels


def text_classifier() -> Any:
    """The classifier of texts that control accuracy is measured with, not fitted yet."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(token_pattern=WORD)
    return make_pipeline(words, LogisticRegression(max_iter=1000))


def text_control_accuracy(
    vae: SentenceVAE,
    train: Labelled,
    test: Labelled,
    count: int,
    seed: int = 0,
    temperature: float = 1.0,
) -> dict[str, Any]:
    """Share of a model's samples that a classifier of real texts gives the requested label.

    Args:
        vae: a model trained with labels.
        train: real texts with labels, which train the classifier, logistic regression on TF-IDF.
        test: other texts with labels, which test the classifier.
        count: samples of each label.
        seed: of the samples.
        temperature: divides the logits of each token.

    Raises:
        ValueError: the model was trained without labels, or the texts have others.
    """
    if not vae.predicts_labels:
        raise ValueError("the model was trained without labels: no label can be requested")
    numbers = numbered(train.labels, vae.labels)
    if missing := [name for n, name in enumerate(vae.labels) if n not in numbers]:
        raise ValueError(f"no real text has the label {', '.join(missing)}")
    classifier = text_classifier().fit(train.texts, numbers)
    decoding = Decoding(do_sample=True, temperature=temperature, known_words=False)
    shares = [
        float((classifier.predict(vae.sample(count, decoding, seed, name)) == number).mean())
        for number, name in enumerate(vae.labels)
    ]
    return {
        "classifier_accuracy": float(
            classifier.score(test.texts, numbered(test.labels, vae.labels))
        ),
        "samples_per_label": count,
        "temperature": temperature,
        "carry_the_label": float(np.mean(shares)),
        "by_label": dict(zip(vae.labels, shares, strict=True)),
    }


def classification_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Accuracies as a table."""
    shown = [
        (
            row["labels"],
            row["inputs"],
            f"{100 * row['accuracy']:.2f}",
            f"{100 * float(np.mean(row['gains'])):+.2f}",
            f"{100 * min(row['gains']):+.2f}",
        )
        for row in rows
    ]
    return table(shown, ["labels", "inputs", "accuracy %", "gain", "least gain of a seed"])
