"""Sparse probabilities from logits: the rules against what defines them."""

import pytest
import torch

from textvae.layers.sparsification import SPARSIFIERS, evidential, sparsemax, top_p


def belief_masses(logits):
    """Mass of each single class, (K,), up to a factor, from the weights of evidence.

    Source: Itkina et al. 2020, eq. 5 to 7, and Denoeux 2019, arXiv:1807.01846.
    """
    weights = (logits - logits.mean()).double()
    above, below = weights.clamp(min=0), (-weights).clamp(min=0)
    against = 1 - (-below).exp()
    masses = []
    for k in range(len(logits)):
        others = torch.cat([against[:k], against[k + 1 :]]).prod()
        masses.append((-below[k]).exp() * (above[k].exp() - 1 + others))
    return torch.stack(masses)


@pytest.mark.parametrize("classes", [2, 3, 10, 64])
def test_evidential_keeps_the_classes_with_a_mass_of_their_own(classes):
    for _ in range(20):
        logits = 3 * torch.randn(classes)
        probabilities = evidential(logits)
        assert ((belief_masses(logits) > 1e-12) == (probabilities > 0)).all()
        kept = probabilities > 0
        torch.testing.assert_close(probabilities[kept], logits[kept].softmax(-1))


def test_evidential_keeps_all_of_equal_classes():
    torch.testing.assert_close(evidential(torch.full((2, 4), 1.7)), torch.full((2, 4), 0.25))


def test_sparsemax_is_the_nearest_point_of_the_simplex():
    """No point of the simplex is nearer: <y - p, z - p> <= 0 at each corner y."""
    logits = 2 * torch.randn(50, 6)
    nearest = sparsemax(logits)
    corners = torch.eye(6) - nearest[:, None]
    assert ((corners * (logits - nearest)[:, None]).sum(-1) <= 1e-5).all()
    assert (nearest == 0).any()


@pytest.mark.parametrize("share", [0.3, 0.9, 1.0])
def test_top_p_keeps_the_fewest_classes(share):
    logits = 2 * torch.randn(50, 6)
    whole, kept = logits.softmax(-1), top_p(logits, share) > 0
    total = (whole * kept).sum(-1)
    least = whole.masked_fill(~kept, 2).amin(-1)
    assert (total >= share - 1e-5).all() and (total - least < share + 1e-5).all()


@pytest.mark.parametrize("rule", SPARSIFIERS)
def test_probabilities_add_up_and_keep_their_order(rule):
    logits = 2 * torch.randn(7, 3, 5)
    probabilities = SPARSIFIERS[rule](logits)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(7, 3))
    order = logits.argsort(-1, descending=True)
    assert (probabilities.gather(-1, order).diff(dim=-1) <= 1e-7).all()
    assert torch.equal(SPARSIFIERS[rule](logits + 3) > 0, probabilities > 0)
