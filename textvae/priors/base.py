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
    the latent itself is given. Its other arguments are keys of `prior` in a recipe. The family is a
    part of the model elsewhere, so keep it with `refer`.
    """

    fits: ClassVar[bool] = False
    """Whether `fit` sets it after training, from the posteriors of all training data."""

    has_moments: ClassVar[bool] = True
    """Whether mean and deviation of the prior are known; else those of the family's own serve."""

    family: "Family"

    def refer(self, family: "Family") -> None:
        """Keep the latent's family without making its weights part of the prior's."""
        # nn.Module.__setattr__ would register it a second time.
        self.__dict__["family"] = family

    def forward(self, context: Tensor) -> Distribution:
        """The prior of each context, (..., H): batch shape (...), event (D,)."""
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
