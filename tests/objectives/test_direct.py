"""Direct optimisation through arg max: its gradient, its value, and what it refuses."""

import math

import pytest
import torch
from conftest import GRAPHS, fields_of, output, standard_error, vae
from torch.distributions import OneHotCategorical

from textvae.objectives import Objective
from textvae.objectives.direct import Direct
from textvae.objectives.elbo import ELBO
from textvae.objectives.outputs import Latent, VAEOutput
from textvae.objectives.schedules import Linear

C, B = 5, 3


def classes(logits, costs, samples=1):
    """One enumerated latent, q(k | x) = softmax(logits), (B, C), and -log p(x | k), (B, C)."""
    batch, size = logits.shape
    values = torch.eye(size).repeat(samples, 1)[:, None].expand(-1, batch, -1)
    posterior, prior = (
        OneHotCategorical(logits=each[None], validate_args=False)
        for each in (logits, torch.zeros_like(logits))
    )
    latent = Latent(values, posterior, prior, enumerated=True)
    return VAEOutput({"k": latent}, {"x": -costs.T.repeat(samples, 1)})


def cosine(a, b):
    return torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), 0).item()


@pytest.mark.parametrize(("epsilon", "least"), [(0.1, 0.9), (1.0, 0.9)])
def test_the_gradient_is_that_of_the_sum_over_classes(epsilon, least):
    logits = torch.randn(B, C).requires_grad_()
    costs = 3 * torch.randn(B, C)
    (exact,) = torch.autograd.grad(ELBO()(classes(logits, costs), 0).value, logits)
    objective = Direct(epsilon=epsilon)
    value = objective(classes(logits, costs, samples=20_000), 0).value
    (found,) = torch.autograd.grad(value, logits)
    assert cosine(found, exact) >= least


def test_epsilon_weighs_bias_against_noise():
    """The bias at a large epsilon is beyond the noise of its mean."""
    logits = torch.randn(B, C).requires_grad_()
    costs = 3 * torch.randn(B, C)
    (exact,) = torch.autograd.grad(ELBO()(classes(logits, costs), 0).value, logits)

    def gradients(epsilon, times=400):
        draws = []
        for _ in range(times):
            value = Direct(epsilon=epsilon)(classes(logits, costs), 0).value
            draws.append(torch.autograd.grad(value, logits)[0])
        return standard_error(torch.stack(draws))

    large, small = gradients(20.0), gradients(0.5)
    assert large.error.mean() < small.error.mean()
    assert ((large.mean - exact).abs() > 5 * large.error).any()


def test_the_value_is_the_negative_elbo_on_average():
    logits, costs = torch.randn(B, C), torch.rand(B, C)
    out = classes(logits, costs)
    draws = torch.stack([Direct()(out, 0).value for _ in range(2000)])
    found, exact = standard_error(draws), ELBO()(out, 0)
    # Five standard errors: one test in a million fails by chance.
    assert (found.mean - exact.value).abs() < 5 * found.error
    for name in ("elbo", "reconstruction_loss", "kl"):
        torch.testing.assert_close(Direct()(out, 0).terms[name], exact.terms[name])


def test_the_decoder_learns_from_the_chosen_class_alone():
    costs = torch.rand(1, C).requires_grad_()
    logits = torch.tensor([[50.0, 0, 0, 0, 0]])
    (gradient,) = torch.autograd.grad(Direct()(classes(logits, costs), 0).value, costs)
    assert gradient.tolist() == [[1.0, 0, 0, 0, 0]]


def test_a_latent_given_the_class_counts_with_its_kl():
    model = vae(**GRAPHS["classes"])
    fields = fields_of(model, 4, 0, 2)
    model.objective = Objective.build({"kind": "direct"}, sizes=model.sizes)
    model(step=0, **fields).value.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    out = model.infer(1, **fields)
    draws = torch.stack([Direct()(out, 0).value for _ in range(2000)])
    found = standard_error(draws)
    assert (found.mean - ELBO()(out, 0).value).abs() < 5 * found.error


def test_schedules_are_those_of_the_step():
    objective = Direct(epsilon=Linear(steps=10, start=1.0, end=0.5), kl_weight=Linear(steps=10))
    terms = objective(classes(torch.zeros(B, C), torch.zeros(B, C)), 5).terms
    assert terms["epsilon"].item() == 0.75 and terms["kl_weight"].item() == 0.5


def test_a_nan_reaches_the_loss():
    costs = torch.zeros(B, C)
    costs[1, 2] = math.nan
    assert Direct()(classes(torch.zeros(B, C), costs, samples=50), 0).value.isnan()


def test_what_it_cannot_be_used_on_is_refused():
    with pytest.raises(ValueError, match=r"direct needs a categorical latent \(known: z\)"):
        Direct()(output([torch.ones(2, 2)]), 0)
    with pytest.raises(ValueError, match=r"objective.epsilon: must be above 0 \(got 0\)"):
        Direct(epsilon=0)(classes(torch.zeros(B, C), torch.zeros(B, C)), 0)
    q = OneHotCategorical(logits=torch.zeros(C, B, C))
    values = torch.eye(C)[:, None].expand(-1, B, -1)
    out = VAEOutput({"k": Latent(values, q, q, True)}, {"x": torch.zeros(C, B)})
    with pytest.raises(ValueError, match="needs 'k' given encoders, no latents"):
        Direct()(out, 0)
