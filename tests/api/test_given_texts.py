"""Each function that takes texts checks them alike: no table, no generator read half."""

import numpy as np
import pytest
from support.models import sentence_vae, texts

from textvae import as_sentence_transformer
from textvae.api.sentence import SentenceVAE
from textvae.api.sentence_transformer import LatentEmbedding
from textvae.api.sklearn import LatentFeatures

pandas = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def model() -> SentenceVAE:
    return sentence_vae()


def entrances(model):
    """Functions of texts, by name; results that can be compared."""
    return {
        "encode": model.encode,
        "reconstruct": model.reconstruct,
        "features": model.features,
        "token_ids": lambda given: model.token_ids(given).tolist(),
        "nearest": lambda given: model.nearest("the dog", given),
        "evaluate": lambda given: model.evaluate(given, samples=2).nll,
        "positions": lambda given: model.positions(given).loss.tolist(),
        "recovery": lambda given: model.recovery(given).count.tolist(),
        "shuffled": lambda given: model.positions_with_shuffled_latents(given)[1].loss.tolist(),
        "is_collapsed_for": model.is_collapsed_for,
        "sklearn": LatentFeatures(model).transform,
        "fit": lambda given: LatentFeatures(model).fit(given).kind,
        "sentence transformer": as_sentence_transformer(model).encode,
        "module": lambda given: LatentEmbedding(model).preprocess(given)["input_ids"].tolist(),
    }


NAMES = list(entrances(sentence_vae()))


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_list_gives_the_same(model, name):
    call, many = entrances(model)[name], texts(6)
    expected = call(many)
    for given in (tuple(many), np.array(many), pandas.Series(many), (text for text in many)):
        found = call(given)
        same = np.array_equal if isinstance(found, np.ndarray) else lambda one, two: one == two
        assert same(found, expected)


@pytest.mark.parametrize("name", NAMES)
def test_tables_and_what_is_no_text_are_refused(model, name):
    call = entrances(model)[name]
    for table in (pandas.DataFrame({"text": texts(3)}), {"text": texts(3)}):
        with pytest.raises(TypeError, match="must be a list of strings .got a (table|dict)"):
            call(table)
    for missing in (None, float("nan"), b"the dog", ["the dog"]):
        with pytest.raises(TypeError, match=r"\w+\[2\]: must be a string"):
            call(["the dog sees", "the dog", missing, "a"])


def test_one_text_is_one_or_an_error_as_documented(model):
    transformer = as_sentence_transformer(model)
    assert np.array_equal(transformer.encode("the dog"), transformer.encode(["the dog"])[0])
    assert np.array_equal(transformer.encode(sentences="the dog"), transformer.encode("the dog"))
    assert transformer.encode([]).shape == (0,)
    for name, call in entrances(model).items():
        if name != "sentence transformer":
            with pytest.raises(TypeError, match="got one string"):
                call("the dog")


def test_single_texts_are_named(model):
    with pytest.raises(TypeError, match=r"first: must be a string .got NoneType"):
        model.interpolate(None, "the dog")
    with pytest.raises(TypeError, match=r"second: must be a string .got list"):
        model.interpolate("the dog", ["a"])
    with pytest.raises(TypeError, match=r"query: must be a string .got bytes"):
        model.nearest(b"the dog", texts(3))


def test_training_texts_of_an_evaluation_may_be_a_generator(model):
    many = texts(12)
    listed = model.evaluate(many, samples=2, generation=True, training=many)
    given = model.evaluate(many, samples=2, generation=True, training=iter(many))
    assert given.generation == listed.generation
    with pytest.raises(TypeError, match="training must be a list of strings"):
        model.evaluate(many, samples=2, generation=True, training="the dog")
