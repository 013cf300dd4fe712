"""Trees: which are balanced, the tags of words, and the metrics of a model that writes both."""

import pytest
from support.trees import ROWS, TEXTS, TREES, tree_vae

from textvae.api.generation import evaluate_trees
from textvae.evaluation.trees import is_balanced, share_balanced, tag_distance, word_tags


@pytest.mark.parametrize(
    ("tree", "balanced"),
    [
        ("(S (NP NN ) . )", True),
        ("(S )", True),
        ("(S (NP NN ) .", False),
        ("(S (NP NN ) ) )", False),
        ("(S ) NN", False),
        ("(S ) (S )", False),
        (") (S", False),
        ("NN", False),
        ("", False),
    ],
)
def test_a_tree_is_balanced_where_it_ends_with_its_root(tree, balanced):
    assert is_balanced(tree) is balanced


def test_the_share_of_balanced_trees_is_of_all():
    assert share_balanced([*TREES, "(S"]) == 3 / 4


def test_a_word_has_its_most_frequent_tag():
    texts = ["a run", "to run", "to run", "b"]
    trees = ["(NP DT NN )", "(VP TO VB )", "(VP TO VB )", "(NP (NP B ) C )"]
    assert word_tags(texts, trees) == {"a": "DT", "run": "VB", "to": "TO"}


def test_tags_are_compared_by_edits():
    tags = word_tags(TEXTS, TREES)
    assert tag_distance(TEXTS, TREES, tags) == 0
    # DT NN VBZ against DT JJ NN: one put in, one left out; and unknown words against two tags.
    assert tag_distance(["the dog sleeps"], [TREES[2]], tags) == 2
    assert tag_distance(["x y"], ["(NP DT NN )"], tags) == 2


@pytest.mark.parametrize("attends", [True, False])
def test_a_model_of_trees_is_measured(attends):
    vae = tree_vae(attends=attends)
    (name,), (found,) = zip(*evaluate_trees(vae, ROWS, ROWS, count=4, most=6).items(), strict=True)
    assert name == "tree" and found.written == 4
    assert 0 <= found.balanced <= 1 and 0 <= found.greedy_balanced <= 1
    assert (found.tag_gain is not None) is attends and found.swapped == (6 if attends else 0)
    if attends:
        assert found.tag_gain == pytest.approx(1 - found.tag_distance / found.random_tag_distance)


def test_without_trees_there_is_nothing_to_measure():
    columns = {"tree": TEXTS, "text": TEXTS}
    assert evaluate_trees(tree_vae(), columns, count=2) is None
