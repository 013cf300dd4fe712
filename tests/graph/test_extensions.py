"""What the graph offers beyond one text and one vector: each addition against its equation."""

from dataclasses import dataclass

import pytest
import torch
from conftest import TEXT, Z, fields_of, vae
from torch import nn
from torch.distributions import Bernoulli, Independent, kl_divergence

from textvae.evaluation.latent import cross_log_prob, information
from textvae.families import Family
from textvae.families.gaussian import REACH, Gaussian
from textvae.graph.model import VAE, VAEConfig
from textvae.likelihoods import Likelihood
from textvae.objectives import Objective
from textvae.objectives.elbo import ELBO
from textvae.objectives.outputs import Loss
from textvae.registry import SpecError

VECTOR = {"x": {"shape": [5]}}
X = {"name": "x", "kind": "mlp", "hidden": [8]}
DECODER = {**X, "likelihood": {"kind": "gaussian"}, "given": ["z"]}


def vector_model(latents=None, encoders=None, decoders=None, **settings) -> VAE:
    """A VAE of one field of vectors."""
    latents = latents or [{**Z, "given": ["x"]}]
    return vae(encoders or [X], latents, decoders or [DECODER], observed=VECTOR, **settings)


# Kinds of these tests alone: out of their tables, which other tests read, but while one runs.


class Squared(Gaussian, kind="squared_for_tests"):
    """Shows other nodes z and z^2, and adds |mu|^2 to the training loss."""

    @property
    def embedding_size(self) -> int:
        return 2 * self.dim

    def embed(self, value):
        return torch.cat([value, value**2], -1)

    def training_term(self, posterior):
        return posterior.mean.square().sum(-1)


@dataclass(frozen=True)
class Shifted(Objective, kind="shifted_for_tests"):
    """The reconstruction loss of the batch, of the batch moved by one, and of drawn images."""

    reparameterize: bool = False

    def altered(self, out, sample_means, step):
        drawn = sample_means(3)
        return {"moved": {"x": out.fields["x"] + 1}, "drawn": drawn}

    def __call__(self, out, step):
        values = [-each.total_log_likelihood.mean() for each in (out, *out.others.values())]
        return Loss(torch.stack(values).sum(), {name: each.kl for name, each in out.others.items()})


KINDS = {Family: Squared, Objective: Shifted}
for base, kind in KINDS.items():
    del base.kinds[kind.kind]


@pytest.fixture(autouse=True)
def kinds_of_these_tests():
    for base, kind in KINDS.items():
        base.kinds[kind.kind] = kind
    yield
    for base, kind in KINDS.items():
        del base.kinds[kind.kind]


# Fields of any shape


@pytest.mark.parametrize("shape", [[5], [2, 3], [1, 4, 4], [2, 1, 2, 3]])
@pytest.mark.parametrize("likelihood", sorted(Likelihood.kinds))
def test_every_likelihood_reads_a_field_of_any_shape(shape, likelihood):
    model = vae(
        [X],
        [{**Z, "given": ["x"]}],
        [{**DECODER, "likelihood": {"kind": likelihood}}],
        observed={"x": {"shape": shape}},
    )
    x = torch.rand(4, *shape)
    out = model.infer(samples=3, x=x)
    assert out.log_likelihood["x"].shape == (3, 4) and out.log_weight.isfinite().all()
    distribution = out.likelihoods["x"]
    assert distribution.mean.shape == (3, 4, *shape) == distribution.sample().shape
    # The log-likelihood of a text is that of its values, one by one.
    if likelihood == "bernoulli":
        bits = x.round()
        each = Independent(Bernoulli(distribution.mean), len(shape)).log_prob(bits)
        torch.testing.assert_close(distribution.log_prob(bits), each, rtol=1e-4, atol=1e-4)


def test_convolutions_refuse_a_vector():
    with pytest.raises(SpecError, match=r"encoders.x: convolutions need images .* \(got \[5\]\)"):
        vector_model(encoders=[{"name": "x", "kind": "conv", "channels": [4]}])


def test_values_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"values must be \(N, S\) with S = \(5,\) \(got \(4,\)\)"):
        vector_model().infer(x=torch.zeros(2, 4))


# Encoders that read encoders


def test_an_encoder_reads_encoders_in_place_of_a_field():
    top = {"name": "top", "kind": "mlp", "hidden": [4], "given": ["x"]}
    model = vector_model(latents=[{**Z, "given": ["top"]}], encoders=[X, top])
    x = torch.randn(3, 5)
    features = model.read({"x": x})
    expected = model.encoders["top"].layers(model.encoders["x"](x).pooled)
    assert torch.equal(features["top"].pooled, expected)
    assert model.latents["z"].head.in_features == 4


def test_an_encoder_reads_encoders_beside_a_field():
    both = {"name": "both", "kind": "mlp", "hidden": [4], "field": "x", "given": ["x"]}
    model = vector_model(latents=[{**Z, "given": ["both"]}], encoders=[X, both])
    x = torch.randn(3, 5)
    side_by_side = torch.cat([x, model.encoders["x"](x).pooled], -1)
    expected = model.encoders["both"].layers(side_by_side)
    torch.testing.assert_close(model.read({"x": x})["both"].pooled, expected)


def test_an_encoder_without_its_sources_has_no_features():
    top = {"name": "top", "kind": "mlp", "hidden": [4], "given": ["x"]}
    model = vector_model(latents=[{**Z, "given": ["top"]}], encoders=[X, top])
    assert model.read({}) == {}


@pytest.mark.parametrize(
    ("encoder", "line"),
    [
        ({"kind": "mlp", "hidden": [4], "given": ["y"]}, "encoders.top.given: unknown 'y'"),
        ({"kind": "mlp", "hidden": [4], "given": ["top"]}, "encoders.top.given: unknown 'top'"),
        ({"kind": "mlp", "hidden": [4], "given": "x"}, "encoders.top.given: must be a list"),
        ({"kind": "label", "given": ["x"]}, "encoders.top.given: a label encoder reads no other"),
    ],
)
def test_mistakes_in_what_an_encoder_reads_are_one_line(encoder, line):
    with pytest.raises(SpecError, match=line):
        vector_model(encoders=[X, {"name": "top", **encoder}])


# Layers before a head


def test_hidden_layers_stand_before_a_latent_s_head():
    model = vector_model(latents=[{**Z, "given": ["x"], "hidden": [7, 6]}])
    x = torch.randn(3, 5)
    first, _, second, _ = model.latents["z"].hidden
    layer = second(first(model.encoders["x"](x).pooled).relu()).relu()
    mean, _ = model.latents["z"].head(layer).chunk(2, -1)
    torch.testing.assert_close(model.encode(x=x)["z"].mean, mean)


def test_hidden_layers_stand_in_a_prior_network():
    latents = [
        {"name": "top", "kind": "gaussian", "dim": 2, "given": ["x"]},
        {**Z, "given": ["x", "top"], "prior": {"given": ["top"], "hidden": [7]}},
    ]
    model = vector_model(latents=latents)
    latent = model.infer(x=torch.randn(4, 5)).latents
    layer = model.priors["z"].hidden[0](latent["top"].value).relu()
    mean, _ = model.priors["z"].head(layer).chunk(2, -1)
    torch.testing.assert_close(latent["z"].prior.mean, mean)


def test_layers_before_a_head_are_part_of_the_latent():
    latents = [{**Z, "given": ["x"], "hidden": [7], "prior": {"given": []}}]
    names = set(vector_model(latents=latents).state_dict())
    layers = {f"latents.z.{part}" for part in ("hidden.0.weight", "hidden.0.bias")}
    assert layers <= names  # so `freeze: [latents.z]` and `transfer: [latents]` reach them
    assert not any("hidden" in name for name in names if name.startswith("priors"))


@pytest.mark.parametrize("hidden", [[0], [2.5], "wide", 7])
def test_sizes_of_hidden_layers_are_checked(hidden):
    with pytest.raises(SpecError, match=r"latents.z.hidden"):
        vector_model(latents=[{**Z, "given": ["x"], "hidden": hidden}])


# A posterior that is measured from its prior

RELATIVE = [
    {"name": "top", "kind": "gaussian", "dim": 2, "given": ["x"]},
    {**Z, "given": ["x", "top"], "relative": True, "prior": {"given": ["top"], "hidden": [7]}},
]


def test_kl_of_a_relative_posterior_depends_on_the_offsets_alone():
    model = vector_model(latents=RELATIVE)
    out = model.infer(samples=3, x=torch.randn(4, 5))
    latent = out.latents["z"]
    node = model.config.nodes("latents")[1]
    values = {"top": out.latents["top"].value}
    offsets = model.variational_parameters(node, model.read({"x": out.fields["x"]}), values)
    shift, log_ratio = (REACH * (offsets / REACH).tanh()).chunk(2, -1)
    expected = 0.5 * (shift**2 + log_ratio.exp() - log_ratio - 1).sum(-1)
    torch.testing.assert_close(latent.kl(), expected, rtol=1e-4, atol=1e-4)


def test_a_relative_posterior_of_zero_offsets_is_the_prior():
    model = vector_model(latents=RELATIVE)
    nn.init.zeros_(model.latents["z"].head.weight)
    nn.init.zeros_(model.latents["z"].head.bias)
    out = model.infer(x=torch.randn(4, 5))
    torch.testing.assert_close(out.latents["z"].kl(), torch.zeros(1, 4), atol=1e-5, rtol=0)
    means = model.encode(x=torch.randn(4, 5))["z"].mean
    assert means.shape == (4, 3)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"prior": {"given": []}}, "latents.z.relative: needs a prior that is given something"),
        ({"prior": None}, "latents.z.prior: must be"),
        ({"relative": 1}, r"latents.z.relative: must be true or false \(got 1\)"),
        ({"kind": "vmf"}, "latents.z.relative: not for vmf latents"),
        (
            {"prior": {"kind": "mixture", "given": ["top"]}},
            "latents.z.relative: needs a prior of the latent's own family",
        ),
    ],
)
def test_mistakes_in_a_relative_latent_are_named(changes, line):
    with pytest.raises(SpecError, match=line):
        vector_model(latents=[RELATIVE[0], {**RELATIVE[1], **changes}])


# What a family shows, and its own term of the loss


def test_a_family_shows_other_nodes_more_than_its_value():
    model = vector_model(latents=[{**Z, "kind": "squared_for_tests", "given": ["x"]}])
    z = torch.randn(1, 4, 3)
    context = model.contexts({"z": z}, {}, 4)["x"]
    assert torch.equal(context, torch.cat([z, z**2], -1))
    assert model.decoders["x"].features == 6 and model.sizes["z"] == 3


def test_a_family_adds_a_term_to_the_training_loss_alone():
    x = torch.randn(4, 5)
    losses = {}
    for kind in ("gaussian", "squared_for_tests"):
        torch.manual_seed(0)
        model = vector_model(latents=[{**Z, "kind": kind, "given": ["x"]}])
        model.objective = ELBO()
        losses[kind] = model.train()(0, x=x)
    loss = losses["squared_for_tests"]
    assert set(loss.terms) - set(losses["gaussian"].terms) == {"z_term"}
    means = model.encode(x=x)["z"].mean
    torch.testing.assert_close(loss.terms["z_term"], means.square().sum(-1).mean())
    torch.testing.assert_close(loss.value, loss.terms["z_term"] - loss.terms["elbo"])
    assert model.eval().infer(x=x).auxiliary == {}


# Objectives: terms, altered batches, samples without gradient


def test_an_objective_finds_the_outputs_of_altered_batches():
    model = vector_model()
    model.objective = Shifted()
    x = torch.randn(4, 5)
    loss = model(0, x=x)
    assert {name: kl.shape for name, kl in loss.terms.items()} == {"moved": (1, 4), "drawn": (1, 3)}
    expected = kl_divergence(
        model.encode(x=x + 1)["z"], model.latents["z"].default_prior(torch.Size((4,)), x)
    )
    torch.testing.assert_close(loss.terms["moved"][0], expected)


@pytest.mark.parametrize("reparameterize", [False, True])
def test_samples_carry_gradients_where_the_objective_wants_them(reparameterize):
    model = vector_model()
    model.objective = Shifted(reparameterize=reparameterize)
    model(0, x=torch.randn(4, 5)).value.backward()
    gradient = model.encoders["x"].layers[1][0].weight.grad
    assert (gradient is not None and gradient.abs().sum() > 0) == reparameterize
    assert model.decoders["x"].layers[1].weight.grad.abs().sum() > 0


def test_means_of_a_field_are_those_of_latents_from_the_prior():
    model = vector_model()
    torch.manual_seed(3)
    drawn = model.sample_means(6)["x"]
    torch.manual_seed(3)
    z = model.sample_prior(6)
    assert torch.equal(drawn, model.likelihoods(z, {}, 6)["x"].mean[0]) and not drawn.requires_grad


TWO = [
    {"name": "a", "kind": "gaussian", "dim": 3, "given": ["x"]},
    {"name": "z", "kind": "gaussian", "dim": 3, "given": ["x"]},
]


@pytest.mark.parametrize("kind", ["elbo", "importance_weighted", "mmd", "minimum_rate"])
def test_terms_are_added_to_any_objective(kind):
    model = vector_model(latents=TWO)
    spec = {"kind": kind} | ({"rate": 1.0} if kind == "minimum_rate" else {})
    term = {"kind": "posterior_kl", "of": "a", "to": "z", "weight": 0.25}
    x, losses = torch.randn(4, 5), []
    for terms in ([], [term], [term, term]):
        model.objective = Objective.build({**spec, "terms": terms}, sizes=model.sizes)
        torch.manual_seed(1)
        losses.append(model(0, x=x))
    posteriors = model.encode(x=x)
    kl = kl_divergence(posteriors["a"], posteriors["z"]).mean()
    torch.testing.assert_close(losses[1].value, losses[0].value + 0.25 * kl)
    torch.testing.assert_close(losses[2].value, losses[0].value + 0.5 * kl)
    torch.testing.assert_close(losses[1].terms["posterior_kl"], kl)


@pytest.mark.parametrize(
    ("terms", "line"),
    [
        ("none", r"objective.terms: must be a list \(got 'none'\)"),
        ([{"kind": "posterior"}], "objective.terms.0.kind: unknown 'posterior'"),
        ([{"kind": "posterior_kl", "of": "a"}], "objective.terms.0.to: missing"),
        ([{"kind": "posterior_kl", "of": "a", "to": "z", "weight": "x"}], "objective.terms.0.weig"),
    ],
)
def test_mistakes_in_terms_are_one_line(terms, line):
    with pytest.raises(SpecError, match=line) as raised:
        Objective.build({"kind": "elbo", "terms": terms})
    assert len(raised.value.problems) == 1


@pytest.mark.parametrize(
    ("latents", "line"),
    [
        (TWO[1:], "objective.terms: unknown 'a'"),
        ([{**TWO[0], "dim": 2}, TWO[1]], "no KL from 'a' to 'z' is known"),
    ],
)
def test_a_term_without_its_latents_is_named(latents, line):
    model = vector_model(latents=latents)
    term = {"kind": "posterior_kl", "of": "a", "to": "z"}
    model.objective = Objective.build({"kind": "elbo", "terms": [term]})
    with pytest.raises(ValueError, match=line):
        model(0, x=torch.randn(4, 5))


# All of it is saved, and trains


def test_a_graph_with_all_of_it_is_saved_and_loaded(tmp_path):
    top = {"name": "top", "kind": "mlp", "hidden": [4], "given": ["x"]}
    latents = [RELATIVE[0], {**RELATIVE[1], "given": ["top", "top_z"], "hidden": [6]}]
    latents[0] = {**latents[0], "name": "top_z", "prior": {"kind": "mixture", "components": 2}}
    latents[1]["prior"] = {"given": ["top_z"], "hidden": [3]}
    model = vector_model(latents=latents, encoders=[X, top])
    model.save_pretrained(tmp_path)
    loaded = VAE.from_pretrained(tmp_path).eval()
    x = torch.randn(3, 5)
    torch.manual_seed(0)
    out = model.infer(samples=2, x=x)
    torch.manual_seed(0)
    assert torch.equal(out.log_weight, loaded.infer(samples=2, x=x).log_weight)


def test_every_parameter_of_a_hierarchy_has_a_gradient():
    latents = [
        {"name": "top", "kind": "gaussian", "dim": 2, "given": ["text"], "hidden": [5]},
        {**RELATIVE[1], "given": ["text", "top"]},
    ]
    model = vae([TEXT], latents, [{**TEXT, "given": ["z", "top"]}])
    model.objective = ELBO()
    model.train()(0, **fields_of(model, 3, 5)).value.backward()
    without = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert without == []


def test_the_configuration_of_a_graph_without_them_is_as_before():
    config = VAEConfig(vocab_size=9, encoders=[TEXT], latents=[Z], decoders=[TEXT])
    assert config.nodes("encoders") == [{**TEXT, "field": "text", "given": []}]
    groups = {name.split(".")[0] for name in VAE(config).state_dict()}
    assert groups == {"encoders", "latents", "decoders"}


def test_mutual_information_of_a_relative_posterior_is_that_of_its_density():
    model = vector_model(latents=RELATIVE)
    x = torch.randn(6, 5)
    features = {name: each.pooled for name, each in model.read({"x": x}).items()}
    with torch.no_grad():
        latents = model.draw(model.read({"x": x}), 4, 6)
        values = {name: latent.value.flatten(0, 1) for name, latent in latents.items()}
        own = sum(latent.posterior.log_prob(latent.value) for latent in latents.values())
        crossed = cross_log_prob(model, values, model.read({"x": x}))
    text = torch.arange(24) % 6
    torch.testing.assert_close(
        crossed[torch.arange(24), text].float(), own.flatten(), rtol=1e-4, atol=1e-4
    )
    measured = information(model, features, samples=200)
    total = measured.mutual_information + measured.marginal_kl
    kl = model.infer(samples=400, x=x).kl.mean().item()
    assert measured.marginal_kl > 0 and total == pytest.approx(kl, rel=0.05)
