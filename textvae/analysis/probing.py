"""Probing: classifiers on the features of trained models, with few labels."""

from collections.abc import Mapping, Sequence
from typing import Any

from textvae.api.features import Kind
from textvae.api.sentence import SentenceVAE
from textvae.console import table
from textvae.data.readers import Labelled, read_labelled
from textvae.data.texts import DataError
from textvae.evaluation.probes import averaged_embeddings, check_labels, probe, word_features

HELD_OUT = 0.5
"""Share of the labelled texts that is held out where there is no test split."""


def labelled_data(
    data: str, test: str | None, text_column: str, label_column: str, seed: int
) -> tuple[Labelled, Labelled, list[str]]:
    """Labelled texts to train and to test on, and notes on their origin.

    Args:
        data: file, or folder with train and test files.
        test: file or folder of test texts; None for the test split of `data`, or half of `data`.
        text_column: column of the texts.
        label_column: column of the labels.
        seed: of the texts that are held out.

    Raises:
        DataError: it cannot be read, or cannot be split.
    """
    columns: dict[str, Any] = {"text_column": text_column, "label_column": label_column}
    splits = read_labelled(data, **columns)
    if "train" not in splits:
        raise DataError(f"{data}: has no train split (found: {', '.join(splits)})")
    if test is not None:
        test_splits = read_labelled(test, **columns)
        held = test_splits.get("test", next(iter(test_splits.values())))
        return splits["train"], held, []
    if "test" in splits:
        return splits["train"], splits["test"], [f"{data}: tested on its test split"]
    train, held = halves(splits["train"], seed)
    return train, held, [f"{data}: tested on {len(held.texts):,} of its texts, held out"]


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
