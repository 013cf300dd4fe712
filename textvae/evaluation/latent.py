"""Metrics of the latents: posterior moments, mutual information, active units."""

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from textvae.data.batching import Examples
from textvae.encoders import Features, pooled_only
from textvae.evaluation.codes import CodeUsage, entropy_of_rows, least_used
from textvae.evaluation.likelihood import is_certain, standard_error
from textvae.families import Family
from textvae.graph.model import VAE
from textvae.objectives.outputs import Latent
from textvae.priors import Prior
from textvae.randomness import seeded

ACTIVE = 0.01
"""Variance of a posterior mean over the data above which its dimension counts as active."""

BLOCK = 256
"""Number of texts with which samples are compared at once."""

ELEMENTS = 2**22
"""Most elements of a tensor in the comparison of samples with texts."""


@dataclass(frozen=True)
class Information:
    """Information that z has about its text, over all N texts, nats.

    `mutual_information + marginal_kl` is E KL(q(z | x) || p(z)), estimated from the same samples.

    Args:
        mutual_information: I(x; z) = E log q(z | x) - log q(z), where q(z) = 1/N sum_n q(z | x_n)
            over all N texts; at most ln N.
        marginal_kl: KL(q(z) || p(z)) = E log q(z) - log p(z), of the aggregate posterior; None
            where each row has a prior of its own.
        samples: of each posterior.
        variances: of each dimension's posterior mean over the texts, all latents side by side.
        kls: mean KL of each dimension; None where a posterior does not factorise.
        standard_error: of the mutual information: the deviation of the texts' means over their
            samples, by the root of N, as if q(z) did not depend on the texts; None for one text.
        codes: the use of the codebook, for latents that are codes of one.

    Source: Hoffman & Johnson 2016, ELBO surgery, section 2.
    """

    mutual_information: float
    marginal_kl: float | None
    samples: int
    variances: tuple[float, ...]
    kls: tuple[float, ...] | None
    standard_error: float | None = None
    codes: CodeUsage | None = None


@torch.no_grad()
def posterior_moments(
    model: VAE, batches: Iterable[Mapping[str, Tensor]]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Point estimates and standard deviations of each posterior, (N, D) each, on the CPU.

    The point estimate is the mean, unless the family has another: see `Family.point_estimate`.
    Rows are in the order of the batches; the model is left in evaluation mode.
    """
    model.eval()
    parts: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in model.latents}
    for fields in batches:
        on_device = {name: value.to(model.device) for name, value in fields.items()}
        for name, posterior in model.encode(**on_device).items():
            family = cast(Family, model.latents[name])
            parts[name].append((family.point_estimate(posterior).cpu(), posterior.stddev.cpu()))
    return {
        name: (torch.cat([p[0] for p in rows]), torch.cat([p[1] for p in rows]))
        for name, rows in parts.items()
        if rows
    }


@torch.no_grad()
def fit_priors(model: VAE, batches: Iterable[Mapping[str, Tensor]]) -> None:
    """Fit each prior that is fitted after training to the posteriors of the training data."""
    priors = {
        n: prior for n, prior in model.priors.items() if isinstance(prior, Prior) and prior.fits
    }
    if not priors:
        return
    moments = posterior_moments(model, batches)
    for name, prior in priors.items():
        prior.fit(*moments[name])


@torch.no_grad()
def posterior_means(model: VAE, features: Mapping[str, Tensor]) -> Tensor:
    """Posterior means of texts that the encoders have read, all latents side by side, (N, D).

    They are in units of the standard deviation of the prior.

    Args:
        model: in evaluation mode.
        features: the pooled vector of each text, (N, H), by encoder.
    """
    return in_prior_units(model, point_estimates(model, features))


@torch.no_grad()
def point_estimates(model: VAE, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Point estimates of texts that the encoders have read, (N, D) by latent, on the CPU.

    Args:
        model: in evaluation mode.
        features: the pooled vector of each text, (N, H), by encoder.
    """
    parts: dict[str, list[Tensor]] = {name: [] for name in model.latents}
    for block in blocks(features):
        for name, latent in model.draw(block, 1, size_of(block), use_mean=True, whole=True).items():
            parts[name].append(latent.value[0].cpu())
    return {name: torch.cat(values) for name, values in parts.items() if values}


def in_prior_units(model: VAE, values: Mapping[str, Tensor]) -> Tensor:
    """Latents, (N, D) by name on the CPU, over the deviations of their priors, side by side."""
    parts = []
    for name, value in values.items():
        scale = model.prior_scale(name)
        parts.append(value / (scale.cpu() if isinstance(scale, Tensor) else scale))
    return torch.cat(parts, -1)


@torch.no_grad()
def information(
    model: VAE, features: Mapping[str, Tensor], samples: int = 10, seed: int = 0
) -> Information:
    """Mutual information and marginal KL of texts that the encoders have read.

    They are of the latents of whole rows; those of parts of rows do not count.

    Each sample is compared with the posteriors of all N texts, in blocks. Memory does not depend
    on N; time grows with N squared. Codes are counted instead: see `certain_information`.

    Args:
        model: in evaluation mode.
        features: the pooled vector of each text, (N, H), by encoder.
        samples: of each posterior.
        seed: of the samples.
    """
    if not model.row_latents:
        return Information(0.0, 0.0, samples, (), ())
    values = point_estimates(model, features)
    means = in_prior_units(model, values).double()
    if is_certain(model):
        return certain_information(model, features, values, means)
    count, dim = means.shape
    mutual = marginal = 0.0
    known = torch.zeros(count, dtype=torch.float64)  # about each text, nats
    kls: Tensor | None = torch.zeros(dim, dtype=torch.float64)
    with seeded(seed):
        for number, block in enumerate(blocks(features)):
            size = size_of(block)
            latents = model.draw(block, samples, size, whole=True)
            values = {name: latent.value.flatten(0, 1) for name, latent in latents.items()}
            priors = [latent.prior.log_prob(latent.value) for latent in latents.values()]
            log_prior = torch.stack(priors).double().sum(0).flatten()
            for rows in torch.arange(samples * size).split(max(1, ELEMENTS // (BLOCK * dim))):
                chunk = {name: value[rows] for name, value in values.items()}
                own, aggregate = log_posteriors(model, chunk, features, number, rows % size)
                mutual += (own - aggregate).sum().item()
                known.index_add_(0, BLOCK * number + rows % size, (own - aggregate).cpu())
                marginal += (aggregate - log_prior[rows]).sum().item()
            kls = None if kls is None else added_kls(kls, latents)
    return Information(
        mutual_information=mutual / (count * samples),
        marginal_kl=None if model.config.conditional_prior else marginal / (count * samples),
        samples=samples,
        variances=tuple((means.var(0) if count > 1 else 0 * means[0]).tolist()),
        kls=None if kls is None else tuple((kls / count).tolist()),
        standard_error=standard_error(known / samples),
        codes=least_used(model, values),
    )


@torch.no_grad()
def certain_information(
    model: VAE, features: Mapping[str, Tensor], values: Mapping[str, Tensor], means: Tensor
) -> Information:
    """`information` of a model whose posteriors are certain, exact: the entropy of the codes.

    Args:
        model: in evaluation mode.
        features: the pooled vector of each text, (N, H), by encoder.
        values: the codes of each text, (N, D), by latent.
        means: the same side by side, over the deviation of the prior, (N, D).
    """
    known = entropy_of_rows(model, values)
    kl = 0.0
    for block in blocks(features):
        for latent in model.draw(block, 1, size_of(block), use_mean=True).values():
            kl -= latent.prior.log_prob(latent.value).double().sum().item()
    mutual = known.mean().item()
    return Information(
        mutual_information=mutual,
        marginal_kl=None if model.config.conditional_prior else kl / len(means) - mutual,
        samples=1,
        variances=tuple((means.var(0) if len(means) > 1 else 0 * means[0]).tolist()),
        kls=None,
        standard_error=standard_error(known),
        codes=least_used(model, values),
    )


def log_posteriors(
    model: VAE,
    values: Mapping[str, Tensor],
    features: Mapping[str, Tensor],
    number: int,
    own: Tensor,
) -> tuple[Tensor, Tensor]:
    """log q(z | x) of samples under their own text, log q(z) under all N: (M,) each, float64.

    Both come from one matrix of log-probabilities, so log q(z) is never below log q(z | x) - ln N.

    Args:
        model: in evaluation mode.
        values: the samples, (M, D) by latent.
        features: of all texts.
        number: of the block that the samples' texts are in.
        own: the index of each text in it, (M,), int64.
    """
    own_log_prob = torch.empty(0)
    total = torch.full(own.shape, -torch.inf, dtype=torch.float64, device=model.device)
    for other, block in enumerate(blocks(features)):
        log_probs = cross_log_prob(model, values, block)
        total = torch.logaddexp(total, log_probs.logsumexp(1))
        if other == number:
            own_log_prob = log_probs.gather(1, own.to(model.device)[:, None]).squeeze(1)
    return own_log_prob, total - math.log(len(next(iter(features.values()))))


def cross_log_prob(
    model: VAE, values: Mapping[str, Tensor], features: Mapping[str, Features]
) -> Tensor:
    """log q(z_m | x_b) of each sample, (M, D) by latent, under each text, (M, B), float64."""
    size = size_of(features)
    paired = {name: value[:, None].expand(-1, size, -1) for name, value in values.items()}
    total = torch.zeros((), dtype=torch.float64, device=model.device)
    for node in model.config.nodes("latents"):
        if node["name"] not in model.row_latents:
            continue
        # A latent that is given another has one posterior for each pair of sample and text.
        posterior = model.posterior(node, features, paired)
        total = total + log_prob_of_pairs(posterior, values[node["name"]])
    return total


def log_prob_of_pairs(posterior: Distribution, value: Tensor) -> Tensor:
    """log q_b(z_m), (M, B), float64, of posteriors, batch shape (1 or M, B), at samples, (M, D)."""
    base = posterior.base_dist if isinstance(posterior, Independent) else None
    if not isinstance(base, Normal) or posterior.batch_shape[0] > 1:
        return posterior.log_prob(value[:, None]).double()
    # The square written out is two matrix products; float64 bears the cancellation.
    z, mean, scale = value.double(), base.loc[0].double(), base.scale[0].double()
    precision = scale**-2
    square = z**2 @ precision.T - 2 * z @ (mean * precision).T + (mean**2 * precision).sum(-1)
    return -0.5 * (square + math.log(2 * math.pi) * z.shape[1]) - scale.log().sum(-1)


def added_kls(total: Tensor, latents: Mapping[str, Latent]) -> Tensor | None:
    """The sum over texts of each dimension's KL with a block's added; None where there is none."""
    try:
        each = torch.cat([latent.kl_per_dimension() for latent in latents.values()], -1)
    except (ValueError, NotImplementedError):
        return None
    return total + each.double().mean(0).sum(0).cpu()


def blocks(features: Mapping[str, Tensor]) -> Iterator[dict[str, Features]]:
    """Pooled vectors of N texts, (N, H) by encoder, as features of at most `BLOCK` texts each."""
    count = len(next(iter(features.values())))
    for start in range(0, count, BLOCK):
        parts = {name: pooled[start : start + BLOCK] for name, pooled in features.items()}
        yield {name: pooled_only(part) for name, part in parts.items()}


def size_of(block: Mapping[str, Features]) -> int:
    """Number of texts B of a block."""
    return len(next(iter(block.values())).pooled)


def active_units(means: Tensor, threshold: float = ACTIVE) -> int:
    """Number of dimensions whose posterior mean, (N, D), varies over the data.

    #{d : Var_x(E_q[z_d | x]) > threshold}; 0 for a single text. Where the prior's variance is not
    one, as that of proportions, the means are in units of its deviation.

    Source: Burda et al. 2016, section 5.2, arXiv:1509.00519.
    """
    if len(means) < 2:
        return 0
    return int((means.var(0) > threshold).sum())


def is_deterministic(model: VAE) -> bool:
    """Whether some latent is a point without a density; then the ELBO is no bound."""
    return any(cast(Family, family).deterministic for family in model.latents.values())


def distinct_rows(rows: Examples) -> int:
    """Number of different rows, as a model reads them: texts of unknown words alone are equal."""
    return len({row_key(rows[index]) for index in range(len(rows))})


def row_key(row: Any) -> Hashable:
    """The content of a row, hashed: of an array, of each field, or of each part."""
    if isinstance(row, Mapping):
        return tuple((name, row_key(value)) for name, value in row.items())
    if isinstance(row, list):
        return tuple(map(row_key, row))
    return hash(np.asarray(row).tobytes())
