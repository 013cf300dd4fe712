"""The three parts of the KL over all rows, and which dimension has which factor of the data."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

ELEMENTS = 2**24
"""Most elements of the comparison of samples with rows at once."""

BINS = 20
"""Quantile bins of a dimension's means, in which it is compared with a factor."""


@dataclass(frozen=True)
class KLParts:
    """Parts of E KL(q(z | x) || N(0, I)) over all N rows, nats; they add up to it.

    Args:
        mutual_information: I(x; z), at most ln N.
        total_correlation: KL(q(z) || prod_j q(z_j)).
        marginal_kl: sum_j KL(q(z_j) || p(z_j)).
        rows: N; q(z) is the mean of their posteriors.
        samples: of each posterior.

    Source: Chen et al. 2018, eq. 2, arXiv:1802.04942.
    """

    mutual_information: float
    total_correlation: float
    marginal_kl: float
    rows: int
    samples: int


@dataclass(frozen=True)
class FactorGap:
    """What the dimensions of z have of one factor.

    Args:
        name: of the factor.
        values: number of its values.
        dimension: that has most of it.
        information: of that dimension, as a share of the factor's entropy.
        gap: by how much that exceeds the share of the second best dimension.
    """

    name: str
    values: int
    dimension: int
    information: float
    gap: float


@dataclass(frozen=True)
class FactorMetrics:
    """Parts of the KL, and the mutual information gap where factors are known.

    Args:
        mutual_information: I(x; z), nats.
        total_correlation: of the aggregate posterior, nats.
        marginal_kl: sum of the KLs of the dimensions' aggregate posteriors, nats.
        rows: that q(z) is made of.
        samples: of each posterior.
        mutual_information_gap: mean gap of the factors; None where none are known.
        factors: one for each.
    """

    mutual_information: float
    total_correlation: float
    marginal_kl: float
    rows: int
    samples: int
    mutual_information_gap: float | None = None
    factors: tuple[FactorGap, ...] = ()


def kl_parts(means: Tensor, scales: Tensor, samples: int = 1, seed: int = 0) -> KLParts:
    """The parts of the KL of Gaussian posteriors to N(0, I).

    Each sample is compared with the posteriors of all rows, so time grows with N squared; memory
    does not.

    Args:
        means: of the posteriors, (N, D).
        scales: their standard deviations, (N, D).
        samples: of each posterior.
        seed: of the samples.
    """
    count, dim = means.shape
    means, scales = means.double(), scales.double()
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(samples, count, dim, generator=generator, dtype=torch.float64)
    constant = 0.5 * math.log(2 * math.pi)
    sums = np.zeros(3)
    drawn = (means + scales * noise).flatten(0, 1)
    for z in drawn.split(max(1, ELEMENTS // (count * dim))):
        each = -0.5 * ((z[:, None] - means) / scales).square() - scales.log() - constant
        joint = each.sum(-1).logsumexp(-1) - math.log(count)
        product = (each.logsumexp(-2) - math.log(count)).sum(-1)
        prior = (-0.5 * z.square() - constant).sum(-1)
        sums += [joint.sum().item(), product.sum().item(), prior.sum().item()]
    own = (-0.5 * noise.square() - scales.log() - constant).sum(-1).mean().item()
    joint, product, prior = sums / (samples * count)
    return KLParts(own - joint, joint - product, product - prior, count, samples)


def factor_gaps(
    means: np.ndarray, factors: np.ndarray, names: Sequence[str] = ()
) -> list[FactorGap]:
    """How well single dimensions have each factor.

    Args:
        means: posterior means, (N, D).
        factors: the value of each factor, (N, F), of any type.
        names: of the factors; None for their numbers.

    Raises:
        ValueError: the rows differ in number, or z has a single dimension.

    Source: Chen et al. 2018, eq. 6, arXiv:1802.04942 (the mutual information gap, there of samples
    of z); means in quantile bins as Locatello et al. 2019, arXiv:1811.12359, who take equal bins.
    """
    if len(means) != len(factors):
        raise ValueError(f"{len(factors):,} rows of factors for {len(means):,} rows")
    if means.shape[1] < 2:
        raise ValueError("a gap between dimensions needs at least two")
    binned = [in_quantiles(column) for column in means.T]
    gaps = []
    for number, column in enumerate(factors.T):
        values = np.unique(column, return_inverse=True)[1]
        entropy = discrete_information(values, values)
        shares = [discrete_information(z, values) / entropy if entropy else 0.0 for z in binned]
        order = np.argsort(shares)[::-1]
        best, second = (float(shares[order[place]]) for place in (0, 1))
        name = names[number] if number < len(names) else str(number)
        gaps.append(FactorGap(name, int(values.max()) + 1, int(order[0]), best, best - second))
    return gaps


def in_quantiles(values: np.ndarray, bins: int = BINS) -> np.ndarray:
    """The quantile bin of each value, (N,), int64."""
    inner = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])
    return np.searchsorted(np.unique(inner), values, side="right")


def discrete_information(first: np.ndarray, second: np.ndarray) -> float:
    """I(a; b) of two columns of whole numbers, (N,), nats; the entropy of one with itself."""
    counts = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(counts, (first, second), 1.0)
    joint = counts / counts.sum()
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / independent[there])).sum())


def factor_metrics(
    means: Tensor,
    scales: Tensor,
    factors: np.ndarray | None = None,
    names: Sequence[str] = (),
    samples: int = 1,
    seed: int = 0,
) -> FactorMetrics:
    """`kl_parts`, with `factor_gaps` where factors are known."""
    parts = kl_parts(means, scales, samples, seed)
    gaps = () if factors is None else tuple(factor_gaps(means.numpy(), factors, names))
    mean = sum(gap.gap for gap in gaps) / len(gaps) if gaps else None
    return FactorMetrics(**vars(parts), mutual_information_gap=mean, factors=gaps)
