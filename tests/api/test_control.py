"""Control of a text model by its codes: plug-ins, steering, arithmetic, attributes, traversals."""

import numpy as np
import pytest
from conftest import Z as LATENT
from support.models import sentence_vae, texts

from textvae.api.control import distances
from textvae.api.sentence import SentenceVAE
from textvae.control.plug_in import PlugIn, PlugInSettings
from textvae.graph.saving import weights_sha

SHORT = PlugInSettings(steps=20, batch=8)


@pytest.fixture(scope="module")
def model() -> SentenceVAE:
    return sentence_vae()


@pytest.fixture(scope="module")
def plug(model) -> PlugIn:
    return model.plug_in(DOGS, CATS, SHORT)


DOGS = [f"the dog sees {text}" for text in texts(30)]
CATS = [f"a small cat finds {text}" for text in texts(30)]


def test_plug_in_leaves_the_model_as_it_is():
    vae = sentence_vae()
    before, sha = vae.sample(3, seed=0), weights_sha(vae.model)
    vae.plug_in(DOGS, CATS, SHORT)
    assert weights_sha(vae.model) == sha and vae.sample(3, seed=0) == before


def test_fingerprint_depends_on_every_weight(model):
    other = sentence_vae()
    assert weights_sha(other.model) == weights_sha(model.model)
    next(reversed(list(other.model.parameters()))).data[-1] += 1e-3
    assert weights_sha(other.model) != weights_sha(model.model)


def test_plug_in_samples_greedy_sentences_of_its_codes(model, plug):
    sentences = model.sample(4, seed=3, plug_in=plug)
    assert sentences == model.decode(plug.sample(4, 3))
    assert sentences == model.sample(4, seed=3, plug_in=plug)
    assert plug.sample(4, 3).shape == (4, model.dim)


def test_plug_in_has_its_data_and_whether_codes_hold_the_attribute(model, plug):
    assert (plug.facts["texts"], plug.facts["others"]) == (len(set(DOGS)), len(set(CATS)))
    assert plug.holding.texts == len(set(DOGS)) + len(set(CATS))
    # The first words decide: codes of an untrained encoder hold them.
    assert plug.holding.probe > 0.75
    assert plug.facts["holding"]["probe"] == plug.holding.probe
    assert model.plug_in(DOGS, settings=SHORT).holding is None


def test_plug_in_of_another_model_is_refused(plug):
    other = sentence_vae(encoder="lstm-max-forward-1")
    with pytest.raises(ValueError, match="belongs to another model"):
        other.sample(2, plug_in=plug)


def test_label_and_plug_in_exclude_each_other(model, plug):
    with pytest.raises(ValueError, match="exclude each other"):
        model.sample(2, label="x", plug_in=plug)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((["the dog"] * 30, None), r"texts: at least 10 different texts are needed \(got 1\)"),
        ((DOGS, CATS[:4]), "others: at least 10 different texts"),
        ((DOGS, DOGS), "must differ"),
        (([*DOGS, " "], CATS), r"texts\[30\]: a text must not be blank"),
    ],
)
def test_plug_in_refuses_texts_that_do_not_do(model, given, message):
    with pytest.raises(ValueError, match=message):
        model.plug_in(*given, SHORT)


def test_language_model_has_no_codes_to_control():
    model = sentence_vae(latents=())
    for control in (
        lambda: model.plug_in(DOGS),
        lambda: model.steer(DOGS, ["d"] * len(DOGS), "d"),
        lambda: model.attribute_vector(DOGS, CATS),
        lambda: model.arithmetic(["the dog"]),
        lambda: model.traverse("the dog", 0, [0.0]),
    ):
        with pytest.raises(ValueError, match="it is a language model"):
            control()


def labelled() -> tuple[list[str], list[str]]:
    return [*DOGS, *CATS], ["dog"] * len(DOGS) + ["cat"] * len(CATS)


def test_steering_raises_the_probability_of_the_label(model):
    weak, strong = (model.steer(*labelled(), "dog", 20, strength) for strength in (0.01, 5.0))
    assert weak.label_probability < strong.label_probability > 0.8
    assert strong.sentences == model.decode(strong.z) and strong.z.shape == (20, model.dim)
    assert strong.holding == weak.holding and strong.holding.probe > 0.75


def test_steering_follows_its_seed_and_does_not_use_blank_labels(model):
    given, labels = labelled()
    first = model.steer(given, labels, "dog", 3)
    more = model.steer([*given, "the river"], [*labels, ""], "dog", 3)
    assert np.array_equal(first.z, more.z)
    assert not np.allclose(first.z, model.steer(given, labels, "dog", 3, seed=1).z)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"toward": "dgo"}, "unknown label 'dgo'.*dog"),
        ({"strength": 0.0}, "strength: must be above 0"),
        ({"strength": float("nan")}, "strength: must be above 0"),
        ({"count": 0}, "count: must be above 0"),
        ({"labels": ["dog"]}, "one label for each of 60 texts"),
        ({"labels": ["dog"] * 60}, "at least 10 texts with the attribute"),
    ],
)
def test_steering_refuses_what_does_not_do(model, changes, message):
    given, labels = labelled()
    arguments = {"texts": given, "labels": labels, "toward": "dog", **changes}
    with pytest.raises(ValueError, match=message):
        model.steer(**arguments)


def test_steering_refuses_a_discrete_latent():
    classes = {"name": "y", "kind": "categorical", "dim": 3, "given": ["text"]}
    with pytest.raises(ValueError, match="the latent y is discrete"):
        sentence_vae(latents=(classes, LATENT)).steer(*labelled(), "dog")


def test_attribute_vector_is_the_difference_of_means(model):
    vector = model.attribute_vector(DOGS, CATS)
    expected = model.encode(list(dict.fromkeys(DOGS))).mean(0)
    expected = expected - model.encode(list(dict.fromkeys(CATS))).mean(0)
    assert vector.shape == (model.dim,) and np.allclose(vector, expected, atol=1e-5)
    assert np.allclose(model.attribute_vector(CATS, DOGS), -vector, atol=1e-6)


def test_arithmetic_adds_and_subtracts_means(model):
    a, b, c = model.encode(["the dog", "a cat", "old river"])
    result = model.arithmetic(["the dog", "old river"], ["a cat"], strength=2.0)
    assert np.allclose(result.z, a + 2 * (c - b), atol=1e-5)
    assert [result.sentence] == model.decode(result.z[None]) and result.distance is None
    assert np.allclose(model.arithmetic(["the dog"]).z, a, atol=1e-6)


def test_arithmetic_takes_the_mean_of_a_list(model):
    (a,), vector = model.encode(["the dog"]), model.attribute_vector(DOGS, CATS)
    assert np.allclose(model.arithmetic(["the dog", DOGS], [CATS]).z, a + vector, atol=1e-5)


def test_arithmetic_measures_the_distance_to_texts(model):
    given = texts()
    codes = model.encode(given)
    result = model.arithmetic([given[3]], texts=given)
    assert result.distance == pytest.approx(0, abs=1e-4) and result.farther == 0
    assert np.allclose(model.encode([result.nearest])[0], codes[3], atol=1e-4)
    far = model.arithmetic(["the dog", "a cat"], ["old river"], given, strength=100.0)
    assert far.farther == 1 and far.distance > far.typical > 0


def test_distances_leave_out_the_code_itself():
    codes = np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 0.0]])
    row, distance, spacing = distances(np.array([4.0, 0.0]), codes)
    assert (row, distance, spacing.tolist()) == (2, 1.0, [1.0, 1.0, 4.0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((["the dog"], "a cat"), TypeError, "must be lists of sentences"),
        (([],), ValueError, "add: at least one sentence"),
        ((["the dog", " "],), ValueError, r"add\[1\]\[0\]: a text must not be blank"),
        ((["the dog", 3],), TypeError, r"add\[1\]"),
        ((["the dog"], [], None, float("inf")), ValueError, "strength: must be a number"),
    ],
)
def test_arithmetic_refuses_what_is_no_sentence(model, arguments, error, message):
    with pytest.raises(error, match=message):
        model.arithmetic(*arguments)


def test_traversal_moves_one_dimension(model):
    z = np.repeat(model.encode(["the dog sees"]), 3, 0)
    z[:, 1] = [-9, 0, 9]
    sentences = model.traverse("the dog sees", 1, [-9, 0, 9])
    assert sentences == model.decode(z) and len(set(sentences)) > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("the dog", 3, [0.0]), "dimension: must be from 0 to 2"),
        (("the dog", -1, [0.0]), "dimension: must be from 0 to 2"),
        (("the dog", 0, []), "values: must be a list of numbers"),
        (("the dog", 0, [float("nan")]), "values: must be a list of numbers"),
        ((" ", 0, [0.0]), "must not be blank"),
    ],
)
def test_traversal_refuses_what_does_not_do(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        model.traverse(*arguments)
