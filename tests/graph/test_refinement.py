"""Refinement: a text's posterior nears the best, and gradients go through the steps."""

import pytest
import torch
from conftest import GRAPHS, TEXT, VOCAB, LinearGaussian, fields_of, ids, normal, vae
from support.families import sizes_of
from torch.distributions import kl_divergence

from textvae.evaluation.latent import information, posterior_moments
from textvae.evaluation.likelihood import likelihood
from textvae.families import Family
from textvae.graph import refinement
from textvae.graph.checks import check_graph
from textvae.graph.config import VAEConfig
from textvae.graph.refinement import Refinement, clipped, refine
from textvae.graph.saving import load_model
from textvae.objectives.elbo import ELBO, ImportanceWeighted

B, D = 4, 2
SEEDS = list(range(100))


def known(shift=0.0, stretch=1.0):
    """A model with a known evidence and the variational parameters of its posterior, (B, 2 D)."""
    model = LinearGaussian(torch.randn(B, D), shift, stretch)
    q = model.posterior
    return model, torch.cat([q.mean, 2 * q.stddev.log()], -1)


def negative_elbo(model, samples=1):
    """f of a model: the KL exact, the likelihood of samples."""

    def loss(parameters, seed):
        torch.manual_seed(seed)
        mean, log_variance = parameters.chunk(2, -1)
        q = normal(mean, (0.5 * log_variance).exp())
        z = q.rsample((samples,))
        said = normal(model.slope * z, model.noise).log_prob(model.x).mean(0)
        return kl_divergence(q, normal(0 * mean, 1.0)) - said

    return loss


def gap(model, parameters):
    """log p(x) less the exact ELBO: KL(q || p(z | x)) of each text, (B,)."""
    mean, log_variance = parameters.chunk(2, -1)
    return kl_divergence(normal(mean, (0.5 * log_variance).exp()), model.exact)


def steps(number, **values):
    return Refinement(steps=number, **{"clip": 0.0, **values})


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_the_elbo_nears_the_evidence(momentum):
    model, start = known(shift=1.0, stretch=2.0)
    config = steps(40, learning_rate=0.1, momentum=momentum)
    found, before = [start], gap(model, start)
    for number in (2, 10, 40):
        shorter = config.model_copy(update={"steps": number})
        loss = negative_elbo(model, samples=2000)
        found.append(refine(shorter, loss, start, [], SEEDS[:number]))
    gaps = [gap(model, parameters).mean() for parameters in found]
    assert gaps == sorted(gaps, reverse=True)
    assert (before > 1.0).all() and (gap(model, found[-1]) < 0.01).all()


def test_at_the_optimum_it_does_nothing():
    model, start = known()
    loss = negative_elbo(model, samples=20_000)
    found = refine(steps(5, learning_rate=0.1), loss, start, [], SEEDS[:5])
    # The noise of the samples moves it: by some hundredths of a nat with one sample.
    assert (gap(model, found) < 1e-4).all()
    alone = refine(steps(5, learning_rate=0.1), negative_elbo(model), start, [], SEEDS[:5])
    assert (gap(model, alone) > 1e-3).any()


def smooth(noise):
    """A loss with a third derivative, weights that it reads, and random numbers."""

    def loss(parameters, seed):
        torch.manual_seed(seed)
        moved = parameters + noise * torch.randn_like(parameters)
        return ((moved @ weights[0]).tanh() @ weights[1] - 1).square().sum(-1)

    weights = [torch.randn(3, 5).double(), torch.randn(5, 2).double()]
    return loss, [weight.requires_grad_() for weight in weights]


# A difference's relative error is the square of its reach, grown by four steps.
@pytest.mark.parametrize(("reach", "error"), [(1e-4, 1e-6), (refinement.REACH, 0.05)])
@pytest.mark.parametrize("clip", [0.0, 0.5])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_gradients_go_through_the_steps(clip, noise, reach, error, monkeypatch):
    """Against the same steps unrolled, which torch differentiates twice."""
    monkeypatch.setattr(refinement, "REACH", reach)
    loss, weights = smooth(noise)
    start = torch.randn(B, 3).double().requires_grad_()
    config = Refinement(steps=4, learning_rate=0.2, momentum=0.6, clip=clip)
    value, velocity, met = start, 0.0, False
    for seed in SEEDS[:4]:
        (slope,) = torch.autograd.grad(loss(value, seed).sum(), value, create_graph=True)
        met |= bool((slope.norm(dim=-1) > 0.5).any())
        velocity = 0.6 * velocity - clipped(slope, clip)
        value = value + 0.2 * velocity
    assert met, "some gradient is clipped"
    found = refine(config, loss, start, weights, SEEDS[:4])
    torch.testing.assert_close(found, value)
    upstream = torch.randn(B, 3).double()
    ours = torch.autograd.grad((found * upstream).sum(), [start, *weights])
    exact = torch.autograd.grad((value * upstream).sum(), [start, *weights])
    for one, other in zip(ours, exact, strict=True):
        assert (one - other).norm() < error * other.norm()
    assert all(weight.requires_grad for weight in weights)
    assert (exact[0] - upstream).norm() > 0.2 * upstream.norm(), "the steps matter"


def test_long_gradients_are_cut_and_short_ones_kept():
    gradient = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    torch.testing.assert_close(
        clipped(gradient, 1.0), torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]])
    )
    assert torch.equal(clipped(gradient, 0.0), gradient)


PLAN = {"steps": 3, "learning_rate": 0.05, "samples": 2}
REFINABLE = {
    name: GRAPHS[name] for name in ("vae", "learned prior", "crossed", "bag-of-words loss")
}


@pytest.fixture(params=REFINABLE.values(), ids=REFINABLE)
def model(request):
    return vae(**request.param, refinement=PLAN)


def test_encoders_and_decoders_learn(model):
    model.objective = ELBO(samples=2)
    model.train()(step=0, **fields_of(model, 4, 0, 2)).value.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        assert parameter.grad.isfinite().all(), name


def test_the_gradient_is_not_that_of_the_last_step_alone():
    """Decoders also hear what they do to the steps, and encoders where the steps begin."""
    model = vae(**GRAPHS["vae"], refinement=PLAN).train()
    texts = {"text": ids(4, 0, 2)}
    features = model.read(texts)
    assert features["z"].pooled.requires_grad and features["z"].pooled.shape == (3, 6)
    features["z"].pooled.sum().backward()
    for part in (model.encoders, model.latents, model.decoders):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())


def test_evaluation_is_of_the_refined_posterior():
    """Of the same weights: closer bounds, and other means, the same each time."""
    config = {"steps": 30, "learning_rate": 0.1, "samples": 8}
    plain = vae(**GRAPHS["vae"])
    better = vae(**GRAPHS["vae"], refinement=config)
    better.load_state_dict(plain.state_dict())
    batches = [{"text": ids(4, 0, 6, 2)}]
    before, after = (likelihood(model, batches, 2000) for model in (plain, better))
    assert (after.elbo > before.elbo + 0.05).all()
    # Both estimate the same evidence.
    torch.testing.assert_close(after.nll, before.nll, atol=0.1, rtol=0)
    assert not torch.allclose(after.kl, before.kl)
    state = torch.get_rng_state()
    means, scales = posterior_moments(better, batches)["z"]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(posterior_moments(better, batches)["z"][0], means)
    assert not torch.allclose(posterior_moments(plain, batches)["z"][0], means)
    # Mutual information and variances are of the same posteriors.
    told = information(better, after.features)
    assert told.variances == pytest.approx(means.double().var(0).tolist(), rel=1e-5)
    q = better.encode(**batches[0])["z"]
    torch.testing.assert_close(q.mean, means)
    torch.testing.assert_close(q.stddev, scales)
    kl = kl_divergence(q, better.latents["z"].default_prior(q.batch_shape, means))
    torch.testing.assert_close(after.kl.float(), kl)


def test_the_kl_weight_of_training_is_that_of_the_steps():
    model = vae(**GRAPHS["vae"], refinement={**PLAN, "steps": 30}).eval()
    texts = {"text": ids(4, 6, 3)}
    kls = []
    for weight in (0.0, 1.0, 5.0):
        model.objective = ELBO(kl_weight=weight)
        kls.append(model(step=0, **texts).terms["kl"])
    assert kls == sorted(kls, reverse=True) and kls[0] > kls[2] + 0.1
    model.objective = ImportanceWeighted(samples=2)
    assert model(step=0, **texts).value.isfinite()


DRAWN = sorted(
    kind for kind, family in Family.kinds.items() if not family.enumerated and not family.certain
)


@pytest.mark.parametrize("kind", DRAWN)
def test_every_family_is_refined(kind):
    latent = {"name": "z", "kind": kind, "given": ["text"], **sizes_of(kind)}
    model = vae([TEXT], [latent], [{**TEXT, "given": ["z"]}])
    better = vae(
        [TEXT],
        [latent],
        [{**TEXT, "given": ["z"]}],
        refinement={"steps": 20, "learning_rate": 0.05, "samples": 20},
    )
    better.load_state_dict(model.state_dict())
    batches = [{"text": ids(4, 0, 6, 2)}]
    before, after = (likelihood(m, batches, 2000).elbo.mean() for m in (model, better))
    assert after > before


def test_a_saved_model_refines_as_before(tmp_path):
    model = vae(**GRAPHS["vae"], refinement=PLAN)
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path).eval()
    assert loaded.refinement == Refinement(**PLAN)
    texts = ids(4, 0)
    expected = model.encode(text=texts)["z"].mean
    torch.testing.assert_close(loaded.encode(text=texts)["z"].mean, expected)


@pytest.mark.parametrize(
    ("graph", "refinement", "message"),
    [
        ("vae", {"step": 3}, r"refinement\.step: unknown key \(did you mean 'steps'"),
        ("vae", {"steps": 0}, r"refinement\.steps: .* \(got 0\)"),
        ("language model", {}, "refinement: the model has no latent"),
        ("hierarchy", {}, "refinement: z is given the latent 'top'"),
    ],
)
def test_what_cannot_be_refined_is_named(graph, refinement, message):
    config = VAEConfig(vocab_size=VOCAB, **GRAPHS[graph])
    config.refinement = refinement
    (problem,) = check_graph(config)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(problem)


def test_a_missing_field_is_named():
    model = vae(**GRAPHS["crossed"], refinement=PLAN)
    with pytest.raises(ValueError, match=r"needs the fields \['answer'\]"):
        model.encode(question=ids(3))
