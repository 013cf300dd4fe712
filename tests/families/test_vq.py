"""VQ: a codebook, the codes nearest to inputs, their moving averages."""

import math

import pytest
import torch
from conftest import TEXT, fields_of, vae
from support.families import H
from torch.distributions import kl_divergence

from textvae.evaluation import latent as latent_metrics
from textvae.evaluation.latent import information, posterior_moments
from textvae.evaluation.likelihood import likelihood
from textvae.families import Family
from textvae.graph.model import VAE
from textvae.objectives import Objective
from textvae.objectives.outputs import Latent
from textvae.registry import SpecError

SPEC = {"kind": "vq", "codes": 2, "size": 8, "code_dim": 3}
LATENT = {"name": "z", "given": ["text"], **SPEC}


def family_of(features=H, **changes):
    torch.manual_seed(1)
    return Family.build({**SPEC, **changes}, features=features)


def model_of(**changes):
    return vae([TEXT], [{**LATENT, **changes}], [{**TEXT, "given": ["z"]}])


def buffers_of(family):
    return {name: value.clone() for name, value in family.named_buffers()}


def all_codes(family):
    numbers = torch.cartesian_prod(*[torch.arange(family.size)] * family.codes)
    return family.vectors(numbers.view(-1, family.codes))


def test_each_part_is_the_nearest_code():
    family = family_of().eval()
    context = torch.randn(1, 6, H)
    inputs = family.variational_parameters(context).view(6, 2, 3)
    chosen = family(context).mean.view(6, 2, 3)
    distances = (inputs[:, :, None] - family.codebook).norm(dim=-1)
    torch.testing.assert_close((inputs - chosen).norm(dim=-1), distances.amin(-1))
    assert torch.equal(family.code_numbers(chosen.flatten(-2)), distances.argmin(-1))


def test_gradient_of_a_value_is_that_of_its_input():
    family = family_of().eval()
    inputs = torch.randn(4, 6, requires_grad=True)
    weight = torch.randn(4, 6)
    (family.distribution(inputs).rsample() * weight).sum().backward()
    assert torch.equal(inputs.grad, weight)


def test_values_are_codes_to_the_last_bit():
    family = family_of().eval()
    value = family(torch.randn(1, 6, H)).expand((3, 6)).rsample()
    assert torch.equal(value, family.vectors(family.code_numbers(value)))
    assert torch.equal(family.project(value + 1e-3), value)


def test_posterior_probability_is_all_at_one_code():
    family = family_of().eval()
    q = family(torch.randn(6, H))
    density = q.log_prob(all_codes(family)[:, None])
    assert density.shape == (64, 6)
    assert torch.equal(density.exp().sum(0), torch.ones(6))
    assert torch.equal(q.log_prob(q.mean), torch.zeros(6))
    assert (q.log_prob(q.mean + 0.1) == -torch.inf).all()
    assert not q.stddev.any()


def test_default_prior_sums_to_one_and_has_its_moments():
    family = family_of().eval()
    p = family.default_prior(torch.Size((1, 2)), torch.zeros(()))
    total = p.log_prob(all_codes(family)[:, None]).exp().sum(0)
    torch.testing.assert_close(total, torch.ones(2))
    assert (p.log_prob(torch.zeros(1, 2, 6)) == -torch.inf).all()
    drawn = p.expand((20_000, 2)).sample()
    found = (drawn - p.mean).square().mean((0, 1)).sqrt()
    torch.testing.assert_close(found, p.stddev[0, 0], atol=0.02, rtol=0)


def test_kl_is_the_log_of_the_number_of_codes():
    family = family_of().eval()
    q = family(torch.randn(1, 4, H))
    latent = Latent(q.expand((3, 4)).rsample(), q, family.default_prior(q.batch_shape, q.mean))
    with pytest.raises(NotImplementedError):
        kl_divergence(latent.posterior, latent.prior)
    torch.testing.assert_close(latent.kl(), torch.full((3, 4), 2 * math.log(8)))
    torch.testing.assert_close(latent.log_ratio(), latent.kl())


def test_codebook_begins_with_points_of_the_first_batch():
    family = family_of(batch_norm=False).train()
    inputs = torch.randn(1, 40, 6)
    family.distribution(inputs)
    points = inputs.view(-1, 3)
    assert all((points == code).all(-1).any() for code in family.codebook)
    begun = family.codebook.clone()
    family.distribution(torch.randn(1, 40, 6))
    assert torch.equal(family.codebook, begun)
    random = family_of(batch_norm=False, start="random").train()
    before = random.codebook.clone()
    random.distribution(inputs)
    assert torch.equal(random.codebook, before)


def test_codebook_follows_the_mean_of_its_points():
    family = family_of(decay=0.0, replace_after=0).train()
    posterior = family.distribution(torch.randn(1, 40, 6))
    family.training_term(posterior)
    points, numbers = posterior.inputs.view(-1, 3), posterior.numbers.view(-1)
    for number in numbers.unique():
        own = points[numbers == number].mean(0)
        torch.testing.assert_close(family.codebook[number], own)


def test_codes_without_use_stay_until_they_are_put_on_points():
    family = family_of(replace_after=3, batch_norm=False, start="random").train()
    inputs = torch.full((1, 40, 6), 5.0)
    before = family.codebook.clone()
    for batch in range(3):
        posterior = family.distribution(inputs)
        family.training_term(posterior)
        used = posterior.numbers.unique()
        others = [k for k in range(family.size) if k not in used]
        if batch < 2:
            torch.testing.assert_close(family.codebook[others], before[others])
    torch.testing.assert_close(family.codebook[others], torch.full((len(others), 3), 5.0))


def test_commitment_is_the_squared_distance_of_inputs_to_codes():
    family = family_of(commitment=0.5).eval()
    inputs = torch.randn(1, 4, 6, requires_grad=True)
    posterior = family.distribution(inputs)
    term = family.training_term(posterior)
    distance = inputs - posterior.mean.detach()
    torch.testing.assert_close(term, 0.5 * distance.square().sum(-1))
    term.sum().backward()
    torch.testing.assert_close(inputs.grad, distance.detach())


def test_evaluation_moves_no_average():
    model = model_of().eval()
    before = buffers_of(model.latents["z"])
    with torch.no_grad():
        model.infer(samples=2, **fields_of(model, 3, 5))
    after = buffers_of(model.latents["z"])
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_training_moves_averages_and_a_frozen_part_none():
    model = model_of()
    model.objective = Objective.build({"kind": "elbo"})
    fields = fields_of(model, 3, 5, 2, 4)
    model.train()
    first = buffers_of(model.latents["z"])
    terms = model(0, **fields).terms
    assert "z_term" in terms and terms["kl"].item() == pytest.approx(2 * math.log(8))
    second = buffers_of(model.latents["z"])
    names = {"codebook", "sums", "begun", "normalizer.mean"}
    assert all(not torch.equal(first[name], second[name]) for name in names)
    model.frozen = ("latents",)
    model.train()
    model(1, **fields)
    third = buffers_of(model.latents["z"])
    assert all(torch.equal(second[name], value) for name, value in third.items())


def test_every_parameter_below_the_codes_has_a_gradient():
    model = model_of().train()
    model.objective = Objective.build({"kind": "elbo"})
    model(0, **fields_of(model, 3, 5, 2, 4)).value.backward()
    parts = [*model.encoders.named_parameters(), *model.latents.named_parameters()]
    assert [name for name, weight in parts if not weight.grad.abs().sum()] == []


def test_a_shared_head_reads_each_place_alone():
    family = family_of(features=10, codes=5, shared=True).eval()
    assert family.head.weight.shape == (3, 2)
    context = torch.randn(1, 4, 10)
    changed = context.clone()
    changed[..., 4:6] += 1.0
    before, after = (family.variational_parameters(c).view(4, 5, 3) for c in (context, changed))
    moved = (before - after).abs().sum((0, 2)) > 0
    assert moved.tolist() == [False, False, True, False, False]


def test_head_and_codes_are_float32_under_bfloat16():
    family = family_of().eval()
    context = torch.randn(3, H)
    expected = family(context)
    with torch.autocast("cpu", torch.bfloat16):
        found = family(context)
        prior = family.default_prior(found.batch_shape, context)
        assert torch.equal(prior.log_prob(found.mean), prior.log_prob(expected.mean))
    assert found.mean.dtype == torch.float32 and torch.equal(found.mean, expected.mean)


def test_nan_reaches_the_loss():
    family = family_of().eval()
    inputs = torch.randn(1, 2, 6)
    inputs[0, 0, 0] = torch.nan
    q = family.distribution(inputs)
    latent = Latent(q.rsample(), q, family.default_prior(q.batch_shape, inputs))
    for values in (latent.value.sum(-1), latent.kl()):
        assert values[:, 0].isnan().all() and values[:, 1].isfinite().all()


def test_a_saved_model_has_the_same_codes(tmp_path):
    model = model_of().train()
    model.objective = Objective.build({"kind": "elbo"})
    fields = fields_of(model, 3, 5, 2, 4)
    model(0, **fields)
    model.save_pretrained(tmp_path)
    loaded = VAE.from_pretrained(tmp_path)
    expected, found = (m.eval().encode(**fields)["z"].mean for m in (model, loaded))
    assert torch.equal(found, expected)
    assert all(
        torch.equal(value, buffers_of(loaded.latents["z"])[name])
        for name, value in buffers_of(model.latents["z"]).items()
    )


def test_information_and_marginal_kl_add_up_to_the_kl(monkeypatch):
    """Counted codes give what the comparison of every sample with every posterior gives."""
    model = model_of(size=3).train()
    fields = fields_of(model, *range(1, 20))
    model.infer(**fields)  # begins the codebook
    model.eval()
    features = {name: f.pooled for name, f in model.read(fields).items()}
    counted = information(model, features)
    assert counted.mutual_information > 0.3 and counted.codes.used > 1
    total = counted.mutual_information + counted.marginal_kl
    assert total == pytest.approx(2 * math.log(3), abs=1e-5)
    monkeypatch.setattr(latent_metrics, "is_certain", lambda model: False)
    compared = information(model, features)
    assert counted.mutual_information == pytest.approx(compared.mutual_information, abs=1e-6)
    assert counted.marginal_kl == pytest.approx(compared.marginal_kl, abs=1e-5)


def test_one_sample_is_enough_for_the_nll():
    model = model_of().eval()
    fields = fields_of(model, 3, 5, 2)
    measured = likelihood(model, [fields], samples=50)
    assert measured.samples == 1
    torch.testing.assert_close(measured.nll, -measured.elbo)
    moments = posterior_moments(model, [fields])["z"]
    assert moments[0].shape == (3, 6) and not moments[1].any()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"size": 1}, "latents.z.size: "),
        ({"codes": 0}, "latents.z.codes: "),
        ({"start": "zeros"}, "latents.z.start: "),
        ({"decay": 1.5}, "latents.z.decay: "),
        ({"dim": 3}, "latents.z.dim: unknown key"),
        ({"codes": 4, "shared": True}, "latents.z: shared: a context of 6 is not 4 places"),
        ({"prior": {"given": []}}, "latents.z.prior.kind: .* cannot be learned without"),
        ({"prior": {"given": ["text"]}}, "latents.z.prior.kind: .* cannot be learned without"),
        ({"prior": {"fitted": True}}, "latents.z.prior.fitted: "),
    ],
)
def test_mistakes_in_a_latent_are_one_line(changes, line):
    with pytest.raises(SpecError, match=line) as raised:
        model_of(**changes)
    assert len(raised.value.problems) == 1


def test_refinement_of_codes_is_refused():
    with pytest.raises(SpecError, match="refinement: z is made of codes"):
        vae([TEXT], [LATENT], [{**TEXT, "given": ["z"]}], refinement={"steps": 2})
