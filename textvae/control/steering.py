"""Steering: codes of a finished model with a label, by Langevin dynamics on latents."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from textvae.control.codes import linear_probe
from textvae.evaluation.latent import is_deterministic
from textvae.families import Family
from textvae.graph.model import VAE
from textvae.randomness import draws, seeded

STEP = 0.1
"""Step size of the Langevin dynamics, in units of the prior's variance."""


@dataclass(frozen=True)
class LabelModel:
    """log q(label | z): logistic regression on codes.

    Args:
        weight: of standardised codes, (C, D).
        bias: (C,).
        loc: mean of the codes, (D,).
        scale: standard deviation of the codes, (D,).
        names: of the classes.
    """

    weight: Tensor
    bias: Tensor
    loc: Tensor
    scale: Tensor
    names: tuple[str, ...]

    def log_probs(self, z: Tensor) -> Tensor:
        """log q(label | z) of codes, (N, D): (N, C)."""
        logits = (z - self.loc) / self.scale @ self.weight.T + self.bias
        return logits.log_softmax(-1)


def fit_labels(codes: np.ndarray, labels: Sequence[str]) -> LabelModel:
    """Logistic regression on codes, (N, D), for their labels, N."""
    scaler, regression = (step for _, step in linear_probe().fit(codes, labels).steps)
    weight, bias = (torch.as_tensor(v).float() for v in (regression.coef_, regression.intercept_))
    if len(regression.classes_) == 2:
        # Of two classes the regression has one row: the logit of the second.
        weight, bias = (torch.cat([torch.zeros_like(v), v]) for v in (weight, bias))
    loc, scale = (torch.as_tensor(v).float() for v in (scaler.mean_, scaler.scale_))
    return LabelModel(weight, bias, loc, scale, tuple(str(name) for name in regression.classes_))


@dataclass(frozen=True)
class Space:
    """Coordinates u of latents, z = loc + L u, in which the prior has a deviation near 1.

    Args:
        loc: (D,).
        root: L, (D, D).
        log_prior: log p(z) of latents, (N, D): (N,).
        start: samples of the prior, (N, D).
    """

    loc: Tensor
    root: Tensor
    log_prior: Callable[[Tensor], Tensor]
    start: Callable[[int], Tensor]

    def latents(self, u: Tensor) -> Tensor:
        """z of coordinates, (N, D)."""
        return self.loc + u @ self.root.T

    def coordinates(self, z: Tensor) -> Tensor:
        """u of latents, (N, D)."""
        return torch.linalg.solve_triangular(self.root, (z - self.loc).T, upper=False).T


def prior_space(model: VAE) -> Space:
    """The space of a model's own prior."""
    families = [cast(Family, family) for family in model.latents.values()]
    if any(family.has_codes for family in families):
        raise ValueError("steering needs latents with a gradient: codes and classes have none")
    sizes = [family.dim for family in families]
    scales = [
        torch.as_tensor(model.prior_scale(name)).float().cpu().expand(size)
        for name, size in zip(model.latents, sizes, strict=True)
    ]

    def log_prior(z: Tensor) -> Tensor:
        parts = z.to(model.device)[None].split(sizes, -1)
        values: dict[str, Tensor] = {}
        total = z.new_zeros(len(z))
        for node, part in zip(model.config.nodes("latents"), parts, strict=True):
            prior = model.prior(node, {}, values, torch.Size((1, len(z))), part)
            total = total + prior.log_prob(part)[0].to(z.device)
            values[node["name"]] = part
        return total

    def start(count: int) -> Tensor:
        return torch.cat([value[0] for value in model.sample_prior(count).values()], -1).cpu()

    return Space(torch.zeros(sum(sizes)), torch.diag(torch.cat(scales)), log_prior, start)


def fitted_space(codes: np.ndarray) -> Space:
    """The space of a Gaussian fitted to codes, (N, D), which an autoencoder has as prior."""
    gaussian = fitted_gaussian(codes)

    def start(count: int) -> Tensor:
        with draws():
            noise = torch.randn(count, codes.shape[1])
        return gaussian.loc + noise @ gaussian.scale_tril.T

    return Space(gaussian.loc, gaussian.scale_tril, gaussian.log_prob, start)


def fitted_gaussian(codes: np.ndarray) -> torch.distributions.MultivariateNormal:
    """The Gaussian with the mean and covariance of codes, (N, D)."""
    values = torch.as_tensor(codes).double()
    covariance = torch.atleast_2d(torch.cov(values.T))
    # Fewer codes than dimensions, or a constant dimension, leave the covariance singular.
    ridge = 1e-4 * covariance.diagonal().mean() + 1e-8
    root = torch.linalg.cholesky(covariance + ridge * torch.eye(len(covariance)))
    return torch.distributions.MultivariateNormal(values.mean(0).float(), scale_tril=root.float())


def space_of(model: VAE, codes: np.ndarray) -> Space:
    """The space of the prior; of a Gaussian fitted to codes where the model has no density.

    Raises:
        ValueError: a latent is discrete: it has no gradient to follow.
    """
    for name, family in model.latents.items():
        if cast(Family, family).enumerated:
            raise ValueError(f"the latent {name} is discrete: there is no gradient to steer it by")
    return fitted_space(codes) if is_deterministic(model) else prior_space(model)


def langevin(
    space: Space,
    log_label: Callable[[Tensor], Tensor],
    count: int,
    strength: float,
    steps: int,
    project: Callable[[Tensor], Tensor],
    seed: int = 0,
) -> Tensor:
    """Latents, (count, D), from p(z) q(label | z)^s by Langevin dynamics from the prior.

    u_t+1 = u_t + e / 2 grad [log p(z) + s log q(label | z)] + sqrt(e) noise

    Args:
        space: the prior and its coordinates.
        log_label: log q(label | z) of latents, (N, D): (N,).
        count: number of latents.
        strength: s.
        steps: of the dynamics.
        project: the nearest latents of points, (N, D).
        seed: of start and noise.
    """
    with seeded(seed):
        u = space.coordinates(space.start(count).detach())
        for _ in range(steps):
            u = u.requires_grad_()
            z = space.latents(u)
            energy = (space.log_prior(z) + strength * log_label(z)).sum()
            (gradient,) = torch.autograd.grad(energy, u)
            with torch.no_grad():
                with draws():
                    noise = torch.randn(u.shape)
                u = u + STEP / 2 * gradient + STEP**0.5 * noise
                u = space.coordinates(project(space.latents(u)))
    return space.latents(u).detach()
