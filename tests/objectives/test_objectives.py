"""Objectives on models whose evidence is known, and the identities between them."""

import math
from itertools import pairwise

import pytest
import torch
from conftest import GRAPHS, LinearGaussian, fields_of, normal, output, standard_error, vae
from safetensors.torch import load_file
from torch.distributions import Independent, Poisson, StudentT, kl_divergence

from textvae.graph.model import VAE
from textvae.objectives import Objective
from textvae.objectives.elbo import ELBO, ImportanceWeighted
from textvae.objectives.outputs import Latent, VAEOutput
from textvae.objectives.schedules import Constant, Linear
from textvae.registry import SpecError

B, D = 6, 2
PER = ["sentence", "dimension", "batch", "batch_dimension"]
"""What free bits may be taken of."""

ROWS = {
    "elbo": {"kind": "elbo"},
    "elbo, weighted": {"kind": "elbo", "kl_weight": {"kind": "linear", "steps": 10}},
    "elbo, free bits": {"kind": "elbo", "free_bits": 0.5, "samples": 3},
    "elbo, free bits per dimension": {
        "kind": "elbo",
        "free_bits": 0.5,
        "free_bits_per": "dimension",
    },
    "elbo, free bits per batch": {"kind": "elbo", "free_bits": 0.5, "free_bits_per": "batch"},
    "elbo, free bits per dimension of a batch": {
        "kind": "elbo",
        "free_bits": 0.5,
        "free_bits_per": "batch_dimension",
    },
    "importance_weighted": {"kind": "importance_weighted", "samples": 4},
    "target_rate": {"kind": "target_rate", "target": 2.0, "samples": 3},
    "minimum_rate": {"kind": "minimum_rate", "rate": 2.0, "samples": 3},
    "mmd": {"kind": "mmd", "kl_weight": 0.5, "samples": 3},
    "mmd, rbf": {"kind": "mmd", "kernel": "rbf"},
    "adversarial": {"kind": "adversarial", "hidden": 8, "samples": 3},
    "mutual_information": {"kind": "mutual_information", "hidden": 8, "samples": 3},
    "mutual_information, dv": {"kind": "mutual_information", "hidden": 8, "bound": "dv"},
    "decomposition": {"kind": "decomposition", "total_correlation": 6.0, "samples": 3},
    "factor": {"kind": "factor", "hidden": 8, "samples": 3},
}
BATCHES = ("mmd", "decomposition")
"""Objectives without a critic that are no means over texts."""
SUMS = {
    name: spec
    for name, spec in ROWS.items()
    if spec["kind"] not in BATCHES and "hidden" not in spec
}
"""Objectives that judge each text by itself, or only the mean over texts."""


OF_CLASSES = {"direct", "interpolated", "positive_unlabelled"}
"""Kinds that read an enumerated latent or labels: each has a test file of its own."""


def build(spec):
    return Objective.build(spec, sizes={"z": D, "text": D}, rows=10 * B)


def test_every_kind_has_a_row():
    assert {spec["kind"] for spec in ROWS.values()} | OF_CLASSES == set(Objective.kinds)


@pytest.fixture(params=ROWS.values(), ids=ROWS)
def objective(request):
    return build(request.param)


@pytest.fixture
def model():
    """A linear-Gaussian model whose approximate posterior is wrong."""
    return LinearGaussian(torch.randn(B, D), shift=0.4, stretch=1.3)


def test_a_loss_is_a_number_with_gradients_and_its_terms_are_without(objective, model):
    model.x.requires_grad_()
    wrong = LinearGaussian(model.x, shift=0.4)
    loss = objective(wrong.infer(objective.samples), 5)
    assert loss.value.shape == () and loss.value.isfinite()
    (gradient,) = torch.autograd.grad(loss.value, model.x)
    assert gradient.abs().sum() > 0
    for name, term in loss.terms.items():
        assert term.shape == () and term.isfinite() and not term.requires_grad, name


@pytest.mark.parametrize("spec", SUMS.values(), ids=SUMS)
def test_the_loss_is_the_mean_over_texts(spec):
    """Twice the same texts cost the same."""
    objective = build(spec)
    out = output([torch.full((2, D), 3.0)], -5.0, objective.samples)
    twice = output([torch.full((4, D), 3.0)], -5.0, objective.samples)
    latent = twice.latents["z"]
    value = torch.cat([out.latents["z"].value] * 2, 1)
    twice.latents["z"] = Latent(value, latent.posterior, latent.prior)
    torch.testing.assert_close(objective(twice, 7).value, objective(out, 7).value)


@pytest.mark.parametrize(("kl", "reconstruction"), [(1.0, torch.nan), (torch.nan, -5.0)])
def test_a_nan_reaches_the_loss(objective, kl, reconstruction):
    # In one dimension of one text.
    each = torch.ones(B, D)
    each[1, 1] = kl
    assert objective(output([each], reconstruction, objective.samples), 5).value.isnan()


def test_terms_name_what_they_are(objective, model):
    out = model.infer(objective.samples)
    terms = objective(out, 5).terms
    torch.testing.assert_close(terms["reconstruction_loss"], -out.total_log_likelihood.mean())
    torch.testing.assert_close(terms["kl"], out.kl.mean())
    bound = (out.total_log_likelihood - out.kl).mean()
    torch.testing.assert_close(terms["elbo"], bound)


@pytest.mark.parametrize("spec", ROWS.values(), ids=ROWS)
def test_every_parameter_learns_those_of_the_objective_too(spec):
    model = vae(**GRAPHS["vae"])
    model.objective = Objective.build(spec, sizes=model.sizes, rows=10 * B)
    model(step=5, **fields_of(model, 4, 0, 2)).value.backward()
    for name, parameter in model.named_parameters():
        # What is added to all of the critic's numbers alike cancels in the second bound.
        still = spec.get("bound") == "dv" and name == "objective.critic.layers.4.bias"
        assert parameter.grad is not None and (parameter.grad.abs().sum() > 0 or still), name


@pytest.mark.parametrize("spec", ROWS.values(), ids=ROWS)
def test_a_model_loads_without_what_its_objective_has_learnt(spec, tmp_path):
    """Checkpoints hold it, so that training can go on."""
    model = vae(**GRAPHS["vae"])
    model.objective = Objective.build(spec, sizes=model.sizes, rows=10 * B)
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert saved.keys() == model.state_dict().keys()
    loaded, info = VAE.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["unexpected_keys"] and not info["missing_keys"]
    own = loaded.state_dict()
    assert not any(name.startswith("objective.") for name in own)
    assert all(torch.equal(value, saved[name]) for name, value in own.items())


def heavy_tailed():
    """One sample of a posterior whose KL to a normal is not registered."""
    q = Independent(StudentT(torch.tensor(9.0), torch.randn(1, B, D), torch.ones(1, B, D)), 1)
    return Latent(q.rsample(), q, normal(torch.zeros(1, B, D), 1.0))


@pytest.mark.parametrize(
    "spec", [spec for spec in ROWS.values() if "free_bits_per" not in spec], ids=str
)
def test_the_kl_need_not_be_registered(spec):
    objective = build({**spec, "samples": 1})
    latent = heavy_tailed()
    out = VAEOutput({"z": latent}, {"x": torch.zeros(1, B)}, features={"text": torch.randn(B, D)})
    terms = objective(out, 5).terms
    torch.testing.assert_close(terms["kl"], latent.log_ratio().mean())


def test_the_elbo_is_the_evidence_less_the_distance_to_the_posterior(model):
    expected = model.evidence - kl_divergence(model.posterior, model.exact)
    draws = torch.stack([-ELBO()(model.infer(100), 0).value for _ in range(100)])
    found = standard_error(draws)
    # Five standard errors: one test in a million fails by chance.
    assert (found.mean - expected.mean()).abs() < 5 * found.error


@pytest.mark.parametrize("samples", [1, 2, 50])
def test_with_the_exact_posterior_the_importance_weighted_bound_is_the_evidence(samples):
    model = LinearGaussian(torch.randn(B, D))
    loss = ImportanceWeighted(samples)(model.infer(samples), 0)
    # No variance: only the rounding of float32.
    torch.testing.assert_close(-loss.value, model.evidence.mean(), atol=1e-5, rtol=1e-5)


def test_the_importance_weighted_bound_rises_to_the_evidence_with_samples(model):
    def bound(samples, times):
        return standard_error(
            torch.stack(
                [-ImportanceWeighted()(model.infer(samples), 0).value for _ in range(times)]
            )
        )

    evidence = model.evidence.mean()
    bounds = [bound(samples, 400) for samples in (1, 2, 5, 20)]
    gap = kl_divergence(model.posterior, model.exact).mean()
    assert (bounds[0].mean - (evidence - gap)).abs() < 5 * bounds[0].error
    for lower, higher in pairwise(bounds):
        assert higher.mean - lower.mean > 2 * (lower.error + higher.error)
    assert bounds[-1].mean < evidence
    # The remaining bias is about var(w) / 2K, below 1e-3 here, and the noise about as large.
    assert abs(bound(5000, 5).mean - evidence) < 0.01


def test_one_importance_sample_is_the_elbo_with_the_sampled_kl(model):
    out = model.infer(1)
    sampled = out.latents["z"].log_ratio() - out.kl
    expected = ELBO()(out, 0).value + sampled.mean()
    torch.testing.assert_close(ImportanceWeighted(1)(out, 0).value, expected)


def test_one_importance_sample_is_the_elbo_where_no_kl_is_registered():
    out = VAEOutput({"z": heavy_tailed()}, {"x": torch.randn(1, B)})
    torch.testing.assert_close(ImportanceWeighted(1)(out, 0).value, ELBO()(out, 0).value)


def test_the_bound_is_the_logarithm_of_the_mean_weight():
    weights = torch.tensor([[1.0, 8.0], [3.0, 2.0]])
    out = VAEOutput({}, {"x": weights.log()})
    expected = -torch.tensor([2.0, 5.0]).log().mean()
    torch.testing.assert_close(ImportanceWeighted(2)(out, 0).value, expected)
    # Weights far below the smallest float32.
    far = VAEOutput({}, {"x": weights.log() - 5000})
    torch.testing.assert_close(ImportanceWeighted(2)(far, 0).value, expected + 5000)


@pytest.mark.parametrize("per", PER)
def test_no_free_bits_is_the_plain_bound(per, model):
    out = model.infer(3)
    plain = ELBO(samples=3)(out, 0)
    assert torch.equal(ELBO(free_bits=0.0, free_bits_per=per)(out, 0).value, plain.value)
    almost = ELBO(free_bits=1e-12, free_bits_per=per)(out, 0).value
    torch.testing.assert_close(almost, plain.value)


KL = ([[0.5, 2.5], [0.25, 0.25]], [[1.0], [0.0]])


@pytest.mark.parametrize(
    ("per", "free", "rate"),
    [
        # Sentences have 4 and 0.5 nats, the batch 2.25, dimensions as above.
        ("sentence", 1.0, (4 + 1) / 2),
        ("sentence", 5.0, 5),
        ("batch", 1.0, 2.25),
        ("batch", 3.0, 3),
        # Means of dimensions: 0.375, 1.375 and 0.5.
        ("batch_dimension", 1.0, 1 + 1.375 + 1),
        ("batch_dimension", 0.4, 0.4 + 1.375 + 0.5),
        ("dimension", 1.0, ((1 + 2.5 + 1) + (1 + 1 + 1)) / 2),
        ("dimension", 0.25, ((0.5 + 2.5 + 1) + (0.25 + 0.25 + 0.25)) / 2),
    ],
)
def test_free_bits_are_of_what_they_name(per, free, rate):
    out = output([torch.tensor(kl) for kl in KL], -10.0, samples=3)
    loss = ELBO(kl_weight=Constant(0.5), free_bits=free, free_bits_per=per)(out, 0)
    assert loss.value.item() == pytest.approx(10 + 0.5 * rate, rel=1e-6)
    # What is logged is the KL, not what it costs.
    assert loss.terms["kl"].item() == pytest.approx(2.25, rel=1e-6)
    assert loss.terms["elbo"].item() == pytest.approx(-12.25, rel=1e-6)


@pytest.mark.parametrize("per", PER)
def test_free_bits_pull_only_what_is_above_them(per):
    kl = torch.tensor([[0.5, 2.5], [0.25, 0.25]], requires_grad=True)
    ELBO(free_bits=1.0, free_bits_per=per)(output([kl]), 0).value.backward()
    pulled = {
        "sentence": [[True, True], [False, False]],
        "dimension": [[False, True], [False, False]],
        "batch": [[True, True], [True, True]],
        "batch_dimension": [[False, True], [False, True]],
    }
    assert (kl.grad > 0).tolist() == pulled[per]


def test_free_bits_per_dimension_are_of_each_text_under_its_own_prior():
    model = vae(**GRAPHS["learned prior"])
    out = model.infer(2, **fields_of(model, 4, 0, 6))
    latent = out.latents["z"]
    each = kl_divergence(latent.posterior.base_dist, latent.prior.base_dist)
    free = each.median().item()
    assert len({tuple(row) for row in (each[0] > free).tolist()}) > 1
    expected = -out.total_log_likelihood.mean() + each.clamp(min=free).sum(-1).mean()
    found = ELBO(free_bits=free, free_bits_per="dimension")(out, 0)
    torch.testing.assert_close(found.value, expected)


@pytest.mark.parametrize("per", PER)
def test_free_bits_do_not_fail_without_latents(per):
    free = ELBO(free_bits=2.0, free_bits_per=per)(output(reconstruction=-3.0, batch=4), 0)
    assert free.value.item() == (3.0 if "dimension" in per else 5.0)


def test_the_kl_weight_is_that_of_the_step():
    out = output([torch.tensor([[3.0]])], -10.0)
    objective = ELBO(kl_weight=Linear(steps=10))
    for step, weight in ((0, 0.0), (5, 0.5), (10, 1.0), (99, 1.0)):
        loss = objective(out, step)
        assert loss.value.item() == pytest.approx(10 + 3 * weight)
        assert loss.terms["kl_weight"].item() == weight


@pytest.mark.parametrize(
    "spec", [spec for spec in SUMS.values() if not {"free_bits", "target"} & set(spec)], ids=str
)
def test_without_latents_every_bound_is_the_likelihood(spec):
    assert build(spec)(output(reconstruction=-3.0, batch=4), 5).value.item() == 3.0


@pytest.mark.parametrize("kind", ["mmd", "adversarial"])
def test_a_learned_prior_does_not_learn_from_its_samples(kind):
    mean = torch.zeros(1, B, D, requires_grad=True)
    q = normal(torch.randn(1, B, D), 1.0)
    out = VAEOutput({"z": Latent(q.sample(), q, normal(mean, 1.0))}, {"x": torch.zeros(1, B)})
    value = build({"kind": kind})(out, 0).value
    # Plus nothing, so that there is a gradient.
    (found,) = torch.autograd.grad(value + 0 * mean.sum(), mean)
    assert not found.any()


@pytest.mark.parametrize("kind", ["mmd", "adversarial", "mutual_information"])
def test_a_latent_that_is_not_there_or_gives_no_gradient_is_refused(kind):
    objective = build({"kind": kind})
    with pytest.raises(ValueError, match=r"unknown 'z' \(known: none\)"):
        objective(output(reconstruction=-3.0, batch=4), 0)
    q = Independent(Poisson(torch.ones(1, B, D)), 1)
    out = VAEOutput({"z": Latent(q.sample(), q, q)}, {"x": torch.zeros(1, B)})
    with pytest.raises(ValueError, match="carry no gradient"):
        objective(out, 0)


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ({"kind": "elbo", "free_bits": -1.0}, "objective.free_bits:"),
        ({"kind": "elbo", "free_bits_per": "token"}, "objective.free_bits_per:"),
        ({"kind": "elbo", "samples": 0}, "objective.samples:"),
        ({"kind": "elbo", "balance": "yes"}, "objective.balance:"),
        ({"kind": "elbo", "kl_weight": {"kind": "linear"}}, "objective.kl_weight: needs length"),
        ({"kind": "elbo", "kl_weight": "1"}, "objective.kl_weight: must be"),
        ({"kind": "importance_weighted", "samples": 1.5}, "objective.samples:"),
        ({"kind": "elob"}, "objective.kind: unknown 'elob' (did you mean 'elbo'?"),
        ({"kind": "target_rate"}, "objective.target: missing"),
        ({"kind": "minimum_rate", "rate": -1.0}, "objective.rate:"),
        ({"kind": "minimum_rate", "rate": 1.0, "start": 0.0}, "objective.start:"),
        ({"kind": "mmd", "kernel": "linear"}, "objective.kernel:"),
        ({"kind": "mmd", "mmd_weight": -1.0}, "objective.mmd_weight.value:"),
        ({"kind": "adversarial", "sizes": {"z": 2}}, "objective.sizes: unknown key"),
        ({"kind": "adversarial", "latent": "y"}, "objective.latent: unknown 'y' (known: text, z)"),
        ({"kind": "mutual_information", "bound": "nce"}, "objective.bound:"),
        ({"kind": "mutual_information", "encoder": "image"}, "objective.encoder: unknown 'image'"),
    ],
    ids=str,
)
def test_what_is_no_objective_is_refused(spec, line):
    with pytest.raises(SpecError) as raised:
        build(spec)
    assert len(raised.value.problems) == 1 and raised.value.problems[0].startswith(line)


def test_balanced_latents_cost_by_their_shares_until_the_weight_is_one():
    out = output(kl=([[2.0], [4.0]], [[1.0], [1.0]]))
    objective = Objective.build(
        {"kind": "elbo", "kl_weight": {"kind": "linear", "steps": 10}, "balance": True}
    )
    # The mean KLs are 3 and 1, their shares .75 and .25 of two latents.
    assert objective(out, 5).value.item() == pytest.approx(0.5 * 2 * (0.75 * 3 + 0.25 * 1))
    assert objective(out, 10).value.item() == pytest.approx(4.0)
    weighted = ELBO(kl_weight=0.5, balance=True, latent_weights={"a": 3.0})
    assert weighted(out, 0).value.item() == pytest.approx(0.5 * 2 * (0.75 * 3 + 3 * 0.25 * 1))
    alone = output(kl=([[2.0], [4.0]],))
    assert objective(alone, 5).value.item() == pytest.approx(1.5)
    assert ELBO(balance=True)(output(), 0).value.item() == 0


def test_a_number_is_a_constant_weight():
    assert Objective.build({"kind": "elbo", "kl_weight": 0.1}).kl_weight == Constant(0.1)
    assert math.isclose(Objective.build({"kind": "elbo"}).kl_weight(10**6), 1.0)
    assert ELBO(kl_weight=0.5).kl_weight == Constant(0.5)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="must be a mapping with a 'kind'"):
        ELBO(kl_weight="low")  # type: ignore[arg-type]
