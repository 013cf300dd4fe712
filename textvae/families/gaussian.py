"""Gaussian with a diagonal covariance; its prior is standard normal."""

from typing import ClassVar

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    Independent,
    MultivariateNormal,
    Normal,
    register_kl,
)

from textvae.families.base import Family, in_float32
from textvae.registry import Count

REACH = 5.0
"""Largest offset of a relative posterior, in standard deviations and in log-variance."""


class Gaussian(Family, kind="gaussian"):
    """N(mu, diag(sigma^2)) with mu and log sigma^2 linear in the context.

    Args:
        features: size H of the context.
        dim: D.
        batch_norm: gamma, the standard deviation of each dimension's mean over a batch of texts,
            see `BatchNormalizer`; None leaves the means as they are.

    >>> family = Gaussian(dim=2, features=3)
    >>> family(torch.zeros(4, 5, 3)).batch_shape
    torch.Size([4, 5])

    Source: Kingma & Welling 2014, appendix B, arXiv:1312.6114.
    """

    fittable: ClassVar[bool] = True

    def __init__(self, features: int, dim: Count = 32, batch_norm: PositiveFloat | None = None):
        super().__init__()
        self.dim = dim
        self.head = nn.Linear(features, 2 * dim)
        self.normalizer = None if batch_norm is None else BatchNormalizer(dim, batch_norm)

    def variational_parameters(self, context: Tensor) -> Tensor:
        """mu and log sigma^2 of each context, (..., H), side by side: (..., 2 D).

        Raises:
            ValueError: batch normalisation is trained with a batch of one text.
        """
        parameters = in_float32(self.head, context)
        if self.normalizer is None:
            return parameters
        mean, log_variance = parameters.chunk(2, dim=-1)
        return torch.cat([self.normalizer(mean), log_variance], dim=-1)

    def distribution(self, variational_parameters: Tensor) -> Distribution:
        """N(mu, diag(sigma^2)) of mu and log sigma^2, (..., 2 D)."""
        mean, log_variance = variational_parameters.chunk(2, dim=-1)
        return diagonal_normal(mean, (0.5 * log_variance).exp())

    def relative(self, variational_parameters: Tensor, prior: Distribution) -> Tensor:
        """mu_p + sigma_p 5 tanh(d / 5) and log sigma_p^2 + 5 tanh(e / 5) of offsets d and e.

        The KL is then (d'^2 + exp(e') - e' - 1) / 2 in each dimension, d' and e' the bounded
        offsets, whatever the prior.

        Source: Vahdat & Kautz 2020, section 3.2, arXiv:2007.03898; there the bounds are on the
        parameters themselves.
        """
        shift, log_ratio = (REACH * (variational_parameters / REACH).tanh()).chunk(2, dim=-1)
        mean = prior.mean + prior.stddev * shift
        return torch.cat([mean, 2 * prior.stddev.log() + log_ratio], dim=-1)

    def default_prior(self, batch_shape: torch.Size, like: Tensor) -> Distribution:
        """N(0, I) on the device of `like`."""
        zero = torch.zeros(*batch_shape, self.dim, device=like.device)
        return diagonal_normal(zero, torch.ones_like(zero))


class BatchNormalizer(nn.Module):
    """gamma (m - E_b m) / std_b m + beta: posterior means that no encoder can shrink.

    In training, expectations are over the batch, so that of every batch, against N(0, I),

        E_b KL >= 1/2 sum_d E_b mu_d^2 = D (gamma^2 + mean_d beta_d^2) / 2,

    since KL = 1/2 sum_d (mu^2 + sigma^2 - log sigma^2 - 1) and x - log x >= 1. In evaluation
    running averages of E_b m and std_b m take their place. On average std_b is at most the
    deviation over all texts, so the bound then holds over the data, but for the lag of the
    averages. It does not hold for a learned prior.

    Batches hold texts of similar length: the effect of their length on the means is removed
    in training, and not in evaluation. Each of several processes normalises its own texts; the
    running averages are of all of them. A dimension in which all texts of a batch agree to the
    last bit has no variance to scale: its mean is beta.

    Args:
        dim: D.
        gamma: fixed.
        shift: whether beta is learned; else it is 0.

    Source: Zhu et al. 2020, arXiv:2004.12585. We add no epsilon to the variance: an encoder that
    shrinks its means below it evades the bound.
    """

    MOMENTUM = 0.02
    """Weight of a batch in the averages: a larger one is noisy, since a batch has about one length;
    a smaller one lags behind the encoder."""
    mean: Tensor
    scale: Tensor
    batches: Tensor

    def __init__(self, dim: int, gamma: float, shift: bool = True):
        super().__init__()
        self.gamma = gamma
        self.bias = nn.Parameter(torch.zeros(dim)) if shift else None
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        self.register_buffer("batches", torch.tensor(0))

    def forward(self, values: Tensor) -> Tensor:
        """Normalised values, (..., D), float32; in training over all leading axes.

        Raises:
            ValueError: in training, fewer than two rows.
        """
        if not self.training:
            return self.shifted(self.gamma * (values - self.mean) / self.scale)
        if values[..., 0].numel() < 2:
            raise ValueError("batch normalisation is trained with at least two texts in a batch")
        axes = tuple(range(values.ndim - 1))
        mean = values.mean(axes)
        deviation = values - mean
        # In units of the largest deviation no square underflows, however small the encoder's scale.
        unit = deviation.detach().abs().amax(axes)
        flat = (values.amax(axes) == values.amin(axes)) | (unit < torch.finfo(unit.dtype).tiny)
        unit = unit.masked_fill(flat, 1.0)
        scaled = (deviation / unit).masked_fill(flat, 0.0)
        square = scaled.square().mean(axes).masked_fill(flat, 1.0)
        # A flat dimension has no scale: the average stays as it is.
        self.track(mean, torch.where(flat, self.scale, unit * square.sqrt()))
        return self.shifted(self.gamma * scaled / square.sqrt())

    def shifted(self, values: Tensor) -> Tensor:
        """Normalised values, (..., D), with beta added."""
        return values if self.bias is None else values + self.bias.float()

    @torch.no_grad()
    def track(self, mean: Tensor, scale: Tensor) -> None:
        """Take a batch's mean and standard deviation, (D,) each, into the running averages."""
        found = torch.stack([mean, scale])
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            # Processes that validated with averages of their own would disagree when to stop.
            torch.distributed.all_reduce(found)
            found /= torch.distributed.get_world_size()
        self.batches += 1
        weight = (1 / self.batches).clamp(min=self.MOMENTUM)
        self.mean += weight * (found[0] - self.mean)
        self.scale += weight * (found[1] - self.scale)


def diagonal_normal(mean: Tensor, scale: Tensor) -> Distribution:
    """N(mean, diag(scale^2)), event (D,); unchecked, so that a NaN reaches the loss."""
    return Independent(Normal(mean, scale, validate_args=False), 1, validate_args=False)


@register_kl(Independent, MultivariateNormal)
def kl_to_full(q: Independent, p: MultivariateNormal) -> Tensor:
    """KL of a diagonal Gaussian to one with a full covariance, (...), nats.

    Raises:
        NotImplementedError: q is another distribution.
    """
    if not isinstance(q.base_dist, Normal):
        raise NotImplementedError
    factor = p._unbroadcasted_scale_tril
    inverse = torch.linalg.solve_triangular(factor, torch.eye(len(factor)).to(factor), upper=False)
    mean, scale = q.base_dist.loc, q.base_dist.scale
    distance = ((mean - p.loc) @ inverse.T).square().sum(-1)
    trace = scale.square() @ inverse.square().sum(0)
    log_ratio = factor.diagonal().log().sum() - scale.log().sum(-1)
    return (distance + trace - mean.shape[-1]) / 2 + log_ratio
