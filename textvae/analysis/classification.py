"""A classifier on pixels beside the same with features of a VAE that saw no label."""

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
from textvae.data.fields import Labels
from textvae.data.images import ImageCorpus
from textvae.data.labels import numbered
from textvae.data.readers import Labelled
from textvae.evaluation.probes import WORD
from textvae.graph.generation import Decoding

BATCH = 100
INPUTS = ("pixels", "pixels + mean", "pixels + hidden", "pixels + sample", "mean alone")
"""What a classifier reads; all but the first see a VAE."""


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
    with torch.random.fork_rng():
        torch.manual_seed(seed)
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
        place = 0
        for _ in range(steps):
            if place + BATCH > len(order):
                order, place = torch.randperm(len(x)), 0
            chosen = order[place : place + BATCH]
            place += BATCH
            loss = F.cross_entropy(model(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


class Standardize(nn.Module):
    """Inputs with the mean and one scale of the training inputs taken out.

    Args:
        x: training inputs, (N, F); pixels that hardly vary are not blown up.
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
    """Share of inputs, (N, F), that are given their label."""
    return float((predicted(model, inputs) == labels).mean())


@torch.no_grad()
def predicted(model: nn.Module, inputs: np.ndarray) -> np.ndarray:
    """The most probable label of each input, (N,)."""
    return model(torch.from_numpy(inputs).float()).argmax(-1).numpy()


def inputs_of(vae: ImageVAE, images: np.ndarray) -> dict[str, np.ndarray]:
    """What classifiers may read of images, (N, F) by name of `INPUTS`."""
    pixels = flat(images).astype(np.float32)
    found = {"pixels": pixels}
    for kind in ("mean", "hidden", "sample"):
        features = vae.features(images, kind)
        found[f"pixels + {kind}"] = np.concatenate([pixels, features], 1)
        if kind == "mean":
            found["mean alone"] = features
    return {name: found[name] for name in INPUTS}


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
    """Accuracies on the test images, by number of labels and by what a classifier reads.

    The largest number of images is labelled, the others train the VAE, which sees no label; fewer
    labels are the first of the same images.

    Args:
        corpus: grey images with labels and a test split.
        recipe: of the VAE.
        folder: of its run.
        labelled: numbers of labels.
        seeds: classifiers of each kind; the VAE is one.
        budget: of each classifier.
        overrides: `key=value` changes to the recipe.
        report: called with each event of the VAE's training.
        device: "cpu" to stay off a GPU that is there.

    Raises:
        ValueError: the data has no labels, no test images, or too few images.
    """
    if corpus.test is None or "label" not in corpus.facts:
        raise ValueError(f"{corpus.source}: labels and test images are needed")
    images, labels = joined(corpus)
    most, classes = max(labelled), corpus.facts["label"]["classes"]
    allowed = min((labels >= 0).sum(), len(images) - 10)
    if min(labelled) < 1 or most > allowed:
        raise ValueError(f"labels: must be from 1 to {allowed} (got {min(labelled)} to {most})")
    test_images, test_labels = with_label(*arrays(corpus.test), corpus.source)
    order = np.random.default_rng(0).permutation(len(images))
    chosen = order[labels[order] >= 0][:most]
    rest = order[~np.isin(order, chosen)]
    codec = Autoencoder(recipe, folder, overrides, report, device).fit(images[rest])
    known, truth = images[chosen], labels[chosen]
    train_inputs, test_inputs = inputs_of(codec.face, known), inputs_of(codec.face, test_images)
    rows = []
    for count in sorted(labelled, reverse=True):
        for name in INPUTS:
            scores = [
                accuracy(
                    train_classifier(
                        train_inputs[name][:count], truth[:count], classes, budget or Budget(), seed
                    ),
                    test_inputs[name],
                    test_labels,
                )
                for seed in range(seeds)
            ]
            rows.append({"labels": count, "inputs": name, "accuracies": scores})
    return with_gains(rows)


def with_gains(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with their mean accuracy and what each seed gains over pixels alone."""
    base = {row["labels"]: row["accuracies"] for row in rows if row["inputs"] == "pixels"}
    return [
        {
            **row,
            "accuracy": float(np.mean(row["accuracies"])),
            "gains": [a - b for a, b in zip(row["accuracies"], base[row["labels"]], strict=True)],
        }
        for row in rows
    ]


def joined(corpus: ImageCorpus) -> tuple[np.ndarray, np.ndarray]:
    """Images, (N, C, H, W), and labels, (N,), of training and validation together."""
    parts = [arrays(corpus.train), arrays(corpus.valid)]
    images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return images, labels


def arrays(rows: Any) -> tuple[np.ndarray, np.ndarray]:
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


def judged_labels(
    vae: ImageVAE, corpus: ImageCorpus, count: int, seed: int = 0, budget: Budget | None = None
) -> dict[str, Any]:
    """How many samples of a conditional model carry the label asked for, in a classifier's eyes.

    Args:
        vae: a model that is given labels.
        corpus: grey images with labels, to train the classifier and to test it.
        count: samples of each label.
        seed: of samples and classifier.
        budget: of the classifier.

    Raises:
        ValueError: the model is given no labels, or the data has none, or others.
    """
    if not vae.classes:
        raise ValueError("the model is given no labels: nothing can be asked for")
    if corpus.test is None or "label" not in corpus.facts:
        raise ValueError(f"{corpus.source}: labels and test images are needed")
    images, labels = with_label(*joined(corpus), corpus.source)
    test_images, test_labels = with_label(*arrays(corpus.test), corpus.source)
    for part, truth in ((images, labels), (test_images, test_labels)):
        vae.check(part)
        vae.check_labels(truth)
    model = train_classifier(flat(images), labels, vae.classes, budget or Budget(), seed)
    asked = np.repeat(np.arange(vae.classes), count)
    found = predicted(model, flat(vae.sample(len(asked), seed, asked.tolist())))
    return {
        "classifier_accuracy": accuracy(model, flat(test_images), test_labels),
        "samples_per_label": count,
        "carry_the_label": float((found == asked).mean()),
        "by_label": [float((found[asked == c] == c).mean()) for c in range(vae.classes)],
    }


def judged_sentences(
    vae: SentenceVAE,
    train: Labelled,
    test: Labelled,
    count: int,
    seed: int = 0,
    temperature: float = 1.0,
) -> dict[str, Any]:
    """How many sentences carry the label asked for, in the eyes of a classifier of real ones.

    Args:
        vae: a model that was taught labels.
        train: real texts with labels, which the classifier, logistic regression on TF-IDF, learns
            from.
        test: others, to say how good it is.
        count: sentences of each label.
        seed: of the sentences.
        temperature: divides the logits of each token.

    Raises:
        ValueError: the model was taught no labels, or the texts have others.
    """
    if not vae.tells_labels:
        raise ValueError("the model was taught no labels: nothing can be asked for")
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    numbers = numbered(train.labels, vae.labels)
    if missing := [name for n, name in enumerate(vae.labels) if n not in numbers]:
        raise ValueError(f"no real text has the label {', '.join(missing)}")
    words = TfidfVectorizer(token_pattern=WORD)
    judge = make_pipeline(words, LogisticRegression(max_iter=1000)).fit(train.texts, numbers)
    decoding = Decoding(do_sample=True, temperature=temperature)
    shares = [
        float((judge.predict(vae.sample(count, decoding, seed, name)) == number).mean())
        for number, name in enumerate(vae.labels)
    ]
    return {
        "classifier_accuracy": float(judge.score(test.texts, numbered(test.labels, vae.labels))),
        "samples_per_label": count,
        "temperature": temperature,
        "carry_the_label": float(np.mean(shares)),
        "by_label": dict(zip(vae.labels, shares, strict=True)),
    }


def classification_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Accuracies for a person."""
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
