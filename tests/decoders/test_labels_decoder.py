"""Sets of labels: their probabilities add up, also where labels depend on each other."""

from itertools import product

import pytest
import torch
from conftest import standard_error

from textvae.decoders import Decoder
from textvae.encoders import Encoder

SETS = torch.tensor(list(product((0.0, 1.0), repeat=3)))
H = 4
DRAWS = 20_000


def build(**settings):
    decoder = Decoder.build({"kind": "labels", **settings}, label_set=3, features=H).eval()
    if decoder.loadings is not None:
        decoder.loadings.data = torch.tensor([[1.5, 0.0], [1.0, -0.5], [0.0, 0.7]])
    return decoder


@pytest.mark.parametrize("settings", [{}, {"hidden": 5}, {"rank": 2, "evaluation_draws": DRAWS}])
def test_the_probabilities_of_all_sets_add_up_to_one(settings):
    distribution = build(**settings)(torch.randn(2, 1, H))
    total = sum(distribution.log_prob(each[None]).double().exp() for each in SETS)
    # Eight means over draws that do not share their noise.
    torch.testing.assert_close(total, torch.ones(2, 1).double(), atol=0.02, rtol=0)


def test_the_probit_is_the_frequency_of_signs_of_a_gaussian():
    distribution = build(rank=2, evaluation_draws=DRAWS)(torch.randn(1, 1, H))
    scores, loadings = distribution.scores[0, 0], distribution.loadings
    cholesky = torch.linalg.cholesky(torch.eye(3) + loadings @ loadings.T)
    signs = (scores + torch.randn(200_000, 3) @ cholesky.T > 0).float()
    for each in SETS:
        found = standard_error((signs == each).all(-1).float())
        expected = distribution.log_prob(each[None]).exp().item()
        assert abs(found.mean - expected) < 5 * found.error + 0.01  # the mean of our draws


@pytest.mark.parametrize("settings", [{}, {"rank": 2}])
def test_samples_have_the_stated_mean(settings):
    distribution = build(**settings)(torch.randn(2, 3, H))
    found = standard_error(distribution.sample(torch.Size([20_000])))
    assert ((found.mean - distribution.mean).abs() < 5 * found.error + 1e-6).all()
    assert torch.equal(distribution.mode, (distribution.mean > 0.5).float())


def test_labels_with_like_loadings_occur_together():
    decoder = build(rank=2)
    distribution = decoder(torch.zeros(1, 1, H))
    first, second, _ = distribution.sample(torch.Size([20_000]))[:, 0, 0].T
    assert torch.corrcoef(torch.stack([first, second]))[0, 1] > 0.2


@pytest.mark.parametrize("settings", [{}, {"rank": 2}])
def test_a_missing_set_says_nothing_and_scores_far_from_zero_stay_finite(settings):
    decoder = build(**settings)
    torch.nn.init.constant_(decoder.output.weight, 20.0)
    distribution = decoder(torch.randn(2, 3, H))
    found = distribution.log_prob(torch.tensor([[1.0, 0, 1], [-1, -1, -1], [0, 0, 0]]))
    assert found.isfinite().all() and torch.equal(found[:, 1], torch.zeros(2))
    assert (found[:, [0, 2]] < 0).any()


def test_training_and_evaluation_have_their_own_number_of_draws():
    decoder = build(rank=2, draws=3, evaluation_draws=7)
    assert decoder.noise_draws == 7 and decoder.train().noise_draws == 3
    assert build().noise_draws == 0


def test_every_parameter_learns():
    decoder = build(rank=2, hidden=5).train()
    decoder(torch.randn(2, 3, H)).log_prob(SETS[1:4]).sum().backward()
    assert all(each.grad.abs().sum() > 0 for each in decoder.parameters())


def test_the_encoder_tells_a_missing_set_from_an_empty_one():
    sets = torch.tensor([[1.0, 0, 0], [0, 0, 0], [-1, -1, -1]])
    found = Encoder.build({"kind": "labels"}, label_set=3)(sets).pooled
    assert found.tolist() == [[1, -1, -1], [-1, -1, -1], [0, 0, 0]]
    embedded = Encoder.build({"kind": "labels", "dim": 2}, label_set=3)
    assert embedded.features == 2 and not embedded(sets).pooled[2].any()
    assert embedded(sets).pooled[:2].all()
