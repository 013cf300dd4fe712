"""Validation: what chooses the model that is kept, and what cannot."""

import numpy as np
import pytest
from conftest import GRAPHS, vae
from support.models import texts

from textvae.data.batching import Sentences
from textvae.data.fields import Fields, LabelSets, Vectors
from textvae.data.tokenizers import train_tokenizer
from textvae.evaluation.matching import match_rows
from textvae.training.validation import check_selection, label_set_f1, mean_reciprocal_rank


def crossed(size: int):
    """A model of a question and an answer with latents of sizes 3 and this, and rows of both."""
    tokenizer = train_tokenizer("word", texts(), 50)
    graph = GRAPHS["crossed"]
    latents = [{**graph["latents"][0], "dim": 3}, {**graph["latents"][1], "dim": size}]
    observed = {"question": {}, "answer": {}}
    model = vae(**{**graph, "latents": latents}, vocab_size=len(tokenizer), observed=observed)
    parts = [Sentences.encoded(tokenizer, part) for part in (texts(40)[:20], texts(40)[20:])]
    columns = {
        name: Sentences(part.ids, part.offsets, part.words, name)
        for name, part in zip(observed, parts, strict=True)
    }
    return model, Fields(columns)


def test_matching_is_the_mean_reciprocal_rank_of_held_out_rows():
    model, rows = crossed(3)
    check_selection(model, "matching", rows)
    assert mean_reciprocal_rank(model, rows) == match_rows(model, rows).mrr


def test_matching_needs_two_latents_of_one_size():
    model, rows = crossed(2)
    with pytest.raises(ValueError, match=r"train.select: matching needs two latents of one size"):
        check_selection(model, "matching", rows)


def test_sets_of_labels_are_validated_by_micro_f1():
    sets = LabelSets(np.array([[1, 0], [0, 1], [-1, -1]], np.int8), ("a", "b"))
    rows = Fields({"x": Vectors(np.eye(3, dtype=np.float32), {}), "labels": sets})
    observed = {"x": {"shape": [3], "values": "real"}, "labels": {"label_set": 2}}
    reader = {"name": "x", "kind": "mlp", "hidden": [4]}
    writer = {"name": "labels", "kind": "labels"}
    model = vae([reader], None, [{**writer, "given": ["x"]}], observed=observed, vocab_size=0)
    check_selection(model, "micro_f1", rows)
    assert 0 < label_set_f1(model, rows) <= 1
    alone = vae(None, None, [writer], observed=observed, vocab_size=0)  # predicts the same for all
    with pytest.raises(ValueError, match="micro_f1 needs a model that predicts sets of labels"):
        check_selection(alone, "micro_f1", rows)
