"""Terms that are added to any objective."""

from dataclasses import dataclass

from torch import Tensor
from torch.distributions import kl_divergence

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


def latent_named(out: VAEOutput, name: str) -> Latent:
    """The latent of a name.

    Raises:
        ValueError: there is none.
    """
    if name not in out.latents:
        raise ValueError(f"objective.terms: unknown {name!r} {suggest(name, out.latents)}")
    return out.latents[name]
