"""Plug-in VAEs over codes: the loss, the training and the files."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from textvae.checkpoints import CheckpointError
from textvae.control.plug_in import (
    FACTS,
    WEIGHTS,
    PlugIn,
    PlugInSettings,
    distortion_and_kl,
    load_plug_in,
    train_plug_in,
)

SHORT = PlugInSettings(steps=60, batch=16)


def groups() -> tuple[np.ndarray, np.ndarray]:
    """Codes with an attribute, at 3 in the first dimension, and without it, at -3."""
    noise = np.random.default_rng(0).standard_normal((2, 100, 4)).astype(np.float32)
    noise[:, :, 0] += [[3.0], [-3.0]]
    return noise[0], noise[1]


def test_layers_are_those_of_the_paper():
    widths = [layer.out_features for layer in PlugIn(7).modules() if hasattr(layer, "out_features")]
    assert widths == [64, 32, 40, 32, 64, 7]


def test_distortion_and_kl_are_those_of_each_group():
    plug_in = PlugIn(4, 3)
    z, noise = torch.randn(2, 5, 4), torch.randn(2, 5, 3)
    distortion, kl = distortion_and_kl(plug_in, z, noise)
    loc, log_variance = plug_in.encoder(z).chunk(2, -1)
    q = Normal(loc, log_variance.exp().sqrt())
    expected = kl_divergence(q, Normal(0.0, 1.0)).sum(-1).mean(1)
    assert torch.allclose(kl, expected, atol=1e-5)
    decoded = plug_in.decoder(q.loc + q.scale * noise)
    assert torch.allclose(distortion, ((decoded - z) ** 2).mean((1, 2)))


def test_kl_reaches_its_capacity():
    settings = PlugInSettings(steps=800, capacity=2.0, batch=64)
    _, losses = train_plug_in(groups()[0], None, settings)
    assert losses["kl"] == pytest.approx(2.0, abs=0.3) and set(losses) == {"kl", "distortion"}
    assert losses["distortion"] < 0.9


def test_samples_have_the_moments_of_the_codes():
    wanted, unwanted = groups()
    plug_in, losses = train_plug_in(wanted, unwanted, PlugInSettings(steps=800, batch=64))
    z = plug_in.sample(500, seed=0)
    assert z.shape == (500, 4) and z.dtype == np.float32
    assert abs(z.mean(0) - wanted.mean(0)).max() < 0.8 and (z[:, 0] > 0).all()
    assert losses["others_distortion"] > losses["distortion"]


def test_distortion_of_others_is_raised_to_the_margin_alone():
    wanted, unwanted = groups()
    settings = PlugInSettings(steps=800, batch=64, gamma=1.0, margin=3.0)
    _, losses = train_plug_in(wanted, 0.1 * unwanted, settings)
    # The codes of both groups are mixed: without the margin it is above a thousand.
    assert 1.5 < losses["others_distortion"] < 30


def test_gamma_zero_is_a_training_without_others():
    wanted, unwanted = groups()
    settings = PlugInSettings(steps=60, batch=16, gamma=0.0)
    alone, _ = train_plug_in(wanted, None, settings)
    both, losses = train_plug_in(wanted, unwanted, settings)
    assert np.array_equal(alone.sample(5, 0), both.sample(5, 0))
    assert "others_kl" not in losses


def test_training_and_samples_follow_their_seeds():
    first, second, other = (train_plug_in(*groups(), SHORT, seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(first.sample(3, 0), second.sample(3, 0))
    assert not np.allclose(first.sample(3, 0), other.sample(3, 0))
    assert not np.allclose(first.sample(3, 0), first.sample(3, 1))
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train_plug_in(*groups(), SHORT)
    assert torch.equal(torch.rand(1), expected)


def test_constant_dimension_stays():
    wanted, _ = groups()
    wanted[:, 2] = 1.5
    plug_in, _ = train_plug_in(wanted, None, SHORT)
    assert np.allclose(plug_in.sample(4, 0)[:, 2], 1.5, atol=1e-3)


def test_files_give_the_same_plug_in(tmp_path):
    plug_in, _ = train_plug_in(*groups(), SHORT)
    plug_in.base, plug_in.facts = "sha", {"seed": 0}
    for _ in range(2):  # the second replaces the first
        plug_in.save_pretrained(str(tmp_path / "plug"))
    loaded = load_plug_in(tmp_path / "plug")
    assert np.array_equal(loaded.sample(3, 0), plug_in.sample(3, 0))
    assert (loaded.base, loaded.facts, loaded.holding) == ("sha", {"seed": 0}, None)


def test_other_folders_are_not_written_to(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds other files"):
        PlugIn(3).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="is a file"):
        PlugIn(3).save_pretrained(tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def damaged(folder, name):
    (folder / name).write_bytes(b"{" + (folder / name).read_bytes()[:40])


@pytest.mark.parametrize("name", [WEIGHTS, FACTS])
def test_damaged_files_are_named(tmp_path, name):
    PlugIn(3).save_pretrained(tmp_path)
    damaged(tmp_path, name)
    with pytest.raises(CheckpointError, match=f"no sound plug-in: {name} is damaged"):
        load_plug_in(tmp_path)


def test_folder_without_a_plug_in_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no plug-in: plug_in\.json is missing"):
        load_plug_in(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gamma": -0.1}, "gamma: must be from 0 to 1"),
        ({"gamma": float("nan")}, "gamma: must be from 0 to 1"),
        ({"capacity": -1}, "capacity: must be from 0"),
        ({"steps": 0}, "steps: must be above 0"),
        ({"margin": 0}, "margin: must be above 0"),
    ],
)
def test_settings_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        PlugInSettings(**values)


def test_no_code_cannot_be_asked_for():
    with pytest.raises(ValueError, match="at least one code"):
        PlugIn(3).sample(0)


def test_others_may_be_far_away_where_the_codes_never_vary():
    wanted, others = groups()
    wanted[:, 2], others[:, 2] = 1.5, 0.0  # a class as latent
    plug_in, losses = train_plug_in(wanted, others, SHORT)
    assert np.isfinite(list(losses.values())).all()
    assert np.allclose(plug_in.sample(4, 0)[:, 2], 1.5, atol=1e-3)
