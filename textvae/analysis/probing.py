"""Probing: classifiers on the features of trained models, with few labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textvae.api.features import Kind
from textvae.api.sentence import SentenceVAE
from textvae.console import table
from textvae.data.readers import Labelled, read_labelled
from textvae.data.texts import DataError
from textvae.evaluation.probes import (
    averaged_embeddings,
    check_labels,
    probe,
    probe_accuracy,
    word_features,
)
from textvae.training.folders import held_out_of
from textvae.training.run_data import is_training_file, real_texts, subset

PROBE_TEXTS = 5000
"""Most training texts of a probe on z."""

HELD_OUT = 0.5
"""Share of the labelled texts that is held out where there is no test split."""


def labelled_data(
    data: str,
    test: str | None,
    text_column: str,
    label_column: str,
    seed: int,
    runs: Sequence[str] = (),
) -> tuple[Labelled, Labelled, list[str]]:
    """Labelled texts to train and to test on, and notes on their origin.

    Args:
        data: file, or folder with train and test files.
        test: file or folder of test texts; None for the test split of `data`, or that which the
            runs held out of `data`, or half of `data`.
        text_column: column of the texts.
        label_column: column of the labels.
        seed: of the texts that are held out.
        runs: folders of the models that are probed.

    Raises:
        DataError: it cannot be read, or cannot be split.
    """
    columns: dict[str, Any] = {"text_column": text_column, "label_column": label_column}
    notes: list[str] = []
    splits = read_labelled(data, **columns, notes=notes)
    if "train" not in splits:
        raise DataError(f"{data}: has no train split (found: {', '.join(splits)})")
    if test is not None:
        test_splits = read_labelled(test, **columns, notes=notes)
        held = test_splits.get("test", next(iter(test_splits.values())))
        return splits["train"], held, notes
    if "test" in splits:
        return splits["train"], splits["test"], [f"{data}: tested on its test split", *notes]
    if own := [run for run in runs if is_training_file(run, data)]:
        if any(held_out_of(Path(run)) != held_out_of(Path(own[0])) for run in own):
            raise DataError(f"{data}: the runs held out other texts of it; name some with --test")
        train, held = real_texts(own[0], None, text_column, label_column)
        count = f"{len(held.texts):,}"
        return train, held, [f"{data}: tested on the {count} texts that {own[0]} held out", *notes]
    train, held = halves(splits["train"], seed)
    return train, held, [f"{data}: tested on {len(held.texts):,} of its texts, held out", *notes]


def halves(rows: Labelled, seed: int) -> tuple[Labelled, Labelled]:
    """Labelled texts in two parts with equal shares of each class.

    Raises:
        DataError: a class has one text only.
    """
    from sklearn.model_selection import train_test_split

    try:
        texts, held_texts, labels, held_labels = train_test_split(
            rows.texts, rows.labels, test_size=HELD_OUT, stratify=rows.labels, random_state=seed
        )
    except ValueError as error:
        raise DataError(f"no test texts can be held out: {error}") from None
    return Labelled(list(texts), list(labels)), Labelled(list(held_texts), list(held_labels))


def probe_models(
    models: Mapping[str, SentenceVAE],
    train: Labelled,
    test: Labelled,
    per_class: Sequence[int],
    kinds: Sequence[Kind] = ("mean",),
    subsets: int = 5,
    seed: int = 0,
) -> dict[str, Any]:
    """The scores of classifiers on models' features and on the words, as JSON.

    Args:
        models: by name.
        train: labelled texts that subsets are drawn from.
        test: labelled texts that every classifier is tested on.
        per_class: numbers of labels of each class.
        kinds: of features.
        subsets: for each number of labels.
        seed: of subsets, folds and samples.

    Raises:
        ValueError: see `probe`.
    """
    check_labels(train.labels, test.labels, per_class)
    features: dict[str, Any] = {}
    for name, vae in models.items():
        for kind in kinds:
            splits = (vae.features(rows.texts, kind, seed) for rows in (train, test))
            features[f"{name}, {kind}"] = tuple(splits)
    features |= word_features(train.texts, test.texts)
    features["averaged embeddings"] = averaged_embeddings(train.texts, test.texts)
    scores = probe(features, train.labels, test.labels, per_class, subsets, seed)
    return {
        "classes": sorted(set(train.labels)),
        "train_texts": len(train.texts),
        "test_texts": len(test.texts),
        "subsets": subsets,
        "seed": seed,
        "scores": [score.result() for score in scores],
    }


def probe_z(vae: SentenceVAE, train: Labelled, test: Labelled, seed: int = 0) -> dict[str, Any]:
    """How well logistic regression on posterior means predicts labels, see `probe_accuracy`.

    Args:
        vae: a model that was trained without labels.
        train: labelled training texts, of which at most `PROBE_TEXTS` are read.
        test: labelled held-out texts.
        seed: of the training texts and of the folds.

    Raises:
        ValueError: the model has no latent, or there are too few labels.
    """
    if not vae.dim:
        raise ValueError("a model without latents predicts no labels: no z to probe")
    if not train.texts or not test.texts:
        raise ValueError("no training text, or no held-out text, has a label: no z to probe")
    rows = subset(list(range(len(train.texts))), PROBE_TEXTS, seed)
    texts, labels = ([part[row] for row in rows] for part in train)
    train_z, test_z = (np.asarray(vae.encode(each)) for each in (texts, test.texts))
    return probe_accuracy(train_z, labels, test_z, test.labels, seed)


def probe_text(result: Mapping[str, Any]) -> str:
    """The scores as a table, with the classifier and its data."""
    rows = [
        [
            score["labels_per_class"],
            score["features"],
            with_spread(score["accuracy"], score["accuracy_deviation"]),
            with_spread(score["macro_f1"], score["macro_f1_deviation"]),
        ]
        for score in result["scores"]
    ]
    lines = table(rows, ["labels per class", "features", "accuracy, %", "macro-F1, %"])
    return (
        f"{lines}\nlogistic regression, C by cross-validation; mean and standard deviation over "
        f"{result['subsets']} subsets of the labels; {len(result['classes'])} classes, "
        f"{result['test_texts']:,} test texts"
    )


def with_spread(mean: float, deviation: float | None) -> str:
    """A share in percent with its standard deviation."""
    spread = "" if deviation is None else f" ± {100 * deviation:.1f}"
    return f"{100 * mean:.1f}{spread}"
