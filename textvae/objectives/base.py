"""Base class of objectives, and functions that several of them share."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self

from torch import Tensor

from textvae.console import quoted
from textvae.objectives.outputs import Latent, Loss, VAEOutput
from textvae.objectives.schedules import Schedule, numbers_to_schedules
from textvae.objectives.terms import Term
from textvae.registry import Component, SpecError, suggest

Fields = dict[str, Tensor]
"""A batch by field name."""


class Objective(Component):
    """A loss as a function of a model's output and the optimizer step.

    A frozen dataclass; a `torch.nn.Module` only when it has parameters of its own. Those train
    with the model and stand in its checkpoints, but not in the finished model. A constructor may
    ask for what `CONTEXT` names: `sizes` of each encoder's features and of each latent, by name,
    and the number of training `rows`.
    """

    CONTEXT: ClassVar[tuple[str, ...]] = ("sizes", "rows")

    samples: int = 1
    """Samples K of each latent that the model draws for it."""

    reparameterize: bool = True
    """Whether gradients flow through samples; False for objectives that take log q alone."""

    prevents_collapse: ClassVar[bool] = False
    """Whether it keeps the KL from vanishing, by a target or a minimum."""

    matches_prior: ClassVar[bool] = False
    """Whether it draws the aggregate posterior to the prior."""

    penalizes_kl_only: ClassVar[bool] = False
    """Whether `kl_weight` times the KL is its only term beside the reconstruction loss."""

    kl_weight: Schedule | None = None
    """Weight of the KL; None where the KL has none of its own."""

    terms: tuple[Term, ...] = ()
    """Added to the loss, each times its weight; `terms` of any objective in a recipe."""

    @classmethod
    def check(cls, spec: Any, context: Iterable[str] = (), path: str = "") -> list[str]:
        """The mistakes in a specification and in its `terms`, one line each."""
        if not isinstance(spec, Mapping) or "terms" not in spec:
            return super().check(spec, context, path)
        terms, where = spec["terms"], path or cls.__name__.lower()
        own = {key: value for key, value in spec.items() if key != "terms"}
        problems = super().check(own, context, path)
        if not isinstance(terms, list | tuple):
            return [*problems, f"{where}.terms: must be a list (got {quoted(terms)})"]
        for number, term in enumerate(terms):
            problems += Term.check(term, path=f"{where}.terms.{number}")
        return problems

    @classmethod
    def build(cls, spec: Mapping[str, Any], **context: Any) -> Self:
        """The objective that a specification describes, with its `terms`.

        Raises:
            SpecError: an unknown kind or key, a missing key, a value that is not allowed.
        """
        if problems := cls.check(spec, context):
            raise SpecError(problems)
        own = {key: value for key, value in spec.items() if key != "terms"}
        objective = super().build(own, **context)
        object.__setattr__(objective, "terms", tuple(map(Term.build, spec.get("terms", ()))))
        return objective

    def __post_init__(self) -> None:
        """Take a number for a constant schedule, as a recipe may give one."""
        numbers_to_schedules(self)

    @property
    def schedules(self) -> dict[str, Schedule]:
        """Its schedules and those of its terms, by name: kl_weight, terms.0.weight."""
        parts = {"": self, **{f"terms.{number}.": term for number, term in enumerate(self.terms)}}
        return {
            f"{prefix}{name}": value
            for prefix, part in parts.items()
            for name, value in vars(part).items()
            if isinstance(value, Schedule)
        }

    def plan(self, steps: int) -> None:
        """Set the number of optimizer steps of the training: of schedules in shares of it."""
        for schedule in self.schedules.values():
            schedule.plan(steps)

    def __call__(self, out: VAEOutput, step: int) -> Loss:
        """The loss of a batch at an optimizer step: the mean over its texts."""
        raise NotImplementedError

    def altered(
        self, out: VAEOutput, sample_means: Callable[[int], Fields], step: int
    ) -> dict[str, Fields]:
        """Further batches for the model to read, by name; it finds their outputs in `out.others`.

        Args:
            out: of the batch.
            sample_means: count -> E[x | z] of each field for latents from the prior, (count, ...).
            step: optimizer step.
        """
        return {}


def parts(out: VAEOutput) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """-E_q log p(x | z) and the KL, means over samples and texts, (), and the terms of both."""
    reconstruction_loss, kl = (
        -out.expected(out.total_log_likelihood).mean(),
        out.expected(out.kl).mean(),
    )
    terms = {
        "elbo": -reconstruction_loss - kl,
        "reconstruction_loss": reconstruction_loss,
        "kl": kl,
    }
    return reconstruction_loss, kl, {name: term.detach() for name, term in terms.items()}


def reparameterized(out: VAEOutput, name: str) -> Latent:
    """The latent of this name, whose samples carry gradients.

    Raises:
        ValueError: there is none, its samples carry none, or they stand for classes that are summed
            over, each of which has its own weight.
    """
    summed = [each for each, latent in out.latents.items() if latent.enumerated]
    if summed:
        raise ValueError(f"objective: {summed[0]!r} is categorical; elbo sums over its classes")
    if name not in out.latents:
        raise ValueError(f"objective.latent: unknown {name!r} {suggest(name, out.latents)}")
    latent = out.latents[name]
    if not latent.posterior.has_rsample:
        raise ValueError(
            f"objective.latent: samples of {name!r} carry no gradient "
            f"(got {type(latent.posterior).__name__}); take one that is reparameterized"
        )
    return latent


def enumerated_latent(out: VAEOutput, objective: str) -> tuple[str, Latent]:
    """The latent whose values are enumerated, with its name.

    Raises:
        ValueError: there is none, or its posterior is given another latent.
    """
    found = [(name, latent) for name, latent in out.latents.items() if latent.enumerated]
    if not found:
        known = ", ".join(out.latents) or "none"
        raise ValueError(f"objective: {objective} needs a categorical latent (known: {known})")
    name, latent = found[0]
    if latent.posterior.batch_shape[0] != 1:
        raise ValueError(f"objective: {objective} needs {name!r} given encoders, no latents")
    return name, latent


def prior_like(latent: Latent) -> Tensor:
    """Samples of a latent's prior, constants, as many as it has of its posterior, (K, B, D)."""
    return latent.prior.expand(latent.value.shape[:2]).sample()


def size_of(sizes: Mapping[str, int], name: str, key: str) -> int:
    """The size of the encoder's features or the latent that `objective.key` names.

    Raises:
        SpecError: the model has none of that name.
    """
    if name not in sizes:
        raise SpecError([f"objective.{key}: unknown {name!r} {suggest(name, sizes)}"])
    return sizes[name]
