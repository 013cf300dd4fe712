"""Base class of priors."""

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.registry import Component

if TYPE_CHECKING:
    from textvae.families import Family


class Prior(Component, nn.Module):
    """p(z) of a latent, or p(z | context), where it is not the family's own.

    A constructor must take `features`, the size H of the context, 0 when the prior is given
    nothing, and `family`, the latent's family; it may take `posterior_features`, the size of what
    the latent itself is given, and `classes`, of the latent's label. Its other arguments are keys
    of `prior` in a recipe. The family is a part of the model elsewhere, so keep it with `refer`.
    """

    fits: ClassVar[bool] = False
    """Whether `fit` sets it after training, from the posteriors of all training data."""

    has_moments: ClassVar[bool] = True
    """Whether mean and deviation of the prior are known; else those of the family's own serve."""

    takes_label: ClassVar[bool] = False
    """Whether the field of its latent is a label that chooses among its components: then it has
    `of_classes`, `class_logits` and `label_log_prob`, and the posterior is not fixed."""

    family: "Family"

    def refer(self, family: "Family") -> None:
        """Keep the latent's family without making its weights part of the prior's."""
        # nn.Module.__setattr__ would register it a second time.
        self.__dict__["family"] = family

    def forward(self, context: Tensor) -> Distribution:
        """The prior of each context, (..., H): batch shape (...), event (D,)."""
        raise NotImplementedError

    def of_classes(self, labels: Tensor) -> Distribution:
        """p(z | y) of labels, (B,), int64, -1 for a missing one: batch shape (B,), event (D,).

        Raises:
            NotImplementedError: it is not one of those that `takes_label`.
        """
        raise NotImplementedError

    def class_logits(self, value: Tensor) -> Tensor:
        """log p(y | z) of latents, (..., D), up to a constant: (..., C).

        Raises:
            NotImplementedError: it is not one of those that `takes_label`.
        """
        raise NotImplementedError

    def distances(self, value: Tensor) -> Tensor:
        """Distance of each latent, (..., D), to each class: (..., C).

        Raises:
            NotImplementedError: it is not one of those that `takes_label`.
        """
        raise NotImplementedError

    def label_log_prob(self, value: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """log p(y | z), (K, B), nats, of labels, (B,), at samples, (K, B, D); 0 for a missing one.

        Raises:
            NotImplementedError: it is not one of those that `takes_label`.
        """
        raise NotImplementedError

    def fit(self, means: Tensor, scales: Tensor) -> None:
        """Take the moments of posteriors N(means, diag(scales^2)), (N, D) each.

        Raises:
            NotImplementedError: it is not one of those that `fits`.
        """
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether it holds yet; until then the family's default prior does."""
        return True
