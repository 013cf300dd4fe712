"""Matchers trained on real and generated pairs: what helps, what does not, and for which models."""

import pytest
import torch
from conftest import GRAPHS, vae

from textvae.evaluation import generated_pairs as module
from textvae.evaluation.generated_pairs import (
    drawn_rows,
    generated_pairs,
    paired_fields,
    similarity,
    trained_matcher,
)

X = {"kind": "mlp", "hidden": [6]}
GAUSSIAN = {"likelihood": {"kind": "gaussian"}}


def pairs(count: int, seed: int = 0, noise: float = 0.1):
    """Two linear views of one vector, with a little noise."""
    draw = torch.Generator().manual_seed(seed)
    mix = torch.Generator().manual_seed(99)
    views = [torch.randn(6, 10, generator=mix), torch.randn(6, 12, generator=mix)]
    source = torch.randn(count, 6, generator=draw)
    noises = [noise * torch.randn(count, view.shape[1], generator=draw) for view in views]
    first, second = (source @ view + more for view, more in zip(views, noises, strict=True))
    return first, second


def short(monkeypatch) -> None:
    """Matchers of few steps, of which one is of each kind."""
    monkeypatch.setattr(module, "MATCHERS", 1)
    monkeypatch.setattr(trained_matcher, "__defaults__", (200,))


def test_pairs_of_the_same_source_help_and_those_at_random_do_not(monkeypatch):
    short(monkeypatch)
    train, test = pairs(8), pairs(60, seed=1)
    good = generated_pairs(train, test, lambda count: pairs(count, seed=2))
    assert good.gain > 0.2 and good.gain == good.rank_1 - good.real_rank_1
    assert (good.real, good.generated, good.gallery) == (8, 960, 60)

    def unrelated(count):
        return pairs(count, seed=2)[0], pairs(count, seed=3)[1]

    bad = generated_pairs(train, test, unrelated)
    assert bad.real_rank_1 == good.real_rank_1 and bad.rank_1 < good.rank_1 - 0.2
    assert bad.cosine_real_rank_1 == good.cosine_real_rank_1


def test_a_matcher_is_the_same_each_time_and_leaves_the_random_state_alone():
    before = torch.random.get_rng_state()
    first, _ = trained_matcher(pairs(9), None, False, seed=3, steps=5)
    again, _ = trained_matcher(pairs(9), None, False, seed=3, steps=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first[1].weight, again[1].weight)


def test_half_of_a_batch_is_real(monkeypatch):
    seen = []

    def noted(given, count):
        seen.append((len(given[0]), count))
        return drawn_rows(given, count)

    monkeypatch.setattr(module, "drawn_rows", noted)
    trained_matcher(pairs(50), pairs(200), False, seed=0, steps=1)
    assert seen == [(50, 30), (200, 30)]
    seen.clear()
    trained_matcher(pairs(10), pairs(200), False, seed=0, steps=1)
    assert seen == [(10, 30), (200, 50)]
    seen.clear()
    trained_matcher(pairs(50), None, False, seed=0, steps=1)
    assert seen == [(50, 60)]


def test_cosines_do_not_depend_on_lengths():
    first, second = torch.randn(4, 3), torch.randn(5, 3)
    scale = torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None]
    torch.testing.assert_close(
        similarity(first, second, True), similarity(scale * first, second, True)
    )
    torch.testing.assert_close(similarity(first, second, False), first @ second.T)


def test_too_few_pairs_are_refused():
    with pytest.raises(ValueError, match=r"at least two .* pairs are needed \(got 1 and 4\)"):
        generated_pairs(pairs(1), pairs(4), pairs)


def model(fields=("near", "far"), **observed):
    names = {"near": {"shape": [5]}, "far": {"shape": [1, 2, 2]}} | observed
    return vae(
        [{"name": name, **X} for name in fields],
        [{"name": "z", "kind": "gaussian", "dim": 2, "given": list(fields)}],
        [{"name": name, **X, **GAUSSIAN, "given": ["z"]} for name in fields],
        observed=names,
    )


def test_models_that_write_two_images_or_vectors_have_pairs():
    assert paired_fields(model().config) == ("near", "far")
    assert paired_fields(model(("near",)).config) is None
    assert paired_fields(model(("near", "far", "mid"), mid={"shape": [3]}).config) is None
    assert paired_fields(vae(**GRAPHS["vae"]).config) is None


def test_a_model_that_is_given_a_view_has_none():
    net = vae(
        [{"name": "near", **X}, {"name": "far", **X}],
        [{"name": "z", "kind": "gaussian", "dim": 2, "given": ["near", "far"]}],
        [
            {"name": "far", **X, **GAUSSIAN, "given": ["z", "near"]},
            {"name": "mid", **X, **GAUSSIAN, "given": ["z"]},
        ],
        observed={"near": {"shape": [5]}, "far": {"shape": [4]}, "mid": {"shape": [4]}},
    )
    assert paired_fields(net.config) is None
