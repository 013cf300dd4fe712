"""Metrics of codes: how many of a codebook are used, and their entropy over the rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from textvae.families import Family
from textvae.families.vq import VQ
from textvae.graph.model import VAE


@dataclass(frozen=True)
class CodeUsage:
    """The use of a codebook over all rows and places.

    Args:
        used: codes that occur.
        size: codes of the codebook, K.
        perplexity: exp(entropy of their frequencies), 1 to K.

    Source: van den Oord et al. 2017, arXiv:1711.00937 (its code prints the perplexity).
    """

    used: int
    size: int
    perplexity: float


def usage_of(numbers: np.ndarray, size: int) -> CodeUsage:
    """The use of a codebook of a size by codes of any shape, int64.

    >>> usage_of(np.array([0, 1, 1, 0]), 8)
    CodeUsage(used=2, size=8, perplexity=2.0)
    """
    counts = np.bincount(numbers.reshape(-1), minlength=size)
    shares = counts[counts > 0] / counts.sum()
    return CodeUsage(len(shares), size, float(np.exp(-(shares * np.log(shares)).sum())))


def least_used(model: VAE, values: Mapping[str, Tensor]) -> CodeUsage | None:
    """The use of a model's codebook; of several, the one with the least share in use.

    Args:
        model: the model.
        values: the latents of N rows, (N, D) by name.
    """
    found = [
        usage_of(family.code_numbers(values[name]).cpu().numpy(), family.size)
        for name, family in model.latents.items()
        if isinstance(family, VQ)
    ]
    return min(found, key=lambda usage: usage.perplexity / usage.size, default=None)


def entropy_of_rows(model: VAE, values: Mapping[str, Tensor]) -> Tensor:
    """-log of the share of rows that have the codes of each row, (N,), float64, nats.

    It is log q(z | x) - log q(z) where posteriors are certain, exact.

    Args:
        model: all of whose latents are codes.
        values: the latents of N rows, (N, D) by name.
    """
    numbers = [
        cast(Family, model.latents[name]).code_numbers(value) for name, value in values.items()
    ]
    codes = torch.cat(numbers, -1).cpu()
    _, group, counts = torch.unique(codes, dim=0, return_inverse=True, return_counts=True)
    return -(counts[group].double() / len(codes)).log()
