"""Point: an autoencoder's code."""

import pytest
import torch
from support.families import H

from textvae.families import Family
from textvae.objectives.outputs import Latent


@pytest.mark.parametrize("box", [None, 1.5])
def test_point_is_its_head_and_has_no_kl(box):
    family = Family.build({"kind": "point", "dim": 3, "box": box}, features=H)
    context = 5 * torch.randn(2, 64, H)
    q = family(context)
    assert torch.equal(q.rsample(), q.mean)
    prior = family.default_prior(q.batch_shape, context)
    drawn = family.default_prior(torch.Size((1, 1)), context).expand((1, 1000)).sample()
    assert drawn.shape == (1, 1000, 3)
    latent = Latent(q.rsample(), q, prior)
    assert not latent.kl().any() and latent.kl().shape == latent.log_ratio().shape == (2, 64)
    assert not q.stddev.any() and (q.mean.var((0, 1)) > 0.05).all()
    boxed = box is not None
    assert (q.mean.abs().max() < 1.5) == (drawn.abs().max() < 1.5) == boxed
    assert not boxed or (q.mean.abs().max() > 1 and drawn.abs().max() > 1), "all of the box is used"
    q.rsample().square().mul(torch.rand(2, 64, 3)).sum().backward()
    assert family.head.weight.grad.abs().sum() > 0
