"""The graph: what is built, saved, loaded, walked and refused."""

import logging
from itertools import product

import pytest
import torch
from conftest import DECODERS, ENCODERS, GRAPHS, TEXT, VOCAB, Z, fields_of, ids, pair, vae
from support.graphs import saved_and_loaded, weights_of
from torch.distributions import kl_divergence
from transformers import AutoConfig

from textvae.graph.checks import check_graph
from textvae.graph.config import VAEConfig
from textvae.graph.saving import read_config
from textvae.objectives.elbo import ELBO, ImportanceWeighted
from textvae.registry import SpecError
from textvae.vocabulary import PAD

# The same sums in another batch layout: float32 rounding of a few dozen nats.
ROUNDING = {"atol": 1e-4, "rtol": 1e-5}
# Pooling has no weights: one of each is saved.
PAIRS = [pair for pair in product(ENCODERS, DECODERS) if "last" in pair[0]]
PADDED_PAIRS = [(encoder, "lstm") for encoder in ENCODERS] + [
    ("lstm-last-forward-1", decoder) for decoder in DECODERS if decoder != "lstm"
]


@pytest.fixture(params=GRAPHS.values(), ids=GRAPHS)
def model(request):
    return vae(**request.param)


def assert_the_same(model, loaded):
    before, after = model.state_dict(), loaded.state_dict()
    assert list(before) == list(after)
    for name, value in before.items():
        assert torch.equal(value, after[name]) and value.dtype == after[name].dtype, name
    fields = fields_of(model, 4, 0, 2)
    expected = weights_of(model, fields)
    torch.testing.assert_close(weights_of(loaded, fields), expected, **ROUNDING)
    # Weights in a mapped file begin at odd addresses, where matrix products round otherwise.
    for parameter in loaded.parameters():
        parameter.data = parameter.data.clone()
    assert torch.equal(weights_of(loaded, fields), expected)


def test_a_graph_survives_saving(model, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        loaded = saved_and_loaded(model, tmp_path)
    assert not caplog.records
    assert_the_same(model, loaded)
    for group in ("encoders", "latents", "decoders"):
        assert getattr(loaded.config, group) == getattr(model.config, group)


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
def test_every_encoder_with_every_decoder_survives_saving(encoder, decoder, tmp_path):
    model = pair(encoder, decoder)
    assert_the_same(model, saved_and_loaded(model, tmp_path))


def test_biases_of_tied_decoders_survive_saving(tmp_path):
    model = pair("lstm-max-forward-1", "lstm-tied")
    torch.nn.init.normal_(model.decoders["text"].bias)
    assert_the_same(model, saved_and_loaded(model, tmp_path))


def test_a_config_keeps_the_order_of_its_nodes(tmp_path):
    latents = [{**Z, "name": name} for name in ("zebra", "ant", "moth", "bee")]
    config = vae([TEXT], latents, [{**TEXT, "given": ["moth", "ant"]}]).config
    config.save_pretrained(tmp_path)
    for loaded in (
        AutoConfig.from_pretrained(tmp_path),
        VAEConfig(**config.to_dict()),
        read_config(tmp_path),
    ):
        assert isinstance(loaded, VAEConfig)
        assert [node["name"] for node in loaded.latents] == ["zebra", "ant", "moth", "bee"]
        assert loaded.decoders[0]["given"] == ["moth", "ant"]
        assert (loaded.vocab_size, loaded.init_range) == (VOCAB, 0.6)
        assert not check_graph(loaded)


def test_initial_weights_depend_on_the_seed_alone():
    def weights(seed):
        torch.manual_seed(seed)
        return torch.nn.utils.parameters_to_vector(vae(**GRAPHS["hierarchy"]).parameters())

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


@pytest.mark.parametrize("decoder", DECODERS)
def test_an_init_range_bounds_every_weight_and_fills_it(decoder):
    model = pair("transformer-mean", decoder)
    for name, parameter in model.named_parameters():
        if "norm" in name or name.endswith("decoders.text.bias"):
            continue
        assert parameter.abs().max() <= 0.6, name
        if parameter.numel() > 100:
            assert parameter.abs().max() > 0.5 and parameter.mean().abs() < 0.15, name


def test_an_output_has_a_value_for_each_sample_and_text(model):
    K = 5 * model.copies if model.config.latents else 1
    fields = fields_of(model, 4, 0, 2)
    out = model.infer(5, **fields)
    assert out.log_weight.shape == out.kl.shape == out.total_log_likelihood.shape == (K, 3)
    for value in out.log_likelihood.values():
        assert value.shape == (K, 3) and value.dtype == torch.float32
    for latent in out.latents.values():
        assert latent.value.shape[:2] == (K, 3) and latent.kl().shape == (K, 3)
    assert list(out.log_likelihood) == model.main_decoders
    assert not out.auxiliary
    assert list(out.latents) == [node["name"] for node in model.config.latents or []]
    assert out.fields == fields


def test_every_parameter_learns(model):
    model.objective = ELBO(samples=2)
    model.train()(step=0, **fields_of(model, 4, 0, 2)).value.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_the_reconstruction_alone_teaches_every_posterior(model):
    """Without gradients through the samples only the KL would."""
    out = model.infer(2, **fields_of(model, 4, 0, 2))
    out.expected(out.total_log_likelihood).sum().backward()
    for name, parameter in model.latents.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_a_range_of_zero_is_no_missing_range():
    assert not any(parameter.any() for parameter in vae(**GRAPHS["vae"], init_range=0).parameters())


def test_padding_changes_no_weight_of_a_graph(model):
    fields = fields_of(model, 4, 0, 2)
    padded = {
        name: torch.cat([value, torch.full((3, 4), PAD)], 1) for name, value in fields.items()
    }
    torch.testing.assert_close(weights_of(model, padded), weights_of(model, fields), **ROUNDING)


@torch.no_grad()
def value_of(model, texts):
    """ELBO of each text at its posterior mean, which is no random number, (B,)."""
    (posterior,) = model.encode(text=texts).values()
    likelihood = model.likelihoods({"z": posterior.mean[None]}, {}, len(texts))["text"]
    prior = model.latents["z"].default_prior(posterior.batch_shape, posterior.mean)
    return likelihood.log_prob(texts)[0] - kl_divergence(posterior, prior)


@pytest.mark.parametrize(("encoder", "decoder"), PADDED_PAIRS)
def test_padding_and_company_change_no_text_s_value(encoder, decoder):
    model = pair(encoder, decoder)
    texts = ids(4, 0, 6, 1)
    values = value_of(model, texts)
    padded = torch.cat([texts, torch.full((4, 5), PAD)], 1)
    torch.testing.assert_close(value_of(model, padded), values, **ROUNDING)
    for row, text in enumerate(texts):
        alone = value_of(model, text[text != PAD][None])
        torch.testing.assert_close(alone, values[row : row + 1], **ROUNDING)
    # The loss too, whose samples are the same for the same batch.
    model.objective = ELBO()
    losses = []
    for batch in (texts, padded):
        torch.manual_seed(5)
        losses.append(model(step=0, text=batch).value)
    torch.testing.assert_close(losses[0], losses[1], **ROUNDING)


@pytest.mark.parametrize("objective", [ELBO(samples=2), ImportanceWeighted(samples=4)])
def test_forward_is_the_objective_of_what_is_inferred(objective):
    model = vae(**GRAPHS["vae"])
    model.objective = objective
    texts = ids(4, 2)
    torch.manual_seed(3)
    found = model(step=7, text=texts)
    torch.manual_seed(3)
    expected = objective(model.infer(objective.samples, text=texts), 7)
    assert torch.equal(found.value, expected.value)
    assert found.terms.keys() == expected.terms.keys()


def test_without_an_objective_there_is_no_loss():
    with pytest.raises(ValueError, match=r"set model\.objective"):
        vae(**GRAPHS["vae"])(step=0, text=ids(3))


def test_a_nan_reaches_the_loss():
    model = vae(**GRAPHS["vae"])
    model.objective = ELBO()
    with torch.no_grad():
        model.latents["z"].head.weight[0, 0] = torch.nan
    assert model(step=0, text=ids(3)).value.isnan()


def test_noise_differs_between_samples_texts_and_calls():
    model = vae(**GRAPHS["vae"])
    texts = ids(3).expand(2, 5)
    first, second = (model.infer(3, text=texts).latents["z"].value for _ in range(2))
    assert len(torch.cat([first, second]).view(-1, 3).unique(dim=0)) == 12


def test_a_language_model_samples_nothing():
    model = vae(**GRAPHS["language model"])
    texts = ids(4, 0)
    out = model.infer(50, text=texts)
    assert out.log_weight.shape == (1, 2)
    expected = model.decoders["text"](torch.zeros(1, 2, 0)).log_prob(texts)
    assert torch.equal(out.log_weight, expected)
    assert model.encode(text=texts) == {} and model.sample_prior(3) == {}


def test_a_decoder_without_latents_says_the_same_for_every_sample():
    model = vae(**GRAPHS["one decoder without latents"])
    out = model.infer(4, **fields_of(model, 3, 1))
    for name in ("again", "alone"):
        values = out.log_likelihood[name]
        torch.testing.assert_close(values, values[:1].expand(4, 2))
    assert out.log_likelihood["text"].std(0).min() > 0


def test_crossed_decoders_read_the_other_latent():
    model = vae(**GRAPHS["crossed"])
    fields = fields_of(model, 3, 5)
    values = {name: q.mean[None] for name, q in model.encode(**fields).items()}
    before = {
        name: p.log_prob(fields[name]) for name, p in model.likelihoods(values, {}, 2).items()
    }
    values["zq"] = values["zq"] + 1
    after = {name: p.log_prob(fields[name]) for name, p in model.likelihoods(values, {}, 2).items()}
    assert torch.equal(before["question"], after["question"])
    assert not torch.allclose(before["answer"], after["answer"])


def test_a_latent_sees_the_sample_of_an_earlier_one():
    model = vae(**GRAPHS["hierarchy"])
    texts = ids(4, 2)
    latents = model.infer(3, text=texts).latents
    features = model.read({"text": texts})["text"].pooled.expand(3, 2, -1)
    top = latents["top"].value
    expected = model.latents["z"](torch.cat([features, top], -1))
    torch.testing.assert_close(latents["z"].posterior.mean, expected.mean)
    torch.testing.assert_close(latents["z"].prior.mean, model.priors["z"](top).mean)
    means = model.encode(text=texts)
    assert [q.batch_shape for q in means.values()] == [(2,), (2,)]
    at_mean = model.latents["z"](torch.cat([features[0], means["top"].mean], -1))
    torch.testing.assert_close(means["z"].mean, at_mean.mean)


def test_a_learned_prior_is_another_network_of_the_same_family():
    model = vae(**GRAPHS["learned prior"])
    fields = fields_of(model, 3, 5)
    latent = model.infer(2, **fields).latents["z"]
    context = model.read(fields)["context"].pooled
    torch.testing.assert_close(latent.prior.mean[0], model.priors["z"](context).mean)
    assert not torch.allclose(latent.prior.mean, latent.posterior.mean)
    assert model.priors["z"].head.in_features == 6 and model.latents["z"].head.in_features == 12


LSTM = {"kind": "lstm"}
MISTAKES = {
    "nothing at all": ({}, ["decoders: at least one is needed"]),
    "nodes without a name": (
        {"encoders": [LSTM], "decoders": [{**LSTM, "name": "a b"}]},
        ["encoders[0]: needs a 'name', a word", "decoders[0]: needs a 'name', a word"],
    ),
    "names twice": (
        {
            "encoders": [TEXT, TEXT],
            "latents": [{**Z, "name": "text"}],
            "decoders": [TEXT, TEXT],
        },
        [
            "encoders.text: the name is taken",
            "latents.text: the name is taken",
            "decoders.text: the name is taken",
        ],
    ),
    "a latent of nothing": (
        {"latents": [{**Z, "given": []}], "decoders": [TEXT]},
        ["latents.z.given: a latent needs at least one encoder"],
    ),
    "a latent of itself and of a later one": (
        {
            "encoders": [TEXT],
            "latents": [{**Z, "given": ["z", "later"]}, {**Z, "name": "later"}],
            "decoders": [TEXT],
        },
        [
            "latents.z.given: unknown 'z' (known: text)",
            "latents.z.given: unknown 'later' (known: text)",
        ],
    ),
    "given a word in place of a list": (
        {"encoders": [TEXT], "latents": [Z], "decoders": [{**TEXT, "given": "z"}]},
        ["decoders.text.given: must be a list of names (got 'z')"],
    ),
    "given nothing": (
        {"encoders": [TEXT], "latents": [Z], "decoders": [{**TEXT, "given": None}]},
        ["decoders.text.given: must be a list of names (got None)"],
    ),
    "a prior that is none": (
        {"encoders": [TEXT], "latents": [{**Z, "prior": "text"}], "decoders": [TEXT]},
        ["latents.z.prior: must be {given: [names]}, {fitted: true} or {kind: ...} (got 'text')"],
    ),
    "a prior of a word": (
        {"encoders": [TEXT], "latents": [{**Z, "prior": {"given": "text"}}], "decoders": [TEXT]},
        ["latents.z.prior.given: must be a list of names"],
    ),
    "an empty prior": (
        {"encoders": [TEXT], "latents": [{**Z, "prior": None}], "decoders": [TEXT]},
        ["latents.z.prior: must be {given: [names]}, {fitted: true} or {kind: ...} (got None)"],
    ),
    "a prior of something unknown": (
        {
            "encoders": [TEXT],
            "latents": [{**Z, "given": ["tex", "tex"], "prior": {"given": ["tex"]}}],
            "decoders": [TEXT],
        },
        [
            "latents.z.given: unknown 'tex' (did you mean 'text'? known: text)",
            "latents.z.prior.given: unknown 'tex' (did you mean 'text'? known: text)",
        ],
    ),
    "a size that the graph decides": (
        {"decoders": [{**TEXT, "features": 3, "vocab_size": 9}]},
        ["decoders.text.features: unknown key", "decoders.text.vocab_size: unknown key"],
    ),
    "layer norm of two directions": (
        {
            "encoders": [{**TEXT, "bidirectional": True, "layer_norm": True}],
            "decoders": [TEXT],
        },
        [
            "encoders.text: a bidirectional encoder has no layer_norm, and no locked dropout "
            "between layers"
        ],
    ),
    "heads that do not share the width": (
        {"encoders": [{"name": "text", "kind": "transformer", "hidden": 6}], "decoders": [TEXT]},
        ["encoders.text: hidden must be a multiple of 2 * heads (got 6 and 4)"],
    ),
    "all at once": (
        {
            "encoders": [{"name": "text", "kind": "lsmt"}],
            "latents": [{**Z, "kind": "gaussian", "dim": 0, "given": ["txet"]}],
            "decoders": [{**TEXT, "hiden": 3, "word_dropout": 2.0, "given": ["zz"]}],
        },
        [
            "encoders.text.kind: unknown 'lsmt' (did you mean 'lstm'?",
            "latents.z.dim: Input should be greater than 0 (got 0)",
            "latents.z.given: unknown 'txet' (did you mean 'text'?",
            "decoders.text.hiden: unknown key (did you mean 'hidden'?",
            "decoders.text.word_dropout: Input should be less than or equal to 1 (got 2.0)",
            "decoders.text.given: unknown 'zz' (did you mean 'z'?",
        ],
    ),
}


@pytest.mark.parametrize(("graph", "lines"), MISTAKES.values(), ids=MISTAKES)
def test_every_mistake_in_a_graph_is_one_line(graph, lines):
    with pytest.raises(SpecError) as raised:
        vae(**graph)
    problems = raised.value.problems
    assert len(problems) == len(lines), problems
    for problem, line in zip(problems, lines, strict=True):
        assert problem.startswith(line)


def test_a_field_is_the_name_unless_said():
    config = vae(**GRAPHS["one decoder without latents"]).config
    assert [node["field"] for node in config.nodes("decoders")] == ["text"] * 3
    # The configuration itself stays as it was written.
    assert "field" not in config.decoders[0]


def test_an_auxiliary_decoder_is_a_term_of_the_training_loss_alone():
    model = vae(**GRAPHS["bag-of-words loss"])
    model.objective = ELBO()
    fields = fields_of(model, 4, 2)
    assert set(model(step=0, **fields).terms) == {"elbo", "reconstruction_loss", "kl", "kl_weight"}
    model.train()
    torch.manual_seed(0)
    loss = model(step=0, **fields)
    torch.manual_seed(0)
    out = model.infer(1, **fields)
    bag = -out.auxiliary["bag"].mean()
    torch.testing.assert_close(loss.terms["bag"], bag.detach())
    torch.testing.assert_close(loss.value, model.objective(out, 0).value + 0.5 * bag)
    assert list(out.log_likelihood) == ["text"]


@pytest.mark.parametrize("weight", [0, -1.0, "much", True])
def test_an_auxiliary_weight_is_a_positive_number(weight):
    decoders = [{**TEXT}, {**TEXT, "name": "again", "field": "text", "auxiliary": weight}]
    with pytest.raises(SpecError, match=r"decoders\.again\.auxiliary"):
        vae(decoders=decoders)


def test_one_decoder_must_count():
    with pytest.raises(SpecError, match="not auxiliary"):
        vae(decoders=[{**TEXT, "auxiliary": 1.0}])
