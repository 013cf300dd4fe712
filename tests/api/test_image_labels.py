"""Images with few labels: which are kept, how often they are read, and the accuracy."""

from dataclasses import asdict

import numpy as np
import pytest
from conftest import IMAGE_RECIPE, digits

from textvae.analysis.reports import likelihood_rows
from textvae.api.image import ImageVAE
from textvae.data.errors import DataError
from textvae.data.fields import Fields, Labels
from textvae.data.images import ImageCorpus
from textvae.graph.model import VAE, VAEConfig
from textvae.recipes import read_recipe
from textvae.registry import SpecError
from textvae.training.prepared import labelled_images

MODEL = {
    **IMAGE_RECIPE["model"],
    "latents": [
        {"name": "y", "kind": "categorical", "field": "label", "given": ["image"]},
        {"name": "z", "kind": "gaussian", "dim": 2, "given": ["image", "y"]},
    ],
}


def recipe(**data):
    document = IMAGE_RECIPE | {"model": MODEL, "data": {"modality": "image", **data}}
    return read_recipe(document, "m2")


@pytest.fixture(scope="module")
def corpus():
    return digits(train=120)


def kept_rows(corpus, **data):
    """The rows that training reads, and the notes on them."""
    notes = []
    return labelled_images(recipe(**data), corpus, notes.append), notes


def test_labels_are_kept_by_number_and_their_images_are_read_again(corpus):
    rows, notes = kept_rows(corpus, labelled=30, repeat_labelled=4)
    assert len(rows) == 120 + 3 * 30
    labels, given = rows.columns["label"].values, corpus.train.columns["label"].values
    first, known = labels[:120], labels[:120] >= 0
    assert known.sum() == 30 and (first[known] == given[known]).all()
    images, again = rows.columns["image"].values, np.flatnonzero(known)
    for start in range(120, len(rows), 30):
        assert (labels[start : start + 30] == given[again]).all()
        assert (images[start : start + 30] == images[again]).all()
    (note,) = notes
    assert note.startswith("30 of 120 labels are kept: 0 3 of ")
    assert note.endswith("; all of them: --set data.labelled=null --set data.repeat_labelled=1")


def test_without_the_keys_the_rows_are_those_of_the_corpus(corpus):
    rows, notes = kept_rows(corpus)
    assert rows is corpus.train and not notes
    repeated, notes = kept_rows(corpus, repeat_labelled=2)
    assert len(repeated) == 240 and notes[0].startswith("120 images have a label: 0 ")


def test_labels_that_are_not_there_are_one_line(corpus):
    bare = Fields({"image": corpus.train.columns["image"]})
    unlabelled = ImageCorpus(bare, corpus.valid, None, "photos", [])
    for data in ({"labelled": 5}, {"repeat_labelled": 2}):
        with pytest.raises(DataError, match=rf"data\.{next(iter(data))}: photos has no labels"):
            kept_rows(unlabelled, **data)
    with pytest.raises(DataError, match="data.labelled is 121, and 120 rows have a label"):
        kept_rows(corpus, labelled=121)
    with pytest.raises(SpecError, match=r"data\.labelled: .*greater than 0"):
        recipe(labelled=0)


@pytest.fixture(scope="module")
def vae(corpus):
    return ImageVAE(VAE(VAEConfig(**MODEL, observed=corpus.facts)))


def test_accuracy_is_of_the_images_with_a_label(vae, corpus):
    column = corpus.test.columns["label"]
    partly = column.values.copy()
    partly[::2] = -1
    columns = dict(corpus.test.columns)
    rows = Fields(columns | {"label": Labels(partly, column.classes)})
    found = vae.evaluate(rows, samples=1)
    assert found.labelled == (partly >= 0).sum()
    right = vae.classify(corpus.test).argmax(-1)[partly >= 0] == partly[partly >= 0]
    assert found.accuracy == pytest.approx(right.mean())
    whole = vae.evaluate(corpus.test, samples=1)
    assert whole.labelled == len(corpus.test)
    # A label that is read in evaluation would change the bound.
    bare = Fields({"image": columns["image"], "label": Labels(partly * 0 - 1, column.classes)})
    unknown = vae.evaluate(bare, samples=1)
    assert unknown.accuracy is None and unknown.labelled == 0
    assert unknown.elbo == pytest.approx(whole.elbo)


def test_classes_are_in_the_order_of_the_rows(vae, corpus):
    probabilities = vae.classify(corpus.test)
    assert probabilities.shape == (60, 10)
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)
    order = np.random.default_rng(0).permutation(60)
    again = vae.classify(corpus.test.select(order))
    np.testing.assert_allclose(again, probabilities[order], rtol=1e-4, atol=1e-6)


def test_the_report_counts_images(vae, corpus):
    metrics = asdict(vae.evaluate(corpus.test, samples=1))
    (note,) = [row[-1] for row in likelihood_rows(metrics, "image") if row[0] == "accuracy"]
    assert note == "share of 60 labelled images"
