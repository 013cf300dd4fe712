"""Terms that are added to any objective."""

import math
from dataclasses import dataclass

import torch
from pydantic import PositiveFloat
from torch import Tensor
from torch.distributions import kl_divergence
from torch.nn import functional as F

from textvae.objectives.outputs import Latent, VAEOutput
from textvae.objectives.schedules import Constant, Schedule, numbers_to_schedules
from textvae.registry import Component, suggest


class Term(Component):
    """A part of the loss of its own; a frozen dataclass with a `weight`.

    The model logs it by its kind, without the weight.
    """

    weight: Schedule = Constant(1.0)
    """Factor in the loss as a function of the optimizer step, or a number."""

    def __post_init__(self) -> None:
        """Take a number for a constant schedule, as a recipe may give one."""
        numbers_to_schedules(self)

    def __call__(self, out: VAEOutput, step: int) -> Tensor:
        """The term of a batch, (), nats, before its weight: the mean over samples and texts."""
        raise NotImplementedError


@dataclass(frozen=True)
class PosteriorKL(Term, kind="posterior_kl"):
    """KL(q(a | x) || q(b | x)) of two latents of one size, exact.

    Args:
        of: name of the latent a.
        to: name of the latent b.
        weight: factor in the loss.

    Source: Du et al. 2019, EMNLP (a term of the pretraining of CWVAE).
    """

    of: str
    to: str
    weight: Schedule = Constant(1.0)

    def __call__(self, out: VAEOutput, step: int) -> Tensor:
        """The KL of a batch, (), nats.

        Raises:
            ValueError: a latent that is not there, or no KL between the two is known.
        """
        q, p = (latent_named(out, name).posterior for name in (self.of, self.to))
        try:
            return kl_divergence(q, p).mean()
        except (NotImplementedError, RuntimeError) as error:
            raise ValueError(
                f"objective.terms: no KL from {self.of!r} to {self.to!r} is known ({error})"
            ) from None


@dataclass(frozen=True)
class Match(Term, kind="match"):
    """Cross-entropy of each row's own partner among the partners of its batch, in both directions.

    With m and n the posterior means of the two latents, and scores s_ij = scale m_i . n_j:

        -1/2 mean_i [log softmax_j(s_ij)_i + log softmax_j(s_ji)_i]

    Args:
        first: name of the latent of one text.
        second: name of the latent of its partner, of the same size.
        scale: factor of the dot products.
        weight: factor in the loss.

    Source: Yu et al. 2020, ACL (matching of the latents of a question and an answer, there by a
    network over given negatives); Henderson et al. 2017, section 4, arXiv:1705.00652 (dot products,
    the other partners of the batch as negatives; there in one direction).
    """

    first: str
    second: str
    scale: PositiveFloat = 1.0
    weight: Schedule = Constant(1.0)

    def __call__(self, out: VAEOutput, step: int) -> Tensor:
        """The cross-entropy of a batch, (), nats.

        Raises:
            ValueError: a latent that is not there or of another size, or a batch of one row.
        """
        latents = [latent_named(out, name) for name in (self.first, self.second)]
        m, n = (latent.posterior.mean.float().mean(0) for latent in latents)
        if m.shape != n.shape:
            raise ValueError(
                f"objective.terms: {self.first!r} and {self.second!r} must be of one size to match "
                f"(got {m.shape[-1]} and {n.shape[-1]})"
            )
        if len(m) < 2:
            raise ValueError("objective.terms: match needs at least two rows in a (micro-)batch")
        scores, own = self.scale * (m @ n.T), torch.arange(len(m), device=m.device)
        return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2


@dataclass(frozen=True)
class BatchInformation(Term, kind="batch_information"):
    """-I, the mutual information of a batch's rows and a latent, which is thereby rewarded.

    I = mean_i [log q(z_i | x_i) - log 1/B sum_j q(z_i | x_j)] over a batch of B rows; at most ln B,
    however much the latent knows. Added to the ELBO with the weight of the KL it leaves of the KL
    of that latent what is not mutual information, KL(q(z) || p(z)).

    Args:
        latent: its name.
        weight: factor in the loss.

    Source: Yoo et al. 2020, section 3.3, EMNLP (the term); Hoffman & Johnson 2016, "ELBO surgery".
    """

    latent: str = "z"
    weight: Schedule = Constant(1.0)

    def __call__(self, out: VAEOutput, step: int) -> Tensor:
        """-I of a batch, (), nats.

        Raises:
            ValueError: a latent that is not there, is of parts, or has a posterior given another
                latent; or a batch of one row.
        """
        latent = latent_named(out, self.latent)
        posterior, rows = latent.posterior, latent.value.shape[1]
        if latent.plate is not None or posterior.batch_shape[0] != 1 or latent.enumerated:
            raise ValueError(
                f"objective.terms: batch_information needs {self.latent!r} drawn for whole rows, "
                f"given encoders alone"
            )
        if rows < 2:
            raise ValueError("objective.terms: batch_information needs two rows in a (micro-)batch")
        # (K, B, 1, D) under (1, B, D): each sample under each row.
        each = posterior.log_prob(latent.value[:, :, None])
        own = each.diagonal(dim1=-2, dim2=-1)
        return -(own - each.logsumexp(-1) + math.log(rows)).mean()


def latent_named(out: VAEOutput, name: str) -> Latent:
    """The latent of a name.

    Raises:
        ValueError: there is none.
    """
    if name not in out.latents:
        raise ValueError(f"objective.terms: unknown {name!r} {suggest(name, out.latents)}")
    return out.latents[name]
