"""Losses per position: they add up to the reconstruction loss, and padding is no position."""

import pytest
import torch
from conftest import DECODERS, GRAPHS, TEXT, Z, fields_of, ids, vae

from textvae.evaluation.likelihood import likelihood
from textvae.evaluation.positions import (
    PositionLosses,
    first_token_share,
    improvement,
    position_losses,
    recovery,
    shuffled_z_gap,
)
from textvae.graph.model import VAE, VAEConfig
from textvae.vocabulary import PAD

CONDITIONAL = {
    "encoders": [{**TEXT, "name": "context"}],
    "latents": [{**Z, "given": ["context"]}],
    "decoders": [{**TEXT, "name": "answer", "given": ["z", "context"]}],
}
MODELS = {
    "vae": GRAPHS["vae"],
    "language model": GRAPHS["language model"],
    "learned prior": GRAPHS["learned prior"],
    "another field is encoded": CONDITIONAL,
} | {
    name: {**GRAPHS["vae"], "decoders": [{"name": "text", "given": ["z"], **spec}]}
    for name, spec in DECODERS.items()
}


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def model(request):
    return vae(**request.param)


def mean_reconstruction(model, fields):
    """-log p(x | mean of q) of all texts of a batch."""
    values = {name: q.mean[None] for name, q in model.encode(**fields).items()}
    (name,) = model.decoders
    texts = fields[model.field_of(name)]
    likelihoods = model.likelihoods(values, model.read(fields), len(texts))
    return -likelihoods[name].log_prob(texts).sum().item()


def test_they_add_up_to_the_reconstruction_loss(model):
    batches = [fields_of(model, 4, 0, 7), fields_of(model, 2, 2)]
    found = position_losses(model, batches, use_mean=True)
    assert found.count.tolist() == [5, 4, 4, 2, 2, 1, 1, 1]
    total = (found.loss * found.count).sum().item()
    assert total == pytest.approx(sum(mean_reconstruction(model, b) for b in batches), rel=1e-5)


def test_samples_give_the_reconstruction_of_the_likelihood(model):
    batches = [fields_of(model, 4, 0, 7)]
    found = position_losses(model, batches, samples=2000)
    expected = likelihood(model, batches, 2000).reconstruction_loss.sum().item()
    # Three texts of a few nats' deviation: the error of the sum is about 0.1 nats.
    assert (found.loss * found.count).sum().item() == pytest.approx(expected, abs=0.7)


def test_each_position_is_the_mean_over_the_texts_that_reach_it():
    model = vae(**GRAPHS["language model"])
    texts = ids(3, 0)
    losses = -model.decoders["text"](torch.zeros(1, 2, 0)).token_log_probs(texts)[0]
    found = position_losses(model, [{"text": texts}])
    expected = torch.cat([losses[:, :1].mean(0), losses[0, 1:]])
    torch.testing.assert_close(found.loss, expected)
    assert found.count.tolist() == [2, 1, 1, 1]


def test_losses_from_the_end_are_the_losses_aligned_right():
    model = vae(**GRAPHS["language model"])
    texts = ids(3, 0, 1)
    losses = -model.decoders["text"](torch.zeros(1, 3, 0)).token_log_probs(texts)[0].detach()
    found = position_losses(model, [{"text": texts[:2]}, {"text": texts[2:]}]).from_end
    rows = [losses[0].flip(0), losses[1, :1], losses[2, :2].flip(0)]
    expected = [[row[place] for row in rows if len(row) > place] for place in range(4)]
    torch.testing.assert_close(found, torch.tensor([sum(e) / len(e) for e in expected]))


def test_padding_is_no_position(model):
    fields = fields_of(model, 4, 0, 7)
    padded = {n: torch.cat([v, torch.full((3, 4), PAD)], 1) for n, v in fields.items()}
    found, expected = (position_losses(model, [f], use_mean=True) for f in (padded, fields))
    assert torch.equal(found.count, expected.count)
    torch.testing.assert_close(found.loss, expected.loss)
    torch.testing.assert_close(found.from_end, expected.from_end)


def test_recovery_counts_what_comes_back_at_each_place():
    texts = [[5, 6, 7, 2], [5, 2], [8, 9, 2]]
    decoded = [[5, 9, 7, 2], [5, 2], [9, 8, 8, 2]]
    found = recovery(texts, decoded)
    assert found.rate.tolist() == pytest.approx([2 / 3, 1 / 3, 1 / 2, 1.0])
    assert found.count.tolist() == [3, 3, 2, 1]
    assert (found.first_word, found.length, found.exact) == pytest.approx((2 / 3, 2 / 3, 1 / 3))
    assert recovery([[5, 6, 2]], [[5]]).rate.tolist() == pytest.approx([1.0, 0.0, 0.0])
    with pytest.raises(ValueError, match="no text"):
        recovery([], [])


def test_improvement_has_a_sign():
    found = improvement(torch.tensor([2.0, 1.0, 5.0]), torch.tensor([1.0, 1.5]))
    torch.testing.assert_close(found, torch.tensor([0.5, -0.5]))


def test_the_seed_decides_and_the_caller_s_random_state_stays():
    model, batches = vae(**GRAPHS["vae"]).train(), [{"text": ids(5, 2)}]
    before = torch.get_rng_state()
    first = position_losses(model, batches).loss
    assert torch.equal(torch.get_rng_state(), before) and not model.training
    assert torch.equal(position_losses(model, batches).loss, first)
    assert not torch.equal(position_losses(model, batches, seed=1).loss, first)
    means = [position_losses(model, batches, use_mean=True, seed=seed).loss for seed in (0, 1)]
    assert torch.equal(*means)


def test_a_shift_gives_each_text_the_latents_of_the_one_before():
    model, fields = vae(**GRAPHS["vae"]), {"text": ids(4, 4, 4)}
    moved = {"text": fields["text"][[2, 0, 1]]}
    features = model.read(moved)
    z = model.draw(features, 1, 3, use_mean=True)["z"].value
    likelihood = model.likelihoods({"z": z}, model.read(fields), 3)["text"]
    expected = -likelihood.token_log_probs(fields["text"]).mean((0, 1))
    found = position_losses(model, [fields], use_mean=True, shift=1)
    torch.testing.assert_close(found.loss, expected.detach())
    assert found.count.tolist() == [3] * 5
    assert not torch.equal(found.loss, position_losses(model, [fields], use_mean=True).loss)


def test_shuffled_z_gap_is_the_added_loss_per_text():
    count = torch.tensor([100, 100, 1])
    rest = torch.zeros(3), torch.zeros(100, 2)
    own = PositionLosses(torch.tensor([2.0, 2.0, 2.0]), count, *rest)
    another = PositionLosses(torch.tensor([3.0, 1.5, 52.0]), count, *rest)
    assert shuffled_z_gap(own, another).tolist() == [1.0, -0.5, 0.5]


def test_losses_of_texts_are_at_the_first_target_and_at_all():
    found = position_losses(vae(**GRAPHS["vae"]), [{"text": ids(4, 0)}, {"text": ids(6, 1, 3)}])
    assert found.texts.shape == (5, 2)
    assert found.texts[:, 0].mean().item() == pytest.approx(found.loss[0].item())
    total = (found.loss * found.count).sum().item()
    assert found.texts[:, 1].sum().item() == pytest.approx(total, rel=1e-5)


def test_standard_error_of_a_share_is_that_of_the_bootstrap():
    draw = torch.Generator().manual_seed(0)
    gap = 3 + torch.randn(400, generator=draw).double()
    first = 0.4 * gap + 0.5 * torch.randn(400, generator=draw).double()
    gains = torch.stack([first, gap], 1)
    zeros, count = torch.zeros(2), torch.tensor([400, 400])
    own = PositionLosses(zeros, count, zeros, torch.zeros(400, 2).double())
    means = torch.stack([first.mean(), (gap - first).mean()])
    share, error = first_token_share(own, PositionLosses(means, count, zeros, gains))
    assert share == pytest.approx(first.mean().item() / gap.mean().item())
    rows = torch.randint(400, (500, 400), generator=draw)
    resampled = first[rows].mean(1) / gap[rows].mean(1)
    # 500 resamples: the deviation is known to some 3 %.
    assert error == pytest.approx(resampled.std().item(), rel=0.15)


def test_what_has_no_positions_is_refused():
    with pytest.raises(ValueError, match=r"one text decoder \(got 2\)"):
        position_losses(vae(**GRAPHS["crossed"]), [])
    with pytest.raises(ValueError, match="no text"):
        position_losses(vae(**GRAPHS["vae"]), [])


def test_later_latents_are_given_samples_of_the_earlier_ones():
    config = VAEConfig(
        vocab_size=12,
        encoders=[{"name": "text", "kind": "lstm", "hidden": 6}],
        latents=[
            {"name": "low", "kind": "gaussian", "dim": 2, "given": ["text"]},
            {"name": "high", "kind": "gaussian", "dim": 2, "given": ["low"]},
        ],
        decoders=[{"name": "text", "kind": "lstm", "hidden": 6, "given": ["high"]}],
    )
    model = VAE(config).eval()
    ids = torch.tensor([[1, 5, 6, 2], [1, 7, 8, 2]])
    torch.manual_seed(3)
    expected = -model.infer(samples=4, text=ids).total_log_likelihood.mean()
    torch.manual_seed(3)
    found = position_losses(model, [{"text": ids}], samples=4, seed=3)
    torch.testing.assert_close((found.loss * found.count).sum() / 2, expected)
