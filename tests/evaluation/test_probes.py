"""Probes: how well few labels do on features, against cases with a known answer."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from textvae.analysis.probing import halves, probe_models, probe_text
from textvae.data.readers import Labelled
from textvae.evaluation.probes import (
    STRENGTHS,
    averaged_embeddings,
    classifier,
    probe,
    probe_accuracy,
    stratified,
    word_features,
)

LABELS = ["a", "b"] * 60


def separated(gap: float, seed: int = 0) -> np.ndarray:
    """Features of `LABELS`: one axis that tells the classes apart by `gap` deviations, 3 noise."""
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(len(LABELS), 4))
    features[:, 0] += gap * (np.array(LABELS) == "a")
    return features


def test_classes_that_are_apart_are_told_apart_and_noise_is_not():
    features = {
        "apart": (separated(30.0), separated(30.0, 1)),
        "noise": (separated(0.0), separated(0.0, 1)),
    }
    scores = probe(features, LABELS, LABELS, [3, 30], subsets=2)
    assert [(s.features, s.per_class) for s in scores] == [
        ("apart", 3),
        ("noise", 3),
        ("apart", 30),
        ("noise", 30),
    ]
    assert min(scores[0].accuracies) > 0.7 and min(scores[2].accuracies) > 0.95
    assert all(np.mean(s.accuracies) < 0.65 for s in scores if s.features == "noise")


def test_a_probe_does_not_depend_on_the_texts_it_is_scored_on():
    train, tests = separated(0.5), [separated(0.5, seed) for seed in range(1, 5)]
    alone = [
        probe({"z": (train, test)}, LABELS, LABELS, [5], subsets=4)[0].accuracies for test in tests
    ]
    together = probe({"z": (train, np.concatenate(tests))}, LABELS, 4 * LABELS, [5], subsets=4)
    assert together[0].accuracies == pytest.approx(np.mean(alone, 0).tolist())
    reversed_labels = [{"a": "b", "b": "a"}[label] for label in LABELS]
    (score,) = probe({"z": (separated(30.0), tests[0] * 60)}, LABELS, reversed_labels, [30])
    assert max(score.accuracies) < 0.5


def test_scale_and_place_of_dense_features_do_not_matter():
    train, test = separated(1.0), separated(1.0, 1)
    features = {"as is": (train, test), "moved": (1e4 * train - 1e5, 1e4 * test - 1e5)}
    plain, moved = probe(features, LABELS, LABELS, [10], subsets=2)
    assert plain.accuracies == moved.accuracies and plain.macro_f1s == moved.macro_f1s


def test_macro_f1_is_the_mean_of_the_classes():
    # A constant feature: every text gets one of the labels, so F1 is 2/3 and 0.
    constant = np.ones((len(LABELS), 1))
    (score,) = probe({"nothing": (constant, constant)}, LABELS, LABELS, [5], subsets=2)
    assert score.accuracies == (0.5, 0.5)
    assert score.macro_f1s == pytest.approx((1 / 3, 1 / 3))
    result = score.result()
    assert result["accuracy"] == 0.5 and result["accuracy_deviation"] == 0.0
    assert result["macro_f1_of_each"] == list(score.macro_f1s)


def test_subsets_hold_as_many_of_each_class_and_differ():
    labels = ["a"] * 5 + ["b"] * 50 + ["c"] * 20
    draw = np.random.default_rng(0)
    first, second = (stratified(labels, 4, draw) for _ in range(2))
    for rows in (first, second):
        assert [labels[row] for row in rows] == ["a"] * 4 + ["b"] * 4 + ["c"] * 4
        assert len(set(rows.tolist())) == 12
    assert first.tolist() != second.tolist()


def test_the_strength_is_chosen_by_stratified_folds():
    fitted = classifier(separated(0.3), 60, seed=0).fit(separated(0.3), LABELS)[-1]
    assert np.allclose(fitted.Cs_, STRENGTHS) and fitted.C_ in fitted.Cs_
    assert folds_of(separated(0.3), 60) == 15
    assert folds_of(csr_matrix(separated(0.0)), 2) == 6
    assert folds_of(np.zeros((20_000, 1)), 5000) == 5


def folds_of(features, per_class) -> int:
    return classifier(features, per_class, seed=0)[-1].cv.get_n_splits()


@pytest.mark.parametrize(
    ("train", "test", "per_class", "said"),
    [
        (["a"] * 4, ["a"], [2], r"two classes .*got a\)"),
        ([], ["a"], [2], "two classes .*no label"),
        (["a", "b"] * 4, ["c", "a"], [2], "no training text has: c"),
        (["a", "b"] * 4 + ["b"], ["a"], [2, 5], "5 labels of each class .*class 'a' has 4"),
        (["a", "b"] * 4, ["a"], [1], r"at least 2 labels .*got 1"),
        (["a", "b"] * 4, ["a"], [], r"at least 2 labels"),
    ],
)
def test_labels_that_do_not_do_are_refused(train, test, per_class, said):
    features = {"x": (np.zeros((len(train), 1)), np.zeros((len(test), 1)))}
    with pytest.raises(ValueError, match=said):
        probe(features, train, test, per_class)


def test_words_are_counted_and_weighted():
    found = word_features(["A dog .", "a cat"], ["dog dog unseen"])
    train, test = found["bag of words"]
    assert train.toarray().tolist() == [[1, 1, 0, 1], [0, 1, 1, 0]]
    assert test.toarray().tolist() == [[0, 0, 0, 2]]
    assert np.allclose(np.linalg.norm(found["TF-IDF"][0].toarray(), axis=1), 1)


def test_words_of_the_same_company_have_the_same_vector():
    train = ["eat the ripe apple today", "eat the ripe plum today", "drive my fast car", "."] * 5
    test = ["apple", "plum", "car", "eat apple", "eat", "unseen", ""]
    _, found = averaged_embeddings(train, test, dim=50)
    assert found.shape == (7, 10)
    apple, plum, car, both, eat, unseen, empty = found
    np.testing.assert_allclose(apple, plum, atol=1e-8)
    cosine = apple @ car / np.linalg.norm(apple) / np.linalg.norm(car)
    assert np.linalg.norm(apple) > 0.1 and abs(cosine) < 1e-6
    np.testing.assert_allclose(both, (eat + apple) / 2, atol=1e-12)
    assert not unseen.any() and not empty.any()


def test_words_are_near_within_the_window_and_their_text_only():
    train = ["apple b c d e f plum", "car lorry"] * 3
    vectors = averaged_embeddings(train, ["apple", "plum", "car"], dim=50)[1]
    # Six words apart, and in another text: neither has the other in its company.
    near = averaged_embeddings(train, ["apple", "plum", "car"], dim=50, window=6)[1]
    assert vectors[0] @ vectors[2] == pytest.approx(0, abs=1e-8)
    assert abs(near[0] - vectors[0][: len(near[0])]).sum() > 1e-3


def test_too_few_words_have_no_embeddings():
    train, test = averaged_embeddings(["a b", "a b"], ["a"])
    assert train.tolist() == [[0], [0]] and test.tolist() == [[0]]


def test_words_that_never_meet_have_no_embeddings():
    train, test = averaged_embeddings(["a", "a", "b", "b", "c", "c"], ["a"])
    assert not train.any() and not test.any()


def test_halves_keep_the_share_of_each_class():
    rows = Labelled([f"text {i}" for i in range(30)], ["a"] * 20 + ["b"] * 10)
    train, held = halves(rows, 0)
    assert sorted(train.texts + held.texts) == sorted(rows.texts)
    assert train.labels.count("b") == held.labels.count("b") == 5
    with pytest.raises(ValueError, match="no test texts can be held out"):
        halves(Labelled(["x", "y", "z"], ["a", "a", "b"]), 0)


def test_models_stand_beside_the_words_in_one_table():
    from support.models import sentence_vae, texts

    labels = ["long" if len(text.split()) > 6 else "short" for text in texts(80)]
    rows = Labelled(texts(80), labels)
    train, test = halves(rows, 0)
    result = probe_models({"run": sentence_vae()}, train, test, [5], ["hidden", "mean"], subsets=2)
    names = [score["features"] for score in result["scores"]]
    words = ["TF-IDF", "bag of words", "averaged embeddings"]
    assert names == ["run, hidden", "run, mean", *words]
    assert result["scores"][3]["accuracy"] > 0.7  # the number of words is in their counts
    text = probe_text(result)
    assert all(name in text for name in names) and "2 subsets" in text and "±" in text


def test_a_probe_on_all_labels_is_right_where_features_tell_them():
    draw = np.random.default_rng(0)
    labels = draw.choice(["a", "b", "b"], 300).tolist()
    told = np.array([[label == "a", 0.0] for label in labels]) + 0.1 * draw.normal(size=(300, 2))
    noise = draw.normal(size=(300, 2))
    split = (slice(0, 200), slice(200, 300))
    majority = labels[200:].count("b") / 100
    for features, least, most in ((told, 0.99, 1.0), (noise, majority - 0.15, majority + 0.1)):
        result = probe_accuracy(
            features[split[0]], labels[split[0]], features[split[1]], labels[split[1]]
        )
        assert least <= result["probe_accuracy"] <= most
        assert result["probe_majority"] == majority
        assert (result["probe_train_texts"], result["probe_texts"]) == (200, 100)


def test_a_class_that_a_probe_cannot_learn_counts_as_wrong():
    train = ["a", "a", "a", "b", "b", "once"]
    features = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [9.0]])
    result = probe_accuracy(
        features, train, np.array([[0.0], [5.0], [9.0], [9.0]]), [*"ab", "once", "new"]
    )
    assert result["probe_accuracy"] == 0.5 and result["probe_train_texts"] == 5
    with pytest.raises(ValueError, match="two labels with two training texts each"):
        probe_accuracy(features[:3], train[:3], features[:1], ["a"])
