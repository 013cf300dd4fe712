"""Generated pairs of two views: whether they help a matcher that is trained on them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textvae.evaluation.matching import ranks_of
from textvae.graph.config import VAEConfig
from textvae.layers.convolution import perceptron

GENERATED = 960
"""Pairs that are generated."""

STEPS = 700
"""Optimizer steps of a matcher, on any number of pairs."""

BATCH, HIDDEN, SIZE, LEARNING_RATE = 60, 128, 64, 1e-3
"""Pairs of a step, width of the layer and size of the features of a matcher, and its step size."""

TEMPERATURE = 0.05
"""What cosines are divided by: of .05, .1 and .2 the best on validation pairs for real pairs alone
(MNIST and its edges)."""

MATCHERS = 3
"""Matchers of each kind, with seeds 0, 1 and so on; figures are their means."""


@dataclass(frozen=True)
class GeneratedPairs:
    """Whether pairs that a model generates help to match real ones.

    A matcher is two perceptrons, one for each view, trained by the cross-entropy of each pair's own
    partner among those of its batch; with generated pairs, half of each batch is real. Scores are
    dot products, or cosines over a temperature. The rank of a held-out row's partner is among the
    partners of all held-out rows, in both directions.

    Args:
        rank_1: share of partners with rank 1, by dot products, trained with generated pairs too.
        real_rank_1: trained with the real pairs alone, as many steps.
        gain: the difference.
        cosine_rank_1: as `rank_1`, by cosines.
        cosine_real_rank_1: as `real_rank_1`, by cosines.
        cosine_gain: the difference.
        real: training pairs.
        generated: pairs drawn from the model.
        gallery: held-out pairs.

    Source: Fu et al. 2019, section 4, arXiv:1903.10203; there the matcher is a pretrained network
    of faces. InfoNCE: van den Oord et al. 2018, arXiv:1807.03748.
    """

    rank_1: float
    real_rank_1: float
    gain: float
    cosine_rank_1: float
    cosine_real_rank_1: float
    cosine_gain: float
    real: int
    generated: int
    gallery: int


def paired_fields(config: VAEConfig) -> tuple[str, str] | None:
    """The two images or vectors that a model writes without conditions; None for other models."""
    decoders = [node for node in config.nodes("decoders") if node.get("auxiliary") is None]
    written = list(dict.fromkeys(node["field"] for node in decoders))
    numbers = all("shape" in (config.observed or {}).get(field, {}) for field in written)
    if len(written) != 2 or not numbers or config.conditions() or config.plates:
        return None
    return written[0], written[1]


Pair = tuple[Tensor, Tensor]
"""Two views of N rows, (N, D) and (N, E), float32."""


def generated_pairs(
    train: Pair, test: Pair, draw: Callable[[int], Pair], seed: int = 0
) -> GeneratedPairs:
    """The rank of held-out partners under matchers trained without and with generated pairs.

    Args:
        train: the real pairs.
        test: held-out pairs.
        draw: generates so many pairs.
        seed: of the first matcher.

    Raises:
        ValueError: there are fewer than two pairs to train on, or to match.
    """
    if min(len(train[0]), len(test[0])) < 2:
        given = f"{len(train[0])} and {len(test[0])}"
        raise ValueError(f"at least two training and two held-out pairs are needed (got {given})")
    more, ranks = draw(GENERATED), dict[tuple[bool, bool], float]()
    for cosine in (False, True):
        for generated in (None, more):
            each = [
                rank_1(train, generated, test, cosine, seed + number) for number in range(MATCHERS)
            ]
            ranks[cosine, generated is not None] = sum(each) / MATCHERS
    return GeneratedPairs(
        rank_1=ranks[False, True],
        real_rank_1=ranks[False, False],
        gain=ranks[False, True] - ranks[False, False],
        cosine_rank_1=ranks[True, True],
        cosine_real_rank_1=ranks[True, False],
        cosine_gain=ranks[True, True] - ranks[True, False],
        real=len(train[0]),
        generated=len(more[0]),
        gallery=len(test[0]),
    )


def rank_1(train: Pair, generated: Pair | None, test: Pair, cosine: bool, seed: int) -> float:
    """The share of held-out partners with rank 1 under a matcher; see `trained_matcher`."""
    first, second = trained_matcher(train, generated, cosine, seed)
    with torch.no_grad():
        scores = similarity(first(test[0]), second(test[1]), cosine)
    own = torch.arange(len(scores))
    ranks = torch.cat([ranks_of(scores, own), ranks_of(scores.T, own)])
    return (ranks == 1).double().mean().item()


def trained_matcher(
    train: Pair, generated: Pair | None, cosine: bool, seed: int, steps: int = STEPS
) -> tuple[nn.Module, nn.Module]:
    """One perceptron for each view.

    Args:
        train: real pairs.
        generated: that are half of each batch; None for real pairs alone.
        cosine: whether scores are cosines over the temperature, else dot products.
        seed: of the weights and of the batches.
        steps: of the optimizer.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        views = nn.ModuleList([encoder(view.shape[1]) for view in train])
        optimizer = torch.optim.Adam(views.parameters(), LEARNING_RATE)
        for _ in range(steps):
            parts = [drawn_rows(train, BATCH if generated is None else BATCH // 2)]
            parts += [] if generated is None else [drawn_rows(generated, BATCH - len(parts[0][0]))]
            first, second = (torch.cat(view) for view in zip(*parts, strict=True))
            scores = similarity(views[0](first), views[1](second), cosine)
            own = torch.arange(len(scores))
            loss = (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return views[0], views[1]


def drawn_rows(pairs: Pair, count: int) -> Pair:
    """So many different pairs, drawn at random; all where there are fewer."""
    rows = torch.randperm(len(pairs[0]))[:count]
    return pairs[0][rows], pairs[1][rows]


def encoder(size: int) -> nn.Module:
    """The perceptron of a view of a size."""
    return nn.Sequential(perceptron([size, HIDDEN], "relu"), nn.Linear(HIDDEN, SIZE))


def similarity(first: Tensor, second: Tensor, cosine: bool) -> Tensor:
    """The scores of features, (N, F) and (M, F): (N, M)."""
    if not cosine:
        return first @ second.T
    return F.normalize(first, dim=-1) @ F.normalize(second, dim=-1).T / TEMPERATURE
