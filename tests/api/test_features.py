"""Features: what classifiers read of a model, as arrays, as a module, in scikit-learn."""

import pickle

import numpy as np
import pytest
import torch
from conftest import ENCODERS, Z, vae
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from support.models import sentence_vae, texts
from torch import nn

from textvae.api.features import EncoderModule, ScalarMix
from textvae.api.sentence import SentenceVAE
from textvae.api.sklearn import LatentFeatures

KINDS = ("mean", "hidden", "sample", "layers")
SIZES = {"mean": [3], "hidden": [12], "sample": [3], "layers": [12, 3]}


@pytest.fixture(scope="module")
def model() -> SentenceVAE:
    return sentence_vae()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    place = tmp_path_factory.mktemp("model") / "saved"
    model.save_pretrained(place)
    return place


@pytest.mark.parametrize("kind", KINDS)
def test_features_stand_in_the_order_of_the_texts(model, kind):
    found = model.features(texts(), kind)
    assert found.dtype == np.float32 and found.shape == (40, sum(SIZES[kind]))
    assert model.feature_sizes(kind) == SIZES[kind]
    assert not np.allclose(found[0], found[1], atol=1e-3)
    assert np.array_equal(found, model.features(texts(), kind))
    if kind == "sample":
        assert not np.allclose(found, model.features(texts(), kind, seed=1))
    else:
        assert np.allclose(found[::-1], model.features(texts()[::-1], kind), atol=1e-5)


def test_means_equal_encode_and_samples_scatter_around_them(model):
    means, scales = model.encode(texts(), return_scales=True)
    assert np.allclose(model.features(texts()), means, atol=1e-6)
    drawn = np.stack([model.features(texts(), "sample", seed) for seed in range(100)])
    error = scales / 10
    assert (np.abs(drawn.mean(0) - means) < 5 * error).all()


def test_layers_hold_the_encoder_and_the_latent(model):
    layers = model.features(texts(), "layers")
    assert np.array_equal(layers[:, :12], model.features(texts(), "hidden"))
    assert np.array_equal(layers[:, 12:], model.features(texts(), "mean"))


def test_the_kind_must_be_known_and_the_model_have_a_latent(model):
    with pytest.raises(ValueError, match="unknown kind of features 'men' .did you mean 'mean'"):
        model.features(texts(), "men")
    with pytest.raises(ValueError, match="language model"):
        sentence_vae(latents=()).features(texts())


@pytest.mark.parametrize("kind", KINDS)
def test_encoder_module_has_the_features_and_their_gradients(model, kind):
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    module = model.encoder_module(kind, frozen=False)
    ids = model.token_ids(texts())
    if kind != "sample":
        assert np.allclose(
            module.eval()(ids).detach().numpy(), model.features(texts(), kind), atol=1e-5
        )
    network = nn.Sequential(module, nn.Linear(module.features, 2)).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network(ids).square().sum().backward()
    learning = [p for p in network.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in learning)
    assert any(name.startswith("model.encoders.") for name, _ in module.named_parameters())
    assert not any("decoders" in name for name, _ in module.named_parameters())
    optimizer.step()
    after = model.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_frozen_module_learns_nothing_and_ignores_training_mode():
    encoder = {"name": "text", **ENCODERS["bag-max"], "dropout": 0.5}
    source = vae([encoder], [Z], [{"name": "text", "kind": "bag", "given": ["z"]}])
    ids = torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0]])
    frozen = nn.Sequential(EncoderModule(source, "hidden")).train()
    assert torch.equal(frozen(ids), frozen(ids))
    assert not any(p.requires_grad for p in frozen.parameters())
    learning = nn.Sequential(EncoderModule(source, "hidden", frozen=False)).train()
    assert not torch.equal(learning(ids), learning(ids))
    assert torch.equal(learning.eval()(ids), frozen(ids))


def test_a_module_reads_one_field():
    with pytest.raises(ValueError, match=r"one field .*\['answer', 'context'\]"):
        two = [{"name": name, "kind": "bag"} for name in ("context", "answer")]
        given = {**Z, "given": ["context", "answer"]}
        EncoderModule(vae(two, [given], [{"name": "answer", "kind": "bag", "given": ["z"]}]))


def test_a_scalar_mix_weighs_its_layers():
    mix = ScalarMix([2, 2, 2])
    layers = torch.randn(5, 3, 2)
    torch.testing.assert_close(mix(layers.flatten(1)), layers.mean(1))
    with torch.no_grad():
        mix.weights.copy_(torch.tensor([0.0, 30.0, 0.0]))
        mix.gamma.fill_(2.0)
    torch.testing.assert_close(mix(layers.flatten(1)), 2 * layers[:, 1])
    with pytest.raises(ValueError, match=r"one width \(got \[3, 2\]\)"):
        ScalarMix([3, 2])


def labels(count=40) -> list[str]:
    return ["long" if len(text.split()) > 6 else "short" for text in texts(count)]


def test_the_transformer_passes_the_checks_of_scikit_learn(folder):
    # Those that hand numbers to an estimator do not apply to one that reads strings.
    with pytest.warns(match="Can't test estimator"):
        check_estimator(LatentFeatures(str(folder)))


def test_the_transformer_in_pipelines_searches_and_unions(folder, model):
    pipeline = make_pipeline(
        LatentFeatures(str(folder)), StandardScaler(), LogisticRegression(C=1e3)
    )
    search = GridSearchCV(pipeline, {"latentfeatures__kind": ["hidden", "layers"]}, cv=2)
    search.fit(texts(), labels())
    assert search.score(texts(), labels()) > 0.9 and len(search.predict(["the dog"])) == 1
    union = make_union(LatentFeatures(model), LatentFeatures(str(folder), kind="layers"))
    assert union.fit(texts()).transform(texts()).shape == (40, 18)
    named = LatentFeatures(model, kind="hidden").set_output(transform="pandas")
    frame = named.fit_transform(texts())
    assert list(frame.columns[:2]) == ["latentfeatures0", "latentfeatures1"]
    assert np.array_equal(named.transform(frame.index.map(lambda i: texts()[i])), frame)


def test_transformer_has_a_small_pickle_that_works(folder):
    fitted = LatentFeatures(str(folder), kind="hidden").fit(texts())
    expected = fitted.transform(texts())
    stored = pickle.dumps(fitted)
    assert len(stored) < 2000
    assert np.array_equal(pickle.loads(stored).transform(texts()), expected)
    assert np.array_equal(
        clone(fitted).set_params(kind="mean").transform(texts()),
        SentenceVAE.from_pretrained(folder).features(texts()),
    )


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("one text", TypeError, "got one string"),
        (np.array([["a"], ["b"]]), TypeError, "got a table"),
        (["a", None], TypeError, r"X\[1\]: must be a string \(got NoneType\)"),
        (["a", " "], ValueError, r"X\[1\]: the text is empty"),
        ([], ValueError, "at least one text"),
    ],
)
def test_transformer_refuses_other_than_lists_of_texts(model, given, error, message):
    with pytest.raises(error, match=message):
        LatentFeatures(model).transform(given)


def test_fitting_reads_the_model_that_stands_there_now(tmp_path):
    model = sentence_vae()
    model.save_pretrained(tmp_path / "m")
    fitted = LatentFeatures(str(tmp_path / "m")).fit(texts())
    before = fitted.transform(texts())
    with torch.no_grad():
        model.model.latents["z"].head.weight.mul_(2)
    model.save_pretrained(tmp_path / "m")
    after = fitted.fit(texts()).transform(texts())
    assert not np.array_equal(before, after) and np.array_equal(after, model.features(texts()))


def test_a_model_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        LatentFeatures(str(tmp_path / "none")).fit(["a"])
