"""The KL in three parts, each with a weight of its own, and their estimates in a batch."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.nn import functional as F

from textvae.objectives.base import Objective, parts, reparameterized, size_of
from textvae.objectives.critic import ONE, Critic
from textvae.objectives.outputs import Latent, Loss, VAEOutput, scalar
from textvae.objectives.schedules import Constant, Schedule
from textvae.registry import Count


@dataclass(frozen=True)
class Decomposition(Objective, kind="decomposition"):
    """-E_q log p(x | z) + a I(x; z) + b TC(z) + c sum_j KL(q(z_j) || p(z_j)).

    The three parts of the mean KL are the mutual information, the total correlation
    KL(q(z) || prod_j q(z_j)), and the KL of each dimension's aggregate posterior. (1, 1, 1) has the
    mean of the ELBO and a larger variance; (1, 6, 1) is the beta-TCVAE of its paper.

    log q(z) and log q(z_j) are estimated from the batch, see `log_stratified_weights`. Their sum of
    parts is log q(z | x) - log p(z) exactly, the single parts are biased: `textvae factors` has
    them over all rows.

    Args:
        rows: number N of training rows.
        mutual_information: a as a function of the optimizer step.
        total_correlation: b as a function of the optimizer step.
        marginal_kl: c as a function of the optimizer step.
        latent: name of the latent z, the only one.
        samples: samples K of each latent.

    Source: Chen et al. 2018, eq. 2 and 4 and appendix C, arXiv:1802.04942.
    When: dimensions should stand for separate factors of the data.
    Relations: `elbo` with `kl_weight` b is (b, b, b).
    """

    rows: int
    mutual_information: Schedule = Constant(1.0)
    total_correlation: Schedule = Constant(1.0)
    marginal_kl: Schedule = Constant(1.0)
    latent: str = "z"
    samples: Count = 1

    def __call__(self, out: VAEOutput, step: int) -> Loss:
        """The loss of a batch at an optimizer step: the mean over samples and rows.

        Raises:
            ValueError: a batch of one row, another latent, or one that does not factorise.
        """
        reconstruction_loss, _, terms = parts(out)
        latent = only(out, self.latent)
        own = latent.posterior.log_prob(latent.value)
        joint, product = log_aggregates(latent, self.rows)
        each = {
            "mutual_information": (own - joint).mean(),
            "total_correlation": (joint - product).mean(),
            "marginal_kl": (product - latent.prior.log_prob(latent.value)).mean(),
        }
        value = reconstruction_loss
        for name, part in each.items():
            value = value + getattr(self, name)(step) * part
        return Loss(value, terms | {name: part.detach() for name, part in each.items()})


class Factor(Objective, nn.Module, kind="factor"):
    """-E_q log p(x | z) + w KL + weight TC(z), with a critic's estimate of the total correlation.

    The critic T tells samples of q(z) from samples whose dimensions are permuted along the batch,
    each by itself, which come from prod_j q(z_j). At its optimum T(z) is the log ratio of the two,
    and TC = E_q T(z). It learns from one half of the batch as it is and from the other permuted, in
    the same step.

    Args:
        sizes: of each latent, by name.
        weight: of the total correlation, as a function of the optimizer step.
        kl_weight: w as a function of the optimizer step.
        hidden: size of the critic's two hidden layers.
        latent: name of the latent z, the only one.
        samples: samples K of each latent.

    Source: Kim & Mnih 2018, eq. 2 and 3, arXiv:1802.05983. They take a second batch for the critic
    and an optimizer of its own.
    Relations: `decomposition` estimates the same term without a critic.
    """

    kl_weight: Schedule

    def __init__(
        self,
        sizes: Mapping[str, int],
        weight: Schedule = Constant(10.0),  # noqa: B008
        kl_weight: Schedule = ONE,
        hidden: Count = 256,
        latent: str = "z",
        samples: Count = 1,
    ):
        super().__init__()
        self.weight = weight
        self.kl_weight = kl_weight
        self.latent = latent
        self.samples = samples
        self.critic = Critic(size_of(sizes, latent, "latent"), hidden)

    def __call__(self, out: VAEOutput, step: int) -> Loss:
        """The loss of a batch at an optimizer step: the mean over samples and rows."""
        reconstruction_loss, kl, terms = parts(out)
        z = only(out, self.latent).value
        correlation = self.critic.fixed(z).mean()
        first, second = z.detach().tensor_split(2, dim=1)
        joint, product = self.critic(first), self.critic(permuted(second))
        told_apart = F.softplus(-joint).mean() + F.softplus(product).mean()
        weight = self.kl_weight(step)
        value = reconstruction_loss + weight * kl + self.weight(step) * correlation + told_apart
        own = {"total_correlation": correlation.detach(), "critic": told_apart.detach()}
        return Loss(value, terms | own | {"kl_weight": scalar(weight, kl)})


def only(out: VAEOutput, name: str) -> Latent:
    """The latent of this name, which must be the only one, in a batch of at least two rows.

    Raises:
        ValueError: there are others, it has no gradient, or the batch is of one row.
    """
    latent = reparameterized(out, name)
    if len(out.latents) > 1:
        others = ", ".join(repr(each) for each in out.latents if each != name)
        raise ValueError(f"objective: the parts of a KL are those of one latent (also: {others})")
    if latent.value.shape[1] < 2:
        raise ValueError("objective: the parts of a KL need two rows in a (micro-)batch")
    return latent


def permuted(z: Tensor) -> Tensor:
    """Samples, (K, B, D), each dimension of which is permuted along the batch by itself."""
    order = torch.rand(z.shape, device=z.device).argsort(dim=1)
    return z.gather(1, order)


def log_aggregates(latent: Latent, rows: int) -> tuple[Tensor, Tensor]:
    """Estimates of log q(z) and of sum_j log q(z_j) at the samples of a batch, (K, B) each, nats.

    Args:
        latent: with posteriors of B rows that factorise over the dimensions.
        rows: number N of training rows.

    Raises:
        ValueError: the posterior does not factorise.
    """
    posterior = latent.posterior
    if not isinstance(posterior, Independent) or posterior.batch_shape[0] > 1:
        raise ValueError(
            "objective: the parts of a KL need a posterior that factorises over its dimensions "
            f"(got {type(posterior).__name__})"
        )
    # (K, B, 1, D) under (1, B, D): each sample under each row.
    each = log_prob_per_dimension(posterior, latent.value[:, :, None])
    weights = log_stratified_weights(latent.value.shape[1], rows).to(each)
    joint = (each.sum(-1) + weights).logsumexp(-1)
    product = (each + weights[..., None]).logsumexp(-2).sum(-1)
    return joint, product


def log_prob_per_dimension(posterior: Distribution, value: Tensor) -> Tensor:
    """log q(z_j | x) of each dimension, (..., D), of a posterior that factorises."""
    assert isinstance(posterior, Independent), "checked by the caller"
    return posterior.base_dist.log_prob(value)


def log_stratified_weights(batch: int, rows: int) -> Tensor:
    """Logarithms of the weights of each row's posterior in the estimate of q(z), (B, B).

    The sample in row i comes from row i's own posterior, which is one of N and weighs 1 / N. The
    other M = B - 1 rows stand for the N - 1 left: one, the next, weighs (N - M) / (N M), the rest
    1 / M each, so that a row of weights adds up to one.

    Raises:
        ValueError: fewer training rows than rows in the batch.

    Source: Chen et al. 2018, appendix C.2, minibatch stratified sampling.
    """
    if rows < batch:
        raise ValueError(
            f"objective: a batch of {batch} rows cannot come from {rows} training rows"
        )
    others = batch - 1
    weights = torch.full((batch, batch), 1 / others, dtype=torch.float64)
    weights.fill_diagonal_(1 / rows)
    next_row = torch.arange(batch)
    weights[next_row, next_row.roll(-1)] = (rows - others) / (rows * others)
    return weights.log()
