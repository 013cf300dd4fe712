"""Logistic regression on features with few labels, over subsets of the labels."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

STRENGTHS = tuple(10.0**power for power in range(-4, 3))
"""Inverse strengths C of the L2 penalty that cross-validation chooses among."""

FOLDS, REPEATS, FITS = 5, 3, 25_000
"""Folds of a cross-validation, its repetitions, and most labels over all its fits."""


@dataclass(frozen=True)
class Score:
    """Accuracy of a classifier trained on a number of labels, over subsets of them.

    Args:
        features: name of the features.
        per_class: labels of each class it was trained on.
        accuracies: on the test texts, one for each subset.
        macro_f1s: mean of the classes' F1, one for each subset.
    """

    features: str
    per_class: int
    accuracies: tuple[float, ...]
    macro_f1s: tuple[float, ...]

    def result(self) -> dict[str, Any]:
        """The score as JSON: means, standard deviations over subsets (N - 1), each subset's."""
        result: dict[str, Any] = {"features": self.features, "labels_per_class": self.per_class}
        for name, values in (("accuracy", self.accuracies), ("macro_f1", self.macro_f1s)):
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
            result |= {name: float(np.mean(values)), f"{name}_deviation": spread}
            result[f"{name}_of_each"] = list(values)
        return result


def probe(
    features: Mapping[str, tuple[Any, Any]],
    train_labels: Sequence[str],
    test_labels: Sequence[str],
    per_class: Sequence[int],
    subsets: int = 5,
    seed: int = 0,
) -> list[Score]:
    """Logistic regression on features with few labels.

    For each number of labels, subsets with that many texts of each class are drawn, the same for
    all features. On each, C is chosen by repeated stratified cross-validation, and the
    classifier, trained on the whole subset, is evaluated on all test texts.

    Args:
        features: by name, of the training and test texts, (N, F) and (M, F). Dense ones are
            standardised with the subset's mean and deviation, sparse ones taken as they are.
        train_labels: N.
        test_labels: M.
        per_class: numbers of labels of each class, 2 or more.
        subsets: drawn for each number.
        seed: of subsets and folds.

    Raises:
        ValueError: one class only, a class that only test has, or fewer labels than asked for.

    Source: Bosc & Vincent 2020, section 5, arXiv:2004.07683; the grid of C, the number of folds
    and repetitions, and accuracy as their criterion are ours.
    """
    check_labels(train_labels, test_labels, per_class)
    expected = np.asarray(test_labels)
    scores = []
    for count in per_class:
        draw = np.random.default_rng([seed, count])
        chosen = [stratified(train_labels, count, draw) for _ in range(subsets)]
        for name, (train, test) in features.items():
            metrics = []
            for number, rows in enumerate(chosen):
                labels = np.asarray(train_labels)[rows]
                search = classifier(train[rows], count, seed + number).fit(train[rows], labels)
                metrics.append(accuracy_and_f1(expected, search.predict(test)))
            accuracies, f1s = zip(*metrics, strict=True)
            scores.append(Score(name, count, accuracies, f1s))
    return scores


def check_labels(train: Sequence[str], test: Sequence[str], per_class: Sequence[int]) -> None:
    """Check that a classifier can be trained and evaluated with the labels.

    Raises:
        ValueError: as `probe`.
    """
    counts = Counter(train)
    if len(counts) < 2:
        raise ValueError(f"at least two classes are needed (got {', '.join(counts) or 'no label'})")
    if unknown := sorted(set(test) - counts.keys()):
        raise ValueError(f"labels of test texts that no training text has: {', '.join(unknown)}")
    rarest = min(counts, key=lambda label: (counts[label], label))
    if not per_class or min(per_class) < 2:
        least = min(per_class, default=0)
        raise ValueError(f"at least 2 labels of each class are needed (got {least})")
    if max(per_class) > counts[rarest]:
        raise ValueError(
            f"{max(per_class)} labels of each class were asked for; class {rarest!r} has "
            f"{counts[rarest]}"
        )


def stratified(labels: Sequence[str], per_class: int, draw: np.random.Generator) -> np.ndarray:
    """Indices of `per_class` random texts of each class, ascending, int64."""
    given = np.asarray(labels)
    rows = [
        draw.choice(np.flatnonzero(given == label), per_class, replace=False)
        for label in sorted(set(labels))
    ]
    return np.sort(np.concatenate(rows))


def classifier(train: Any, per_class: int, seed: int) -> Any:
    """Logistic regression that chooses its C by cross-validation, not fitted yet.

    Folds are repeated while that is cheap: three times on few labels, once on many.
    """
    from scipy.sparse import issparse
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import RepeatedStratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = min(FOLDS, per_class)
    repeats = int(np.clip(FITS // (folds * train.shape[0]), 1, REPEATS))
    regression = LogisticRegressionCV(
        Cs=STRENGTHS,  # type: ignore[arg-type]
        l1_ratios=(0.0,),  # type: ignore[arg-type]
        # The classes of a subset are of one size; macro-F1 of two classes fails in 1.9.
        scoring="accuracy",
        cv=RepeatedStratifiedKFold(n_splits=folds, n_repeats=repeats, random_state=seed),
        max_iter=2000,
        use_legacy_attributes=False,  # type: ignore[arg-type]
    )
    return make_pipeline("passthrough" if issparse(train) else StandardScaler(), regression)


def accuracy_and_f1(expected: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """Accuracy and macro-F1 of predicted labels, (M,) both."""
    from sklearn.metrics import accuracy_score, f1_score

    return (
        float(accuracy_score(expected, predicted)),
        float(f1_score(expected, predicted, average="macro")),
    )


WORD = r"\w+|[^\w\s]+"
"""A word is a run of letters and digits; a run of other characters is one too."""


def probe_accuracy(
    train: np.ndarray,
    train_labels: Sequence[str],
    test: np.ndarray,
    test_labels: Sequence[str],
    seed: int = 0,
) -> dict[str, Any]:
    """Accuracy of logistic regression on features of all labelled texts, as metrics.

    A class with one training text is not learnt; test texts of such a class, or of one that no
    training text has, count as wrong. `probe_majority` is the accuracy of the class that most
    training texts have.

    Args:
        train: features, (N, F).
        train_labels: N.
        test: features, (M, F).
        test_labels: M.
        seed: of the folds that choose C.

    Raises:
        ValueError: fewer than two classes have two training texts, or there is no test text.
    """
    counts = Counter(train_labels)
    learnt = sorted(label for label, count in counts.items() if count > 1)
    if len(learnt) < 2 or not len(test_labels):
        raise ValueError(
            "a probe needs two labels with two training texts each, and a held-out text with a "
            f"label (got {dict(counts.most_common(5))} and {len(test_labels)} held out)"
        )
    rows = np.flatnonzero(np.isin(train_labels, learnt))
    fewest = min(counts[label] for label in learnt)
    labels, expected = np.asarray(train_labels)[rows], np.asarray(test_labels)
    model = classifier(train[rows], fewest, seed).fit(train[rows], labels)
    majority = max(learnt, key=lambda label: counts[label])
    return {
        "probe_accuracy": float((model.predict(test) == expected).mean()),
        "probe_majority": float((expected == majority).mean()),
        "probe_train_texts": len(rows),
        "probe_texts": len(expected),
    }


def word_features(train: Sequence[str], test: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """TF-IDF and bag-of-words features of texts, sparse; word weights are those of all of train."""
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    features: dict[str, tuple[Any, Any]] = {}
    for name, kind in (("TF-IDF", TfidfVectorizer), ("bag of words", CountVectorizer)):
        words = kind(token_pattern=WORD)
        features[name] = (words.fit_transform(train), words.transform(test))
    return features


def averaged_embeddings(
    train: Sequence[str], test: Sequence[str], dim: int = 100, window: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each text's word vectors, (N, D) and (M, D), float64; zero without known words.

    D is 1, and every vector zero, where train has fewer than three words that occur twice.

    The vectors are U sqrt(S) of the positive pointwise mutual information of words at most
    `window` apart in train, without its labels; no vectors are downloaded.

    Args:
        train: texts that the vectors are learnt from.
        test: texts that are only read.
        dim: most dimensions D; fewer where there are fewer words.
        window: distance between two words that counts.

    Source: Levy & Goldberg 2014, Neural Word Embedding as Implicit Matrix Factorization.
    """
    from scipy.sparse import coo_matrix, csr_matrix
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import CountVectorizer

    words = CountVectorizer(token_pattern=WORD)
    counts: Any = words.fit_transform(train)
    frequent = np.flatnonzero(np.asarray(counts.sum(0)).ravel() >= 2)
    nothing = np.zeros((len(train), 1)), np.zeros((len(test), 1))
    if len(frequent) < 3:
        return nothing
    names = words.get_feature_names_out()[frequent]
    number = {name: n for n, name in enumerate(names)}
    analyze = words.build_analyzer()
    # A gap of `window` places separates two texts, so no pair spans both.
    gap = [-1] * window
    ids = np.array([number.get(w, -1) for text in train for w in [*analyze(text), *gap]])
    ids[ids < 0] = len(number)
    near = csr_matrix((len(number) + 1, len(number) + 1))
    for distance in range(1, window + 1):
        pairs = (ids[:-distance], ids[distance:])
        near += coo_matrix((np.ones(len(pairs[0])), pairs), shape=near.shape).tocsr()
    near = (near + near.T).tocsr()[:-1, :-1].tocoo()
    if not near.nnz:  # no text has two of these words
        return nothing
    totals = np.asarray(near.sum(1)).ravel()
    expected = totals[near.row] * totals[near.col] / totals.sum()
    positive = np.maximum(np.log(near.data / expected), 0)
    information = csr_matrix((positive, (near.row, near.col)), shape=near.shape)
    svd = TruncatedSVD(min(dim, len(number) - 1), algorithm="arpack", random_state=0).fit(
        information
    )
    vectors = np.asarray(svd.components_).T * np.sqrt(svd.singular_values_)

    def mean(texts: Sequence[str]) -> np.ndarray:
        occurrences: Any = words.transform(texts)
        occurrences = occurrences[:, frequent]
        return (occurrences @ vectors) / np.maximum(np.asarray(occurrences.sum(1)), 1)

    return mean(train), mean(test)
