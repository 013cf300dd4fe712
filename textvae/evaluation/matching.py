"""Retrieval of each row's partner by the posterior means of two latents."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from textvae.data.batching import Examples
from textvae.evaluation.latent import posterior_moments, row_key
from textvae.evaluation.likelihood import standard_error
from textvae.graph.config import VAEConfig
from textvae.graph.model import VAE

POOL = 1000
"""Pairs whose partners are candidates of each other."""

CUTOFF = 5
"""Rank up to which a partner counts as found in the second recall."""


@dataclass(frozen=True)
class Matching:
    """How well the dot product of two posterior means finds each row's partner in a pool.

    The rank of a partner is one more than the number of other candidates of its pool that score
    as high. Equal candidates are one.

    Args:
        mrr: mean of 1 / rank.
        recall_1: share of the rows whose partner has rank 1.
        recall_5: share of the rows whose partner has rank 5 or better.
        candidates: different partners of a pool, mean.
        pairs: rows that were ranked.
        pool: rows of a pool.
        mrr_standard_error: of `mrr` over the rows, s / sqrt(N); None for a single row.

    Source: Yu et al. 2020, section 4, ACL (answer retrieval by crossing VAEs).
    """

    mrr: float
    recall_1: float
    recall_5: float
    candidates: float
    pairs: int
    pool: int
    mrr_standard_error: float | None = None


def paired_latents(config: VAEConfig) -> tuple[str, str] | None:
    """The two latents that can be matched: of one size, each read from one field of its own.

    None where there is no such pair, or more than one, and where rows have parts.
    """
    if config.plates:
        return None
    single: list[tuple[str, str, int | None]] = []
    for node in config.nodes("latents"):
        fields = config.fields_read(node["name"])
        if len(fields) == 1:
            single.append((node["name"], fields[0], node.get("dim")))
    pairs = [
        (first[0], second[0])
        for number, first in enumerate(single)
        for second in single[number + 1 :]
        if first[1] != second[1] and first[2] == second[2]
    ]
    return pairs[0] if len(pairs) == 1 else None


def match_rows(model: VAE, rows: Examples, seed: int = 0) -> Matching | None:
    """The `matching` of rows by the latents of a model; None where none can be matched.

    Args:
        model: is left in evaluation mode.
        rows: held out.
        seed: of the pools.
    """
    pair = paired_latents(model.config)
    if pair is None:
        return None
    order, batches = zip(*rows.in_length_order(), strict=True)
    moments = posterior_moments(model, batches)
    (field,) = model.config.fields_read(pair[1])
    partners = [row_key(rows[int(index)][field]) for index in np.concatenate(order)]
    first, second = (moments[name][0] for name in pair)
    return matching(first, second, partners, seed=seed)


def matching(
    first: Tensor, second: Tensor, partners: Sequence[Hashable], pool: int = POOL, seed: int = 0
) -> Matching:
    """The ranks of partners in pools of rows that are drawn at random.

    Args:
        first: posterior means of what is asked with, (N, D).
        second: those of the partners, (N, D).
        partners: the content of each partner, (N,); equal ones are one candidate.
        pool: rows of a pool; rows that fill none are left out, unless all rows are fewer.
        seed: of the pools.

    Raises:
        ValueError: there is no row.
    """
    if not len(first):
        raise ValueError("there is no row to match")
    order = np.random.default_rng(seed).permutation(len(first))
    size = min(pool, len(order))
    pools = [order[start : start + size] for start in range(0, len(order) - size + 1, size)]
    ranks, candidates = [], []
    for rows in pools:
        numbers: dict[Hashable, int] = {}
        own = [numbers.setdefault(partners[row], len(numbers)) for row in rows]
        shown = [rows[own.index(number)] for number in range(len(numbers))]
        scores = first[rows].double() @ second[shown].double().T
        ranks.append(ranks_of(scores, torch.tensor(own)))
        candidates.append(len(numbers))
    found = torch.cat(ranks).double()
    inverse = 1 / found
    return Matching(
        mrr=inverse.mean().item(),
        recall_1=(found <= 1).double().mean().item(),
        recall_5=(found <= CUTOFF).double().mean().item(),
        candidates=sum(candidates) / len(candidates),
        pairs=len(found),
        pool=size,
        mrr_standard_error=standard_error(inverse),
    )


def ranks_of(scores: Tensor, own: Tensor) -> Tensor:
    """The rank of each row's own candidate, (N,), int64: ties count against it.

    Args:
        scores: of each row and candidate, (N, C).
        own: the number of each row's candidate, (N,), int64.
    """
    score = scores.gather(1, own[:, None])
    return (scores >= score).sum(1)
